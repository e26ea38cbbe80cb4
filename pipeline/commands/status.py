"""`keypoints status`: each stage cached, adopted, missing or stale and why, its size, how long it took, and what a run would cost."""

from luigi.task import flatten

from pipeline import units
from pipeline.commands.support import provenance
from pipeline.commands.support.addresses import artifacts_of
from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import recipe
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import workspace_root
from pipeline.store.workspace import runlog


def run(stages: list[Stage]) -> int:
    """Prints a line for each stage, each further reason on one of its own, and what a run would make; 0 if all are there, else 1."""
    seconds = runlog.last_seconds(workspace_root() / "models")
    rows = [_row(stage, seconds) for stage in stages]
    width = max(len(row[0]) for row in rows)
    print(f"{'stage':<{width}}  {'key':<{recipe.KEY_LENGTH}}  {'state':<8}{'size':>9}{'took':>14}  why")
    for name, key, state, size, took, (why, *more) in rows:
        line = f"{name:<{width}}  {key}  {state:<8}{size:>9}{took:>14}  "
        print(f"{line}{why}".rstrip())
        for reason in more:
            print(f"{'':<{len(line)}}{reason}")
    print(_cost(list(_to_make(stages[-1]).values()), seconds) or f"A run would make nothing: all that {stages[-1].address} needs is there.")
    return 0 if all(row[2] in ("cached", "adopted") for row in rows) else 1


def _row(stage: Stage, seconds: dict[str, float]) -> tuple:
    state, why = _state(stage, stage.address in seconds)
    size = units.size(stage.path.stat().st_size) if state in ("cached", "adopted") else ""
    took = seconds.get(f"{stage.address}@{stage.key}" if size else stage.address)
    return stage.address, stage.key, state, size, "" if took is None else units.clock(took), why or [""]


def _state(stage: Stage, ran: bool) -> tuple[str, list[str]]:
    """(cached, adopted, missing, stale or damaged; why, one line each). ran: whether the stage was ever made in the workspace."""
    try:
        artifacts.verify(stage.path)
    except FileNotFoundError:
        return _absent(stage, ran)
    except artifacts.Damaged as error:
        return "damaged", [str(error)]
    remarks = provenance.set_aside_since(stage.path)
    if adopted := [address for address, adoption in stage.adopted.items() if adoption != stage.adoption]:
        remarks = [f"made from adopted {', '.join(adopted)}", *remarks]
    return ("adopted", [f"{stage.adoption}", *remarks]) if stage.adoption else ("cached", remarks)


def _absent(stage: Stage, ran: bool) -> tuple[str, list[str]]:
    if aside := sorted(stage.path.parent.glob(f"{stage.path.name}.*")):
        return "missing", [f"set aside as {aside[-1].name}"]
    if (latest := _latest(stage)) is None:
        return "missing", ["not there any more" if ran else "never made in this workspace"]
    then = artifacts.attributes(latest).get("made_from")
    return "stale", _reasons(stage, then) if then else [f"{latest.name} does not say what it was made from"]


def _reasons(stage: Stage, then: dict) -> list[str]:
    """Why a stage is not what was made from `then`, one line each. An input that only follows from another one is not named."""
    tasks = {name: task for name, task in stage.inputs().items() if then["inputs"].get(name) != task.key}
    causes = {task.task_family for task in tasks.values()}
    following = {name: task.key for name, task in tasks.items() if causes & task.families() - {task.task_family}}
    return recipe.differences(stage.recipe, {**then, "inputs": then["inputs"] | following})


def _latest(stage: Stage):
    """The newest sound artifact of the stage under another key."""
    for path in artifacts_of(stage):
        try:
            artifacts.verify(path)
        except artifacts.Damaged:
            continue
        return path
    return None


def _to_make(stage: Stage) -> dict[str, Stage]:
    """The stages that a run of `stage` would make: those that are not there, and are needed by one that is not."""
    if stage.complete():
        return {}
    needed = [task for task in flatten(stage.requires()) if isinstance(task, Stage)]
    found = {address: made for task in needed for address, made in _to_make(task).items()}
    return found if stage.output().exists() else {**found, stage.address: stage}


def _cost(making: list[Stage], seconds: dict[str, float]) -> str:
    if not making:
        return ""
    known = [seconds[stage.address] for stage in making if stage.address in seconds]
    text = f"A run would make {len(making)} stage{'s' if len(making) > 1 else ''}"
    if not known:
        return f"{text}; how long that takes is not known, none of them ran here before."
    text += f", about {units.about(sum(known))} by the last run's clock"
    never = len(making) - len(known)
    return f"{text}; {never} of them never ran here." if never else f"{text}."
