"""Runs that share a scheduler: several workers, on one host or many, build the same tasks, and luigid gives each stage to one of them.

Luigi's own worker leaves as soon as nothing is left for it to start, and then exits with an error although others finish the work. This one
stays until what it was asked for is there, whoever makes it, and succeeds if and only if it is. It is used where a server is named; without
one, Luigi's own worker and its scheduler within the process are.
"""

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import luigi.interface
from luigi.task import flatten
from luigi.worker import ContextManagedTaskProcess, Worker

from pipeline.errors import InputError
from pipeline.store.run import closing, uploads
from pipeline.store.run.server import Reports, Server, Unreachable
from pipeline.store.run.targets import remote_store, workspace_root
from pipeline.store.workspace import identity
from pipeline.store.workspace.console import say

# Seconds until a file that another host has written must be visible on this one; NFS remembers for up to a minute that it did not exist.
LATENCY = 60.0
# How often a stage may fail before luigid gives it up, unless the configuration sets [scheduler] retry_count.
RETRIES = 3
# How often in a row a worker tells a server that does not know all its tasks about them.
REMINDERS = 3


@dataclass
class _Current:
    """workspace: the identity of the workspace if the build that runs in this process is shared, otherwise ""."""

    workspace: str = ""


_current = _Current()


def workspace() -> str:
    """The identity of the workspace, with which luigid tells its tasks from those of other workspaces; "" if the build is not shared."""
    return _current.workspace


def retries() -> int | None:
    """How often a stage of a shared build may fail before it is given up; None if the build is not shared."""
    return luigi.configuration.get_config().getint("scheduler", "retry_count", RETRIES) if _current.workspace else None


def absent_inputs(task: luigi.Task) -> dict[str, str]:
    """The paths of the inputs of a task that are still missing after LATENCY seconds, by their Luigi names."""
    deadline = time.monotonic() + LATENCY
    inputs = task.deps()
    while inputs := [needed for needed in inputs if not needed.complete()]:
        if time.monotonic() > deadline:
            break
        for output in flatten([needed.output() for needed in inputs]):
            with contextlib.suppress(OSError):
                list(Path(output.path).parent.iterdir())  # lets a network file system look again
        time.sleep(0.5)
    return {needed.task_id: ", ".join(str(output) for output in flatten(needed.output())) for needed in inputs}


class _PatientProcess(ContextManagedTaskProcess):
    """Luigi's process for one stage. It waits for inputs that luigid knows of and this host does not see yet."""

    status_reporter: Reports

    def run(self) -> None:
        try:
            if absent := self._absent():
                error = (
                    f"{', '.join(absent.values())} cannot be seen here, although luigid says that it has been made. Check that all workers"
                    " use one workspace or one remote store, and that this one is not a copy of another with the same"
                    f" models/{identity.NAME}."
                )
                say(error)
                self.result_queue.put((self.task.task_id, "FAILED", error, list(absent), []))
            else:
                super().run()
        finally:
            self.status_reporter.close()

    def _absent(self) -> dict[str, str]:
        try:
            return absent_inputs(self.task)
        except (InputError, OSError):
            return {}  # the run of the stage raises it too, and Luigi prints it best there


class SharedWorker(Worker):
    """A worker of a shared run; see the module."""

    _scheduler: Server

    def __init__(self, scheduler: Server, worker_processes: int, assistant: bool):
        # Instead of Luigi's check, the process of a stage waits for its inputs.
        super().__init__(scheduler=scheduler, worker_processes=worker_processes, assistant=assistant, check_unfulfilled_deps=False)
        self._goals: list[luigi.Task] = []
        self._began = self._told = False
        self._given_up: set[str] = set()
        self._reminders = 0
        self._done_since: float | None = None

    def add(self, task: luigi.Task, multiprocess: bool = False, processes: int = 0) -> bool:
        """Tells luigid about a task and all that it needs. The tasks that are added before the run begins are its goals.

        Before luigid hears that a stage is done, its result is in the remote store, if there is one, where the others look for it.
        """
        if not self._began:
            self._goals.append(task)
            uploads.settle([task])
            self._scheduler.add_worker(self._id, self._worker_info)  # if luigid is away, here, where Luigi prints no traceback
        return bool(super().add(task, multiprocess, processes))

    def run(self) -> bool:
        """Works and waits until the goals are there, or can no longer be reached; returns whether they are there.

        Raises Unreachable if luigid is gone for good and the goals are not there. The stages that this worker runs are finished first.
        """
        self._began = True
        try:
            for task_id in self._disabled():  # a new command is a new attempt
                self._scheduler.re_enable_task(task_id)
                self._scheduler.forgive_failures(task_id)
            super().run()
        except Unreachable:
            for process in self._running_tasks.values():
                if process.is_alive():
                    process.join()
            if not self._is_reached():
                raise
        return self._conclude()

    def _create_task_process(self, task: luigi.Task) -> ContextManagedTaskProcess:
        process: Any = super()._create_task_process(task)
        # The arguments of its constructor differ between versions of Luigi.
        process.__class__ = _PatientProcess
        process.status_reporter = Reports(self._scheduler, task.task_id, self._id, process.status_reporter.scheduler_messages)
        return process

    def _keep_alive(self, get_work_response: Any) -> bool:
        """Whether to ask luigid again, when it has nothing to run at the moment."""
        if self._assistant or self._stop_requesting_work:
            return bool(super()._keep_alive(get_work_response))
        if self._is_reached():
            return False
        if get_work_response.running_tasks:
            if not self._told:
                self._told = True
                say("Waiting for stages that other workers make.")
            return True
        if self._lacks_a_file():
            return False
        if not self.add_succeeded:  # luigid does not know of all tasks
            return self._remind()
        if get_work_response.n_pending_tasks:
            self._reminders, self._done_since = 0, None
            return True
        return self._has_hope()

    def _has_hope(self) -> bool:
        """Whether the goals can still be reached, where luigid knows of nothing to wait for."""
        if disabled := self._disabled():
            self._given_up = disabled
            for task_id in sorted(disabled):
                closing.given_up(f"{getattr(self._scheduled_tasks[task_id], 'title', task_id)} failed: {self._error(task_id)}")
            return False
        if any(goal.task_id in self._scheduler.task_search(goal.task_id).get("DONE", {}) for goal in self._goals):
            self._done_since = self._done_since or time.monotonic()
            if time.monotonic() - self._done_since < LATENCY:
                return True  # another host has just made it
        return self._remind()

    def _remind(self) -> bool:
        """Tells luigid about all tasks again; returns False if that has been in vain too often."""
        self._reminders += 1
        for goal in self._goals:
            self.add(goal)
        return self._reminders < REMINDERS

    def _is_reached(self) -> bool:
        return all(goal.complete() for goal in self._goals)

    def _lacks_a_file(self) -> bool:
        """Whether a file that the user provides is missing."""
        missing = {task for task, status, runnable in self._add_task_history if status == "PENDING" and not runnable}
        return any(not task.complete() for task in missing)

    def _disabled(self) -> set[str]:
        """The tasks of this worker that luigid has given up."""
        return self._scheduled_tasks.keys() & self._scheduler.task_list("DISABLED", "").keys()

    def _error(self, task_id: str) -> str:
        """Why a task failed the last time, in one line."""
        try:
            explanation = json.loads(self._scheduler.fetch_error(task_id)["error"] or '""')
        except ValueError:
            explanation = ""
        return next(iter(str(explanation).strip().splitlines()[-1:]), "its worker died.")

    def _conclude(self) -> bool:
        """Notes how the run ended where Luigi looks for its exit code; returns whether the goals are there."""
        self._get_work_response_history.clear()  # what other workers ran
        if reached := self._is_reached():
            known = [entry for entry in self._add_task_history if entry[1] != "UNKNOWN"]
            self._add_task_history = known + [(task, "DONE", True) for task in self._scheduled_tasks.values()]
        self._add_task_history += [(self._scheduled_tasks[task_id], "FAILED", True) for task_id in self._given_up if not reached]
        return reached


class _Factory(luigi.interface._WorkerSchedulerFactory):
    """What Luigi asks for a scheduler and a worker at the beginning of a build."""

    def create_local_scheduler(self) -> Any:
        _current.workspace = ""
        return super().create_local_scheduler()

    def create_remote_scheduler(self, url: str) -> Server:
        store = remote_store()  # workspaces with one store share their results
        _current.workspace = store.identity if store else identity.of(workspace_root())
        return Server(url)

    def create_worker(self, scheduler: Any, worker_processes: int, assistant: bool = False) -> Worker:
        if isinstance(scheduler, Server):
            return SharedWorker(scheduler, worker_processes, assistant)
        return super().create_worker(scheduler, worker_processes, assistant)


def install() -> None:
    """Lets the builds of this process use `SharedWorker` where a server is named, and upload to a remote store at their end."""
    uploads.install()
    vars(luigi.interface)["_WorkerSchedulerFactory"] = _Factory
