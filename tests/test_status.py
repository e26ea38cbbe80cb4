"""`keypoints status`: why a stage is stale, one line for each reason, and what a run would cost."""

import pytest
from workplace import make

from pipeline import units
from pipeline.commands import forget, inspect, status
from pipeline.store.workspace import runlog


def told(workplace, capsys, **parameters):
    """The exit code, what the table says of each stage (key, state, reasons), and the last line."""
    stages = list(reversed(workplace.chain(**parameters).values()))
    capsys.readouterr()
    code = status.run(stages)
    head, *lines, last = capsys.readouterr().out.splitlines()
    found = {}
    for line in lines:
        if not line.startswith(" "):
            name, key, state = line.split()[:3]
            found[name] = (key, state, [])
        if reason := line[head.index("why") :]:
            found[name][2].append(reason)
    return code, found, last


def log(workplace, **seconds):
    for stage, value in seconds.items():
        runlog.append(workplace.root / "models", {"event": "stage", "stage": stage, "key": "x", "status": "done", "seconds": value})


@pytest.fixture
def made(workplace):
    """The stages of a finished chain."""
    stages = workplace.chain()
    make(stages["Total"])
    return stages


def test_a_finished_chain(workplace, made, capsys):
    """Everything is cached, a run would compute nothing, and the exit code is 0."""
    code, rows, last = told(workplace, capsys)
    assert code == 0
    assert rows == {address: (stage.key, "cached", []) for address, stage in made.items()}
    assert last == "A run would compute nothing: Total has everything that it needs."


def test_each_reason_has_a_line(workplace, made, capsys):
    """Changed parameters, code and inputs have a line each; an input that only follows from another one is not named."""
    workplace.edit("tasks", "POWER = 1", "POWER = 2")
    workplace.edit("tasks", 'work.hook("Picture")', 'work.hook("Picture as well")')
    code, rows, _ = told(workplace, capsys, overrides={"Scale": {"factor": 3}, "Draw": {"size": 4}})
    assert code == 1
    assert rows["Draw"][1:] == ("stale", ["size 3 -> 4"])
    assert rows["Scale"][1:] == ("stale", ["factor 2.0 -> 3.0", "code of tasks.Scaling changed", "its input Draw changed"])
    assert rows["Guess"][1:] == ("stale", ["its input Draw changed"])
    assert rows["Picture"][1:] == ("stale", ["code of tasks.Picture changed", "its input Scale changed"])
    assert rows["Total"][1:] == ("stale", ["its input Guess changed", "its input Scale changed"])


def test_an_input_that_follows_is_not_named(workplace, made, capsys):
    """If Total is made from Draw too, the reason is the change of Draw, not those of Guess and Scale that follow from it."""
    workplace.edit("tasks", '"guessed": Guess(), ', '"guessed": Guess(), "drawn": Draw(), ')
    workplace.edit("tasks", "assert len(self.requires()) == 3", "")
    make(workplace.chain()["Total"])
    _, rows, _ = told(workplace, capsys, overrides={"Draw": {"size": 4}})
    assert rows["Total"][1:] == ("stale", ["its input Draw changed"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ({}, "A run would compute 3 stages; the duration is unknown, because none of them has run here before."),
        ({"Scale": 600, "Picture": 61, "Total": 599}, "A run would compute 3 stages and take about 21 min, judged by the last runs."),
        (
            {"Scale": 4000, "Total": 6800},
            "A run would compute 3 stages and take about 3 hours, judged by the last runs; 1 of them has never run here.",
        ),
        (
            {"Guess": 5000, "Scale": 7, "Picture": 0, "Total": 0.2},
            "A run would compute 3 stages and take about 7 s, judged by the last runs.",
        ),
    ],
)
def test_what_a_run_would_cost(workplace, made, capsys, seconds, text):
    """The cost is the sum of the last durations of the stages that would run, whatever their keys were."""
    (workplace.root / "models" / runlog.NAME).unlink()
    log(workplace, **dict.fromkeys(seconds, 1e6))
    log(workplace, **seconds)
    assert told(workplace, capsys, overrides={"Scale": {"factor": 3}})[2] == text


def test_what_no_stage_asks_for_costs_nothing(workplace, made, capsys):
    """A missing stage would not be computed if everything made from it exists."""
    made["Draw"].path.unlink()
    code, rows, last = told(workplace, capsys)
    assert code == 1
    assert rows["Draw"][1:] == ("missing", ["no longer exists"])
    assert last == "A run would compute nothing: Total has everything that it needs."


def test_an_empty_workspace(workplace, capsys):
    """Every stage is missing, and the duration of a run is unknown."""
    code, rows, last = told(workplace, capsys)
    assert code == 1
    assert {(state, *why) for _, state, why in rows.values()} == {("missing", "never computed in this workspace")}
    assert last == "A run would compute 5 stages; the duration is unknown, because none of them has run here before."


def test_a_companion_alone(workplace, made, capsys):
    """If Total exists but its companion does not, a run would compute one stage."""
    made["Picture"].path.unlink()
    log(workplace, Picture=3)
    assert told(workplace, capsys)[2] == "A run would compute 1 stage and take about 3 s, judged by the last runs."


def test_what_is_set_aside(workplace, made, capsys):
    """A forgotten stage is shown as quarantined; so is the input of an artifact that was restored, also by inspect."""
    forget.run("Scale", list(made.values()))
    aside = made["Scale"].path.name + ".forgotten-1"
    _, rows, _ = told(workplace, capsys)
    assert rows["Scale"][1:] == ("missing", [f"quarantined as {aside}"])
    total = made["Total"].path
    total.with_name(f"{total.name}.forgotten-1").rename(total)
    _, rows, _ = told(workplace, capsys)
    said = f"made from Scale@{made['Scale'].key}, which is quarantined as {aside}"
    assert rows["Total"][1:] == ("cached", [said])
    inspect.run("Total", list(made.values()))
    assert f"but         {said}" in capsys.readouterr().out
    make(workplace.chain()["Total"])
    make(workplace.chain()["Scale"])
    assert told(workplace, capsys)[1]["Total"][1:] == ("cached", [])


def test_units():
    """About three digits are shown, in the unit that fits."""
    assert [units.size(n) for n in (0, 999, 1000, 46_324, 2_438_236, 1.25e9)] == ["0 B", "999 B", "1.0 kB", "46.3 kB", "2.4 MB", "1.2 GB"]
    assert units.size(999_960) == "1.0 MB"  # not 1000.0 kB
    assert [units.clock(n) for n in (0.4, 59.6, 61, 3725)] == ["0 s", "1 min 00 s", "1 min 01 s", "1 h 02 min"]
    assert [units.about(n) for n in (0.4, 119, 120, 1260, 7200, 90_000, 200_000)] == [
        "0 s",
        "119 s",
        "2 min",
        "21 min",
        "2 hours",
        "25 hours",
        "2 days",
    ]
