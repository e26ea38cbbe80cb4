"""What a run takes from its environment; everything else it sets itself, so that a user's other programs cannot change a result.

Taken: the variables in `VARIABLES` and `ARITHMETIC`, the configuration files of Luigi, the backend that Keras' own file names, the umask
(new files have the permissions that it allows), the signals SIGINT, SIGTERM and SIGHUP, the terminal (a bar instead of lines), and the name
of the host. No run takes anything from the variables of Kaggle's client; `keypoints kaggle` does, see
`pipeline.commands.support.kaggle_client.VARIABLES`. The client of a remote store takes its credentials from its own variables and files,
which cannot change a result.

Set here: matplotlib's backend and style, Keras' floating-point type, epsilon and data format, and the standard streams if one is closed.
The home folder is needed only for ~ in a path and for the download of ImageNet weights; the temporary folder is used only by libraries.
"""

import configparser
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from pipeline.errors import InputError

# Name -> what it means here.
VARIABLES = {
    "KERAS_BACKEND": "backend of Keras: tensorflow, jax or torch; part of the key",
    "KERAS_HOME": "folder of keras.json and of downloaded ImageNet weights, instead of ~/.keras",
    "LUIGI_CONFIG_PATH": "a further configuration file, such as a preset in configs/",
    "LUIGI_CONFIG_PARSER": "format of the configuration files of Luigi",
    "CUDA_VISIBLE_DEVICES": "GPUs that the backend may use",
}
# Variables that change how a backend computes, and so the last digits of a result or more. Those that are set are part of the key.
ARITHMETIC = (
    *("TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS", "NVIDIA_TF32_OVERRIDE"),
    *("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"),
)
# Variables that could change a result, or stop a training early, without being part of its key. They are removed before Keras starts.
IGNORED = (
    *("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED"),
    *("JAX_ENABLE_X64", "JAX_DEFAULT_DTYPE_BITS", "JAX_DEFAULT_MATMUL_PRECISION", "JAX_NUMPY_DTYPE_PROMOTION", "JAX_NUMPY_RANK_PROMOTION"),
    *("MPLBACKEND", "MATPLOTLIBRC"),
)
# The backends that can train, and the package that each one needs.
BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}
FLOAT, EPSILON, DATA_FORMAT = "float32", 1e-7, "channels_last"

# Settings of our own that replace the user's keras.json and matplotlibrc while these libraries are imported.
_SETTINGS = Path(__file__).parent / "settings"


class Backend(NamedTuple):
    """The name of Keras' backend, and the variable or file that names it."""

    name: str
    named_by: str


# Configuration files


def configuration_files(*, shared: bool = True) -> list[Path]:
    """The existing configuration files that Luigi reads, later ones taking precedence.

    shared: also those of the whole machine, in /etc/luigi.
    """
    names = [*(("/etc/luigi/client.cfg", "/etc/luigi/luigi.cfg") if shared else ()), "client.cfg", "luigi.cfg"]
    preset = os.environ.get("LUIGI_CONFIG_PATH")
    return [path for path in map(Path, [*names, *([preset] if preset else [])]) if path.is_file()]


def entries(file: Path) -> list[tuple[str, str, int]]:
    """Section, name and number of the line of each entry of a configuration file; the name of a section's own line is "".

    Raises InputError, with the number of the line, if the file cannot be read.
    """
    if file.suffix == ".toml":
        return []
    text = _text(file)
    try:
        _Sections().read_string(text)
    except configparser.MissingSectionHeaderError as error:
        raise InputError(f"{file}, line {error.lineno}: there is no section yet. Begin with a line such as [TrainBase].") from None
    except configparser.DuplicateOptionError as error:
        raise InputError(
            f"{file}, line {error.lineno}: {error.option} is set twice in [{error.section}]. Remove one of the lines."
        ) from None
    except configparser.DuplicateSectionError as error:
        raise InputError(f"{file}, line {error.lineno}: there are two sections [{error.section}]. Make them one.") from None
    except configparser.ParsingError as error:
        line, _ = error.errors[0]
        raise InputError(f"{file}, line {line}: this is neither [SECTION] nor NAME = VALUE.") from None
    return _located(text)


def _located(text: str) -> list[tuple[str, str, int]]:
    """See `entries`; the text can be read."""
    found, section = [], ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := configparser.ConfigParser.SECTCRE.match(line):
            section = header["header"]
            found.append((section, "", number))
        elif (entry := _ENTRY.match(line)) and section != "DEFAULT":
            found.append((section, entry[1], number))
    return [entry for entry in found if entry[0] != "DEFAULT"]


# A name in the first column that is no comment; a line that is indented continues the one before.
_ENTRY = re.compile(r"([^\s#;\[][^=:]*?)\s*[=:]")


class _Sections(configparser.ConfigParser):
    """A parser of configuration files that keeps upper and lower case and does not interpret values, as in Luigi."""

    def __init__(self) -> None:
        super().__init__(interpolation=None)

    def optionxform(self, optionstr: str) -> str:
        """The name as it is."""
        return optionstr


def _text(file: Path) -> str:
    """The text of a configuration file, which may begin with a byte order mark. Raises InputError if it cannot be read."""
    try:
        content = file.read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{file}, line {line}: this is not UTF-8. Save the file in that encoding.") from None


@contextlib.contextmanager
def reading_configuration() -> Iterator[None]:
    """A context in which Luigi can be imported, which reads its configuration files.

    They are read as UTF-8 whatever the locale, and may begin with a byte order mark. Luigi's warnings about them are left out:
    what concerns this project is an error later. Raises InputError if one cannot be read.
    """
    for file in configuration_files():
        entries(file)
    parser: Any = configparser.RawConfigParser  # Luigi has no setting for the encoding
    read = parser.read

    def read_as_utf8(self: Any, filenames: Any, encoding: str | None = None) -> list[str]:
        found: list[str] = read(self, filenames, encoding or "utf-8-sig")
        return found

    parser.read = read_as_utf8
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"luigi(\.|$)")
            yield
    except ImportError as error:
        if "pip install luigi[" not in str(error):
            raise
        raise InputError("Luigi reads a TOML file only with a further package: pip install 'luigi[toml]'.") from None
    finally:
        parser.read = read


# Keras


def backend() -> Backend:
    """The backend that Keras will use: that of KERAS_BACKEND, else that of keras.json, else TensorFlow. Keras is not imported."""
    if name := os.environ.get("KERAS_BACKEND"):
        return Backend(name, "KERAS_BACKEND")
    file = (keras_home() or Path()) / "keras.json"
    try:
        settings = json.loads(file.read_text(encoding="utf-8")) if keras_home() else {}
        name = settings.get("backend") if isinstance(settings, dict) else None
    except (OSError, ValueError, RecursionError):
        name = None
    return Backend(name, str(file)) if isinstance(name, str) and name else Backend("tensorflow", "the default")


def check_backend() -> Backend:
    """The backend. Raises InputError, which names the variable or the file, if it cannot train or is not installed."""
    found = backend()
    choices = "KERAS_BACKEND to tensorflow, jax or torch"
    if found.name not in BACKENDS:
        raise InputError(f"{found.named_by} names the backend {found.name!r}, which cannot train here. Set {choices}.")
    if importlib.util.find_spec(BACKENDS[found.name]) is None:
        raise InputError(f"{found.named_by} names the backend {found.name}, which is not installed. Install it, or set {choices}.")
    return found


def keras_home() -> Path | None:
    """The folder with keras.json and downloaded weights; None if there is neither KERAS_HOME nor a home folder."""
    if named := os.environ.get("KERAS_HOME"):
        return Path(named)
    own = home()
    return own / ".keras" if own else None


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """A context in which Keras and matplotlib can be imported with our settings instead of the user's.

    Afterwards the variables are those of the user again, for the programs that this one starts.
    """
    ours = {
        "KERAS_HOME": str(_SETTINGS),
        "KERAS_BACKEND": backend().name,
        "MPLBACKEND": "agg",
        "MATPLOTLIBRC": str(_SETTINGS / "matplotlibrc"),
    }
    before = {name: os.environ.get(name) for name in {*ours, *IGNORED}}
    for name in IGNORED:
        os.environ.pop(name, None)
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def settle_keras() -> None:
    """Sets what a user's keras.json or program may have set otherwise in this process. Keras must have been imported.

    Raises InputError if this process already uses another backend than the one that the key names.
    """
    import keras

    found = backend()
    if (running := keras.config.backend()) != found.name:
        raise InputError(f"Keras already runs on {running} in this process, but {found.named_by} names {found.name}. Start a new process.")
    keras.config.set_floatx(FLOAT)
    keras.config.set_epsilon(EPSILON)
    keras.config.set_image_data_format(DATA_FORMAT)
    keras.config.set_dtype_policy(FLOAT)
    for limit in ("set_max_epochs", "set_max_steps_per_epoch"):
        if setter := getattr(keras.config, limit, None):  # not in all supported versions
            setter(None)
    if running == "jax":
        import jax

        jax.config.update("jax_enable_x64", False)
        jax.config.update("jax_default_matmul_precision", None)


# matplotlib


def import_matplotlib() -> None:
    """Imports matplotlib for drawing into files, whatever backend a notebook or a desktop has set for its own figures."""
    with own_settings():
        import matplotlib  # noqa: F401


# Processes


@functools.cache
def host() -> str:
    """The name of this host in file names: lower-case letters, digits and "-", at most 30 characters, different for different hosts.

    In containers the name is that of the container, where the number of every first process is 1.
    """
    name = platform.node().lower()
    label = re.sub(r"[^a-z0-9]+", "-", name.split(".")[0]).strip("-") or "host"
    return label if len(label) <= 30 else f"{label[:21].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def process() -> str:
    """HOST-PID, which distinguishes this process from those of other hosts and containers that use the same workspace."""
    return f"{host()}-{os.getpid()}"


def end(error: InputError) -> NoReturn:
    """Ends a command that cannot even be imported with one sentence and its exit code; raises the error in any other program."""
    commands = {"keypoints": 2, "-m": 2, "luigi": 40}
    if (code := commands.get(Path(sys.argv[0]).name)) is None:
        raise error
    if sys.stderr is not None:
        print(error, file=sys.stderr)
    sys.exit(code)


def open_standard_streams() -> None:
    """Opens /dev/null in place of standard streams that are closed. Otherwise the next file would get the number of one of them."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number


def check_folder() -> None:
    """Raises InputError if the current folder has been deleted."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise InputError("The current folder no longer exists. Change to another folder, and run the command there.") from None


def home() -> Path | None:
    """The home folder of the user; None if it is unknown: a process may have a user number without a name, and no HOME."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def umask() -> int:
    """The permissions that new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
