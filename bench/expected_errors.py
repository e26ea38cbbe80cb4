"""Measures how many of the worst keypoints the expected errors of Predict find, and how many could be found at most.

    python bench/expected_errors.py WORKSPACE/submissions/submission-KEY.h5

The file is what Predict made from Kaggle's files. Each line is the share of the tenth that is expected worst that belongs to the worst
tenth: for keypoints, and for faces by the root mean square over their keypoints. The expected errors are cross-fitted, as in the report.
Simulated errors are lengths of normally distributed vectors (a Rayleigh distribution), independent of each other; outliers among the labels
would make them harder to rank. Their scales are either the expected errors or known exactly. In the latter case they are drawn from the
mixture with which the simulated errors have the distribution of the observed ones (the nonparametric maximum likelihood of Kiefer and
Wolfowitz, https://doi.org/10.1214/aoms/1177728066). For faces this would depend on how many independent errors a face has.
"""

import argparse
from pathlib import Path

import numpy as np

from pipeline.inference.expected_error import share_found
from pipeline.results.predictions import Predictions
from pipeline.store.hdf5 import artifacts

SCALES = np.geomspace(0.03, 40, 80)  # of the mixture, pixels
ROUNDS = 400
REPEATS = 20  # of the simulated errors
OTHERS = 0.3  # weight, as an exponent, of the errors of a face's other keypoints; between 0.2 and 0.6 the share differs by 0.006


def main() -> None:
    """Prints a line for each way to rank the errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions", type=Path)
    content, rng = artifacts.load(parser.parse_args().predictions, Predictions), np.random.default_rng(0)
    if content.expected_error is None:
        raise SystemExit("the file has no expected errors")
    errors = np.linalg.norm(content.validation - content.validation_truth, axis=2)
    errors = errors[labelled := np.isfinite(errors).any(axis=1)]
    expected = np.where(np.isfinite(errors), content.expected_error.validation[labelled], np.nan)
    again = np.repeat(expected, REPEATS, axis=0)
    simulated = again * np.sqrt(2 / np.pi) * rng.rayleigh(size=again.shape)
    squares, count = np.nansum(errors**2, axis=1, keepdims=True), np.isfinite(errors).sum(axis=1, keepdims=True)
    others = np.sqrt(np.maximum(squares - errors**2, 0) / np.maximum(count - 1, 1)) + 0.1
    print(f"{np.isfinite(errors).sum()} labels\n{'':<66}{'keypoints':>10}{'faces':>8}")
    for name, ranked, observed in (
        ("expected errors", expected, errors),
        ("expected errors, given the true errors of the face's other keypoints", expected * others**OTHERS, errors),
        ("expected errors, if they were the scales of the errors", again, simulated),
    ):
        faces = f"{share_found(of_faces(ranked), of_faces(observed)):>8.1%}" if "given" not in name else ""
        print(f"{name:<66}{share_found(flat(ranked), flat(observed)):>10.1%}{faces}")
    scales = np.repeat(mixture(flat(errors), rng=rng), REPEATS)
    print(f"{'scales known exactly':<66}{share_found(scales, scales * rng.rayleigh(size=len(scales))):>10.1%}")


def flat(values: np.ndarray) -> np.ndarray:
    """The values that are not NaN, (m,)."""
    return values[np.isfinite(values)]


def of_faces(values: np.ndarray) -> np.ndarray:
    """The root mean square (n,) over the keypoints of each face, of values (n, K)."""
    return np.sqrt(np.nanmean(values**2, axis=1))


def mixture(errors: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
    """Scales (m,) of Rayleigh distributions that together have the distribution of m errors, drawn anew and in no order."""
    points = np.maximum(np.quantile(errors, np.linspace(0.0005, 0.9995, 4000)), 1e-3)[:, None]
    density = points / SCALES**2 * np.exp(-(points**2) / (2 * SCALES**2))
    weight = np.full(len(SCALES), 1 / len(SCALES))
    for _ in range(ROUNDS):
        posterior = density * weight
        weight = (posterior / posterior.sum(axis=1, keepdims=True)).mean(axis=0)
    return rng.choice(SCALES, size=len(errors), p=weight)


if __name__ == "__main__":
    main()
