"""Whether nets can be trained on a data set at all. That is known before the first of them is trained, which may take hours."""

import numpy as np

from pipeline.data.dataset import Dataset, labels
from pipeline.errors import InputError
from pipeline.keypoints.definition import KeypointSet


def check(dataset: Dataset, keypointset: KeypointSet) -> None:
    """Raises InputError if a specialist group cannot be trained.

    That is so if one of its keypoints has no label in the training part, nor has its partner in a mirrored image, or if none of its
    keypoints has a label in the validation part.
    """
    labelled = ~np.isnan(labels(dataset)).any(axis=2)
    training, validation = (
        dict(zip(keypointset.names, labelled[part].any(axis=0).tolist(), strict=True)) for part in (~dataset.validation, dataset.validation)
    )
    untaught = {
        group: [name for name in names if not (training[name] or training[keypointset.partners.get(name, name)])]
        for group, names in keypointset.groups.items()
    }
    if lacking := {group: names for group, names in untaught.items() if names}:
        more = "leave it out of names in keypoints.toml" if dataset.origin else "raise --Load-faces if it limits them"
        raise InputError(
            f"No sample of the training part has a usable label for {_listed(lacking)}, so {_them(lacking)} cannot be trained. "
            f"Label it in more images, or {more}."
        )
    if unmeasured := {group: list(names) for group, names in keypointset.groups.items() if not any(validation[name] for name in names)}:
        more = "put its keypoints into another group in keypoints.toml" if dataset.origin else "provide more faces with such labels"
        raise InputError(
            f"No sample of the validation part has a label for {_listed(unmeasured)}, so {_them(unmeasured)} cannot be trained. "
            f"Choose another --Load-fold or a larger --Load-validation-share, or {more}."
        )


def _listed(groups: dict[str, list[str]]) -> str:
    return "; ".join(f"{', '.join(names)} (group {group})" for group, names in groups.items())


def _them(groups: dict[str, list[str]]) -> str:
    return "this group" if len(groups) == 1 else "these groups"
