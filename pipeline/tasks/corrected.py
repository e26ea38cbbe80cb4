"""Corrections of labels: where they are, what they are, and how Load applies them.

`sections` and `own` are part of the code of Augment, so the parameter is declared here: sets without corrections keep their keys.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from pipeline.data.definition import READER
from pipeline.store.run.keyed import per_build
from pipeline.store.run.targets import expanded, workspace_root
from pipeline.store.workspace import digests
from pipeline.tasks import sections

if TYPE_CHECKING:
    from pipeline.data.corrections import Corrections

# The module that applies them. Load imports it by name, so that its code concerns only sets with corrections.
APPLIES = "pipeline.data.corrected"


class corrected_dataset(sections.dataset):
    """Where the samples and the corrections of their labels come from."""

    corrections = luigi.Parameter(
        default="", description="file with corrections of labels, which `keypoints review` writes; empty: corrections.csv in the workspace"
    )

    def file(self) -> Path:
        """The file with the corrections, which need not exist."""
        from pipeline.data.corrections import NAME

        return expanded(self.corrections, "--dataset-corrections") if self.corrections else workspace_root() / NAME

    def label_corrections(self) -> "Corrections":
        """The corrections; within a build always the same. Raises InputError if their file cannot be understood."""
        return self._label_corrections

    @per_build
    def _label_corrections(self) -> "Corrections":
        from pipeline.data import corrections

        return corrections.read(self.file())

    def applied(self, value: Any) -> Any:
        """An own set, or the labelled faces of a table of Kaggle's, with the corrections of its labels."""
        module, found = importlib.import_module(APPLIES), self.label_corrections()
        if not self.is_own:
            return module.of_faces(value, self.keypointset(), found)
        form = importlib.import_module(READER).convention(self.definition())
        return module.of_set(value, found, form, free=self.may_label_more)

    @property
    def may_label_more(self) -> bool:
        """Whether images that the label files do not mention may get labels: not if the user has said which images are for tests."""
        return not (self.test or self.split)

    def used_modules(self) -> tuple[str, ...]:
        """The modules that are imported by name if there are corrections."""
        return (APPLIES,) if self.label_corrections().effective else ()

    def facts(self) -> dict[str, Any]:
        """The corrections by which labels differ from the label files, and a digest of images that only they label; {} without any."""
        found = self.label_corrections().plain()
        return {"list of corrections": found, **self._new_images({image for image, *_ in found})} if found else {}

    def _new_images(self, corrected: set[str]) -> dict[str, Any]:
        definition = self.definition()
        new = sorted((corrected & {*definition.test}) - {*definition.labelled}) if self.is_own and self.may_label_more else []
        if not new:
            return {}
        return {"images labelled by corrections": digests.folder_digest(Path(definition.root), new, workspace_root() / "data")}


corrected_dataset.__name__ = sections.dataset.__name__  # of two classes with the name of a section, Luigi uses the derived one
