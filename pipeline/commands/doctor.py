"""`keypoints doctor`: checks whether this machine can run the pipeline, also if TensorFlow or Keras is missing (but not without Luigi).

It shows what a run would take from its environment, see `pipeline.environment`.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline import environment
from pipeline.commands.support import kaggle_client
from pipeline.errors import InputError, cause
from pipeline.store.run import interrupts
from pipeline.store.workspace import locks

DISTRIBUTION = "keypoints"
# Bytes. A full run on Kaggle's faces takes about 1.2 GB.
ENOUGH_DISK = 3e9


class Package(NamedTuple):
    """A required package: the installed version, OK, "should be upgraded" or "missing", and the command that mends it."""

    name: str
    installed: str
    verdict: str
    mend: str


def run() -> int:
    """Prints a line for each package, what a run takes from its environment, the devices, and what the current folder allows.

    Returns the exit code: 0 if no package is missing, the backend starts and files can be written and locked here, else 1.
    """
    environment.check_folder()
    print(f"Python {sys.version.split()[0]} at {sys.executable}")
    packages = [_judged(requirement) for requirement in requirements()]
    width = max((len(package.name) for package in packages), default=0)
    for name, installed, verdict, mend in packages:
        print(f"  {name:<{width}}  {installed:<14} {verdict:<20} {mend}".rstrip())
    if not packages:
        print(f"  {DISTRIBUTION} is not installed: {_pip()} -e .")
    print("environment:")
    for name, found in _surroundings():
        print(f"  {name}: {found}")
    devices, starts = _devices()
    print(f"backend: {environment.backend().name}; devices: {devices}")
    refused = _refused()
    print(f"files: {refused or f'can be written and locked in {Path.cwd()}'}")
    free = shutil.disk_usage(Path.cwd()).free
    hint = "" if free > ENOUGH_DISK else f"; a full run needs about {ENOUGH_DISK / 1e9:.0f} GB"
    print(f"disk: {free / 1e9:.1f} GB free in {Path.cwd()}{hint}")
    return 0 if packages and starts and not refused and all(package.verdict != "missing" for package in packages) else 1


def _surroundings() -> Iterator[tuple[str, str]]:
    """What was found in the environment and what it means, in the order in which it is shown."""
    arithmetic = dict.fromkeys(environment.ARITHMETIC, "changes how the backend computes; part of the key")
    for name, meaning in {**environment.VARIABLES, **kaggle_client.VARIABLES, **arithmetic}.items():
        if name in os.environ:
            yield name, f"{'set' if name in kaggle_client.SECRET else os.environ[name]} ({meaning})"
    if ignored := [name for name in environment.IGNORED if name in os.environ]:
        yield "set but ignored", ", ".join(f"{name}={os.environ[name]}" for name in ignored)
    yield "configuration files", ", ".join(map(str, environment.configuration_files())) or "none"
    backend, home = environment.backend(), environment.keras_home()
    yield "Keras backend", f"{backend.name} ({backend.named_by}); always {environment.FLOAT}, {environment.DATA_FORMAT}"
    if home and (home / "keras.json").is_file():
        yield "keras.json", f"{home / 'keras.json'} (only its backend is used)"
    yield "host", environment.host()
    yield "home folder", str(environment.home() or "unknown (needed only for ~ in a path and for ImageNet weights)")
    yield "temporary folder", _temporary_folder()
    yield "permissions of new files", f"{0o666 & ~environment.umask():o} (umask {environment.umask():03o})"
    yield "encoding", f"{sys.getfilesystemencoding()} for file names, {getattr(sys.stdout, 'encoding', None)} for output"
    if ignored := [number.name for number in interrupts.SIGNALS if signal.getsignal(number) is signal.SIG_IGN]:
        yield "ignored signals", f"{', '.join(ignored)} (a run does not end by them)"


def _temporary_folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:
        return "none can be written (needed only by libraries)"


def _refused() -> str:
    """Why files cannot be written or locked in the current folder; "" if they can."""
    try:
        with locks.locked(Path("doctor"), lambda who: None):
            return ""
    except (InputError, OSError) as error:
        return str(cause(error) or error)


def requirements() -> list[str]:
    """The requirements of the installed distribution, without its extras; empty if it is not installed."""
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [line for line in lines if "extra ==" not in line]


def _judged(requirement: str) -> Package:
    name, wanted = re.findall(r"^([\w.-]+)\s*(?:>=\s*([\w.]+))?", requirement)[0]
    try:
        installed = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Package(name, "", "missing", f'{_pip()} "{requirement}"')
    if wanted and _numbers(installed) < _numbers(wanted):
        return Package(name, installed, "should be upgraded", f'{_pip()} --upgrade "{requirement}"')
    return Package(name, installed, "OK", "")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _pip() -> str:
    return f"{sys.executable} -m pip install"


def _devices() -> tuple[str, bool]:
    """The devices that the backend sees, and whether it starts. It runs in a process of its own, which a broken installation may crash."""
    if importlib.util.find_spec("keras") is None:
        return "unknown, because Keras is missing", False
    try:
        environment.check_backend()
    except InputError as error:
        return f"unknown, because the backend does not start: {error}", False
    code = "from pipeline.nets import device; print(device.prepare(seed=0, threads=0))"
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables, check=False)
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no message"])[-1].removeprefix(f"{InputError.__module__}.InputError: ")
        return f"unknown, because the backend does not start: {reason}", False
    return result.stdout.strip(), True
