"""`keypoints status`: shows the state of each stage and its reasons, its size and duration, and what a run would cost."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from luigi.task import flatten

from pipeline import units
from pipeline.commands.support import ancestry
from pipeline.commands.support.addresses import artifacts_of
from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import provenance
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import ExternalFile, remote_store, workspace_root
from pipeline.store.workspace import runlog
from pipeline.tasks.corrected import corrected_dataset


class Row(NamedTuple):
    """A stage as the table shows it.

    title: its address, and what distinguishes it from others there. state: cached, adopted, stored, missing, stale or damaged. reasons:
    one line each, at least one.
    """

    title: str
    key: str
    state: str
    size: str
    duration: str
    reasons: list[str]


def run(stages: list[Stage]) -> int:
    """Prints a line for each stage, each further reason on a line of its own, and which stages a run would compute.

    Returns the exit code: 0 if every stage has its artifact, here or in the remote store, else 1.
    """
    seconds = runlog.last_seconds(workspace_root() / "models")
    alike = Counter(stage.address for stage in stages)
    rows = [_row(stage, stage.title if alike[stage.address] > 1 else stage.address, seconds) for stage in stages]
    width = max(len(row.title) for row in rows)
    print(f"{'stage':<{width}}  {'key':<{provenance.KEY_LENGTH}}  {'state':<8}{'size':>9}{'took':>14}  why")
    for title, key, state, size, duration, (why, *more) in rows:
        line = f"{title:<{width}}  {key}  {state:<8}{size:>9}{duration:>14}  "
        print(f"{line}{why}".rstrip())
        for reason in more:
            print(f"{'':<{len(line)}}{reason}")
    last, corrected = stages[-1], corrected_dataset().label_corrections()
    if corrected.note:
        print(f"warning: {corrected.note}")
    if count := len(corrected.effective):
        print(f"{units.counted(count, 'correction')} of labels: {corrected.path}")
    print(_cost(list(_to_compute(last).values()), seconds) or f"A run would compute nothing: {last.address} has everything that it needs.")
    return 0 if all(row.state in ("cached", "adopted", "stored") for row in rows) else 1


def _row(stage: Stage, title: str, seconds: dict[str, float]) -> Row:
    state, reasons = _state(stage, stage.address in seconds)
    size = units.size(stage.path.stat().st_size) if state in ("cached", "adopted") else ""
    took = seconds.get(f"{stage.address}@{stage.key}" if size else stage.address)
    return Row(title, stage.key, state, size, "" if took is None else units.clock(took), reasons or [""])


def _state(stage: Stage, has_run: bool) -> tuple[str, list[str]]:
    """The state of a stage and its reasons, one line each; `has_run` tells whether it was ever computed in this workspace."""
    try:
        artifacts.verify(stage.path)
    except FileNotFoundError:
        return _absent(stage, has_run)
    except artifacts.Damaged as error:
        return "damaged", [str(error)]
    remarks = ancestry.quarantined_since(stage.path)
    if adopted := [address for address, adoption in stage.adopted.items() if adoption != stage.adoption]:
        remarks = [f"made from adopted {', '.join(adopted)}", *remarks]
    return ("adopted", [f"{stage.adoption}", *remarks]) if stage.adoption else ("cached", remarks)


def _absent(stage: Stage, has_run: bool) -> tuple[str, list[str]]:
    """The state of a stage without an artifact in the workspace: stored, missing or stale."""
    if (store := remote_store()) and store.has(stage.path):
        return "stored", [f"in {store.url}; a run fetches it if it needs it"]
    if quarantined := sorted(stage.path.parent.glob(f"{stage.path.name}.*")):
        return "missing", [f"quarantined as {quarantined[-1].name}"]
    if (latest := _latest(stage)) is None:
        return "missing", ["no longer exists" if has_run else "never computed in this workspace"]
    then = artifacts.attributes(latest).get("made_from")
    if gone := _missing_files(stage):
        return "missing", [f"cannot be checked, because {', '.join(gone)} {'is' if len(gone) == 1 else 'are'} missing"]
    return "stale", _reasons(stage, then) if then else [f"{latest.name} does not say what it was made from"]


def _missing_files(stage: Stage) -> list[str]:
    """The files of the user that a stage reads and that do not exist."""
    return [lacking for task in flatten(stage.requires()) if isinstance(task, ExternalFile) and (lacking := task.lacking())]


def _reasons(stage: Stage, then: dict[str, Any]) -> list[str]:
    """The differences between a stage's provenance and `then`, one line each; inputs that only follow from another one are left out."""
    tasks = {name: task for name, task in stage.inputs().items() if then["inputs"].get(name) != task.key}
    causes = {task.task_family for task in tasks.values()}
    following = {name: task.key for name, task in tasks.items() if causes & task.families() - {task.task_family}}
    return provenance.differences(stage.provenance, {**then, "inputs": then["inputs"] | following})


def _latest(stage: Stage) -> Path | None:
    """The newest undamaged artifact of the stage under another key."""
    for path in artifacts_of(stage):
        try:
            artifacts.verify(path)
        except artifacts.Damaged:
            continue
        return path
    return None


def _to_compute(stage: Stage) -> dict[str, Stage]:
    """The stages that a run of `stage` would compute, by task id: those without an artifact that is needed for one that has none."""
    if _is_stored(stage) or stage.complete():
        return {}
    needed = [task for task in flatten(stage.requires()) if isinstance(task, Stage)]
    found = {name: computed for task in needed for name, computed in _to_compute(task).items()}
    return found if stage.output().exists() else {**found, stage.task_id: stage}


def _is_stored(stage: Stage) -> bool:
    """Whether a run would find everything of a stage in the workspace or in the remote store; unlike `complete`, this fetches nothing."""
    if (store := remote_store()) is None or not (stage.output().exists() or store.has(stage.path)):
        return False
    return all(_is_stored(task) for task in flatten(stage.requires()) if getattr(task, "companion", False))


def _cost(computed: list[Stage], seconds: dict[str, float]) -> str:
    if not computed:
        return ""
    known = [seconds[stage.address] for stage in computed if stage.address in seconds]
    text = f"A run would compute {units.counted(len(computed), 'stage')}"
    if not known:
        return f"{text}; the duration is unknown, because none of them has run here before."
    text += f" and take about {units.about(sum(known))}, judged by the last runs"
    unknown = len(computed) - len(known)
    return f"{text}; {unknown} of them {'has' if unknown == 1 else 'have'} never run here." if unknown else f"{text}."
