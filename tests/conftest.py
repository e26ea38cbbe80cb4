"""Fixtures."""

import functools
import os
import sys
import sysconfig

import pytest
from workplace import Workplace, forget_chainlet

from pipeline.store.hdf5 import artifacts
from pipeline.store.workspace import console

# As in an activated environment: messages name the programs by their bare names.
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])


def pytest_configure(config):
    """pytest-xdist hands out the modules in the order of `pytest_collection_modifyitems`, not those with the most tests first."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(config, items):
    """Where several processes share the modules, those with slow tests come first, so that at the end no process waits long for another."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


def pytest_runtest_setup(item):
    """TensorFlow's threads are fixed when it first computes: a test that builds a net must not do so before `device.prepare`."""
    if item.get_closest_marker("keras"):
        _prepare_backend()


@functools.cache
def _prepare_backend():
    from pipeline.nets import device

    device.prepare(seed=0, threads=0)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with a copy of the small chain `chainlet`; it is the current folder and first on the import path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    # Paths are relative: what one test's process remembers of them must not reach the next.
    monkeypatch.setattr(artifacts, "_verified", {})
    monkeypatch.setattr(console, "_warned", set())
    yield Workplace(tmp_path)
    forget_chainlet()
