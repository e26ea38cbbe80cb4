"""The report: its numbers, its faces and figures, and the page in a real browser."""

import base64
import hashlib
import io
import re
import shutil
from dataclasses import fields, replace
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from naive import rmse as naive_rmse
from PIL import Image
from toys import DOTS, SIDE, TARGET, labelled, structure

from pipeline.data import dataset as datasets
from pipeline.data import testset
from pipeline.data.split import Splitting
from pipeline.data.tables import LabelledFaces, Lookup, UnlabelledFaces
from pipeline.geometry.augmentation import AugmentedVersions
from pipeline.inference import ensemble
from pipeline.inference.expected_error import ErrorModel, ExpectedError
from pipeline.keypoints.stored import StoredSet
from pipeline.nets import diagnosis
from pipeline.nets.averaged import Averaged
from pipeline.nets.trained import Health, History, Snapshots, Trained
from pipeline.results import error_map, gallery, health, net_summary, report, run_summary, score_summary, scores, style
from pipeline.results import predictions as results

SHOWN = 3
RULES = {
    "splitting": Splitting(validation_share=0.3, fold=0, twin_correlation=0.995, faces=0, sequences="auto", seed=0),
    "cleaning": datasets.Cleaning(clean=True, outlier_deviations=4.5, outlier_pixels=5.0, conflict_pixels=8.0),
}
LAYERS = ("stem", "block", "keypoints")


# ---- records ---------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def test():
    """Six dot faces to predict; the lookup table asks for all dots of faces of the first source, and for the last dot of the others."""
    asked = labelled(6, seed=2)
    face, keypoint, axis = (values.ravel() for values in np.indices((6, 3, 2)))
    wanted = (asked.source[face] == 0) | (keypoint == 2)
    lookup = Lookup(np.arange(wanted.sum()), face[wanted], keypoint[wanted], axis[wanted])
    return testset.requested(UnlabelledFaces(np.arange(11, 17), asked.images), lookup, DOTS)


@pytest.fixture(scope="module")
def faces():
    """60 labelled dot faces of two sources. In the training part, two have equal images and labels 12 px apart, one a suspected nose."""
    known = labelled(60, seed=1)
    training = LabelledFaces(known.images.copy(), known.keypoints.copy())
    apart = datasets.split(known.source, np.arange(60), validation_share=0.3, fold=0, seed=0)
    one, other, off = np.flatnonzero(~apart & (known.source == 0))[:3]
    training.images[other], training.keypoints[other] = training.images[one], training.keypoints[one] + [12, 0]
    found = datasets.assemble(training, DOTS, **RULES)
    # With only three dots, the rule cannot find one of them wrong.
    found.outlier[off, 2] = found.dropped[off, 2] = True
    found.outlier_distance[off, 2] = 14.2
    return found


def made_up_health():
    """Health values of three layers over five epochs; the last layer has no ReLU."""
    rng = np.random.default_rng(0)
    values = {name: rng.uniform(1e-4, 1e-2, (5, 3)).astype(np.float32) for name in ("weight", "update", "ratio", "gradient", "activation")}
    dead = np.array([[0.0, 0.5, np.nan]] * 5, np.float32)
    return Health(layers=np.array(LAYERS), **values, spread=np.ones((5, 3), np.float32), dead=dead)


def made_up_history():
    """Five epochs of falling RMSE, in which the learning rate falls a thousandfold at the end."""
    return History.of([(epoch, 6 / epoch, 5 / epoch, rate) for epoch, rate in enumerate((1e-3, 1e-3, 1e-3, 1e-3, 1e-6), start=1)])


def trained(faces, indices, *, new=True, seed=0):
    """A net of three layers whose predictions for the validation faces are about 1.5 px off."""
    rng = np.random.default_rng(seed)
    held_out = faces.keypoints[faces.validation][:, indices]
    truth = np.where(np.isnan(held_out), TARGET[indices], held_out)
    shapes = {"stem/kernel": (3, 3, 1, 4), "stem_norm/gamma": (4,), "block/kernel": (1, 1, 4, 8), "keypoints/kernel": (8, 6)}
    return Trained(
        health=made_up_health(),
        history=made_up_history(),
        weights={name: np.zeros(shape, np.float32) for name, shape in shapes.items()} | {"keypoints/bias": np.zeros(6, np.float32)},
        shapes={
            "stem": np.array([16, 16, 4]),
            "stem_norm": np.array([16, 16, 4]),
            "block": np.array([8, 8, 8]),
            "keypoints": np.array([6]),
        },
        offsets=np.zeros((2, len(indices), 2), np.float32),
        validation=(truth + rng.normal(0, 1.5, truth.shape)).astype(np.float32),
        validation_spread=rng.uniform(0.2, 1.0, truth.shape[:2]).astype(np.float32),
        rmse=np.float32(1.5),
        indices=np.array(indices),
        keypoints=np.array([DOTS.names[k] for k in indices]),
        side=np.int32(32),
        frame=np.int32(32),
        stored=np.int32(32),
        target=TARGET if new else None,
        refined=np.bool_(new),
        located=None,
        window=None if new else np.eye(2, 3),
        zooms=None,
        looks=None,
        structure=structure("compact"),
        keypointset=StoredSet.of(DOTS),
        carried_over=np.array([] if new else list(shapes)[:-1]),
        new=np.array([*shapes, "keypoints/bias"] if new else ["keypoints/kernel", "keypoints/bias"]),
    )


@pytest.fixture(scope="module")
def nets(faces):
    """The base net and a specialist for each group."""
    specialists = {group: trained(faces, DOTS.indices(group), new=False, seed=n) for n, group in enumerate(DOTS.groups, start=1)}
    return {"base": trained(faces, [0, 1, 2]), **specialists}


def averaged(keypoints):
    """Predictions for the test faces that are the further apart the later the face."""
    spread = np.linspace(0.2, 1, len(keypoints), dtype=np.float32)[:, None]
    return Averaged(keypoints, np.broadcast_to(spread, keypoints.shape[:-1]))


@pytest.fixture(scope="module")
def predictions(faces, test, nets):
    tests = [averaged(np.tile(TARGET[net.indices], (6, 1, 1))) for net in nets.values()]
    return results.predictions(test, DOTS, [ensemble.chain_predictions(faces, list(nets.values()), tests, base_share=0.3)])


@pytest.fixture(scope="module")
def content(faces, test, predictions):
    return scores.scores(predictions, [faces], test, shown=SHOWN)


@pytest.fixture(scope="module")
def versions(faces):
    """Four unchanged versions of the face that shows augmentation."""
    row = np.flatnonzero(~faces.validation)[gallery.example(faces)]
    return AugmentedVersions(np.tile(faces.images[row], (4, 1, 1)), np.tile(faces.keypoints[row], (4, 1, 1)))


@pytest.fixture(scope="module")
def watched():
    return made_up_health()


def provenance(**changes):
    stages = [
        run_summary.StageRun("Load", "0123456789", {"seed": (0, 0), "fold": (2, 0)}, 61.4, "2026-01-02T03:04:05+0000"),
        run_summary.StageRun("TrainSpecialist:eyes", "1123456789", {"group": ("eyes", ""), "epochs": (20, 20)}, 3700.0),
        run_summary.StageRun("TrainSpecialist:nose", "2123456789", {"group": ("nose", ""), "epochs": (20, 20)}),
    ]
    values = {"files": {"training.zip": "ab" * 32}, "versions": {"keras": "3.15"}, "chains": 1, "adopted": []}
    return run_summary.provenance(stages, **{**values, "created": "2026-01-02 03:05 UTC", **changes})


@pytest.fixture(scope="module")
def records(test, content, predictions, faces, versions, nets):
    """The records that the page is made from, without warnings and snapshots."""
    return report.RunRecords(content, predictions, [faces], test, versions, nets, provenance())


@pytest.fixture(scope="module")
def expecting(records):
    """The records of a run with expected errors, of which the last test face has the largest."""
    rng, n = np.random.default_rng(0), len(records.predictions.validation_face)
    tenths, model = np.linspace(0.5, 3, 10, dtype=np.float32), ErrorModel(*[np.zeros(1)] * 4)
    known = ExpectedError(
        model=model,
        validation=rng.uniform(0.5, 3, (n, 3)).astype(np.float32),
        test=np.outer(np.arange(1, 7), [1, 1, 1]).astype(np.float32),
        expected=tenths,
        observed=(tenths * np.float32(1.125)),
        found=np.array(0.375, np.float32),
        found_samples=np.array(0.5, np.float32),
    )
    return replace(records, predictions=replace(records.predictions, expected_error=known))


@pytest.fixture(scope="module")
def page(expecting, nets):
    """A page with everything on it."""
    kept = Snapshots(np.array([1, 3], np.int32), {path: np.stack([values, values + 1]) for path, values in nets["base"].weights.items()})
    found = {"eyes": {"steps": []}, "base": {"learning": ["stem hardly moves."]}}
    return report.page(replace(expecting, findings=found, snapshots=kept))


def text_of(page):
    """The visible text of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<(style|script)>.*?</\1>|<wbr>", "", page, flags=re.DOTALL)).split())


# ---- expected errors ------------------------------------------------------------------------------------------------------------------


def test_expected_errors_have_a_section(page, expecting):
    """With a sentence, the figure, and the test faces with the largest expected errors, the largest first."""
    text = text_of(page)
    assert "agree within 11 % with the observed ones" in text
    assert "from 0.56 px in the best tenth to 3.38 px in the worst" in text
    assert (
        "Of the tenth that is expected worst, 38 % of the keypoints belong to the worst tenth." in text
    )  # 18 faces are too few for a share
    assert "Observed and expected error of the held-out keypoints, by tenths" in page
    shown = [face.caption for face in report.PARTS["doubtful"](expecting)]
    assert shown == ["ImageId 16, expected 6.00 px", "ImageId 15, expected 5.00 px", "ImageId 14, expected 4.00 px"]
    assert all(caption in text for caption in shown)


def test_without_expected_errors_the_page_says_why(records):
    """There are too few labels of held-out faces, and there is no figure and no gallery."""
    (sentence,) = report.PARTS["certainty"](records)
    labels = np.isfinite(records.predictions.validation_truth[:, :, 0]).sum()
    assert sentence == f"There are no expected errors: they take 300 held-out labels, and there are {labels}."
    assert report.PARTS["calibration"](records) is None
    assert report.PARTS["doubtful"](records) == []


# ---- numbers ---------------------------------------------------------------------------------------------------------------------------


def test_each_rmse_equals_that_of_a_loop(content, predictions, faces):
    """Overall, by source and by keypoint, for the specialists, the base net and the mean face, over the labelled values only."""
    truth, source = predictions.validation_truth, predictions.validation_source
    predictors = (predictions.validation, predictions.validation_base, faces.mean_face[source])
    np.testing.assert_allclose(content.rmse, [naive_rmse(predicted, truth) for predicted in predictors], rtol=1e-5)
    for number, predicted in enumerate(predictors):
        by_source = [naive_rmse(predicted[source == s], truth[source == s]) for s in (0, 1)]
        np.testing.assert_allclose(content.source_rmse[number], by_source, rtol=1e-5)
        np.testing.assert_allclose(
            content.keypoint_rmse[number], [naive_rmse(predicted[:, [k]], truth[:, [k]]) for k in range(3)], rtol=1e-5
        )
    np.testing.assert_allclose(content.rmse, [predictions.rmse, predictions.rmse_base, predictions.rmse_mean_face], rtol=1e-6)
    np.testing.assert_allclose(content.interval, predictions.rmse_interval, rtol=1e-6)
    assert content.source_values.tolist() == [np.sum(~np.isnan(truth[source == s])) for s in (0, 1)]
    assert content.keypoint_values.sum() == content.source_values.sum()
    assert np.isnan(content.error_by_place[1, :2]).all()


def test_intervals_contain_their_value(content):
    """Each RMSE of the specialists is within its interval, and their difference from the base net is within the interval of the gain."""
    for value, (low, high) in (
        (content.rmse[0], content.interval),
        (content.board[0], content.board_interval),
        (content.rmse[0] - content.rmse[1], content.gain),
        *zip(content.source_rmse[0], content.source_interval, strict=True),
        *zip(content.keypoint_rmse[0], content.keypoint_interval, strict=True),
    ):
        assert low < value < high


def test_the_estimate_weights_each_source_by_what_is_asked_for(content, predictions):
    """The mean square of each source counts by the rows of the lookup table: 6 values for each of 4 faces and 2 for each of 2."""
    assert content.asked.tolist() == [24, 4]
    wanted = np.sqrt((24 * content.source_rmse**2 @ [1, 0] + 4 * content.source_rmse**2 @ [0, 1]) / 28)
    np.testing.assert_allclose(content.board, wanted, rtol=1e-5)


def test_without_labels_of_a_source_there_is_no_estimate(predictions, faces, test, records):
    """The estimate is NaN if the lookup table asks for a source that no validation face has, and the page says why."""
    unlabelled = predictions.validation_truth.copy()
    unlabelled[predictions.validation_source == 1] = np.nan
    blind = replace(predictions, validation_truth=unlabelled)
    found = scores.scores(blind, [faces], test, shown=SHOWN)
    assert np.isnan([*found.board, *found.board_interval, found.source_rmse[0, 1]]).all()
    assert np.isfinite(found.rmse).all()
    assert "there is nothing to estimate from" in text_of(report.page(replace(records, scores=found, predictions=blind)))


def test_faces_from_best_to_worst(content, predictions, faces, test):
    """The shown faces are ordered by their RMSE, as rows of the training table, with at most one face of each duplicate group."""
    truth = predictions.validation_truth
    by_row = {row: naive_rmse(predictions.validation[[n]], truth[[n]]) for n, row in enumerate(predictions.validation_face.tolist())}
    best, typical, worst = ([by_row[row] for row in rows.tolist()] for rows in (content.best, content.typical, content.worst))
    assert best == sorted(by_row.values())[:SHOWN]
    assert worst == sorted(by_row.values(), reverse=True)[:SHOWN]
    assert max(best) <= min(typical) <= np.median(list(by_row.values())) <= max(typical) <= min(worst)
    twins = replace(faces, duplicate_group=np.zeros_like(faces.duplicate_group))
    assert scores.scores(predictions, [twins], test, shown=SHOWN).best.tolist() == content.best[:1].tolist()


def test_the_worst_values_share(content, predictions):
    """The share of the worst 1 % of the values (at least one value) and the median equal those of a loop."""
    errors = sorted(abs(float(d)) for d in (predictions.validation - predictions.validation_truth).ravel() if not np.isnan(d))
    assert content.median == pytest.approx(np.median(errors), rel=1e-5)
    assert content.worst_share == pytest.approx(errors[-1] ** 2 / sum(e**2 for e in errors), rel=1e-4)


def without(faces, left_out):
    """The data set without some of its faces, as with `--Load-faces`."""
    own = [field.name for field in fields(faces) if "array" in field.metadata and field.metadata["array"].axes[:1] == ("face",)]
    own.remove("occluded")
    return replace(faces, **{name: getattr(faces, name)[~left_out] for name in own})


def test_each_validation_face_belongs_to_the_chain_that_held_it_out(faces, test, predictions):
    """Two data sets hold out different faces, lack some of each other's faces and have mean faces 1 px apart: each validation face is
    compared with the mean face of its own chain, and each can be shown."""
    half, third = np.arange(60) % 2 == 0, np.arange(60) % 3 == 0
    first = without(replace(faces, validation=half), third & ~half)
    second = without(replace(faces, validation=~half, mean_face=faces.mean_face + 1), third & half)
    everything = replace(
        predictions,
        validation=faces.keypoints,
        validation_base=faces.keypoints,
        validation_truth=faces.keypoints,
        validation_face=np.arange(60),
        validation_source=faces.source,
    )
    mean_faces = faces.mean_face[faces.source] + np.where(half, 0, 1)[:, None, None]
    found = scores.scores(everything, [first, second], test, shown=SHOWN)
    np.testing.assert_allclose(found.rmse, [0, 0, naive_rmse(mean_faces, faces.keypoints)], rtol=1e-5)
    shown = gallery.validation(datasets.held_out([first, second], lambda some: some.images), everything, np.arange(6))
    np.testing.assert_array_equal([pixels(face) for face in shown], faces.images[:6])


# ---- faces -----------------------------------------------------------------------------------------------------------------------------


def pixels(face):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(face.image.split(",")[1]))))


def places(face, kind):
    return [(mark.x, mark.y) for mark in face.marks if mark.kind == kind]


def test_a_validation_face_shows_labels_predictions_and_the_lines_between(faces, predictions, content):
    """The image is unchanged, with rings at the labels, dots at all predictions and a line for each label; the caption gives the RMSE."""
    row = content.worst[0]
    face = gallery.validation(faces.images[faces.validation], predictions, content.worst)[0]
    place = np.flatnonzero(predictions.validation_face == row)[0]
    known = ~np.isnan(faces.keypoints[row, :, 0])
    np.testing.assert_array_equal(pixels(face), faces.images[row])
    np.testing.assert_allclose(places(face, "truth"), faces.keypoints[row][known], atol=0.051)
    np.testing.assert_allclose(places(face, "predicted"), predictions.validation[place], atol=0.051)
    assert len(face.links) == known.sum()
    own = naive_rmse(predictions.validation[[place]], predictions.validation_truth[[place]])
    assert face.caption == f"{own:.2f} px, row {row + 1}"


def test_test_faces_have_only_dots(predictions, content):
    """The ImageIds are evenly spaced, each at most once, and there are no labels."""
    shown = gallery.to_predict(predictions, content.tests)
    assert [face.caption for face in shown] == [f"ImageId {number}" for number in range(11, 17)]
    for number, face in enumerate(shown):
        np.testing.assert_array_equal(pixels(face), predictions.test_images[number])
        assert len(places(face, "predicted")) == len(face.marks) == 3
        assert not face.links


def test_a_suspected_label_is_marked(faces):
    """The nose is marked, the eyes are ordinary labels, and the caption gives the distance from the nose to its predicted position."""
    (row,) = np.flatnonzero(faces.outlier.any(axis=1))
    (face,) = gallery.outliers(faces, SHOWN)
    np.testing.assert_allclose(places(face, "suspect"), faces.keypoints[row, [2]], atol=0.051)
    np.testing.assert_allclose(places(face, "truth"), faces.keypoints[row, :2], atol=0.051)
    assert face.caption == f"nose tip, 14 px off; row {row + 1}"
    assert face.command == f"keypoints review --sample {row + 1}"


def test_contradicting_labels_are_marked_and_joined(faces):
    """The image is shown once, with both sets of labels and lines between them."""
    one, other = np.flatnonzero(faces.conflict.any(axis=1))
    (face,) = gallery.conflicts(faces, SHOWN)
    np.testing.assert_allclose(places(face, "suspect"), [*faces.keypoints[one], *faces.keypoints[other]], atol=0.051)
    assert [(round(x2 - x1), round(y2 - y1)) for x1, y1, x2, y2 in face.links] == [(12, 0)] * 3
    assert face.caption == f"rows {one + 1} and {other + 1}, 12 px apart"
    assert face.command == f"keypoints review --sample {one + 1}"


def test_near_duplicates_are_shown_side_by_side(faces):
    """The two equal images are the only duplicate group."""
    rows = np.flatnonzero(faces.conflict.any(axis=1))
    assert [face.caption for face in gallery.twins(faces, 4)] == [f"row {row + 1}, one of 2" for row in rows]


def test_a_clean_data_set_has_nothing_to_show(faces):
    """There are no outliers, no conflicts and no near duplicates."""
    none = np.zeros_like(faces.outlier)
    clean = replace(faces, outlier=none, conflict=none, duplicate_group=np.arange(60))
    assert gallery.outliers(clean, 3) == gallery.conflicts(clean, 3) == gallery.twins(clean, 4) == []


def test_one_face_is_stored_if_each_epoch_draws_its_own_versions(faces, versions):
    """The example face is the only one then; otherwise it is found among all faces of the training part."""
    count = int((~faces.validation).sum())
    every = {name: np.stack([value] * count, axis=1) for name, value in vars(versions).items()}
    every["images"][:, np.arange(count) != gallery.example(faces)] = 0
    only = {name: value[:, None] for name, value in vars(versions).items()}
    for stored in (every, only):
        np.testing.assert_array_equal(gallery.example_versions(stored, faces, 3).images, versions.images[:3])


def test_augmentation_shows_a_face_with_all_labels(faces, versions):
    """The original face comes first, then its augmented versions; a label that has left the image is not marked."""
    versions.keypoints[1, 0] = np.nan
    shown = gallery.augmented(faces, versions)
    assert [face.caption for face in shown] == ["original", "version 1", "version 2", "version 3", "version 4"]
    assert [len(places(face, "truth")) for face in shown] == [3, 3, 2, 3, 3]


def test_circles_are_as_large_as_the_errors(faces, predictions, content):
    """Each annotation source has a mean face with a circle for each of its keypoints, whose radius is the RMSE in pixels."""
    both, nose = error_map.errors(faces.images[faces.validation], faces, predictions, content)
    np.testing.assert_allclose([mark.radius for mark in both.marks], content.error_by_place[0], rtol=1e-6)
    np.testing.assert_allclose([mark.radius for mark in nose.marks], content.error_by_place[1, 2:], rtol=1e-6)
    # The eyes of the upright mean face mirror each other.
    (left, y), (right, same), _ = places(both, "error")
    assert (left + right, y) == (pytest.approx(SIDE, abs=0.11), same)
    # The mean of the aligned faces is bright at the eyes and dark at the nose.
    grey = [pixels(both)[int(mark.y), int(mark.x)] for mark in both.marks]
    assert min(grey[:2]) > 130 > 100 > grey[2]


# ---- figures ---------------------------------------------------------------------------------------------------------------------------


RATES = np.array([1e-3, 1e-3, 1e-3, 1e-3, 1e-6])


def drawn(watched, name, theme=style.LIGHT):
    """The axes of the curves of a quantity."""
    (what,) = (one for one in health.QUANTITIES if one.field == name)
    figure = Figure()
    health._draw(figure, theme, health=watched, usual=diagnosis.usual_steps(RATES), what=what)
    return figure.axes[0]


def of_layers(count):
    """Health values of many layers, the same in each of five epochs, that rise from layer to layer."""
    values = np.tile(np.linspace(1e-3, 1e-2, count, dtype=np.float32), (5, 1))
    return Health(np.array([f"layer{number}" for number in range(count)]), *[values] * 7)


def test_three_layers_have_a_curve_with_their_name(watched):
    """Of fifteen layers, the first, the middle and the last have a curve; all others are within the range behind them."""
    axes = drawn(of_layers(15), "gradient")
    assert [text.get_text() for text in axes.texts] == ["layer0", "layer7", "layer14"]
    assert [line.get_ydata()[0] for line in axes.lines] == of_layers(15).gradient[0, [0, 7, 14]].tolist()
    assert len({line.get_color() for line in axes.lines}) == 3
    assert [line.is_dashed() for line in axes.lines] == [False, True, True]
    (area,) = axes.collections
    assert area.get_paths()[0].get_extents().intervaly == pytest.approx((1e-3, 1e-2))
    assert [text.get_text() for text in drawn(watched, "gradient").texts] == list(LAYERS)


def test_dead_channels_are_shown_where_they_are_most(watched):
    """A layer that is dead in part has a curve, wherever it is in the net."""
    values = of_layers(15)
    dead = np.zeros((5, 15), np.float32)
    dead[3:, 4] = 0.5
    assert drawn(replace(values, dead=dead), "dead").texts[0].get_text() == "layer4"


def test_the_usual_range_follows_the_learning_rate(watched):
    """It is drawn only in the figure of the steps, with a label, and falls where the learning rate falls."""
    axes = drawn(watched, "ratio")
    assert "usual" in [text.get_text() for text in axes.texts]
    _, usual = (area.get_paths()[0].vertices for area in axes.collections)
    low, high = diagnosis.usual_steps(RATES)
    for place in range(5):
        limits = usual[usual[:, 0] == place + 1][:, 1]
        assert (limits.min(), limits.max()) == pytest.approx((low[place], high[place]))
    assert len(drawn(watched, "spread").collections) == 1


def test_a_healthy_cosine_training_is_usual_throughout():
    """Steps that are proportional to the learning rate are usual to the last epoch; steps that are not are found."""
    rate = 3e-3 * (1 + np.cos(np.linspace(0, np.pi, 40))) / 2 + 3e-6
    usual = diagnosis.usual_steps(rate)
    steps = np.outer(rate / rate.max(), [2e-3, 1e-2]).astype(np.float32)
    assert (health.lengths(steps, usual) == health.LENGTHS.index("usual")).all()
    constant = np.full((40, 2), 1e-2, np.float32)
    assert health.lengths(constant, usual)[0].tolist() == [2, 2]
    assert health.lengths(constant, usual)[-1].tolist() == [4, 4]
    low, high = usual[:, [0]]
    around = np.array([[low / 20, low / 5, low, high, high * 5, high * 20, [np.nan]]])[..., 0]
    assert health.lengths(around, usual[:, :1]).tolist() == [[0, 1, 2, 2, 3, 4, -1]]


def test_the_map_has_a_row_for_each_layer():
    """The first layer is at the top; each step has the colour of its length, and a step without a value has none."""
    found = np.array([[2, 2, -1], [2, 3, 4], [2, 3, 4], [0, 3, 1]])
    figure = Figure()
    health._draw_map(figure, style.LIGHT, layers=np.array(LAYERS), found=found)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(LAYERS)
    assert axes.yaxis_inverted()
    colours = {}
    for bars in axes.collections:
        (box,) = (path.get_extents() for path in bars.get_paths())
        for epoch in range(round(box.x0 + 0.5), round(box.x1 + 0.5)):
            colours[epoch, round((box.y0 + box.y1) / 2)] = to_hex(bars.get_facecolor()[0])
    expected = {(epoch + 1, row): style.LIGHT.steps[found[epoch, row]] for epoch in range(4) for row in range(3) if found[epoch, row] >= 0}
    assert colours == expected
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(health.LENGTHS)


def test_a_figure_without_values_is_left_out(watched):
    """A net without ReLUs or without dead channels has no figure of them; zeros on a logarithmic axis cause no warning; one epoch is
    enough."""
    history = made_up_history()
    pictures = health.pictures(watched, history)
    assert [one.alt.split(". ")[1].split(" over")[0] for one in pictures][-1] == "dead channels"
    for dead in (np.nan, 0.0):
        silent = replace(watched, dead=np.full((5, 3), dead, np.float32), gradient=np.zeros((5, 3), np.float32))
        assert len(health.pictures(silent, history)) == len(pictures) - 1
    first = {name: values[:1] for name, values in vars(watched).items() if name != "layers"}
    assert len(health.pictures(Health(watched.layers, **first), History.of(history.rows()[:1]))) == len(pictures) == 6
    nothing = {name: values[:, :0] for name, values in vars(watched).items() if name != "layers"}
    assert health.pictures(Health(watched.layers[:0], **nothing), history) == []


def test_a_picture_has_two_versions():
    """One version is for light and one for dark backgrounds; the same figure gives the same bytes; text remains text."""

    def draw(figure, theme):
        figure.subplots().set_title("words to find")

    once, again = (style.picture("t", "a", draw) for _ in range(2))
    assert once == again
    light, dark = (base64.b64decode(uri.split(",")[1]).decode() for uri in (once.light, once.dark))
    assert light != dark
    assert style.DARK.ink in dark
    assert style.DARK.ink not in light
    assert "words to find" in light
    assert "<dc:date>" not in light


PAPER = {style.LIGHT: "#ffffff", style.DARK: "#14161a"}


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK])
def test_curves_and_their_labels_contrast_with_the_background(theme):
    """At least 4.5 to 1, as WCAG 2.2 requires of text (1.4.3), because a label has the colour of its curve; the ink more than 7 to 1."""
    paper = to_rgba(PAPER[theme])[:3]
    assert min(contrast(to_rgba(colour)[:3], paper) for colour in theme.colours) >= 4.5
    assert contrast(to_rgba(theme.ink)[:3], paper) > 7


@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK])
def test_steps_that_are_not_usual_stand_out(theme):
    """Their colours have a contrast of at least 3 to 1 with that of the usual ones, as WCAG 2.2 requires of graphics (1.4.11)."""
    far_shorter, shorter, usual, longer, far_longer = (to_rgba(colour)[:3] for colour in theme.steps)
    assert min(contrast(usual, other) for other in (far_shorter, shorter, longer, far_longer)) >= 3
    assert min(contrast(far_shorter, shorter), contrast(far_longer, longer)) > 2


def contrast(one, other):
    """WCAG's contrast ratio of two sRGB colours with components from 0 to 1."""

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_layers_are_found_in_the_weights(nets):
    """In the net's order; weights that follow a kernel count towards its layer: 36 + 4, 32 and 48 + 6 weights."""
    stem, block, output = net_summary.layers(nets["base"])
    times = "\N{MULTIPLICATION SIGN}"
    assert (stem.name, stem.kernel, stem.output, stem.weights) == ("stem", f"3 {times} 3, 1 → 4", f"16 {times} 16 {times} 4", 40)
    assert (block.kernel, block.output, block.weights) == (f"1 {times} 1, 4 → 8", f"8 {times} 8 {times} 8", 32)
    assert (output.name, output.kernel, output.output, output.weights) == ("keypoints", "8 → 6", "6", 54)
    assert [layer.name for layer in net_summary.layers(nets["eyes"])] == list(LAYERS)
    assert net_summary.layers(replace(nets["base"], shapes=None))[0].output == ""


# ---- the page --------------------------------------------------------------------------------------------------------------------------


def test_the_page_says_the_result_first(page, content):
    """The RMSE and its interval come first, then each source and keypoint compared with the base net and the mean face."""
    text = text_of(page)
    low, high = content.interval
    assert f"{content.rmse[0]:.2f} px RMSE on" in text[:300]
    assert f"{low:.2f} to {high:.2f}" in text[:500]
    for k, name in enumerate(DOTS.names):
        own, base, mean = content.keypoint_rmse[:, k]
        assert f"{name.replace('_', ' ')} {own:.2f} {base:.2f} {mean:.2f}" in text
    assert f"An estimate, not a score: {content.board[0]:.2f} px" in text


def test_nets_that_are_no_better_than_the_mean_face(records, content):
    """The head says so, because the nets may be healthy and only need more epochs or faces."""
    said = "The nets are no better than the mean face"
    better, worse = np.array([3.5, 3.6, 3.6], np.float32), np.array([3.7, 3.6, 3.6], np.float32)
    assert said not in text_of(report.page(replace(records, scores=replace(content, rmse=better))))
    assert said in text_of(report.page(replace(records, scores=replace(content, rmse=worse))))[:500]


def test_the_page_says_what_was_run(page):
    """Stages, keys and durations, or that they are not recorded; shared parameters once; values that differ from the default are marked."""
    text = text_of(page)
    assert "Load 0123456789 1 min 01 s 2026-01-02 03:04:05+0000" in text
    assert "TrainSpecialist:eyes 1123456789 1 h 01 min" in text
    assert "TrainSpecialist:nose 2123456789 not recorded" in text
    assert "<mark>fold 2</mark> (default 0)" in page
    assert "<li>seed 0</li>" in page
    assert len(re.findall("<li>epochs 20</li>", page)) == 1
    assert "Device not recorded" in text
    assert "Adopted" not in text


def test_the_page_names_adopted_results(records):
    """The page names a result that was kept although its code was edited."""
    text = text_of(report.page(replace(records, provenance=provenance(adopted=["TrainBase"]))))
    assert "Adopted TrainBase (computed by a different version of the code)" in text


def test_the_page_says_which_weights_the_specialists_start_from(page, records, nets):
    """The page names the base net's weights only if they were carried over."""
    assert "Each specialist starts from" in text_of(page)
    nothing, everything = np.array([], dtype=str), np.concatenate([nets["eyes"].carried_over, nets["eyes"].new])
    scratch = {name: replace(net, carried_over=nothing, new=everything) for name, net in nets.items()}
    assert "Each specialist starts from" not in text_of(report.page(replace(records, nets=scratch)))


def test_the_page_says_first_what_the_result_was_made_from(page, records):
    """Date, preset, number of training faces, training health, and the settings that differ from the defaults, as flags."""
    header = text_of(page[: page.index("</header>")])
    training = (~records.dataset.validation).sum()
    for said in ("Date 2026-01-02 03:05 UTC", "Preset none", f"Training faces {training}", "1 problem found in 1 of 3 nets"):
        assert said in header
    assert "--Load-fold 2 (default 0)" in header
    assert "--Load-seed" not in header
    assert "epochs" not in header
    made = report.page(replace(records, provenance=provenance(preset="quick.cfg", created="")))
    header = text_of(made[: made.index("</header>")])
    assert "Preset quick.cfg" in header
    assert "Date not recorded" in header
    assert "No problem found in 3 nets" in header


def test_settings_that_differ_from_the_defaults():
    """Each flag once, with every value of the stages of its kind; what Predict sets for each of several chains is left out."""
    stages = [
        run_summary.StageRun("Load", "0", {"fold": (0, 0), "validation_share": (0.2, 0.1), "twin_correlation": (0.9, 0.985)}),
        run_summary.StageRun("Load", "1", {"fold": (1, 0), "validation_share": (0.2, 0.1), "twin_correlation": (0.9, 0.985)}),
        run_summary.StageRun("TrainSpecialist:eyes", "2", {"group": ("eyes", ""), "epochs": (2, 5)}),
        run_summary.StageRun("TrainSpecialist:nose", "3", {"group": ("nose", ""), "epochs": (3, 5)}),
    ]
    known = {"files": {}, "versions": {}, "adopted": []}
    found = run_summary.settings(run_summary.provenance(stages, chains=2, **known))
    assert found == [
        run_summary.Setting("--Load-twin-correlation", [0.9], 0.985),
        run_summary.Setting("--TrainSpecialist-epochs", [2, 3], 5),
    ]
    single = run_summary.settings(run_summary.provenance(stages[:1], chains=1, **known))
    assert [one.flag for one in single] == ["--Load-validation-share", "--Load-twin-correlation"]


def test_health_shows_what_was_found_and_the_weights_over_time(page, expecting):
    """The result in words, each check of each net and each sentence are on the page; the weights only if the training kept snapshots."""
    assert "! 1 problem found in 1 of 3 nets." in text_of(page)
    assert "base: stem hardly moves." in text_of(page)
    assert f"base ! problem {'✓ fine ' * 4}eyes {'✓ fine ' * 5}nose" in text_of(page)
    assert "after epochs 1, 3" in page
    plain = report.page(expecting)
    assert "✓ No problem found in 3 nets." in text_of(plain)
    assert page.count("<picture>") == plain.count("<picture>") + 1


def test_every_check_has_a_column():
    """The columns of the page are the checks of the diagnosis."""
    assert set(net_summary.CHECKS) == set(diagnosis.CHECKS)


def test_the_weights_over_time_are_shown_from_the_image_to_the_output():
    """A figure has at most eight layers, in the order given."""
    layers = [f"layer{number}" for number in range(10, 0, -1)]
    kept = Snapshots(np.array([1, 3], np.int32), {f"{layer}/kernel": np.ones((2, 3, 1), np.float32) for layer in sorted(layers)})
    titles = [one.title.split(": ")[1] for one in net_summary._followed(kept, layers)]
    assert titles == ["layer10 to layer3", "layer2 to layer1"]


def test_with_several_chains_the_page_says_which_nets_it_shows(page, records):
    """The learning curves and the nets are those of the first chain."""
    several = text_of(report.page(replace(records, provenance=provenance(chains=5))))
    assert "the curves of the first of 5 chains" in several
    assert "the nets of the first of 5 chains." in several
    assert "chains" not in text_of(page)


def test_names_from_the_user_stay_text(records):
    """File names are escaped, so that they are shown and never executed."""
    evil = provenance(files={"<script>alert(1)</script>": "00" * 32, '"><img src=x onerror=alert(1)>': "00" * 32})
    made = report.page(replace(records, provenance=evil))
    assert made.count("<script") == 1
    assert "<img src=x" not in made
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in made


def test_the_page_needs_nothing_else(page):
    """The page contains everything that it loads, forbids loading anything else, allows its own script only, and is small enough for an
    email."""
    places = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert {place.split(":")[0] for place in places if not place.startswith("#")} == {"data"}
    assert "url(" not in page
    assert "default-src 'none'" in page
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "http" not in script
    assert "import" not in script
    assert len(page) < 5e6


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.07, -0.02, "0.02 to 0.07 px better"),
        (0.1, 0.3, "0.10 to 0.30 px worse"),
        (-0.1, 0.05, "between 0.10 px better and 0.05 px worse"),
    ],
)
def test_the_gain_in_words(low, high, said):
    """The interval of the difference is expressed as better or worse, without a sign."""
    assert said in score_summary.gain(low, high)


# ---- in a browser ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    """The installed headless Chromium with its driver; nothing is downloaded."""
    chromium, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver here (Debian: apt-get install chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # In a container, root has no sandbox, and /dev/shm is small.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chrome.set_page_load_timeout(60)
    yield chrome
    chrome.quit()


@pytest.fixture(scope="module")
def opened(browser, page, tmp_path_factory):
    """Opens the page in the browser, at a width, in a colour scheme, and on the screen or as on paper."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page, encoding="utf-8")

    def at(width, scheme, media="screen"):
        emulated = {"media": media, "features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", emulated)
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(path.as_uri())
        return browser

    return at


LOOK = """
const images = [...document.images], root = document.scrollingElement, style = getComputedStyle(document.body);
const inside = [...document.querySelectorAll('main *, header *')].filter(e => !e.closest('.scroll table, svg'));
const wide = inside.filter(e => e.getBoundingClientRect().right > arguments[0] + 1);
return {
  width: Math.max(root.scrollWidth, innerWidth), wide: wide.map(e => e.outerHTML.slice(0, 80)),
  images: images.length, broken: images.filter(i => !i.complete || !i.naturalWidth).length,
  unnamed: images.filter(i => !i.alt.trim()).length, sources: images.map(i => i.currentSrc.slice(0, 5)),
  plots: [...document.querySelectorAll('picture img')].map(i => i.currentSrc),
  paper: style.backgroundColor, ink: style.color, letters: parseFloat(style.fontSize),
  targets: [...document.querySelectorAll('nav a')].map(a => document.querySelector(a.getAttribute('href')) !== null),
};
"""

# Every visible text with its colour and the colours behind it, the nearest first; of a text on a face, the colour of its outline.
TEXTS = """
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
  if (!text || element.closest('script, style') || !element.checkVisibility()) continue;
  const style = getComputedStyle(element), behind = [];
  if (element.closest('svg')) { found.push([text, style.fill, [style.stroke]]); continue; }
  for (let e = element; e; e = e.parentElement) behind.push(getComputedStyle(e).backgroundColor);
  found.push([text, style.color, behind]);
}
return found;
"""


def colour(css):
    """The components of a CSS colour from 0 to 1, and its opacity."""
    *components, opacity = [*map(float, re.findall(r"[\d.]+", css)), 1.0][:4]
    return np.array(components) / 255, opacity


def behind(layers):
    """The colour that is seen behind a text, from the background colours of its element and of those around it, on white paper."""
    seen = np.ones(3)
    for css in reversed(layers):
        components, opacity = colour(css)
        seen = opacity * components + (1 - opacity) * seen
    return seen


def texts_of_plot(uri):
    """(text, fill) of each text in a figure."""
    root = ElementTree.fromstring(base64.b64decode(uri.split(",")[1]))
    texts = list(root.iter("{http://www.w3.org/2000/svg}text"))
    fills = [re.search(r"fill: *(#\w{6})", text.get("style", "")) for text in texts]
    return [("".join(text.itertext()), fill[1] if fill else "#000000") for text, fill in zip(texts, fills, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 390, 768, 1600])
def test_the_page_in_a_browser(opened, width, scheme):
    """The console stays empty, nothing is wider than the page, and all images load and have alt texts."""
    browser = opened(width, scheme)
    seen = browser.execute_script(LOOK, width)
    assert browser.get_log("browser") == []
    # On a phone, content that does not fit increases innerWidth, because the page is zoomed out.
    assert seen["width"] <= width
    assert seen["wide"] == []
    assert seen["images"] > 20
    assert seen["broken"] == seen["unnamed"] == 0
    assert set(seen["sources"]) == {"data:"}
    assert seen["targets"] == [True] * 10
    paper, ink = (colour(seen[name])[0] for name in ("paper", "ink"))
    assert (paper.mean() > 0.5) == (scheme == "light")
    assert contrast(ink, paper) > 7
    assert seen["letters"] >= 16


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "media"), [("light", "screen"), ("dark", "screen"), ("dark", "print")])
@pytest.mark.parametrize("width", [390, 768, 1600])
def test_every_text_contrasts_with_what_is_behind_it(opened, width, scheme, media):
    """At least 4.5 to 1 (WCAG 2.2, 1.4.3) for all text of the page and of its figures, with everything unfolded; paper is white."""
    browser = opened(width, scheme, media)
    browser.execute_script("for (const e of document.querySelectorAll('details')) e.open = true")
    texts = browser.execute_script(TEXTS)
    assert len(texts) > 100
    measured = {text: contrast(colour(own)[0], behind(layers)) for text, own, layers in texts}
    assert {text: ratio for text, ratio in measured.items() if ratio < 4.5} == {}
    paper = behind([browser.execute_script("return getComputedStyle(document.body).backgroundColor")])
    assert (paper.min() == 1) == (scheme == "light" or media == "print")
    plots = browser.execute_script(LOOK, width)["plots"]
    labels = [label for uri in plots for label in texts_of_plot(uri)]
    assert len(labels) > 50
    assert [label for label, fill in labels if contrast(to_rgba(fill)[:3], paper) < 4.5] == []


TABLES = """
return [...document.querySelectorAll('.scroll')].map(e => ({
  cut: e.scrollWidth > e.clientWidth, hint: e.parentElement.querySelector('.hint').checkVisibility(),
}));
"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [200, 390, 768, 1600])
def test_no_table_is_cut_without_a_hint(opened, width):
    """A table that is wider than the page says so above it, and others do not; the result fits on a phone."""
    tables = opened(width, "light").execute_script(TABLES)
    assert [table["hint"] for table in tables] == [table["cut"] for table in tables]
    assert any(table["cut"] for table in tables) or width > 200
    assert not any(table["cut"] for table in tables if width >= 390)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1600])
def test_a_thumbnail_is_enlarged_by_keyboard_and_by_mouse(opened, width):
    """Enter or a click shows a face more than twice as large, the arrow keys its neighbours, and Escape returns to where one was."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser = opened(width, "light")
    state = """
      const dialog = document.querySelector('dialog'), image = dialog.querySelector('.enlarged img');
      return [dialog.open, image && image.getBoundingClientRect().width, dialog.querySelector('.caption').textContent];
    """
    captions = [e.text for e in browser.find_elements("css selector", "#samples .face figcaption")]
    buttons = browser.find_elements("css selector", "#samples .face button")
    thumbnail = buttons[0].size["width"]
    assert browser.execute_script(state)[0] is False
    browser.execute_script("arguments[0].focus()", buttons[0])
    for keys, place in ((Keys.ENTER, 0), (Keys.ARROW_RIGHT, 1), (Keys.ARROW_LEFT * 2, -1)):
        ActionChains(browser).send_keys(keys).perform()
        opened_now, size, caption = browser.execute_script(state)
        assert opened_now
        assert size > 2 * thumbnail
        assert caption == captions[place]
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert browser.execute_script(state)[0] is False
    assert browser.switch_to.active_element == buttons[-1]
    buttons[1].click()
    assert browser.execute_script(state)[::2] == [True, captions[1]]
    browser.find_element("css selector", "dialog .close").click()
    assert browser.execute_script(state)[0] is False
    assert browser.get_log("browser") == []


@pytest.mark.slow
def test_figures_follow_the_colour_scheme(opened):
    """Each plot of the dark page differs from that of the light page."""
    light, dark = (opened(1600, scheme).execute_script(LOOK, 1600)["plots"] for scheme in ("light", "dark"))
    assert len(light) == 11
    assert not set(light) & set(dark)
