"""The expected error of each predicted keypoint, from how far apart the predictions of a chain's nets are for it.

A gamma regression with a logarithmic link is fitted to the errors of the held-out samples. It is judged by cross-fitting: the samples of
each half of the duplicate groups have the expected errors of a model that was fitted to the other half.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.inference.ensemble import Spreads
from pipeline.schema import Plot, array, record

# With fewer labels of held-out samples, or fewer than this share of them in a half of the groups, nothing is fitted.
FEWEST, FEWEST_IN_HALF = 300, 0.25
PARTS = 10  # the calibration is judged in tenths of the keypoints, and the ranking by the worst tenth
# Spreads count from about this fraction of the side of the samples: 0.05 of 96 pixels.
SMALLEST = 1 / 2000
# The weight of the squared coefficients, in labels. With 3 the tenths of 68 keypoints on 87 faces agreed within 6 %, with 10 within 8 %
# (bench/README.md).
PENALTY = 3.0
FEATURES = (
    "base net",
    "specialist",
    "between the nets",
    *(f"{name}, mean of the sample" for name in ("base net", "specialist", "between")),
)


@record
class ErrorModel:
    """The logarithm of the expected error as a linear function of features: the logarithms of three spreads and their means by sample.

    With spreads v in pixels of the samples, the features of a keypoint are log(1 + v / unit) for the three kinds of `Spreads`, and the
    means of these over the keypoints of the sample. They are 0 where there is no specialist.
    """

    features: np.ndarray = array("text", "feature", "", "what is measured")
    slopes: np.ndarray = array("float64", "feature", "", "coefficients of the features")
    levels: np.ndarray = array("float64", "source keypoint", "", "logarithm of the expected error in pixels where all features are 0")
    unit: np.ndarray = array("float64", "", "px", "spread that counts as small")

    def expected(self, spreads: Spreads, source: np.ndarray) -> np.ndarray:
        """The expected distance of each keypoint from its label, float64 (n, K), pixels of the samples.

        source: int (n,), the annotation source whose convention the predictions follow.
        """
        return np.exp(self.levels[source] + features(spreads, float(self.unit)) @ self.slopes)


@record
class ExpectedError:
    """The expected error of each keypoint, the distance of its prediction from a label, in pixels of the original images."""

    model: ErrorModel  # fitted to all held-out samples
    validation: np.ndarray = array(
        "float32", "face keypoint", "px", "expected error for the validation faces, from a model that was fitted to the other half of them"
    )
    test: np.ndarray = array("float32", "face keypoint", "px", "expected error for the test faces")
    expected: np.ndarray = array("float32", "tenth", "px", "mean expected error of each tenth of the labelled validation keypoints")
    observed: np.ndarray = array("float32", "tenth", "px", "mean error of the same keypoints")
    found: np.ndarray = array("float32", "", "", "share of the tenth of keypoints that is expected worst that belongs to the worst tenth")
    found_samples: np.ndarray = array("float32", "", "", "the same for samples, by the root mean square over their keypoints")

    PLOT = Plot("observed", ("expected",))


@dataclass(frozen=True)
class Predicted:
    """What is known of the predictions for n samples.

    spreads: of their keypoints. source: int (n,), annotation sources. pixel: float (n, 1), the length of a pixel of each sample in pixels
    of its image.
    """

    spreads: Spreads
    source: np.ndarray
    pixel: np.ndarray


@dataclass(frozen=True)
class HeldOutErrors:
    """Held-out samples and their errors.

    predicted: what is known of their predictions. errors: float (n, K), the distances from the labels in pixels of the images, NaN where
    not labelled. group: int (n,), duplicate groups. sources: the number of annotation sources of the keypoint set. side: width and height
    of the samples, pixels.
    """

    predicted: Predicted
    errors: np.ndarray
    group: np.ndarray
    sources: int
    side: int

    @property
    def known(self) -> np.ndarray:
        """Which keypoints are labelled, bool (n, K)."""
        return np.isfinite(self.errors)

    @property
    def sufficient(self) -> bool:
        """Whether there are enough labels, in both halves of the groups, to say what error is to be expected."""
        labels, half = self.known.sum(axis=1), second_half(self.group)
        least = min(labels[half].sum(), labels[~half].sum())
        return bool(labels.sum() >= FEWEST and least >= FEWEST_IN_HALF * FEWEST)


def second_half(group: np.ndarray) -> np.ndarray:
    """A mask (n,) of the samples in a random half of the duplicate groups; always the same for the same groups."""
    groups = np.unique(group)
    return np.isin(group, np.random.default_rng(0).permutation(groups)[: len(groups) // 2])


def expected_error(held_out: HeldOutErrors, test: Predicted) -> ExpectedError | None:
    """The expected error of each keypoint of held-out samples and of the test samples; None if there are too few held-out labels."""
    if not held_out.sufficient:
        return None
    own, known = held_out.predicted, held_out.known
    half, validation = second_half(held_out.group), np.zeros(known.shape)
    for part in (half, ~half):
        validation[part] = fitted(held_out, ~part).expected(own.spreads.of(part), own.source[part])
    validation = (validation * own.pixel).astype(np.float32)
    model = fitted(held_out, np.ones(len(half), bool))
    parts = np.array_split(np.argsort(validation[known], kind="stable"), PARTS)
    squares = (np.where(known, np.square(values), 0).sum(axis=1) for values in (validation, held_out.errors))
    labelled = known.any(axis=1)
    by_sample = [np.sqrt(square[labelled] / known.sum(axis=1)[labelled]) for square in squares]
    return ExpectedError(
        model=model,
        validation=validation,
        test=(model.expected(test.spreads, test.source) * test.pixel).astype(np.float32),
        expected=np.array([validation[known][part].mean() for part in parts], np.float32),
        observed=np.array([held_out.errors[known][part].mean() for part in parts], np.float32),
        found=np.array(share_found(validation[known], held_out.errors[known]), np.float32),
        found_samples=np.array(share_found(*by_sample), np.float32),
    )


def share_found(expected: np.ndarray, observed: np.ndarray) -> float:
    """The share of the tenth with the largest expected values (m,) that is also among the tenth with the largest observed ones (m,)."""
    count = max(1, len(observed) // PARTS)
    ranked, worst = (np.argsort(-values, kind="stable")[:count] for values in (expected, observed))
    return float(np.isin(ranked, worst).mean())


def features(spreads: Spreads, unit: float) -> np.ndarray:
    """The features of each keypoint, float64 (n, K, 6), see `ErrorModel`; spreads are in pixels of the samples, as is the unit."""
    values = np.stack([spreads.base, spreads.specialist, spreads.between], axis=2).astype(np.float64)
    logarithms, there = np.log1p(np.nan_to_num(values) / unit), np.isfinite(values)
    means = logarithms.sum(axis=1, keepdims=True) / np.maximum(there.sum(axis=1, keepdims=True), 1)
    return np.concatenate([logarithms, np.broadcast_to(means, logarithms.shape)], axis=2)


def fitted(held_out: HeldOutErrors, part: np.ndarray) -> ErrorModel:
    """The model that is fitted to the labels of some of the held-out samples, given by a mask (n,)."""
    from sklearn.linear_model import GammaRegressor  # takes a second to import

    own, unit, known = held_out.predicted, held_out.side * SMALLEST, held_out.known & part[:, None]
    every = features(own.spreads, unit)[known]
    mean, deviation = every.mean(axis=0), every.std(axis=0)
    deviation[deviation < 1e-9] = 1
    keypoints = known.shape[1]
    kind = (own.source[:, None] * keypoints + np.arange(keypoints))[known]
    indicators = np.eye(held_out.sources * keypoints)[kind]
    errors = np.maximum((held_out.errors / own.pixel)[known], 1e-6)  # a gamma distribution has no zeros
    regressor = GammaRegressor(alpha=PENALTY / len(errors), max_iter=1000)
    regressor.fit(np.concatenate([(every - mean) / deviation, indicators], axis=1), errors)
    slopes, levels = np.split(regressor.coef_, [every.shape[1]])
    slopes = slopes / deviation
    levels = (regressor.intercept_ - mean @ slopes + levels).reshape(held_out.sources, keypoints)
    return ErrorModel(np.array(FEATURES), slopes, levels, np.array(unit, np.float64))
