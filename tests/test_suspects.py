"""Suspicious labels: mistakes that are made on purpose are found, ranked and explained."""

import configparser
import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.quality import evidence, mistakes, suspects, suspicion
from pipeline.quality.evidence import Judged, Usual
from pipeline.quality.mistakes import KINDS, Victim
from pipeline.quality.reasons import Explanations, Named
from pipeline.quality.suspects import JudgedLabels
from pipeline.quality.suspicion import Probabilities
from pipeline.tasks import suspects as task

MIRROR = (1, 0, 2, 4, 3, 5)
SHAPE = np.array([[0.3, 0.3], [0.7, 0.3], [0.5, 0.5], [0.35, 0.7], [0.65, 0.7], [0.52, 0.9]])
NOISE = 0.005


def drawn(count=300, seed=0):
    """Samples of one shape at different places, of different sizes and rotations, with predictions that err by NOISE, as labels do."""
    rng = np.random.default_rng(seed)
    angle, size = rng.normal(0, 0.2, count), rng.uniform(0.7, 1.0, count)
    turn = size[:, None, None] * np.stack([np.stack([np.cos(angle), -np.sin(angle)], 1), np.stack([np.sin(angle), np.cos(angle)], 1)], 1)
    truth = (SHAPE - 0.5) @ turn.swapaxes(1, 2) + rng.uniform(0.45, 0.55, (count, 1, 2))
    labels, predictions = (truth + rng.normal(0, NOISE, truth.shape) for _ in range(2))
    numbers = np.arange(count)
    place = np.tile([0.0, 0.0, 100.0], (count, 1))
    return Judged(labels, predictions, np.full((count, 6), NOISE), np.zeros(count, int), numbers, numbers, place, MIRROR)


def explained(judged, sample, keypoint, conflict=False):
    names = [f"k{number}" for number in range(6)]
    named = Named(names, ["ann", "ben"], [f"{number}.png" for number in range(len(judged))])
    return Explanations(judged, np.full(judged.known.shape, conflict), named).text(sample, keypoint)


@pytest.fixture(scope="module")
def found():
    """The mistakes in 12 of 300 samples, and the verdict on all labels."""
    judged, rng = drawn(), np.random.default_rng(1)
    made = suspicion.with_mistakes(judged, rng.permutation(300)[:12], rng)
    labels = judged.labels.copy()
    labels[made.rows] = made.judged.labels
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suspicion, "SAMPLES", 900)
        verdict = suspicion.suspicion(evidence.relabelled(judged, labels), np.zeros((300, 6), bool), seed=2)
    return made, verdict


def test_mistakes_come_first(found):
    """The first 3 % of the labels contain 90 % of the mistakes of at least five times the noise, as far as there is room for them."""
    made, verdict = found
    large = np.zeros((300, 6), bool)
    large[made.rows] = made.wrong & ~(made.size < 5 * NOISE)
    first = np.argsort(-verdict.score, axis=None)[: round(0.03 * verdict.score.size)]
    assert large.ravel()[first].sum() > 0.9 * min(large.sum(), len(first))


def test_probabilities_are_shares_of_wrong_labels(found):
    """The sum of the probabilities is the number of wrong labels, within a half, and labels of 90 % and more are wrong."""
    made, verdict = found
    wrong = np.zeros((300, 6), bool)
    wrong[made.rows] = made.wrong
    assert verdict.probability.sum() == pytest.approx(wrong.sum(), rel=0.5)
    assert wrong[verdict.probability >= 0.9].mean() > 0.9


def test_all_mistakes_teach_alike():
    """The wrong labels of a sample weigh as much together as the only wrong label of another one."""
    judged = drawn()
    _, rows, weights = suspicion._examples(judged, evidence.Usual.of(judged), seed=0)
    of_sample = np.bincount(rows, weights) / -(-suspicion.SAMPLES // len(judged))
    counts = np.bincount(rows)
    assert counts.min() < counts.max()
    assert np.median(of_sample) == pytest.approx(of_sample.max(), rel=0.1)


def test_without_predictions_only_conflicts_count():
    """Of two contradicting labels each is wrong with the probability 1/2; the others and their samples have no rank."""
    judged = drawn(count=4)
    labels = judged.labels.copy()
    labels[0, 1] = np.nan
    conflict = np.zeros((4, 6), bool)
    conflict[2, 3] = True
    unseen = dataclasses.replace(judged, labels=labels, predictions=np.full_like(labels, np.nan))
    expected = np.full((4, 6), np.nan)
    expected[2, 3] = 0.5
    found = suspicion.suspicion(unseen, conflict, seed=0)
    np.testing.assert_array_equal(found.probability, expected)
    np.testing.assert_array_equal(suspects._sample_ranks(found), [0, 0, 1, 0])


def test_samples_are_ranked_by_their_worst_label():
    """Among equally suspicious ones the expected number of wrong labels decides, then the score; many small doubts do not count."""
    probability = np.array([[0.1, 0.1, 0.1], [0.5, 0.0, 0.0], [0.5, 0.5, np.nan], [0.2, 0.0, 0.0], [0.5, 0.0, 0.0], [np.nan] * 3])
    score = np.where(np.isnan(probability), -np.inf, probability)
    score[4, 0] = 1
    found = Probabilities(probability, score, 0.1)
    np.testing.assert_array_equal(suspects._sample_ranks(found), [5, 3, 1, 4, 2, 0])
    np.testing.assert_allclose(suspects._expected_wrong(found), [0.3, 0.5, 1, 0.2, 0.5, np.nan])


@pytest.fixture
def verdicts():
    """Two rows of a table with two labels each; the second row is the more suspicious one."""
    points, row = np.zeros((2, 2, 2), np.float32), np.array([0, 6], np.int32)
    return JudgedLabels(
        probability=np.array([[0.1, 0.7], [0.9, 0.8]], np.float32),
        rank=np.array([[4, 3], [1, 2]], np.int32),
        expected_wrong=np.array([0.8, 1.7], np.float32),
        sample_rank=np.array([2, 1], np.int32),
        reason=np.array([["", "far"], ["shifted", "far"]]),
        keypoints=points,
        predictions=points,
        row=row,
        source=np.zeros(2, np.int8),
        keypoint_names=np.array(["eye", "nose"]),
        source_names=np.array(["ann"]),
        share=np.array(0.1, np.float32),
        origin=None,
    )


def test_the_message_names_samples(verdicts):
    """Each sample is named once, the most suspicious first, with the reason of its worst label."""
    assert suspects.lines(verdicts) == [
        "3 of 4 labels are more likely wrong than right",
        "1. row 7: about 2 of 2 labels are wrong, first of all eye, 90 %: shifted",
        "2. row 1: nose, 70 %: far",
    ]


def test_the_table_has_the_rank_of_the_sample(verdicts):
    """Labels are in the order of suspicion, and each has the rank and the expected number of wrong labels of its sample."""
    table = suspects.table(verdicts)
    assert table[["rank", "image", "keypoint", "sample_rank"]].to_numpy().tolist() == [
        [1, 7, "eye", 1],
        [2, 7, "nose", 1],
        [3, 1, "nose", 2],
        [4, 1, "eye", 2],
    ]
    np.testing.assert_allclose(table["expected_wrong"], [1.7, 1.7, 0.8, 0.8])


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_mistakes(kind):
    """A mistake moves exactly the labels that it calls wrong, and gives a label to a missing keypoint only in the centre."""
    labels, rng = SHAPE.copy(), np.random.default_rng(0)
    labels[2] = np.nan
    made = mistakes.make(kind, Victim(labels, SHAPE + 0.05, MIRROR), rng)
    moved = ~(np.linalg.norm(made.labels - labels, axis=1) < 1e-9) & ~np.isnan(made.labels).any(axis=1)
    np.testing.assert_array_equal(made.wrong, moved)
    assert made.wrong.any()
    assert np.isnan(made.labels[2]).all() == (kind != "missing keypoint in the centre")


def test_samples_that_cannot_have_a_mistake():
    """Without mirror pairs left and right cannot be exchanged, and of a single label no two."""
    alone = np.full((6, 2), np.nan)
    alone[0] = 0.5
    rng = np.random.default_rng(0)
    assert mistakes.make("left and right exchanged", Victim(SHAPE, SHAPE, None), rng) is None
    assert mistakes.make("two keypoints exchanged", Victim(alone, SHAPE, MIRROR), rng) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda own: own[list(MIRROR)], "The labels of left and right seem to be exchanged."),
        (lambda own: own + np.array([0.2, 0.1]), "All labels of the sample are shifted by about 20."),
        (lambda own: own * ([[0]] + [[1]] * 5), "The label is in the corner of the image, at 0, 0."),
        (lambda own: own[[2, 1, 0, 3, 4, 5]], "The label is where k2 is predicted."),
        (lambda own: 0.5 + (own - 0.5) * (2, 0.2), "as if they belonged to another image"),
        (lambda own: own + 0.09 * np.eye(6)[:, :1] * (1, 0), "px from the prediction of nets that were not trained on it; 0."),
    ],
    ids=["sides", "shift", "corner", "exchanged", "another image", "distance"],
)
def test_reasons(change, reason):
    """The reason names the mistake, in pixels of the image."""
    judged = drawn()
    labels = judged.labels.copy()
    labels[7] = change(SHAPE)
    predictions = judged.predictions.copy()
    predictions[7] = SHAPE
    assert reason in explained(dataclasses.replace(judged, labels=labels, predictions=predictions), 7, 0)


@pytest.mark.parametrize(
    ("source", "reason"),
    [(0, "The label of the identical image (4.png) is 30.0 px away."), (1, "The label of ben is 30.0 px away.")],
    ids=["identical", "annotator"],
)
def test_other_labels_of_the_same_object(source, reason):
    """Labels of an identical image and of another annotator are compared in pixels of the image."""
    judged = drawn()
    labels, sources, twin = judged.labels.copy(), judged.source.copy(), judged.twin.copy()
    labels[3] = labels[4] + (0.3, 0)
    sources[4], twin[3] = source, twin[4]
    changed = dataclasses.replace(judged, labels=labels, source=sources, twin=twin)
    assert reason in explained(changed, 3, 0, conflict=True)


def test_another_object_of_the_image():
    """Labels that lie on another object of their image are said to."""
    judged = drawn()
    place, image, labels = judged.place.copy(), judged.image.copy(), judged.labels.copy()
    place[1], image[1] = (200, 0, 100), image[0]
    labels[0] = labels[1] + (2, 0)
    changed = dataclasses.replace(judged, place=place, image=image, labels=labels)
    assert "fit another object of the image better" in explained(changed, 0, 2)


def test_a_constant_offset_is_usual():
    """An annotation source whose labels are all shifted against the predictions is no more suspicious than another."""
    judged = drawn()
    shifted = dataclasses.replace(judged, labels=judged.labels + 0.1)
    own, other = (evidence.figures(each, Usual.of(each))[..., 0] for each in (judged, shifted))
    np.testing.assert_allclose(own, other, atol=0.05)


def test_the_quick_preset_is_that_of_the_file():
    """The settings of the preset quick are those of configs/quick.cfg."""
    file = configparser.ConfigParser()
    file.read(Path(__file__).parent.parent / "configs" / "quick.cfg")
    assert task._preset("quick") == {section: {name: float(value) for name, value in file[section].items()} for section in file.sections()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no such file"),
        ("[Train]\nepochs = 1", r"\[Train\] is not one of the stages"),
        ("[TrainBase]\nepoch = 1", "epoch is not known; did you mean epochs"),
        ("epochs = 1", "cannot be understood"),
    ],
    ids=["missing", "section", "name", "syntax"],
)
def test_presets_that_cannot_be_used(tmp_path, text, message):
    """A file that is missing or sets something else than parameters of stages is refused."""
    path = tmp_path / "own.cfg"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        task._preset(str(path))


@pytest.mark.parametrize(
    ("fixed", "groups", "stages"),
    [("", ("mouth",), ["Augment", "TrainBase", "TrainSpecialist", "Predict"]), ("because", (), ["Augment", "TrainBase"])],
    ids=["folds", "neither folds nor specialists"],
)
def test_settings_of_stages_that_there_are(monkeypatch, fixed, groups, stages):
    """A set without groups has no specialists to set, and one with fixed parts no folds."""
    given = SimpleNamespace(definition=lambda: SimpleNamespace(fixed=fixed), groups=lambda: groups)
    monkeypatch.setattr(task, "dataset", lambda: given)
    assert list(task.Suspects._settings(SimpleNamespace(preset="quick", folds=5))) == stages


def test_a_preset_of_the_user(tmp_path):
    """The values of a file are those of the parameters, whose names may have hyphens."""
    path = tmp_path / "own.cfg"
    path.write_text("[TrainBase]\nlearning-rate = 0.01\n")
    assert task._preset(str(path)) == {"TrainBase": {"learning_rate": 0.01}}
