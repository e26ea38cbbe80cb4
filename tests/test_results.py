"""The results of a run: the submission, the table of predictions, the learning curves, the weights over time."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from naive import rmse as naive_rmse
from toys import DOTS, EYES

from pipeline.data.testset import UnlabelledSamples
from pipeline.inference import ensemble
from pipeline.nets.averaged import Averaged
from pipeline.results import curves, predictions, style, submission, weights

# ---- submission ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def keypoints():
    """Keypoints (4, 3, 2) whose values encode their position: y of keypoint 1 of face 2 is 211."""
    face, keypoint, axis = np.indices((4, 3, 2))
    return (100 * face + 10 * keypoint + axis).astype(np.float32)


def test_each_row_of_the_lookup_table_gets_its_value(keypoints):
    """The values are in the table's order, each by its face, keypoint and axis; two rows may ask for the same value."""
    face, keypoint, axis = np.array([3, 0, 2, 0]), np.array([0, 2, 1, 2]), np.array([1, 0, 1, 0])
    values = submission.locations(keypoints, face, keypoint, axis)
    assert values.tolist() == [301, 20, 211, 20]
    assert values.dtype == np.float32


def test_a_value_that_was_not_predicted_raises(keypoints):
    """A requested NaN is an error that gives the number of such values; a NaN that no row asks for does no harm."""
    keypoints[1, 2, 0] = np.nan
    assert submission.locations(keypoints, np.array([1]), np.array([2]), np.array([1])).tolist() == [121]
    with pytest.raises(ValueError, match="1 of 2 values"):
        submission.locations(keypoints, np.array([1, 0]), np.array([2, 0]), np.array([0, 0]))


def test_the_file_has_the_format_that_kaggle_accepts(tmp_path):
    """A header, then a row for each value in the given order, with four decimals and Unix line ends, and nothing else."""
    path = tmp_path / "submission.csv"
    submission.write_csv(path, np.array([3, 1, 2]), np.array([66.33561, 5, 0.00004], np.float32))
    assert path.read_bytes() == b"RowId,Location\n3,66.3356\n1,5.0000\n2,0.0000\n"


# ---- predictions -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def faces():
    """A data set of 10 labelled dot faces, the last 4 held out. The lookup table of TEST asks for three values of its two faces."""
    rng = np.random.default_rng(0)
    keypoints, source = rng.uniform(5, 25, (10, 3, 2)).astype(np.float32), np.array([0, 1] * 5, np.int8)
    keypoints[source == 1, :2] = np.nan
    return SimpleNamespace(
        keypoints=keypoints,
        row=np.arange(10, dtype=np.int32),
        source=source,
        duplicate_group=np.arange(10),
        validation=np.arange(10) >= 6,
        mean_face=rng.uniform(5, 25, (2, 3, 2)).astype(np.float32),
        origin=None,
        occluded=None,
    )


TEST = UnlabelledSamples(
    images=np.zeros((2, 32, 32), np.uint8),
    source=np.zeros(2, np.int8),
    image_id=np.array([1, 2]),
    lookup_row=np.array([1, 2, 3]),
    lookup_sample=np.array([0, 0, 1], np.int32),
    lookup_keypoint=np.array([0, 2, 1], np.int16),
    lookup_axis=np.array([1, 0, 0], np.int8),
    source_names=np.array(DOTS.source_names),
    origin=None,
)


@pytest.fixture
def outputs():
    """The base net and the specialists of the eyes and the nose, as (nets with validation predictions, test predictions)."""
    rng = np.random.default_rng(1)
    indices = [[0, 1, 2], EYES, DOTS.indices("nose")]
    predicted = [averaged(rng.uniform(5, 25, (4, len(i), 2)), 1) for i in indices]
    nets = [
        SimpleNamespace(indices=np.array(i), validation=found.keypoints, validation_spread=found.spread)
        for i, found in zip(indices, predicted, strict=True)
    ]
    return nets, [averaged(rng.uniform(5, 25, (2, len(i), 2)), 2) for i in indices]


def averaged(keypoints, spread):
    """Predictions whose spread is the same everywhere."""
    return Averaged(keypoints.astype(np.float32), np.full(keypoints.shape[:-1], spread, np.float32))


def together(faces, *outputs, base_share=0.0):
    """The predictions of one chain, or of several that share a data set."""
    return predictions.predictions(TEST, DOTS, [ensemble.chain_predictions(faces, *output, base_share=base_share) for output in outputs])


def test_each_specialist_fills_the_columns_of_its_keypoints(faces, outputs):
    """The base net's predictions are kept unchanged in arrays of their own."""
    (base, eyes, nose), tests = outputs
    table = together(faces, outputs)
    for whole, parts in ((table.validation, (eyes.validation, nose.validation)), (table.test, [found.keypoints for found in tests[1:]])):
        np.testing.assert_array_equal(whole[:, [0, 1]], parts[0])
        np.testing.assert_array_equal(whole[:, [2]], parts[1])
    np.testing.assert_array_equal(table.validation_base, base.validation)
    np.testing.assert_array_equal(table.test_base, tests[0].keypoints)
    np.testing.assert_array_equal(table.validation_face, [6, 7, 8, 9])
    assert table.locations.tolist() == [tests[1].keypoints[0, 0, 1], tests[2].keypoints[0, 0, 0], tests[1].keypoints[1, 1, 0]]


def test_the_base_net_has_its_share(faces, outputs):
    """With a share of 0.25, the mean is a quarter of the base net's prediction and three quarters of the specialist's."""
    (base, eyes, _), tests = outputs
    table = together(faces, outputs, base_share=0.25)
    np.testing.assert_allclose(table.validation[:, EYES], 0.25 * base.validation[:, EYES] + 0.75 * eyes.validation, rtol=1e-6)
    np.testing.assert_allclose(table.test[:, EYES], 0.25 * tests[0].keypoints[:, EYES] + 0.75 * tests[1].keypoints, rtol=1e-6)
    assert table.test.dtype == table.validation.dtype == np.float32
    np.testing.assert_array_equal(table.validation_base, base.validation)


def test_the_rmse_of_everything_equals_that_of_a_loop(faces, outputs):
    """Overall, by group and by source, for the specialists, the base net and the mean face, over the labelled values only."""
    table = together(faces, outputs)
    truth, source = faces.keypoints[6:], faces.source[6:]
    expected = {
        "rmse": naive_rmse(table.validation, truth),
        "rmse_base": naive_rmse(outputs[0][0].validation, truth),
        "rmse_mean_face": naive_rmse(faces.mean_face[source], truth),
        "group_rmse": [naive_rmse(table.validation[:, k], truth[:, k]) for k in ([0, 1], [2])],
        "group_rmse_base": [naive_rmse(table.validation_base[:, k], truth[:, k]) for k in ([0, 1], [2])],
        "source_rmse": [naive_rmse(table.validation[source == s], truth[source == s]) for s in (0, 1)],
    }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(table, name), value, rtol=1e-5, err_msg=name)


@pytest.fixture
def folds(faces, outputs):
    """The data sets and the outputs of two chains, of which the first holds out the last five faces and the second the first five."""
    first, second = (SimpleNamespace(**vars(faces) | {"validation": held_out}) for held_out in (np.arange(10) >= 5, np.arange(10) < 5))
    second.mean_face = first.mean_face + 1
    rng = np.random.default_rng(3)
    chains = []
    for _ in range(2):
        keypoints = [rng.uniform(5, 25, (5, len(net.indices), 2)).astype(np.float32) for net in outputs[0]]
        nets = [
            SimpleNamespace(indices=net.indices, validation=own, validation_spread=own[..., 0])
            for net, own in zip(outputs[0], keypoints, strict=True)
        ]
        chains.append((nets, [averaged(rng.uniform(5, 25, test.keypoints.shape), 1) for test in outputs[1]]))
    return (first, second), chains


def test_folds_give_the_mean_for_test_faces_and_their_own_for_those_held_out(folds):
    """Each labelled face occurs once, in the table's order, predicted by the chain that held it out; the RMSE covers all of them."""
    data, (one, other) = folds
    parts = [ensemble.chain_predictions(faces, *outputs, base_share=0.0) for faces, outputs in zip(data, (one, other), strict=True)]
    table = predictions.predictions(TEST, DOTS, parts)
    np.testing.assert_allclose(table.test[:, EYES], (one[1][1].keypoints + other[1][1].keypoints) / 2, rtol=1e-6)
    np.testing.assert_allclose(table.test_base, (one[1][0].keypoints + other[1][0].keypoints) / 2, rtol=1e-6)
    assert table.test.dtype == table.test_base.dtype == np.float32
    np.testing.assert_array_equal(table.validation_face, np.arange(10))
    np.testing.assert_array_equal(table.validation_source, data[0].source)
    np.testing.assert_array_equal(table.validation_truth, data[0].keypoints)
    np.testing.assert_array_equal(table.validation_base, np.concatenate([other[0][0].validation, one[0][0].validation]))
    np.testing.assert_array_equal(table.validation[:, EYES], np.concatenate([other[0][1].validation, one[0][1].validation]))
    truth, source = data[0].keypoints, data[0].source
    np.testing.assert_allclose(table.rmse, naive_rmse(table.validation, truth), rtol=1e-5)
    # Each chain has the mean face of its own training part.
    mean_faces = np.concatenate([data[1].mean_face[source[:5]], data[0].mean_face[source[5:]]])
    np.testing.assert_allclose(table.rmse_mean_face, naive_rmse(mean_faces, truth), rtol=1e-5)
    assert table.locations.tolist() == [table.test[0, 0, 1], table.test[0, 2, 0], table.test[1, 1, 0]]


def test_folds_pool_their_spreads(folds, monkeypatch):
    """Each held-out face has those of the chain that held it out, in the table's order; test faces have the means over the chains."""
    data, (one, other) = folds
    parts = [ensemble.chain_predictions(faces, *outputs, base_share=0.0) for faces, outputs in zip(data, (one, other), strict=True)]
    given = {}
    monkeypatch.setattr(predictions.expected_error, "expected_error", lambda held_out, test: given.update(held_out=held_out, test=test))
    table = predictions.predictions(TEST, DOTS, parts)
    held_out, test = given["held_out"], given["test"]
    pooled = np.concatenate([other[0][0].validation_spread, one[0][0].validation_spread])
    np.testing.assert_array_equal(held_out.predicted.spreads.base, pooled)
    np.testing.assert_array_equal(held_out.errors, np.linalg.norm(table.validation - data[0].keypoints, axis=2))
    np.testing.assert_array_equal(held_out.group, data[0].duplicate_group)
    apart = [np.linalg.norm(tests[2].keypoints - tests[0].keypoints[:, [2]], axis=2) for _, tests in (one, other)]
    np.testing.assert_allclose(test.spreads.between[:, [2]], np.mean(apart, axis=0), rtol=1e-6)


def test_spreads_of_a_keypoint_without_specialist(outputs):
    """The base net's spread is known, the others are NaN."""
    (base, eyes, _), tests = outputs
    found = ensemble.spreads([base, eyes], tests[:2])
    np.testing.assert_array_equal(found.base, tests[0].spread)
    assert np.isnan(found.specialist).tolist() == np.isnan(found.between).tolist() == [[False, False, True]] * 2


def test_nets_that_kept_no_spread_give_no_expected_errors(faces, outputs):
    """As nets that were trained by older code and adopted."""
    nets, tests = outputs
    old = [SimpleNamespace(**vars(net) | {"validation_spread": None}) for net in nets]
    chain = ensemble.chain_predictions(faces, old, tests, base_share=0.0)
    assert chain.spreads is None
    assert together(faces, (old, tests)).expected_error is None


def test_the_table_shows_every_group_and_source(faces, outputs):
    """All keypoints have a line, each group has one that compares it with the base net, then come the sources and the interval."""
    table = together(faces, outputs)
    lines = predictions.table(table).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["eyes", "nose", "by", "95"]
    assert lines[2].split()[1:] == [f"{table.group_rmse[0]:.3f}", f"{table.group_rmse_base[0]:.3f}"]
    assert lines[-1].endswith(f"{table.rmse_interval[0]:.2f} to {table.rmse_interval[1]:.2f}")
    assert table.rmse_interval[0] < table.rmse < table.rmse_interval[1]
    assert lines[-2] == f"by annotation source: all {table.source_rmse[0]:.2f}, nose {table.source_rmse[1]:.2f}"


# ---- learning curves -------------------------------------------------------------------------------------------------------------------


def history(outputs, *validation):
    """The part of a trained net that curves need, with this many outputs; the training RMSE is 1.2 times the validation RMSE."""
    rmse = np.array(validation, np.float32)
    history = SimpleNamespace(epoch=np.arange(len(rmse)) + 1, training_rmse=1.2 * rmse, validation_rmse=rmse)
    return SimpleNamespace(indices=np.arange(outputs // 2), history=history)


@pytest.fixture
def histories():
    """A base net of 6 epochs and two specialists, of 4 epochs and of 2."""
    return {"base": history(6, 12, 6, 4, 3, 2.5, 2.6), "eye_centers": history(4, 4, 3, 2, 1), "nose_tip": history(2, 2, 1)}


def test_histories_are_lined_up(histories):
    """There is one row for each net in the given order, with NaN after its last epoch."""
    content = curves.curves(histories)
    assert content.names.tolist() == ["base", "eye_centers", "nose_tip"]
    assert content.epoch.tolist() == [1, 2, 3, 4, 5, 6]
    assert content.validation_rmse.dtype == np.float32
    np.testing.assert_allclose(content.validation_rmse[2], [2, 1, *[np.nan] * 4])
    np.testing.assert_allclose(content.training_rmse[1], [4.8, 3.6, 2.4, 1.2, np.nan, np.nan], rtol=1e-6)


def test_the_mean_is_the_rmse_of_all_outputs_together(histories):
    """The root mean square is weighted by outputs (4 and 2); a net that stopped early counts with its last value."""
    wanted = [np.sqrt((4 * a**2 + 2 * b**2) / 6) for a, b in ((4, 2), (3, 1), (2, 1), (1, 1))]
    content = curves.curves(histories)
    np.testing.assert_allclose(content.mean_validation_rmse, [*wanted, np.nan, np.nan], rtol=1e-6)
    np.testing.assert_allclose(content.mean_training_rmse[:4], 1.2 * np.array(wanted), rtol=1e-6)


def lines(axes, style):
    """The drawn curves of one line style, without NaN."""
    curves = [line.get_ydata() for line in axes.lines if isinstance(line, Line2D) and line.get_linestyle() == style]
    return [values[~np.isnan(values)].tolist() for values in curves]


def test_training_is_dashed_and_validation_solid(histories):
    """The base net is on the left; the specialists and their mean, the thickest line, are on the right."""
    content = curves.curves(histories)
    left, right = curves.learning_curves(content).axes
    assert lines(left, "--") == [content.training_rmse[0].tolist()]
    assert lines(left, "-") == [content.validation_rmse[0].tolist()]
    for stroke, values, mean in (
        ("--", content.training_rmse, content.mean_training_rmse),
        ("-", content.validation_rmse, content.mean_validation_rmse),
    ):
        assert lines(right, stroke) == [row[~np.isnan(row)].tolist() for row in (values[1], values[2], mean)]
    widths = [line.get_linewidth() for line in right.lines if line.get_linestyle() == "-"]
    assert widths[-1] > max(widths[:-1])


def test_every_curve_is_named_with_its_best_rmse(histories):
    """The label of a curve is its name, without underscores, and its lowest validation RMSE; the legend is outside both axes."""
    figure = curves.learning_curves(curves.curves(histories))
    left, right = figure.axes
    assert [text.get_text() for text in left.texts] == ["base 2.50"]
    mean = np.sqrt((4 * 1 + 2 * 1) / 6)
    assert [text.get_text() for text in right.texts] == ["eye centers 1.00", "nose tip 1.00", f"weighted mean {mean:.2f}"]
    assert not left.get_legend()
    assert not right.get_legend()
    assert [text.get_text().split(",")[0] for text in figure.legends[0].get_texts()] == ["validation", "training", "best epoch"]


@pytest.mark.parametrize("ends", [[0.5] * 7, [0.0, 0.01, 0.02], [1.0, 0.99, 0.98], [0.1, 0.9], [0.3]])
def test_labels_are_apart_and_in_the_order_of_the_curves(ends):
    """Labels of curves that end close together are moved at least the gap apart, stay within the axes and keep their order."""
    places = style.apart(np.array(ends), 0.055)
    order = np.argsort(ends, kind="stable")
    assert (np.diff(places[order]) >= 0.055 - 1e-9).all()
    assert places.min() >= 0
    assert places.max() <= 1


@pytest.mark.parametrize("first", [30.0, 1e6, np.inf])
def test_a_huge_first_epoch_does_not_squeeze_the_rest(histories, first):
    """The limits are finite, contain the best epochs and end at 13 times the lowest RMSE or below."""
    histories["base"] = history(6, first, 6, 4, 3, 2.5, 2.6)
    left, _ = curves.learning_curves(curves.curves(histories)).axes
    low, high = left.get_ylim()
    assert 2 < low < 2.5
    assert 3.2 < high <= 13 * 2.5


def test_an_epoch_is_enough_for_a_picture(tmp_path):
    """A training of one epoch is drawn as two marks and is saved without a warning."""
    content = curves.curves({"base": history(6, 3), "eyes": history(4, 2), "nose": history(2, 1)})
    figure = curves.learning_curves(content)
    style.save_png(figure, tmp_path / "curves.png")
    left, right = figure.axes
    assert [line.get_marker() for line in left.lines] == ["_", "None", "o"]
    assert right.get_xlim()[0] < 1 < right.get_xlim()[1]


def test_a_base_net_without_specialists_has_a_picture(tmp_path):
    """Without specialists the mean is NaN, and the figure and the page's picture of the base net are still drawn."""
    content = curves.curves({"base": history(6, 3, 2)})
    assert np.isnan(content.mean_validation_rmse).all()
    style.save_png(curves.learning_curves(content), tmp_path / "curves.png")
    (picture,) = curves.pictures({"base": history(6, 3, 2)})
    assert picture.title == "The base net reached 2.00\N{NO-BREAK SPACE}px after 2 epochs, starting from 3.00 after the first"


def test_the_same_curves_are_the_same_bytes(histories, tmp_path):
    """Two figures of the same content give identical PNG files."""
    for name in ("once.png", "again.png"):
        style.save_png(curves.learning_curves(curves.curves(histories)), tmp_path / name)
    once, again = ((tmp_path / name).read_bytes() for name in ("once.png", "again.png"))
    assert once[:8] == b"\x89PNG\r\n\x1a\n"
    assert once == again


# ---- weights over time -----------------------------------------------------------------------------------------------------------------


def weights_figure(epochs, values):
    figure = Figure(figsize=weights.size(values), layout="constrained")
    weights.weights_over_time(figure, style.LIGHT, epoch=np.array(epochs), weights=values)
    return figure


def test_every_kernel_has_its_weights_over_time(tmp_path):
    """There is a panel for each kernel and none for a bias, with the mean and three of the weights; it is saved without a warning."""
    rng = np.random.default_rng(0)
    kernels = {f"layer{number}/kernel": rng.normal(number, 1, (4, 3, 5)).astype(np.float32) for number in range(5)}
    figure = weights_figure([2, 4, 6, 7], kernels | {"layer0/bias": np.zeros((4, 5), np.float32)})
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in shown] == [f"layer{number}, 15 weights" for number in range(5)]
    for axes, values in zip(shown, kernels.values(), strict=True):
        mean, *single = axes.lines
        assert all(line.get_xdata().tolist() == [2, 4, 6, 7] for line in axes.lines)
        np.testing.assert_allclose(mean.get_ydata(), values.mean(axis=(1, 2)), rtol=1e-5)
        rows = values.reshape(4, 15).T.tolist()
        assert len(single) == 3
        assert all(line.get_ydata().tolist() in rows for line in single)
    style.save_png(figure, tmp_path / "weights.png")


def test_one_snapshot_of_a_tiny_kernel_is_drawn(tmp_path):
    """A single epoch is drawn as a dot, and a kernel of one weight has a curve for this weight."""
    figure = weights_figure([1], {"a/kernel": np.ones((1, 1, 1), np.float32)})
    assert [line.get_marker() for line in figure.axes[0].lines] == [".", "."]
    style.save_png(figure, tmp_path / "weights.png")
