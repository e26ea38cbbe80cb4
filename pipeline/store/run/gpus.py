"""A GPU of its own for each process that Luigi starts with `--workers N`.

A backend takes the first GPU that it sees, and TensorFlow and JAX reserve nearly all memory of those that they see. Therefore each
process sees only its own: `CUDA_VISIBLE_DEVICES` is set in it before the backend starts. A worker that runs its stages in its own process,
as it does without `--workers`, sees what the user lets it see.
"""

import functools
import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from luigi.worker import Worker

VARIABLE = "CUDA_VISIBLE_DEVICES"
DEVICES = Path("/dev")


def visible() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them. No driver is asked, and no backend is imported."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        given = [name.strip() for name in named.split(",")]
        return [name for name in given if name and name != "-1"]
    count = sum(bool(re.fullmatch(r"nvidia\d+", path.name)) for path in DEVICES.glob("nvidia*"))
    return [str(number) for number in range(count)]


def least_used(gpus: list[str], others: Iterable[tuple[str, ...]], count: int) -> tuple[str, ...]:
    """The `count` GPUs that the fewest of the `others` use, in the order of `gpus`; all of them if there are not more."""
    used = Counter(name for own in others for name in own)
    chosen = sorted(gpus, key=lambda name: used[name])[:count]
    return tuple(name for name in gpus if name in chosen)


def own() -> tuple[str, ...]:
    """Lets the backend see only the GPUs that this process has been given, and returns them; none if none has been given to it."""
    given: tuple[str, ...] = getattr(multiprocessing.current_process(), "gpus", ())
    if given:
        os.environ[VARIABLE] = ",".join(given)
    return given


def _with_gpus(create: Callable[..., Any]) -> Callable[..., Any]:
    """The method of a worker that creates the process of a stage, which also gives GPUs to the process."""

    @functools.wraps(create)
    def wrapped(worker: Any, task: Any) -> Any:
        process = create(worker, task)
        if process.use_multiprocessing and len(found := visible()) > 1:
            others = [getattr(other, "gpus", ()) for other in worker._running_tasks.values() if other.is_alive()]
            process.gpus = least_used(found, others, getattr(task, "gpus", 1))
        return process

    return wrapped


# Luigi has no setting for this.
_worker: Any = Worker
_worker._create_task_process = _with_gpus(_worker._create_task_process)
