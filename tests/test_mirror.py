"""Mirror pairs: guessed from names, and believed only if the labels agree."""

import numpy as np
import pytest

from pipeline.data import mirror

NAMES = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "tail")
EYES, EARS = ("left_eye", "right_eye"), ("left_ear", "right_ear")
# A symmetric animal from above, whose axis is the y axis.
SHAPE = np.array([[0, -4], [-1, -3], [1, -3], [-2, -2], [2, -2], [0, 6]], float)


def samples(shape=SHAPE, count=40, noise=0.1, turn=np.pi):
    """The shape with noise, at any angle up to `turn`, size and place."""
    rng = np.random.default_rng(0)
    angle, size = rng.uniform(-turn, turn, count), rng.uniform(5, 20, count)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * size
    noisy = shape + rng.normal(0, noise, (count, *shape.shape))
    return np.einsum("ijn,nkj->nki", matrix, noisy) + rng.uniform(0, 500, (count, 1, 2))


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (NAMES, (EYES, EARS)),
        (("snout", "leftear", "rightear", "tailbase"), (("leftear", "rightear"),)),
        (("EyeLeft", "EyeRight"), (("EyeLeft", "EyeRight"),)),
        (("eyeL", "eyeR", "nose"), (("eyeL", "eyeR"),)),
        (("r_hip", "l_hip"), (("r_hip", "l_hip"),)),
        (("eye_L1", "eye_L2", "eye_R1", "eye_R2"), (("eye_L1", "eye_R1"), ("eye_L2", "eye_R2"))),
        (("paw1LH_top", "paw2LF_top", "paw3RF_top", "paw4RH_top"), (("paw1LH_top", "paw4RH_top"), ("paw2LF_top", "paw3RF_top"))),
        (("left", "right"), (("left", "right"),)),
        (("1", "2", "3"), ()),
        (("roll", "ball", "bright"), ()),
    ],
    ids=["words", "joined", "capitals", "letters", "short", "numbers", "other numbers", "only sides", "numbered", "no sides"],
)
def test_pairs_are_guessed_from_names(names, pairs):
    """Words, joined words and letters for left and right, in any case."""
    assert mirror.guessed(names) == (pairs, ())


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.3])
def test_true_pairs_are_confirmed(noise):
    """Mirrored samples fit the mean shape with the pairs exchanged, and not without."""
    pairs, note = mirror.found(samples(noise=noise), NAMES)
    assert pairs == (EYES, EARS)
    assert note == "Images are mirrored: the names suggest pairs such as left_eye and right_eye, and 40 samples confirm them."


def test_missing_labels_do_not_matter():
    """Half of the labels suffice, and a keypoint that is never labelled is no fault."""
    keypoints = samples(count=200)
    keypoints[np.random.default_rng(1).random(keypoints.shape[:2]) < 0.4] = np.nan
    keypoints[:, 0] = np.nan
    assert mirror.found(keypoints, NAMES)[0] == (EYES, EARS)


def _crossed(keypoints):
    """Left and right are those of the picture for half of the samples: labels that contradict each other."""
    keypoints[::2] = keypoints[::2, [0, 2, 1, 4, 3, 5]]
    return keypoints


@pytest.mark.parametrize(
    "keypoints",
    [
        samples(SHAPE[:, ::-1] * [1, 0.02] + [[0, 0], [0, 1], [0, 1], [0, 2], [0, 2], [0, 0]]),
        samples(np.array([[3, -4], *SHAPE[1:5], [-4, 6]])),
        samples(np.array([[1.2, -4], *SHAPE[1:5], [-1.2, 6]]), noise=0.02),
        _crossed(samples()),
        samples(SHAPE[[0, 1, 4, 3, 2, 5]]),
        np.random.default_rng(0).uniform(0, 90, (50, 6, 2)),
    ],
    ids=["from the side", "asymmetric", "nearly symmetric", "contradictory", "wrong pairs", "anything"],
)
def test_what_the_labels_do_not_confirm_is_not_believed(keypoints):
    """Then images are not mirrored, and a sentence says so: the pairs are never replaced by none."""
    pairs, note = mirror.found(keypoints, NAMES)
    assert pairs is None
    assert note.startswith("Images are not mirrored: the names suggest pairs such as left_eye and right_eye, but the labels do not")


@pytest.mark.parametrize(
    ("names", "keypoints", "reason"),
    [
        (tuple("abcdef"), samples(), "no names of keypoints differ by left and right only"),
        (("nose", "left_eye", "right_eye", "left_ear", "other", "tail"), samples(), "'left_ear' has no partner on the other side"),
        (NAMES, samples(count=4), "too few samples have labels that could confirm"),
        (NAMES[1:3], samples(SHAPE[1:3]), "too few samples have labels that could confirm"),
        (NAMES, np.full((9, 6, 2), 7.0), "too few samples have labels that could confirm"),
        (NAMES, np.full((9, 6, 2), np.nan), "too few samples have labels that could confirm"),
        (NAMES, np.zeros((0, 6, 2)), "too few samples have labels that could confirm"),
    ],
    ids=["no sides", "no partner", "few samples", "two keypoints", "one place", "no labels", "no samples"],
)
def test_what_cannot_be_known_is_not_guessed(names, keypoints, reason):
    """Images are not mirrored, and the sentence says why and what to do."""
    pairs, note = mirror.found(keypoints, names)
    assert pairs is None
    assert reason in note
    assert note.endswith("Give pairs in keypoints.toml if they may be.")


@pytest.mark.parametrize("shape", [SHAPE, SHAPE[:4]], ids=["all", "fewer"])
def test_pairs_of_label_files_are_confirmed(shape):
    """Those that the labels confirm are used, whatever the names are."""
    names = tuple("abcdef"[: len(shape)])
    pairs, note = mirror.known(samples(shape), names, (("b", "c"),) if len(shape) == 4 else (("b", "c"), ("d", "e")))
    assert (pairs is None) == (len(shape) == 4)
    assert note.startswith("The mirror pairs of the label files are not used" if pairs is None else "Mirror pairs are those of")


def test_no_pairs_of_label_files_need_a_confirmation():
    """Programs write that into every file. Then names are asked, and without an answer images are not mirrored."""
    assert mirror.known(samples(), NAMES, ())[0] == (EYES, EARS)
    pairs, note = mirror.known(samples(), tuple("abcdef"), ())
    assert pairs is None
    assert note.startswith("The mirror pairs of the label files are not used, because the labels do not confirm them. Images are not")
    assert mirror.known(samples(SHAPE[1:3]), ("a", "b"), ())[0] is None
    on_the_axis = samples(np.array([[0, -4], [0, -1], [0, 6]]), noise=0.02)
    pairs, note = mirror.known(on_the_axis, tuple("abc"), ())
    assert (pairs, note) == ((), "A mirrored image exchanges no keypoints, as the label files say, and 40 samples confirm it.")


def test_pairs_of_label_files_are_believed_where_nothing_can_be_known():
    """Few samples do not refute what somebody has written."""
    assert mirror.known(samples(count=3), NAMES, (EYES, EARS)) == ((EYES, EARS), "Mirror pairs are those of the label files.")


@pytest.mark.parametrize(
    ("pairs", "doubt"),
    [
        ((EYES, EARS), ""),
        ((("left_eye", "left_ear"),), "The labels do not confirm the mirror pairs of keypoints.toml; 40 samples would differ"),
        ((), "The labels do not confirm that a mirrored image exchanges no keypoints, as keypoints.toml says; 40 samples"),
    ],
    ids=["true", "wrong", "none"],
)
def test_pairs_of_keypoints_toml_that_the_labels_contradict(pairs, doubt):
    """They count, but a sentence says so; three samples say nothing."""
    found = mirror.doubt(samples(), NAMES, pairs)
    assert found.startswith(doubt)
    assert bool(found) == bool(doubt)
    assert mirror.doubt(samples(count=3), NAMES, pairs) == ""
