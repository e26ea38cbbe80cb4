"""`keypoints doctor`: checks whether this machine can run the pipeline, also if TensorFlow or Keras is missing (but not without Luigi)."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from pipeline.store.keys import provenance

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
    """Prints a line for each package, then the devices and the free disk space.

    Returns the exit code: 0 if no package is missing and the backend starts, else 1.
    """
    print(f"Python {sys.version.split()[0]} at {sys.executable}")
    packages = [_judged(requirement) for requirement in requirements()]
    width = max((len(package.name) for package in packages), default=0)
    for name, installed, verdict, mend in packages:
        print(f"  {name:<{width}}  {installed:<14} {verdict:<20} {mend}".rstrip())
    if not packages:
        print(f"  {DISTRIBUTION} is not installed: {_pip()} -e .")
    devices, starts = _devices()
    print(f"backend: {provenance.backend()['backend']}; devices: {devices}")
    free = shutil.disk_usage(Path.cwd()).free
    hint = "" if free > ENOUGH_DISK else f"; a full run needs about {ENOUGH_DISK / 1e9:.0f} GB"
    print(f"disk: {free / 1e9:.1f} GB free in {Path.cwd()}{hint}")
    return 0 if packages and starts and all(package.verdict != "missing" for package in packages) else 1


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
    code = "from pipeline.nets import device; print(device.prepare(seed=0, threads=0))"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    if result.returncode:
        return f"unknown, because the backend does not start: {(result.stderr.strip().splitlines() or ['no message'])[-1]}", False
    return result.stdout.strip(), True
