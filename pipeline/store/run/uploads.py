"""When a run uploads to the remote store what the store lacks of its results: at its end, and at the beginning of a shared run.

An artifact is also uploaded as soon as it has been made. That leaves those that were made without the store, or while it was away.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import luigi
from luigi.worker import Worker

from pipeline.errors import InputError
from pipeline.store.run.targets import remote_store


def settle(tasks: Iterable[luigi.Task]) -> None:
    """Uploads the artifacts of tasks, and of all that these need, which the workspace has and the store lacks.

    Raises InputError if the store does not take them.
    """
    if (store := remote_store()) is None:
        return
    paths: dict[str, Path] = {}
    for task in tasks:
        if hasattr(task, "needed_stages") and task.task_id not in paths:  # not a file of the user
            for stage in task.needed_stages():
                with contextlib.suppress(InputError, OSError):  # of files that cannot be read: the run of the stage says it
                    paths[stage.task_id] = stage.path
    store.settle(paths.values())


def _settling(leave: Callable[..., Any]) -> Callable[..., Any]:
    """The `__exit__` of a worker, followed by the uploads: without them, the run has not done all that was asked for."""

    @functools.wraps(leave)
    def wrapped(worker: Worker, kind: type | None, *error: Any) -> Any:
        left = leave(worker, kind, *error)
        if kind is None:
            settle(worker._scheduled_tasks.values())
        return left

    return wrapped


def install() -> None:
    """Lets the workers of this process upload at the end of a build, for which Luigi has no event."""
    worker: Any = Worker
    worker.__exit__ = _settling(worker.__exit__)
