"""Nets of keras.applications that were trained to classify the photographs of ImageNet, and the download of their weights."""

import contextlib
import hashlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import applications, layers

from pipeline import environment
from pipeline.errors import InputError

SMALLEST = 32  # smallest width and height of the images that these nets take, pixels, https://keras.io/api/applications/
POOLED = "mean"  # name of the layer at the end of the trunk, behind which this project's own layers begin
SILENCE = 15.0  # seconds within which the server must respond


@dataclass(frozen=True)
class Application:
    """A net of keras.applications.

    build: its function in keras.applications. preprocess: converts RGB images, 0..255, to the net's input. url, md5: address and checksum
    of the file with its weights without the top.
    """

    build: Callable[..., keras.Model]
    preprocess: Callable[[Any], Any]
    url: str
    md5: str

    @property
    def file(self) -> str:
        """The name of the file with the weights."""
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


def trunk(name: str, x: Any, kernels: dict[str, Any]) -> Any:
    """Applies the net without its top, with fresh weights, to the symbolic tensor `x`.

    x: grey levels (B, side, side, 1) or RGB (B, side, side, 3). Returns the means of the net's last feature maps, (B, channels). kernels:
    options for every kernel, by their names in `keras.layers.Conv2D`. Raises InputError if the images are too small.
    """
    if x.shape[1] < SMALLEST:
        raise InputError(f"{name} takes images of at least {SMALLEST} x {SMALLEST} pixels, not {x.shape[1]} x {x.shape[1]}.")
    application = APPLICATIONS[name]
    x = application.preprocess(layers.Concatenate(name="rgb")([x, x, x]) if x.shape[-1] == 1 else x)
    net = application.build(include_top=False, weights=None, input_tensor=x)
    for layer in net.layers:
        if isinstance(layer, layers.Conv2D):
            _configure(layer.kernel, **kernels)
    return layers.GlobalAveragePooling2D(name=POOLED)(net.output)


def _configure(kernel: keras.Variable, kernel_regularizer: Any = None, kernel_initializer: Any = None) -> None:
    kernel.regularizer = kernel_regularizer
    if kernel_initializer:
        kernel.assign(keras.initializers.get(kernel_initializer)(kernel.shape))


def fetched(name: str) -> Path:
    """The path of the net's ImageNet weights in Keras' cache, ~/.keras/models, after downloading them if necessary.

    Raises InputError if the download fails.
    """
    application = APPLICATIONS[name]
    try:
        with _timeout():
            where = {"cache_dir": str(_cache(name)), "cache_subdir": "models"}
            return Path(keras.utils.get_file(application.file, application.url, file_hash=application.md5, **where))
    except InputError:
        raise
    except Exception as error:  # `get_file` replaces a URLError by a plain Exception
        reason = getattr(error.__context__, "reason", error)
        raise InputError(
            f"The ImageNet weights of {name} cannot be downloaded from {application.url} ({reason})."
            f" Download {application.file} by hand and pass it with --TrainBase-weights FILE,"
            " or start from random weights with --TrainBase-initialisation glorot."
        ) from None


def _cache(name: str) -> Path:
    """The folder below which downloaded weights are kept. Raises InputError if there is none."""
    if (home := environment.keras_home()) is None:
        raise InputError(
            f"There is no home folder in which to keep the ImageNet weights of {name}."
            " Let the variable KERAS_HOME name a folder, or pass the weights with --TrainBase-weights FILE."
        )
    return home


@contextlib.contextmanager
def _timeout() -> Iterator[None]:
    """Limits how long a server may stay silent; `get_file` on its own would wait forever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def load(net: keras.Model, path: Path) -> tuple[list[str], list[str]]:
    """Loads the weights of the net's trunk from the file that Keras publishes.

    Returns (paths of the weights that were carried over, paths of the new ones). Raises InputError for any other file before opening it,
    because files of weights have been used to attack Keras.
    """
    application = APPLICATIONS[net.name]
    if (md5 := _md5(path)) != application.md5:
        raise InputError(f"{path} is not the file from {application.url}: its MD5 is {md5} instead of {application.md5}. Use that file.")
    if path.name != application.file:
        # Keras infers the format from the name: from NAME.weights.h5 it would load nothing, with only a warning.
        raise InputError(f"{path} must have its original name. Rename it to {application.file}.")
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
        raise InputError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from None
