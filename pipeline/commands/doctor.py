"""`keypoints doctor`: is this machine fit for the pipeline? Works where TensorFlow or Keras is missing; without Luigi nothing starts."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.store.keys import recipe

DISTRIBUTION = "keypoints"
# A full run on Kaggle's faces leaves about 1.2 GB.
ENOUGH_DISK = 3e9


def run() -> int:
    """Prints a line for each package, then the devices and the disk space; 0 if nothing is missing and the backend starts, else 1."""
    print(f"Python {sys.version.split()[0]} at {sys.executable}")
    rows = [_judged(requirement) for requirement in requirements()]
    width = max((len(name) for name, *_ in rows), default=0)
    for name, installed, verdict, mend in rows:
        print(f"  {name:<{width}}  {installed:<14} {verdict:<20} {mend}".rstrip())
    if not rows:
        print(f"  {DISTRIBUTION} is not installed: {_pip()} -e .")
    devices, starts = _devices()
    print(f"backend: {recipe.backend()['backend']}; devices: {devices}")
    free = shutil.disk_usage(Path.cwd()).free
    print(
        f"disk: {free / 1e9:.1f} GB free in {Path.cwd()}"
        + ("" if free > ENOUGH_DISK else f"; a full run needs about {ENOUGH_DISK / 1e9:.0f} GB")
    )
    return 0 if rows and starts and all(verdict != "missing" for _, _, verdict, _ in rows) else 1


def requirements() -> list[str]:
    """What the installed distribution says it needs, extras left out; empty if it is not installed."""
    try:
        lines = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [line for line in lines if "extra ==" not in line]


def _judged(requirement: str) -> tuple[str, str, str, str]:
    """(package, installed version, OK / should be upgraded / missing, the command that mends it)."""
    name, wanted = re.match(r"([\w.-]+)\s*(?:>=\s*([\w.]+))?", requirement).groups()
    try:
        installed = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return name, "", "missing", f'{_pip()} "{requirement}"'
    if wanted and _numbers(installed) < _numbers(wanted):
        return name, installed, "should be upgraded", f'{_pip()} --upgrade "{requirement}"'
    return name, installed, "OK", ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _pip() -> str:
    return f"{sys.executable} -m pip install"


def _devices() -> tuple[str, bool]:
    """What the backend sees, and whether it starts; asked in a process of its own: a broken installation can end it."""
    if importlib.util.find_spec("keras") is None:
        return "unknown, keras is missing", False
    code = "from pipeline.nets import device; print(device.prepare(seed=0, threads=0))"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    if result.returncode:
        return f"unknown, the backend does not start: {(result.stderr.strip().splitlines() or ['no message'])[-1]}", False
    return result.stdout.strip(), True
