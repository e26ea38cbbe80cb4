"""The report: from the records of a run to one HTML page that needs no other file.

Its template is report.html in this folder, with the styles of report.css and the script of report.js.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2
import numpy as np

from pipeline import units
from pipeline.data import dataset as datasets
from pipeline.data import summary
from pipeline.data.dataset import Dataset
from pipeline.data.testset import UnlabelledSamples
from pipeline.geometry.augmentation import AugmentedVersions
from pipeline.keypoints.definition import KeypointSet
from pipeline.nets import diagnosis
from pipeline.nets.trained import Snapshots, Trained
from pipeline.progress import OnProgress, ignored
from pipeline.results import agreement, curves, error_map, gallery, metric_text, net_summary, reliability, run_summary, score_summary
from pipeline.results.net_summary import Findings
from pipeline.results.predictions import Predictions
from pipeline.results.run_summary import Provenance
from pipeline.results.scores import Scores
from pipeline.results.style import words
from pipeline.results.wording import wording

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class RunRecords:
    """The records of a run that its page shows.

    data_sets: the data set of each chain. test: the samples to predict.
    versions: augmented versions of the one face of the first data set that `gallery.example` names, see `gallery.example_versions`.
    nets: the base net, then the specialists, of the first chain, by name.
    findings: name of a net -> what the checks of its training found, see `diagnosis.findings`.
    snapshots: of the base net's weights, where its training kept some.
    notes: what a reader should know about how the labels were understood, in sentences. chosen: likewise, what was chosen from the data
    because nobody has set it, and why.
    skeleton: pairs of keypoints that are joined by a line. title: the name of an own set.
    """

    scores: Scores
    predictions: Predictions
    data_sets: list[Dataset]
    test: UnlabelledSamples
    versions: AugmentedVersions
    nets: dict[str, Trained]
    provenance: Provenance
    findings: Mapping[str, Findings] = field(default_factory=dict)
    snapshots: Snapshots | None = None
    notes: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    skeleton: tuple[tuple[str, str], ...] = ()
    title: str = "Keypoints"

    @property
    def dataset(self) -> Dataset:
        """The data set of the first chain."""
        return self.data_sets[0]

    @cached_property
    def keypointset(self) -> KeypointSet:
        """The keypoint set that the nets predict."""
        return self.dataset.keypointset.restored()

    @cached_property
    def lines(self) -> gallery.Skeleton:
        """The skeleton as pairs of keypoints, counted from 0."""
        index = self.keypointset.names.index
        return tuple((index(one), index(other)) for one, other in self.skeleton)

    @property
    def unit(self) -> str:
        """The unit of the RMSE of a training, in words."""
        return curves.PIXELS if self.dataset.origin is None else curves.stored_pixels(self.nets["base"])

    @property
    def shown(self) -> int:
        """The number of faces to show of a kind."""
        return len(self.scores.best)

    @cached_property
    def held_out(self) -> np.ndarray:
        """The images of the validation faces, uint8 (n, side, side)."""
        return datasets.held_out(self.data_sets, lambda dataset: dataset.images)


# The values that the template shows, by their names in it. Parts that draw figures take seconds.
PARTS: Mapping[str, Callable[[RunRecords], Any]] = MappingProxyType(
    {
        "scores": lambda run: run.scores,
        "rows": lambda run: score_summary.rows(run.scores),
        "noun": lambda run: wording(run.dataset, run.title),
        "own": lambda run: run.dataset.origin is not None,
        "metrics": lambda run: run.predictions.metrics,
        "blocks": lambda run: run.predictions.metrics and metric_text.blocks(run.predictions.metrics),
        "single": lambda run: run.predictions.metrics and metric_text.keypoints(run.predictions.metrics),
        "explained": lambda run: run.predictions.metrics and metric_text.notes(run.predictions.metrics),
        "headline": lambda run: run.predictions.metrics and metric_text.headline(run.predictions.metrics),
        "notes": lambda run: run.notes,
        "chosen": lambda run: run.chosen,
        "stored": lambda run: run.dataset.images.shape[1],
        "bones": lambda run: bool(run.skeleton),
        "crowded": lambda run: len(run.keypointset.names) > error_map.CROWDED,
        "mirrored": lambda run: run.keypointset.mirror is not None,
        "gain": lambda run: score_summary.gain(*run.scores.gain.tolist()[:2], noun=wording(run.dataset)),
        "agreement": lambda run: agreement.sentences(run.dataset),
        "by_keypoint": lambda run: score_summary.by_keypoint(run.scores),
        "best": lambda run: gallery.validation(run.held_out, run.predictions, run.scores.best, run.lines),
        "typical": lambda run: gallery.validation(run.held_out, run.predictions, run.scores.typical, run.lines),
        "worst": lambda run: gallery.validation(run.held_out, run.predictions, run.scores.worst, run.lines),
        "tests": lambda run: gallery.to_predict(run.predictions, run.scores.tests, run.lines),
        "certainty": lambda run: reliability.sentences(run.predictions),
        "calibration": lambda run: run.predictions.expected_error and reliability.calibration(run.predictions.expected_error),
        "doubtful": lambda run: gallery.to_predict(run.predictions, reliability.doubtful(run.predictions, run.shown), run.lines),
        "validation_faces": lambda run: len(run.predictions.validation_face),
        "training_faces": lambda run: int((~run.dataset.validation).sum()),
        "errors": lambda run: error_map.errors(run.held_out, run.dataset, run.predictions, run.scores, run.lines),
        "curves": lambda run: curves.pictures(run.nets, run.unit),
        "faces": lambda run: run.dataset,
        "counts": lambda run: summary.counts(run.dataset, run.test),
        "outliers": lambda run: gallery.outliers(run.dataset, run.shown, run.lines),
        "conflicts": lambda run: gallery.conflicts(run.dataset, run.shown),
        "twins": lambda run: gallery.twins(run.dataset, run.shown, run.lines),
        "augmented": lambda run: gallery.augmented(run.dataset, run.versions, run.lines),
        "nets": lambda run: [net_summary.net_of(name, net) for name, net in run.nets.items()],
        "health": lambda run: net_summary.health_of(run.nets, run.findings, run.snapshots),
        "parameters": lambda run: run_summary.parameters_by_kind(run.provenance.stages),
        "settings": lambda run: run_summary.settings(run.provenance),
        "provenance": lambda run: run.provenance,
    }
)


def page(run: RunRecords, on_progress: OnProgress = ignored) -> str:
    """The page as HTML; the same records give the same text.

    on_progress: called with 1 after each of the PARTS.
    """
    parts = {}
    for name, part in PARTS.items():
        parts[name] = part(run)
        on_progress(1)
    script = (FOLDER / "report.js").read_text(encoding="utf-8")
    return _template().render(parts, checks=net_summary.CHECKS, usual=diagnosis.USUAL, script=script, script_digest=_digest(script))


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"px": _px, "words": words, "clock": units.clock, "counted": units.counted}
    return environment.get_template("report.html")


def _digest(script: str) -> str:
    """The digest by which the page's policy allows this script and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _px(value: float) -> str:
    return "\N{EN DASH}" if np.isnan(value) else f"{value:.2f}"
