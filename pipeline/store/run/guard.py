"""The guard around `run`: one writer per artifact, remains of earlier runs are removed first, and each run has its line in the run log."""

import functools
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline import environment, units
from pipeline.errors import InputError
from pipeline.store.cleanup import recovery
from pipeline.store.run import closing, gpus, interrupts
from pipeline.store.run.targets import log_folder
from pipeline.store.workspace import files, locks, partials, runlog

if TYPE_CHECKING:
    from pipeline.store.run.stage import Stage


@dataclass
class RunState:
    """What a stage and its guard know about the run of the stage.

    running: whether `run` is executing.
    unfit: the error of a `Stage.check` of a run that must not begin.
    refusal: an error that `run` raises instead of executing, because Luigi prints errors of `run` best.
    figures: entries for the run log; "result" is also shown to the user.
    """

    running: bool = False
    unfit: InputError | None = None
    refusal: InputError | None = None
    figures: dict[str, Any] = field(default_factory=dict)


# The stages whose `run` is executing in this process, the outermost first: a stage may make others itself.
running: list["Stage"] = []


def guarded(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A `run` that is the only writer of its artifact and does nothing if another process has published the artifact in the meantime."""

    @functools.wraps(run)
    def wrapped(self: "Stage") -> Any:
        if self.run_state.running:
            return run(self)  # called by super().run()
        with interrupts.heeded():
            if self.run_state.refusal:
                _logged(run, self)  # which raises it
            with locks.locked(self.path, lambda who: self.say(f"{who} is making the same artifact; waiting for it")):
                if not self.is_there():
                    _tidy(self)
                    try:
                        _logged(_refused if self.adoption else run, self)
                    except Exception:
                        if locks.is_ours(locks.name_of(self.path)) or not self.output().exists():
                            raise
                        self.say("another host, which does not share locks with this one, has made the same artifact; it is used")
        return None

    return wrapped


def _tidy(stage: "Stage") -> None:
    """Removes what killed writers left in the stage's folder, and quarantines a damaged artifact."""
    files.sweep(stage.path.parent, stage.path.stem)
    recovery.clear(stage.path.parent)
    # Published files without their artifact stay: an unfinished run left them, and this one replaces them.
    if os.path.lexists(stage.path) and not stage.output().exists():  # a host that does not share our locks may have made it just now
        for quarantined in files.quarantine(stage.path, "damaged", but=partials.of(stage.path)):
            stage.say(f"damaged, kept as {quarantined}")


def _refused(stage: "Stage") -> None:
    """Replaces the `run` of a stage whose adopted artifact is missing: other stages of this run would name that artifact as an input."""
    raise InputError(
        f"{stage.path}, adopted {stage.adoption}, is damaged or missing."
        f" Run the command again: it will make {stage.address} with the current code."
    )


def _logged(run: Callable[[Any], Any], stage: "Stage") -> None:
    """Runs a stage and appends to the run log how that ended."""
    stage.say("started")
    stage.run_state.running, started = True, time.monotonic()
    running.append(stage)
    entry: dict[str, Any] = {"event": "stage", "run": closing.run_id(), "stage": stage.address, "key": stage.key}
    if stage.variation:
        entry["variation"] = stage.variation
    if adopted := [f"{adoption.stage}@{adoption.adopted}" for adoption in stage.adopted.values()]:
        entry["adopted"] = adopted
    try:
        if refusal := stage.run_state.unfit or stage.run_state.refusal:
            raise refusal
        if edits := stage.edits():
            raise InputError(f"{'; '.join(edits)} since this process started. Restart it (in a notebook, the kernel) to use the new code.")
        if given := gpus.own():
            stage.say(f"uses {'GPU' if len(given) == 1 else 'GPUs'} {', '.join(given)}")
        stage.set_up()
        run(stage)
    except BaseException as error:
        ending = "interrupted" if interrupts.received() or isinstance(error, KeyboardInterrupt) else getattr(error, "ending", "failed")
        message = f"{error}" if isinstance(error, InputError) else repr(error)
        runlog.append(log_folder(), {**entry, "status": ending, "error": message})
        raise
    finally:
        stage.run_state.running = False
        running.pop()
    seconds, figures = round(time.monotonic() - started, 2), stage.run_state.figures
    runlog.append(log_folder(), {**entry, "status": "done", "seconds": seconds, "peak_mb": _peak_memory(), **figures})
    stage.say(f"done in {units.clock(seconds)}, {stage.path.name}")
    result = figures.get("result", f"done in {units.clock(seconds)}")
    stage.tell_scheduler(1.0, f"{result}; {stage.shown.absolute()} on {environment.host()}")


def _peak_memory() -> int:
    """The largest amount of memory that this process has used so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)
