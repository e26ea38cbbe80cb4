"""The stage of the specialists, one net for each keypoint group. What its `run` needs is imported there: Keras takes seconds to start."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import luigi

from pipeline.errors import InputError, meant
from pipeline.nets.options import ANY_SIDE, HEADS, STARTS, VIEWS
from pipeline.store.run.parameters import choice, fraction, from_parameters, is_auto, multiple, or_usual, real, whole
from pipeline.store.run.stage import Stage
from pipeline.tasks.data import Augment, Load
from pipeline.tasks.learning import BUDGET, WITHIN_BUDGET
from pipeline.tasks.own import suited
from pipeline.tasks.sections import dataset
from pipeline.tasks.training import TrainBase, Training

if TYPE_CHECKING:
    import numpy as np

    from pipeline.data.dataset import Dataset
    from pipeline.geometry.suited import WindowChoice
    from pipeline.nets.fitting import TrainingJob
    from pipeline.nets.samples import DrawnVersions, DrawnWindows, Versions
    from pipeline.nets.sight import AlignedWindow, KeypointWindows, Sight
    from pipeline.nets.start import Start
    from pipeline.nets.trained import Trained

# Windows around keypoints are shifted by up to this fraction of their side: as far as the base net misses the keypoint, but for the worst.
WINDOW_SHIFT = 14 / 64
# The windows over which predictions for own sets are averaged, see `alignment.LOOKS`.
OWN_LOOKS = 5
# The ranges of the random transforms of windows for own sets, whose samples the base net aligns less exactly than Kaggle's faces.
OWN_RANGES = {"rotation": 15.0, "shift": 5 / 96, "scale": 1.16, "stretch": 1.06}


class TrainSpecialist(Training, Stage):
    """A net for one group of keypoints: the base net, fine-tuned on the samples that have labels for these keypoints."""

    group = luigi.Parameter(default="", description="name of the keypoint group")
    view = choice(
        "auto",
        "what the net sees: window (the part around the group of the sample that the base net has located), face (the whole image) or"
        " keypoint (a small window around one keypoint at a time, in the resolution of the stored samples); auto: window, or keypoint for a"
        " keypoint set of your own whose samples have many more pixels than fit in the window of a group",
        VIEWS,
    )
    side = multiple(64, "keypoint: width and height of a window in pixels", 16)
    detail = real(1.0, "keypoint: pixels of a window in the last pass per pixel of the stored samples", 0.05, 4.0)
    passes = whole(2, "keypoint: number of passes, each with twice the detail of the one before, around where that has found it", 1, 4)
    looks = suited(
        whole(1, "window, keypoint: number of slightly turned, scaled and moved windows over which predictions are averaged", 1, 5), "5"
    )
    margin = fraction("18/96", "window: distance from the outermost keypoints of the group on the mean shape to the edge")
    extent = fraction("64/96", "window: minimum width and height; the surroundings of a keypoint help to find it")
    zoom = suited(
        real(1.0, "window: its pixels per pixel of the base net's input; more shows finer detail of larger samples", 0.1, 8.0),
        "the resolution of the stored samples, as far as the window then has at most 128 pixels",
    )
    flip = real(0.5, "window: fraction of mirrored samples", 0.0, 1.0)
    rotation = suited(real(6.0, "window: maximum rotation in degrees to either side", 0.0, 180.0), "15")
    shift = suited(fraction("2.5/96", "window: maximum shift in x and in y"), "5/96")
    scale = suited(real(1.07, "window: maximum scale factor; its inverse is the minimum", 1.0, 4.0), "1.16")
    stretch = suited(real(1.03, "window: maximum factor by which x is stretched against y; its inverse is the minimum", 1.0, 2.0), "1.06")
    gain = real(0.3, "window: maximum relative change of the contrast", 0.0, 1.0)
    bias = real(0.15, "window: maximum change of the brightness, as a fraction of the full range", 0.0, 1.0)
    start = choice(
        "base", "initial weights: base (those of the base net) or scratch (fresh ones, to see what the base net contributes)", STARTS
    )
    head = choice("kept", "with start base, the initial output layer: kept (that of the base net) or new (as in the tutorial)", HEADS)
    epochs = suited(
        whole(
            3,
            "maximum number of epochs; window: each has as many windows for every group, several of a sample if few samples have the group",
            1,
        ),
        WITHIN_BUDGET,
    )
    budget = real(4.0, f"{BUDGET}, of which each group has a share in proportion to the number of its keypoints", 0.0)
    learning_rate = real(3e-3, "highest learning rate", 1e-9)
    learning_rate_stop = real(1e-6, "learning rate at the end of the linear and cosine schedules", 0.0)
    warmup = real(0.3, "number of epochs in which the learning rate of the cosine schedule rises", 0.0)

    def check(self) -> None:
        super().check()
        if self.view != "face" and (network := self.requires()["base"].network) not in ANY_SIDE:
            raise InputError(f"The weights of {network} fit only the whole image. Use --TrainSpecialist-view face.")

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.group,)

    def _budget(self, predicted: int, keypoints: int) -> float:
        return float(self.budget) * predicted / keypoints

    @property
    def _members(self) -> tuple[str, ...]:
        """The names of the group's keypoints. They are not in the data set, so that another group retrains only its specialist."""
        return dataset().keypointset().groups[self.group]

    def facts(self) -> dict[str, Any]:
        return {"keypoints": list(self._members)}

    def requires(self):
        if self.group not in (groups := dataset().groups()):
            raise InputError(f"--TrainSpecialist-group {self.group}: there is no such keypoint group; {meant(self.group, groups)}")
        copies = {"copies": Augment()} if self.view == "face" else {}
        return {"faces": Load(), **copies, "base": TrainBase()}

    def _job(self) -> "TrainingJob":
        from pipeline.nets.fitting import TrainingJob
        from pipeline.nets.sight import KeypointWindows
        from pipeline.nets.start import Fresh, FromBase
        from pipeline.nets.trained import Trained

        data, base = self._data(), self.input()["base"].load(Trained)
        keypointset = data.keypointset.restored()
        own = {name: getattr(self, name) for name in ("l1", "l2", "dropout", "initialisation")}
        structure = dataclasses.replace(base.structure, **own)
        indices = [keypointset.names.index(name) for name in self._members]
        start: Start = Fresh() if self.start == "scratch" else FromBase(base, keep_head=self.head == "kept")
        sight = self._sight(base, indices, self.aligned_shape(data, keypointset, int(base.frame)))
        recipe = self.recipe(structure.network, int(base.frame), int(base.stored))
        if isinstance(sight, KeypointWindows):
            recipe = dataclasses.replace(recipe, robust_from=self.robust_from * self.side, frame_pixel=0.0)
        return TrainingJob(structure, self.labelled_samples(data), recipe, indices, start, sight, keypointset)

    def _sight(self, base: "Trained", indices: list[int], target: "np.ndarray") -> "Sight":
        """The whole image, or windows around the keypoints `indices` of the samples that the base net has aligned with the target."""
        from pipeline.geometry import alignment
        from pipeline.nets.sight import AlignedWindow, KeypointWindows, WholeImage, located_by

        side, scale = int(base.frame), int(base.frame) / int(base.stored)
        if self.view == "face":
            return WholeImage(side, scale=scale)
        found, choice = located_by(base), self._suited(target[indices], side, 1 / scale)
        view = self.view if self.view != "auto" else choice.view if dataset().is_own else "window"
        if self.view == "auto" and dataset().is_own:
            self.say(choice.sentence)
        looks = OWN_LOOKS if is_auto(self, "looks") else or_usual(self, "looks", self.looks)
        if view == "keypoint":
            zooms = tuple(self.detail / scale * 2.0**-step for step in reversed(range(self.passes)))
            return KeypointWindows(self.side, zooms, found.aligning, found.located[:, indices], scale, looks)
        zoom = choice.zoom if is_auto(self, "zoom") else or_usual(self, "zoom", self.zoom)
        window = alignment.window(target, indices, margin=self.margin * side, extent=self.extent * side, zoom=zoom)
        return AlignedWindow(window, found.aligning, scale, looks)

    def _suited(self, target: "np.ndarray", frame: int, detail: float) -> "WindowChoice":
        """The windows that suit the group's keypoints `target` (k, 2), pixels of the frame; see `geometry.suited.window_choice`."""
        from pipeline.geometry import alignment
        from pipeline.geometry.suited import window_choice

        return window_choice(alignment.extent(target, margin=self.margin * frame, extent=self.extent * frame), detail)

    def sentences(self, trained: "Trained", data: "Dataset") -> list[str]:
        found = super().sentences(trained, data)
        if self.view != "auto" or not dataset().is_own:
            return found
        frame = int(trained.frame)
        target = self.aligned_shape(data, data.keypointset.restored(), frame)[trained.indices]
        return [self._suited(target, frame, int(trained.stored) / frame).sentence, *found]

    @contextlib.contextmanager
    def _versions(self, job: "TrainingJob") -> "Iterator[Versions]":
        """Windows drawn anew for each epoch; for a specialist that sees the whole image, the versions of Augment."""
        from pipeline.nets.sight import AlignedWindow, KeypointWindows

        if isinstance(job.sight, AlignedWindow):
            yield self._around_group(job, job.sight)
        elif isinstance(job.sight, KeypointWindows):
            yield self._around_keypoints(job, job.sight)
        else:
            with super()._versions(job) as versions:
                yield versions

    def _around_group(self, job: "TrainingJob", sight: "AlignedWindow") -> "DrawnVersions":
        """Windows around the group, drawn anew for each epoch."""
        from pipeline.geometry.augmentation import Ranges
        from pipeline.nets.samples import DrawnVersions, repeated, rows_with

        labelled, frame = job.labelled, sight.scale * job.labelled.images.shape[1]
        # Of a chosen zoom the one that the window has; a given one is exceeded by a few pixels until the nets take the window.
        zoom = float(sight.window.matrix[0, 0]) if is_auto(self, "zoom") else or_usual(self, "zoom", self.zoom)
        rows = rows_with(labelled.keypoints, job.indices, among=~labelled.held_out)
        chosen = self._chosen_ranges()
        own = {**chosen, "shift": chosen["shift"] * frame * zoom, "shear": 0.0, "small_share": 0.0, "small_scale": 1.0}
        return DrawnVersions(
            labelled,
            sight.view(len(labelled.images)),
            keypointset=job.keypointset,
            ranges=from_parameters(Ranges, self, **own),
            seed=self.seed,
            rows=repeated(rows, max(int((~labelled.held_out).sum()), self.least())),
            indices=job.indices,
        )

    def _chosen_ranges(self) -> dict[str, float]:
        """The ranges of the random transforms that depend on whether the set is an own one, in the units of the parameters."""
        return {name: value if is_auto(self, name) else or_usual(self, name, getattr(self, name)) for name, value in OWN_RANGES.items()}

    def _around_keypoints(self, job: "TrainingJob", sight: "KeypointWindows") -> "DrawnWindows":
        """Windows around single keypoints, drawn anew for each epoch."""
        from pipeline.geometry.augmentation import Ranges
        from pipeline.nets.samples import DrawnWindows, balanced, labels_of

        labelled, fixed = job.labelled, {"shift": WINDOW_SHIFT * self.side, "shear": 0.0, "small_share": 0.0, "small_scale": 1.0}
        return DrawnWindows(
            labelled,
            sight,
            keypointset=job.keypointset,
            ranges=from_parameters(Ranges, self, **self._chosen_ranges() | fixed),
            seed=self.seed,
            pairs=balanced(labels_of(labelled.keypoints, (~labelled.held_out).nonzero()[0], job.indices)),
            size=max(int((~labelled.held_out).sum()), self.least()),
            indices=job.indices,
        )
