"""Exported nets: the whole prediction as one graph, the files of each format, and the check before they are written."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import kinds
import numpy as np
import pytest
import toys

from pipeline.commands.support import exporting
from pipeline.data.dataset import Dataset
from pipeline.data.testset import UnlabelledSamples
from pipeline.errors import InputError
from pipeline.inference.loaded import LoadedNets, SampleFrame
from pipeline.keypoints.stored import StoredSet
from pipeline.nets.trained import Trained
from pipeline.store.hdf5 import artifacts

pytestmark = pytest.mark.keras

FRAME, STORED = 32, 48  # so that images are resampled
FORMATS = {"onnx": ("tf2onnx", "onnx", "onnxruntime"), "litert": ("ai_edge_litert",), "openvino": ("tf2onnx", "openvino"), "keras": ()}


def needs(name):
    """Skips a test where the packages of a format are missing."""
    for package in FORMATS[name]:
        pytest.importorskip(package, reason=f"the format {name} needs {package}")


def trained(indices, *, network="compact", channels=1, seed=0, keypointset=toys.DOTS, **fields):
    """A net with random weights whose heat maps have clear peaks, so that its predictions depend on the image."""
    from pipeline.nets import network as nets

    structure = toys.structure(network, filters=0.25, hidden=8, channels=channels)
    rng, side = np.random.default_rng(seed), fields.get("side", FRAME)
    model = nets.build(structure, side=side, keypoints=len(indices), sources=len(keypointset.sources))
    weights = {}
    for name, value in nets.weights(model).items():
        gain = 3.0 if name == "keypoints/kernel" and network == "compact" else 1.0
        weights[name] = (gain * rng.normal(0, 1 / np.sqrt(max(1, np.prod(value.shape[:-1]))), value.shape)).astype(np.float32)
        if "norm" in name:
            weights[name] = rng.uniform(0.8, 1.2, value.shape).astype(np.float32)
    sources = model.output_shape[1]
    values = {
        "structure": structure,
        "keypointset": StoredSet.of(keypointset),
        "weights": weights,
        "offsets": rng.uniform(-1, 1, (sources, len(indices), 2)).astype(np.float32),
        "indices": np.array(indices, np.int32),
        "side": np.int32(side),
        "frame": np.int32(FRAME),
        "stored": np.int32(STORED),
        "target": None,
        "refined": np.bool_(False),
        "window": None,
        "zooms": None,
        "looks": None,
    }
    return dataclasses.replace(kinds.filled(Trained, rng), **values | fields)


def base(**fields):
    return trained([0, 1, 2], **{"target": toys.TARGET, "refined": np.bool_(True)} | fields)


def eyes(**fields):
    """A specialist that sees a window around the eyes, in three looks."""
    window = np.array([[1.3, 0, -6], [0, 1.3, 2]])
    return trained(toys.EYES, window=window, looks=np.int32(3), seed=1, **fields)


def nose(**fields):
    """A specialist that sees a window around its keypoint, in two passes."""
    return trained([2], zooms=np.array([1.0, 1.5]), looks=np.int32(2), side=np.int32(16), seed=2, **fields)


def loaded(*chains, keypointset=toys.DOTS, channels=1, source=0):
    return LoadedNets(tuple(map(tuple, chains)), keypointset, 0.33, SampleFrame(STORED, channels), source)


def whole():
    return loaded([base(), eyes(), nose()])


def images(count=6, *, side=STORED, channels=1, seed=0):
    from pipeline.export import check_images

    return check_images.spots(SampleFrame(side, channels), seed=seed, count=count)


def predicted(nets, given):
    """What the nets predict without a search for lost samples."""
    from pipeline.export import check_images

    with check_images.without_search():
        return nets.predict(given).keypoints


def graph_of(nets):
    """The keypoints that the graph predicts, as a function of images of any side."""
    from pipeline.export import graph

    function = graph.function(graph.built(nets), nets, side=None)
    return lambda given: function(given).numpy()


def assert_same(found, expected, *, scale=1.0):
    """Asserts that predictions are the same but for a few.

    A grey level that is rounded the other way can make a net with random weights prefer another place.
    """
    apart = np.abs(found - expected) / scale
    assert np.median(apart) < 0.002
    assert np.quantile(apart, 0.75) < 0.02


UNMIRRORED = dataclasses.replace(toys.DOTS, mirror=None)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: loaded([base()]), id="base"),
        pytest.param(lambda: loaded([base(refined=np.bool_(False))]), id="unrefined"),
        pytest.param(lambda: loaded([base(network="kfkd")]), id="kfkd"),
        pytest.param(whole, id="specialists"),
        pytest.param(lambda: dataclasses.replace(whole(), source=1), id="second source"),
        pytest.param(lambda: loaded([base(), eyes(), nose()], [base(seed=5), eyes(), nose()]), id="two chains"),
        pytest.param(lambda: loaded([base(channels=3), eyes(channels=3), nose(channels=3)], channels=3), id="colour"),
        pytest.param(
            lambda: loaded([base(keypointset=UNMIRRORED), eyes(keypointset=UNMIRRORED)], keypointset=UNMIRRORED), id="without mirror images"
        ),
        pytest.param(lambda: loaded([base(), trained(toys.EYES, seed=3), nose()]), id="specialist of whole images"),
    ],
)
def test_graph_predicts_as_nets(make):
    """The graph repeats the prediction of every kind of net."""
    nets = make()
    given = images(channels=nets.frame.channels)
    expected = predicted(nets, given)
    assert expected.std(axis=0).min() > 0.05  # the predictions depend on the images
    assert_same(graph_of(nets)(given), expected)


@pytest.mark.parametrize("side", [20, 64, 65, 100, 131])
def test_graph_takes_images_of_any_side(side):
    """The graph resamples images of other sides as the nets do: enlarged, halved, and reduced by 3 and 4 first, with pixels left over.

    The net sees them once: what it sees next depends on its predictions, and with random weights these would amplify rounding errors.
    """
    nets = loaded([base(refined=np.bool_(False))])
    given = images(side=side)
    expected = predicted(dataclasses.replace(nets, frame=SampleFrame(side, 1)), given)
    assert expected.std(axis=0).min() > 0.05  # the predictions depend on the images
    assert np.abs(graph_of(nets)(given) - expected).max() < 0.01 * max(1, side / STORED)


@pytest.mark.parametrize("fixed", [True, False], ids=["known side", "any side"])
@pytest.mark.parametrize("channels", [1, 3])
def test_whole_images_are_seen_as_by_the_nets(channels, fixed):
    """The graph sees whole images as the nets do, to the grey level, although many are in the middle of two levels before rounding."""
    import tensorflow as tf

    from pipeline.export.nets import Inputs
    from pipeline.nets.sight import WholeImage

    net = SimpleNamespace(frame=FRAME, side=FRAME)
    for side in (20, 32, 100, 131, 213, 320):
        given = np.random.default_rng(side).integers(0, 256, (3, side, side, 3)[: 3 + (channels > 1)], dtype=np.uint8)
        shape = [None, *([side] * 2 if fixed else [None] * 2), 3][: given.ndim]
        seen = tf.function(lambda images: Inputs(images).whole(net)[0], [tf.TensorSpec(shape, tf.uint8)], autograph=False)
        np.testing.assert_array_equal(seen(given), WholeImage(FRAME, scale=FRAME / side).view(3).images(given)[:])


def test_whole_images_are_seen_as_by_the_nets_in_openvino():
    """OpenVINO, which multiplies by reciprocals instead of dividing, sees the same grey levels."""
    needs("openvino")
    import openvino
    import tensorflow as tf
    import tf2onnx

    from pipeline.export.nets import Inputs
    from pipeline.export.openvino_file import PRECISE
    from pipeline.nets.sight import WholeImage

    seen = tf.function(
        lambda images: Inputs(images).whole(SimpleNamespace(frame=FRAME, side=FRAME))[0],
        [tf.TensorSpec((None, None, None), tf.uint8)],
        autograph=False,
    )
    model, _ = tf2onnx.convert.from_function(seen, input_signature=seen.input_signature, opset=18)
    compiled = openvino.compile_model(openvino.Core().read_model(model.SerializeToString()), "CPU", PRECISE)
    for side in (100, 131, 213):
        given = np.random.default_rng(side).integers(0, 256, (3, side, side), dtype=np.uint8)
        np.testing.assert_array_equal(compiled(given)[0], WholeImage(FRAME, scale=FRAME / side).view(3).images(given)[:])


@pytest.mark.parametrize("factor", [2, 3, 5, 7, 17])
@pytest.mark.parametrize("channels", [1, 3])
def test_reduction_is_pillows(factor, channels):
    """Reduced images equal those of `affine`, to the grey level, also where Pillow's rounding is not the usual one."""
    import tensorflow as tf

    from pipeline.export import sampling
    from pipeline.geometry import affine

    given = np.random.default_rng(0).integers(0, 256, (2, 50, 50, 3)[: 3 + (channels > 1)], dtype=np.uint8)
    result, side = sampling.reduced(tf.constant(given), factor)
    expected = affine.reduced(given, factor)
    assert side == expected.shape[1]
    np.testing.assert_array_equal(result, expected)


def test_reduction_is_pillows_in_onnx_runtime():
    """So do those that ONNX Runtime reduces, by a factor that the side of the images decides, with pixels left over at the edge."""
    needs("onnx")
    import onnxruntime
    import tensorflow as tf
    import tf2onnx

    from pipeline.export import sampling
    from pipeline.geometry import affine

    @tf.function(input_signature=[tf.TensorSpec((None, None, None), tf.uint8)], autograph=False)
    def reduced(images):
        factor = sampling.reduction(sampling.side_of(images), 1.0, FRAME)
        result, side = sampling.reduced(images, factor)
        return result, factor, side

    model, _ = tf2onnx.convert.from_function(reduced, input_signature=reduced.input_signature, opset=18)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for size in (64, 131, 200):
        given = np.random.default_rng(0).integers(0, 256, (2, size, size), dtype=np.uint8)
        result, factor, side = session.run(None, {session.get_inputs()[0].name: given})
        expected = affine.reduced(given, affine.reduction(FRAME / size))
        assert (factor, side) == (affine.reduction(FRAME / size), expected.shape[1])
        np.testing.assert_array_equal(result[:, :side, :side], expected)


def test_factor_of_reduction_is_that_of_the_nets():
    """For every side the factor is that of `affine.reduction`, whether the side is known when the graph is built or not."""
    import tensorflow as tf

    from pipeline.export import sampling
    from pipeline.geometry import affine

    for zoom in (0.8, 1.0, 20 / 3):
        for side in (1, 96, 192, 193, 287, 288, 640, 1280, 1281, sampling.LARGEST_SIDE):
            found = int(sampling.reduction(tf.constant(side), zoom, 96))
            assert found == sampling.reduction(side, zoom, 96) == affine.reduction(96 / side * zoom)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Writes the files of a format for the whole chain once; returns their folder."""
    from pipeline.export import formats, graph, metadata

    folders = {}

    def folder(name):
        needs(name)
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name)
            chosen, nets = formats.format_of(name), whole()
            values = metadata.metadata(nets, metadata.Facts("whole", "dots", "CC0"), side=None if chosen.any_side else STORED)
            formats.module_of(chosen).write(folders[name], graph.built(nets), nets, values)
        return folders[name]

    return folder


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.filterwarnings("ignore")
def test_files_predict_as_nets(name, exported):
    """The file of each format predicts what the nets predict, for one image and for several."""
    from pipeline.export import check, formats

    run, given = formats.module_of(formats.format_of(name)).load(exported(name)), images(5)
    expected = predicted(whole(), given)
    assert_same(check.predicted(run, given), expected)
    assert_same(np.concatenate([run(given[i : i + 1]) for i in range(5)]), expected)


@pytest.mark.filterwarnings("ignore")
def test_onnx_file_is_small_and_plain(exported):
    """The ONNX file has each weight once, no control flow, only ONNX' own operators, and names for its axes."""
    import collections

    onnx = pytest.importorskip("onnx", reason="the format onnx needs onnx")
    model = onnx.load(exported("onnx") / "keypoints.onnx")
    onnx.checker.check_model(model)
    assert not {node.op_type for node in model.graph.node} & {"Loop", "If", "Scan"}
    assert [(entry.domain, entry.version <= 21) for entry in model.opset_import] == [("", True)]
    axes = [axis.dim_param or axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    assert axes == ["N", "H", "W"]
    assert [axis.dim_param or axis.dim_value for axis in model.graph.output[0].type.tensor_type.shape.dim] == ["N", 3, 2]
    kernels = collections.Counter(tuple(tensor.dims) for tensor in model.graph.initializer if len(tensor.dims) == 4)
    assert kernels[(4, 1, 5, 5)] == 3  # the first kernels of three nets


@pytest.mark.filterwarnings("ignore")
def test_files_describe_themselves(exported):
    """Names, side, units, convention, data and licence are in the ONNX file, and in the archive of Keras."""
    import zipfile

    onnx = pytest.importorskip("onnx", reason="the format onnx needs onnx")
    found = {entry.key: entry.value for entry in onnx.load(exported("onnx") / "keypoints.onnx").metadata_props}
    assert json.loads(found["keypoints"]) == list(toys.DOTS.names)
    assert (found["data"], found["licence"], found["convention"]) == ("dots", "CC0", "all")
    with zipfile.ZipFile(exported("keras") / "keypoints.keras") as archive:
        assert json.loads(archive.read("keypoints.json"))["side"] == STORED


@pytest.mark.filterwarnings("ignore")
def test_canonical_form_does_not_depend_on_names_and_order(exported):
    """A graph with other names, constants in another order and a repeated computation has the same canonical form."""
    onnx = pytest.importorskip("onnx", reason="the format onnx needs onnx")
    from pipeline.export.canonical import canonical

    model = onnx.load(exported("onnx") / "keypoints.onnx")
    once = canonical(model, {"a": "b"})
    other = onnx.ModelProto()
    other.CopyFrom(model)
    ends = {"images", "keypoints", ""}
    for node in other.graph.node:
        node.input[:] = [name if name in ends else f"x{name}" for name in node.input]
        node.output[:] = [name if name in ends else f"x{name}" for name in node.output]
    tensors = list(reversed(other.graph.initializer))
    for tensor in tensors:
        tensor.name = f"x{tensor.name}"
    del other.graph.initializer[:]
    other.graph.initializer.extend(tensors)
    assert canonical(other, {"a": "b"}).SerializeToString(deterministic=True) == once.SerializeToString(deterministic=True)


@pytest.fixture(scope="module")
def exported_elsewhere(tmp_path_factory):
    """A folder for each format, written in reverse order by another process, with other hashes of strings.

    OpenVINO has already made some operations in it.
    """
    root = tmp_path_factory.mktemp("elsewhere")
    names = [name for name, packages in FORMATS.items() if all(map(importlib.util.find_spec, packages))]
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_export as t
from pathlib import Path
from pipeline.export import formats, graph, metadata
nets = t.whole()
if "openvino" in {names}:
    import openvino.opset13
    made = [openvino.opset13.constant(0.0) for _ in range(9)]
for name in reversed({names}):
    chosen, folder = formats.format_of(name), Path({str(root)!r}, name)
    folder.mkdir()
    values = metadata.metadata(nets, metadata.Facts("whole", "dots", "CC0"), side=None if chosen.any_side else t.STORED)
    formats.module_of(chosen).write(folder, graph.built(nets), nets, values)
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "7"}, check=True, capture_output=True)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.filterwarnings("ignore")
def test_files_are_the_same_bytes_in_another_process(name, exported, exported_elsewhere):
    """Another process, with other hashes of strings, writes the same bytes, in whatever order it writes the formats."""
    first, again = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in (exported(name), exported_elsewhere / name))
    assert first
    assert first == again


def test_check_names_the_sample_and_the_keypoint():
    """A file that predicts one value of a steady image too far away is refused, with the image, the keypoint and the distance."""
    from pipeline.export import check, check_images

    tried = check_images.CheckImages(images(3), np.zeros((3, 3, 2)), np.array([0.001, 0.01, 0.016]))
    other = tried.keypoints + 0.015
    words = check.checked(tried, other, toys.DOTS.names, "sample")
    assert words.startswith("2 samples: at most 0.0150 pixels; 1 sample in which rounding moves the predictions")
    for wrong, distance in ((0.03, "0.030"), (np.nan, "inf")):
        other[1, 2, 0] = wrong
        with pytest.raises(InputError, match=f"predict nose_tip of sample 2 {distance} pixels away.* at most 0.02 is accepted"):
            check.checked(tried, other, toys.DOTS.names, "sample")


def test_check_accepts_what_rounding_does_to_the_nets_themselves():
    """Where rounding moves their predictions, those of the file may differ by as much, in the median of the images."""
    from pipeline.export import check, check_images

    tried = check_images.CheckImages(images(3), np.zeros((3, 3, 2)), np.array([0.5, 0.5, 0.5]))
    other = tried.keypoints.copy()
    other[1, 2, 0] = 7
    assert check.checked(tried, other, toys.DOTS.names, "sample").endswith(
        "median 0.0000 pixels, where rounding moves them by 0.5000 pixels"
    )
    other[2, 0, 1] = -1
    with pytest.raises(InputError, match=r"half of 3 samples at least one keypoint 1\.000 pixels or more.* at most 0\.5 is accepted"):
        check.checked(tried, other, toys.DOTS.names, "sample")


@pytest.fixture(scope="module")
def tried():
    """Ten steady synthetic images and the predictions of the nets."""
    from pipeline.export import check_images

    return check_images.synthetic(whole(), seed=0, count=10)


def test_synthetic_images_are_the_first_steady_ones(tried):
    """They are taken from two rounds, in their order, and are the same for the same seed."""
    from pipeline.export import check_images

    every = np.concatenate([check_images.drawn(whole(), seed=seed, count=10) for seed in (0, 1)])
    place = [int((every == image).all(axis=(1, 2)).argmax()) for image in tried.images]
    assert tried.steady.all()
    assert place == sorted(set(place))
    np.testing.assert_array_equal(tried.images, every[place])


def shifted(nets):
    """The nets with one offset of a specialist wrong by 0.05 pixels, of which the mean with the base net leaves 0.03."""
    *others, last = nets.chains[0]
    offsets = last.offsets + np.array([0, 0.05], np.float32)
    return dataclasses.replace(nets, chains=((*others, dataclasses.replace(last, offsets=offsets)),))


def unmirrored(nets):
    """The nets without the average with mirror images."""
    return dataclasses.replace(nets, keypointset=UNMIRRORED)


def without_a_specialist(nets):
    return dataclasses.replace(nets, chains=(nets.chains[0][:-1],))


def computed(nets, given):
    """What the graph computes, without building a function."""
    from pipeline.export import graph

    return np.asarray(graph.outputs(given, graph.built(nets), nets.base_share))


@pytest.mark.parametrize("breaking", [shifted, unmirrored, without_a_specialist])
def test_a_broken_graph_is_refused(breaking, tried):
    """An offset that is wrong, mirrored averaging that is left out, and a missing specialist; the message names what differs."""
    from pipeline.export import check

    with pytest.raises(InputError, match=r"The file was not written, because it would predict \w+ of image \d+ \d+\.\d+ pixels away"):
        check.checked(tried, computed(breaking(whole()), tried.images), toys.DOTS.names, "image")


def test_an_intact_graph_is_accepted(tried):
    """Of the whole chain no value of a steady image differs by more than 0.02 pixels."""
    from pipeline.export import check

    assert check.checked(tried, computed(whole(), tried.images), toys.DOTS.names, "image").startswith("10 images: at most 0.0")


def test_the_search_is_left_as_it_was():
    """The nets are compared without the searches for lost and doubtful samples, which take place again afterwards."""
    from pipeline.export import check_images
    from pipeline.inference import elsewhere
    from pipeline.nets import forward

    with check_images.without_search():
        assert max(forward.FEW_LOST, forward.MOST_LOST, elsewhere.FEW, elsewhere.MOST) == 0
    assert min(forward.FEW_LOST, forward.MOST_LOST, elsewhere.FEW, elsewhere.MOST) > 0


@pytest.mark.parametrize("name", ["tfjs", "coreml"])
def test_formats_without_a_converter_are_refused(name):
    """A format that no converter of these versions writes is refused with a sentence that names another one."""
    from pipeline.export import formats

    with pytest.raises(InputError, match=f"--format {name} is not available: .*--format onnx"):
        formats.format_of(name)


def test_missing_packages_are_named(monkeypatch):
    """Without the packages of a format the message has the command that installs them."""
    from pipeline.export import formats

    monkeypatch.setattr(formats.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs tf2onnx, onnx, onnxruntime, which are not installed: pip install 'keypoints\[export\]'"):
        formats.format_of("onnx")


def stored(folder, name, record, images):
    """A finished stage, as a command sees it, with an artifact of these images; the other arrays are random."""
    made = dataclasses.replace(kinds.filled(record, np.random.default_rng(0)), images=images, origin=None)
    with artifacts.writing(path := folder / f"{name.lower()}-0123456789.h5", {"stage": name, "key": "0123456789", "made_from": {}}) as file:
        artifacts.put(file, made)
    return SimpleNamespace(task_family=name, path=path, complete=lambda: True)


@pytest.mark.parametrize(
    ("side", "expected"), [(STORED, "test"), (STORED + 1, "labelled"), (None, "labelled")], ids=["fitting", "larger", "none"]
)
def test_a_run_without_samples_to_predict_is_checked_with_labelled_ones(tmp_path, side, expected):
    """The samples of the check are those to predict or, if none of them fits the nets, labelled ones."""
    labelled, test = images(5, seed=1), images(0 if side is None else 5, side=side or STORED, seed=2)
    stages = [stored(tmp_path, "Load", Dataset, labelled), stored(tmp_path, "LoadTest", UnlabelledSamples, test)]

    found = exporting.samples(stages, whole())

    np.testing.assert_array_equal(found, {"test": test, "labelled": labelled}[expected])
