"""A base net and its specialists together."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ChainPredictions:
    """What one chain of a base net and its specialists predicts: keypoints (n, K, 2) in pixels of the test faces and of those held out.

    truth: labels of the held-out faces, NaN where not labelled; mean_face: their sources' mean faces; face, source, group: (n,), see
    `Predictions` and `Dataset`.
    """

    test: np.ndarray
    test_base: np.ndarray
    validation: np.ndarray
    validation_base: np.ndarray
    truth: np.ndarray
    mean_face: np.ndarray
    face: np.ndarray
    source: np.ndarray
    group: np.ndarray


def chain_predictions(faces, nets: list, tests: list[np.ndarray], *, base_share: float) -> ChainPredictions:
    """Puts the outputs of a base net and its specialists together: the mean of both, in which the base net has the weight `base_share`.

    faces: the data set (`faces.dataset.Dataset`) that they were trained on. nets: the base net, then one for each group, in the order of
    the set's groups (`nets.trained.Trained`); tests: their keypoints of the test faces (n, k, 2).
    """
    held_out = faces.validation
    return ChainPredictions(
        test=combined(nets, tests, base_share=base_share),
        test_base=tests[0],
        validation=combined(nets, [net.validation for net in nets], base_share=base_share),
        validation_base=nets[0].validation,
        truth=faces.keypoints[held_out],
        mean_face=faces.mean_face[faces.source[held_out]],
        face=faces.row[held_out],
        source=faces.source[held_out],
        group=faces.group[held_out],
    )


def combined(nets: list, answers: list[np.ndarray], *, base_share: float) -> np.ndarray:
    """Keypoints (n, K, 2) from what a base net and its specialists answer, (n, k, 2): the mean.

    base_share: the weight of the base net's answer in it.
    """
    keypoints = answers[0].copy()
    for net, own in zip(nets[1:], answers[1:], strict=True):
        keypoints[:, net.indices] = base_share * answers[0][:, net.indices] + (1 - base_share) * own
    return keypoints


def disagreement(nets: list, answers: list[np.ndarray]) -> np.ndarray:
    """How far apart a base net and its specialists place the keypoints: root mean square over a face's values, (n,), pixels."""
    return np.sqrt(np.square(combined(nets, answers, base_share=0) - answers[0]).mean(axis=(1, 2)))
