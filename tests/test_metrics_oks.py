"""Object keypoint similarity and its average precision, compared with COCO's own code."""

import contextlib
import io

import numpy as np
import pytest

from pipeline.metrics import oks

NAMES = tuple(oks.COCO_SIGMAS)


def people(seed, count=60, images=20, spread=0.08):
    """Labels and predictions (n, 17, 2) of people, close together in an image, their areas, the images they are in, and scores."""
    rng = np.random.default_rng(seed)
    image = np.sort(rng.integers(0, images, count))
    size = rng.uniform(40, 120, count)
    truth = rng.uniform(0, 1, (count, 17, 2)) * size[:, None, None] + rng.uniform(0, 60, (count, 1, 2))
    predicted = truth + rng.normal(0, 1, truth.shape) * (spread * size * rng.uniform(0.2, 2, count))[:, None, None]
    for one, other in zip(range(0, count - 1, 7), range(1, count, 7), strict=False):  # some predictions are of the neighbour
        if image[one] == image[other]:
            predicted[one] = truth[other] + rng.normal(0, 2, (17, 2))
    truth[rng.random((count, 17)) < 0.3] = np.nan
    truth[:, 0] = np.where(np.isnan(truth[:, 0]), 1.0, truth[:, 0])
    return predicted, truth, 0.53 * size**2, image, rng.permutation(count) / count


def coco(predicted, truth, area, image, score):
    """AP, AP50 and AP75 by COCO's code."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations, results = [], []
    for number, (own, at) in enumerate(zip(truth, image.tolist(), strict=True)):
        known = ~np.isnan(own[:, 0])
        keypoints = np.column_stack([np.nan_to_num(own), 2 * known]).ravel().tolist()
        common = {"image_id": at + 1, "category_id": 1}
        more = {"area": float(area[number]), "bbox": [0, 0, 10, 10], "iscrowd": 0, "num_keypoints": int(known.sum())}
        annotations.append(common | more | {"id": number + 1, "keypoints": keypoints})
        placed = np.column_stack([predicted[number], np.ones(17)]).ravel().tolist()
        results.append(common | {"keypoints": placed, "score": float(score[number])})
    with contextlib.redirect_stdout(io.StringIO()):
        truths = COCO()
        truths.dataset = {"images": [{"id": at + 1} for at in set(image.tolist())], "categories": [{"id": 1}], "annotations": annotations}
        truths.createIndex()
        evaluation = COCOeval(truths, truths.loadRes(results), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:3]


@pytest.mark.parametrize("seed", range(4), ids="seed-{}".format)
def test_average_precision_is_that_of_cocos_own_code(seed):
    """With missing labels, several people in an image, and predictions that are closer to a neighbour."""
    pytest.importorskip("pycocotools", reason="the test extra installs COCO's code")
    predicted, truth, area, image, score = people(seed)
    found = oks.matches(predicted, truth, area, oks.sigmas(NAMES), image, score)
    ours = oks.summarised(oks.average_precision(found, score))
    assert ours == pytest.approx(coco(predicted, truth, area, image, score), abs=1e-9)
    assert 0.05 < ours[0] < 0.95


def test_the_similarity_is_that_of_the_formula():
    """A keypoint at a distance of sqrt(2 area) * 2 sigma has exp(-1), one on its label 1, and one without a label does not count."""
    sigma, area = np.array([0.05, 0.1, 0.1]), 400.0
    truth = np.array([[[10, 10], [20, 20], [np.nan, np.nan]]])
    predicted = np.array([[[10 + (2 * area) ** 0.5 * 2 * 0.05, 10], [20, 20], [0, 0]]])
    assert oks.oks(predicted, truth, np.array([area]), sigma) == pytest.approx([(np.exp(-1) + 1) / 2])
    assert np.isnan(oks.oks(predicted, np.full_like(truth, np.nan), np.array([area]), sigma)).all()


def test_sigmas_are_cocos_for_cocos_names():
    """In any order and spelling; keypoints of another set have the default, even where a name is the same."""
    assert oks.sigmas(["Left Eye" if name == "left_eye" else name for name in NAMES[::-1]])[-2] == 0.025
    assert oks.sigmas(["nose", "tail"]).tolist() == [oks.SIGMA] * 2


def test_the_order_of_equal_scores_has_no_effect():
    """Without scores, half of the detections being correct is a precision of a half up to a recall of a half: 51 of 101 values."""
    found = np.tile(np.arange(10) < 5, (10, 1))
    for order in (np.arange(10), np.arange(10)[::-1]):
        np.testing.assert_allclose(oks.average_precision(found[:, order], np.ones(10)), 0.5 * 51 / 101)


def test_a_certain_score_on_correct_detections_is_worth_more():
    """The same detections in the right order have a precision of 1 up to the recall of a half."""
    found = np.tile(np.arange(10) < 5, (10, 1))
    np.testing.assert_allclose(oks.average_precision(found, -np.arange(10.0)), 51 / 101)


def test_weights_are_repetitions():
    """An instance of weight 2 counts like two, one of weight 0 not at all; nothing at all is NaN."""
    rng = np.random.default_rng(1)
    found, score, weight = rng.random((10, 30)) < 0.6, rng.random(30), rng.integers(0, 3, 30)
    repeated = np.repeat(np.arange(30), weight)
    np.testing.assert_allclose(
        oks.average_precision(found, score, weight.astype(float)), oks.average_precision(found[:, repeated], score[repeated])
    )
    assert np.isnan(oks.average_precision(found, score, np.zeros(30))).all()
    assert np.isnan(oks.average_precision(found[:, :0], score[:0])).all()


def test_the_interval_contains_the_value():
    """Of AP, AP50 and AP75, with instances of an image in one group; without instances there is none."""
    predicted, truth, area, image, score = people(0)
    found = oks.matches(predicted, truth, area, oks.sigmas(NAMES), image, score)
    low, high = oks.interval(found, score, image).T
    value = oks.summarised(oks.average_precision(found, score))
    assert ((low < value) & (value < high)).all()
    assert np.isnan(oks.interval(found[:, :0], score[:0], image[:0])).all()


def test_shapes_that_do_not_match_raise():
    """Nothing is broadcast."""
    with pytest.raises(ValueError, match=r"areas \(1,\)"):
        oks.oks(np.zeros((4, 5, 2)), np.zeros((4, 5, 2)), np.ones(1), np.ones(5))
