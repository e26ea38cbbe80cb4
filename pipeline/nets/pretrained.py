"""Nets of keras.applications, which were trained to name what photographs of ImageNet show; and where their weights come from."""

import contextlib
import hashlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
from keras import applications, layers

from pipeline.errors import InputError

SMALLEST = 32  # pixels, side of the images that these nets take, https://keras.io/api/applications/
# The last layer with the net's own channels; behind it begins what is ours.
POOLED = "mean"
SILENCE = 15.0  # seconds in which a server that is asked for weights must say something


@dataclass(frozen=True)
class Application:
    """build: of keras.applications; preprocess: what its net expects of RGB images, 0..255; url, md5: of its weights without the top."""

    build: Callable
    preprocess: Callable
    url: str
    md5: str

    @property
    def file(self) -> str:
        return self.url.rsplit("/", 1)[1]


_PLACE = "https://storage.googleapis.com/tensorflow/keras-applications"
APPLICATIONS = {
    # He et al. 2015, https://arxiv.org/abs/1512.03385
    "resnet50": Application(
        applications.ResNet50,
        applications.resnet50.preprocess_input,
        f"{_PLACE}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "4d473c1dd8becc155b73f8504c6f6626",
    ),
    # Simonyan and Zisserman 2014, https://arxiv.org/abs/1409.1556
    "vgg16": Application(
        applications.VGG16,
        applications.vgg16.preprocess_input,
        f"{_PLACE}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "6d6bbae143d832006294945121d1f1fc",
    ),
}


def trunk(name: str, x, kernels: dict):
    """The net without its top, with fresh weights: grey levels (B, side, side, 1) become the means of its last maps (B, channels).

    kernels: what is said of every kernel, as `keras.layers.Conv2D` takes it.
    """
    if x.shape[1] < SMALLEST:
        raise InputError(f"{name} takes images of at least {SMALLEST} x {SMALLEST} pixels, not {x.shape[1]} x {x.shape[1]}.")
    application = APPLICATIONS[name]
    x = application.preprocess(layers.Concatenate(name="rgb")([x, x, x]))
    net = application.build(include_top=False, weights=None, input_tensor=x)
    for layer in net.layers:
        if isinstance(layer, layers.Conv2D):
            _say(layer.kernel, **kernels)
    return layers.GlobalAveragePooling2D(name=POOLED)(net.output)


def _say(kernel: keras.Variable, kernel_regularizer=None, kernel_initializer=None) -> None:
    kernel.regularizer = kernel_regularizer
    if kernel_initializer:
        kernel.assign(keras.initializers.get(kernel_initializer)(kernel.shape))


def fetched(name: str) -> Path:
    """The file of the net's ImageNet weights in Keras' cache, ~/.keras/models; downloaded if it is not there, InputError if it can't be."""
    application = APPLICATIONS[name]
    try:
        with _impatient():
            return Path(keras.utils.get_file(application.file, application.url, cache_subdir="models", file_hash=application.md5))
    except Exception as error:  # `get_file` raises no narrower one, in place of a URLError
        reason = getattr(error.__context__, "reason", error)
        raise InputError(
            f"The ImageNet weights of {name} can't be downloaded from {application.url} ({reason}):"
            f" fetch {application.file} by hand and give --TrainBase-weights FILE,"
            " or begin with random weights: --TrainBase-initialisation glorot."
        ) from None


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """`get_file` waits for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def load(net: keras.Model, path: Path) -> tuple[list[str], list[str]]:
    """Sets the weights of the net's trunk from the file that Keras publishes. Returns the paths that were (carried over, left new).

    InputError for any other file, before it is opened: files of weights have been used to attack Keras.
    """
    application = APPLICATIONS[net.name]
    if (md5 := _md5(path)) != application.md5:
        raise InputError(f"{path} is not {application.url} (MD5 {md5}, not {application.md5}): fetch that file.")
    if path.name != application.file:
        # Keras goes by the name: of NAME.weights.h5 it would take nothing, with a warning.
        raise InputError(f"{path} must keep its name: call it {application.file}.")
    own = application.build(include_top=False, weights=str(path), input_shape=(SMALLEST, SMALLEST, 3))
    values = {variable.path: variable for variable in own.weights}
    new = [variable.path for variable in net.weights if variable.path not in values]
    for variable in net.weights:
        if variable.path in values:
            variable.assign(values[variable.path])
    return list(values), new


def _md5(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror.lower()}.") from None
