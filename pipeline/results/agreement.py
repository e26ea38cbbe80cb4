"""How far apart the annotation sources of a set place the same keypoints of the same samples: no net can agree better with all of them."""

from itertools import combinations

import numpy as np

from pipeline.data.dataset import Dataset
from pipeline.metrics.rmse import rmse
from pipeline.results.predictions import pixel_of
from pipeline.units import counted


def sentences(dataset: Dataset) -> list[str]:
    """A sentence for each pair of annotation sources that have labelled the same instances; none for Kaggle's faces."""
    if dataset.origin is None:
        return []
    points = dataset.keypoints * pixel_of(dataset.origin)
    names = list(zip(dataset.origin.image.tolist(), dataset.origin.instance.tolist(), strict=True))
    rows = [{names[row]: row for row in np.flatnonzero(dataset.source == source).tolist()} for source in range(len(dataset.source_names))]
    found = []
    for one, other in combinations(range(len(rows)), 2):
        if common := sorted(rows[one].keys() & rows[other].keys()):
            pair = [points[[rows[source][name] for name in common]] for source in (one, other)]
            sources = f"{dataset.source_names[one]} and {dataset.source_names[other]}"
            where = f"on {counted(len(common), 'sample')} that both have labelled"
            found.append(f"The labels of {sources} differ by an RMSE of {rmse(*pair):.2f} px, {where}.")
    return found
