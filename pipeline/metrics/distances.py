"""Distances between predictions and labels, from which the usual metrics are made.

Each metric is the mean of the values of one array (n, K) that are not NaN, so that it can be taken over any of the labels: all, those of
an annotation source, the occluded ones, or those of a specialist group. Every label counts equally.

=====================  =================================================================================================================
mean distance          `distances`: the mean Euclidean error, in pixels of the original images.
NME                    `normalised` by the distance of two keypoints or the size of a box: the normalised mean error (Sagonas et al. 2016,
                       "300 Faces In-The-Wild Challenge").
mean distance in mm    `normalised` by the number of pixels in a millimetre.
PCK at a fraction      `within` a fraction of the same length: the percentage of correct keypoints (Yang and Ramanan 2013, "Articulated
                       human detection with flexible mixtures of parts").
SDR at a radius        `within` a radius in millimetres: the success detection rate (Wang et al. 2016, "A benchmark for comparison of
                       dental radiography analysis algorithms").
=====================  =================================================================================================================
"""

import numpy as np

PCK_FRACTIONS = (0.05, 0.1, 0.2)
SDR_RADII = (2.0, 2.5, 3.0, 4.0)  # mm, as in the challenge on cephalograms of ISBI 2015


def distances(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Euclidean distance of each keypoint from its label: float64 (n, K), in the unit of the arguments, NaN where not labelled.

    predicted, truth: (n, K, 2); NaN in `truth` where not labelled. Raises ValueError if the shapes differ.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predictions {predicted.shape} and truth {truth.shape} differ in shape")
    return np.linalg.norm(predicted.astype(np.float64) - truth, axis=2)


def normalised(distance: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Distances as multiples of a length of each sample: float64 (n, K), NaN where not labelled or where the length is not known.

    distance: (n, K). length: (n,) in the same unit, above 0 or NaN. Raises ValueError if they have different numbers of samples.
    """
    if distance.shape[:1] != length.shape:
        raise ValueError(f"{len(distance)} samples and lengths of the shape {length.shape}")
    return distance / length[:, None]


def within(distance: np.ndarray, limit: float) -> np.ndarray:
    """1 where a distance is at most the limit, 0 where it is larger, and NaN where it is NaN: float64 in the shape of `distance`."""
    return np.where(np.isnan(distance), np.nan, distance <= limit)


def mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
