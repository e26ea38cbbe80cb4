"""The expected errors as the log and the report show them: sentences, a figure, and the samples whose predictions need a look first."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from pipeline.inference.expected_error import FEWEST, ExpectedError
from pipeline.results.predictions import Predictions
from pipeline.results.style import Picture, Theme, picture, plain

MANY = 100  # With fewer samples, the worst tenth of them is too small for a share.


def sentences(predictions: Predictions) -> list[str]:
    """How well the expected errors agree with those of the held-out samples; or why there are none."""
    found, known = predictions.expected_error, np.isfinite(predictions.validation_truth).all(axis=2)
    labels, samples = int(known.sum()), int(known.any(axis=1).sum())
    if found is None and labels >= FEWEST:
        return [
            f"There are no expected errors, which take {FEWEST} held-out labels in several duplicate groups, and nets that keep spreads."
        ]
    if found is None:
        return [f"There are no expected errors: they take {FEWEST} held-out labels, and there are {labels}."]
    low, high = found.observed[[0, -1]]
    also = f" and {100 * found.found_samples:.0f} % of the samples" if samples >= MANY else ""
    return [
        f"Expected errors from the disagreement of the predictions agree within {100 * worst_ratio(found):.0f} % with the observed ones in"
        f" each tenth of the held-out keypoints, from {low:.2f} px in the best tenth to {high:.2f} px in the worst.",
        f"Of the tenth that is expected worst, {100 * found.found:.0f} % of the keypoints{also} belong to the worst tenth.",
    ]


def worst_ratio(found: ExpectedError) -> float:
    """By how much expected and observed errors differ in the tenth in which they differ most, as a share of the observed ones."""
    return float(np.abs(found.expected / found.observed - 1).max())


def of_samples(errors: np.ndarray) -> np.ndarray:
    """The expected error (n,) of each sample: the root mean square over its keypoints (n, K)."""
    return np.sqrt(np.square(errors, dtype=np.float64).mean(axis=1))


def doubtful(predictions: Predictions, shown: int) -> np.ndarray:
    """The ids of the samples to predict with the largest expected errors, the largest first; at most so many, none if none are known."""
    if predictions.expected_error is None:
        return predictions.test_ids[:0]
    order = np.argsort(-of_samples(predictions.expected_error.test), kind="stable")
    return predictions.test_ids[order[:shown]]


def calibration(found: ExpectedError) -> Picture:
    """The figure of the observed over the expected error, by tenths of the held-out keypoints."""
    title = "Observed and expected error of the held-out keypoints, by tenths"
    pairs = zip(found.expected.tolist(), found.observed.tolist(), strict=True)
    alt = f"{title}, expected and observed in pixels: {', '.join(f'{one:.2f} and {other:.2f}' for one, other in pairs)}."
    return picture(title, alt, partial(_draw, found=found))


def _draw(figure: Figure, theme: Theme, *, found: ExpectedError) -> None:
    axes = figure.subplots()
    both = np.concatenate([found.expected, found.observed])
    ends = 0.85 * both.min(), 1.15 * both.max()
    axes.plot(ends, ends, color=theme.ink, linewidth=0.8, label="equal")
    axes.fill_between(ends, np.multiply(ends, 0.85), np.multiply(ends, 1.15), color=theme.ink, alpha=0.1, linewidth=0, label="within 15 %")
    axes.plot(found.expected, found.observed, "o", color=theme.colours[0], label="a tenth of the keypoints")
    axes.set(xlabel="expected error, pixels", ylabel="observed error, pixels", xlim=ends, ylim=ends)
    axes.legend(frameon=False, fontsize="small")
    plain(axes)
