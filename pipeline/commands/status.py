"""`keypoints status`: each stage cached, missing or stale and why, its size, how long it took."""

from pipeline.store import artifacts, checkpoints, lineage, runlog
from pipeline.store.stage import Stage
from pipeline.store.targets import workspace_root


def run(stages: list[Stage]) -> int:
    """Prints a line for each stage; 0 if all are cached, else 1."""
    log = runlog.entries(workspace_root() / "models")
    rows = [_row(stage, log) for stage in stages]
    width = max(len(row[0]) for row in rows)
    print(f"{'stage':<{width}}  {'key':<{lineage.KEY_LENGTH}}  {'state':<8}{'size':>9}{'took':>9}  why")
    for name, key, state, size, took, why in rows:
        print(f"{name:<{width}}  {key}  {state:<8}{size:>9}{took:>9}  {why}".rstrip())
    return 0 if all(row[2] == "cached" for row in rows) else 1


def _row(stage: Stage, log: list[dict]) -> tuple[str, ...]:
    state, why = _state(stage)
    size = f"{stage.path.stat().st_size / 1e6:.1f} MB" if state == "cached" else ""
    times = [
        e["seconds"]
        for e in log
        if e.get("stage") == stage.address and e.get("status") == "done" and (state != "cached" or e["key"] == stage.key)
    ]
    return stage.address, stage.key, state, size, _clock(times[-1]) if times else "", why


def _state(stage: Stage) -> tuple[str, str]:
    """(cached, missing, stale or damaged; why)."""
    try:
        artifacts.verify(stage.path)
        return "cached", ""
    except FileNotFoundError:
        pass
    except artifacts.Damaged as error:
        return "damaged", str(error)
    if (latest := _latest(stage)) is None:
        return "missing", "never made in this workspace"
    reasons = lineage.differences(stage.recipe, artifacts.attributes(latest)["made_from"])
    return "stale", "; ".join(reasons) or "its key differs"


def _latest(stage: Stage):
    """The newest sound artifact of the stage under another key."""
    others = sorted(stage.path.parent.glob(f"{stage.stem}-*.h5"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others:
        try:
            if not checkpoints.artifact_of(path) and artifacts.attributes(path).get("stage") == stage.address:
                return path
        except artifacts.Damaged:
            continue
    return None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
