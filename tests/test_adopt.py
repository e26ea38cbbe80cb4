"""Results kept although their code has changed: which can be adopted, what follows from it, and where it is shown."""

import json
import shutil

import pytest
from workplace import make

from pipeline.commands import adopt, forget, inspect, status
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts
from pipeline.store.keys import provenance
from pipeline.store.workspace import runlog

# Edits of code that is used only by Scale, only by Total, and by all stages.
SCALE = ("tasks", "POWER = 1", "POWER = 2")
TOTAL = ("tasks", "assert len(self.requires()) == 3", "assert len(self.requires()) == 3, self")
ALL = ("deep", "UNIT = 1.0", "UNIT = 1.5")


@pytest.fixture
def made(workplace):
    """The keys of a finished chain."""
    make(workplace.chain()["Total"])
    return workplace.keys()


def staged(workplace, **parameters):
    """The stages as their code is now, inputs first."""
    return list(reversed(workplace.chain(**parameters).values()))


def records(workplace):
    return sorted(path.name for path in workplace.root.glob("models/adopted/*"))


def said(capsys, command, *arguments):
    capsys.readouterr()
    command.run(*arguments)
    return capsys.readouterr().out


def test_an_adopted_result_counts_as_current(workplace, made, capsys):
    """After an edit of Scale and its adoption everything is up to date: no key changes and nothing has to run."""
    workplace.edit(*SCALE)
    assert not workplace.chain()["Scale"].complete()
    assert f"adopted: Scale@{made['Scale']}, on 2" in said(capsys, adopt, "Scale", staged(workplace))
    assert workplace.keys() == made
    done = workplace.run("Total")
    assert done.returncode == 0
    assert "Nothing to do" in done.stderr
    assert "\nAdopted, made with different code: Scale.\n" in done.stderr


def test_the_record(workplace, made):
    """It holds stage, both keys, date and the changes in a file of its own; deleting that file makes the stage stale again."""
    workplace.edit(*SCALE)
    stale = workplace.keys()
    adopt.run("Scale", staged(workplace))
    (record,) = workplace.root.glob("models/adopted/*")
    assert record.name == f"scale-{stale['Scale']}.json"
    entry = json.loads(record.read_text())
    assert len(entry.pop("date")) == len("2000-01-01")
    assert entry == {"stage": "Scale", "key": stale["Scale"], "adopted": made["Scale"], "in_spite_of": ["code of tasks.Scaling changed"]}
    record.unlink()
    assert workplace.keys() == stale


def test_equal_keys_mean_equal_bytes(workplace, made):
    """What is made from an adopted artifact names it as its input, so its key differs from that after a genuine rerun."""
    from chainlet import work

    workplace.edit(*SCALE)
    adopt.run("Scale", staged(workplace))
    workplace.edit(*TOTAL)
    adopted = workplace.chain()["Total"]
    make(adopted)
    for record in workplace.root.glob("models/adopted/*"):
        record.unlink()
    rerun = workplace.chain()["Total"]
    make(rerun)
    assert artifacts.attributes(adopted.path)["made_from"]["inputs"]["Scale"] == made["Scale"]
    assert adopted.key not in (made["Total"], rerun.key)
    # 1 + 2 + 3 times 2, or times 2 squared, plus 2 + 3 + 4.
    assert artifacts.load(adopted.path, work.Sum).value == 21
    assert artifacts.load(rerun.path, work.Sum).value == 33
    assert workplace.log()[-4]["adopted"] == [f"Scale@{made['Scale']}"]
    assert "adopted" not in workplace.log()[-1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("parameter", "factor 2.0 -> 3.0"),
        ("parameter of an input", "size 3 -> 4"),
        ("file", r"numbers\.txt changed"),
        ("backend", "keras .* -> 9.9"),
        ("layout", "the file layout changed"),
        ("input's file gone", r"data/draw-\w+\.h5 no longer exists"),
        ("damage", "is not an artifact of this program, or it is damaged"),
    ],
)
def test_only_a_change_of_code_is_adopted(workplace, made, monkeypatch, change, reason):
    """Any other change, also of an input, is a reason to refuse, and then nothing is recorded."""
    workplace.edit(*ALL)
    overrides = {"parameter": {"Scale": {"factor": 3}}, "parameter of an input": {"Draw": {"size": 4}}}.get(change, {})
    if change == "file":
        workplace.numbers.write_text("1 2 4\n")
    elif change == "backend":
        monkeypatch.setattr(provenance, "version", lambda package: "9.9")
    elif change == "layout":
        monkeypatch.setattr(artifacts, "SCHEMA", artifacts.SCHEMA + 1)
    elif change == "input's file gone":
        workplace.artifact("Draw").unlink()
    elif change == "damage":
        path = workplace.artifact("Total")
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=reason):
        adopt.run("Total", staged(workplace, overrides=overrides))
    assert records(workplace) == []


def test_inputs_are_adopted_along(workplace, made):
    """Inputs that the same edit made stale are adopted too; companions are not."""
    workplace.edit(*ALL)
    adopt.run("Total", staged(workplace))
    assert [name.split("-")[0] for name in records(workplace)] == ["draw", "guess", "scale", "total"]
    after = workplace.chain()
    assert {address: stage.key for address, stage in after.items()} == {**made, "Picture": after["Picture"].key}
    assert not after["Picture"].complete()


def test_an_input_made_again_is_in_the_way(workplace, made):
    """A result from the former input cannot stand for one from the recomputed input."""
    workplace.edit(*ALL)
    make(workplace.chain()["Draw"])
    with pytest.raises(InputError, match=r"data/draw-\w+\.h5 was made with the current code\. .* keypoints forget Draw@"):
        adopt.run("Scale", staged(workplace))
    assert records(workplace) == []


def test_the_newest_that_code_alone_tells_apart(workplace, made, capsys):
    """A newer artifact with other parameters is skipped unless its key is given; an up-to-date artifact needs no adoption."""
    other = workplace.chain(overrides={"Scale": {"factor": 3}})["Scale"]
    make(other)
    workplace.edit(*SCALE)
    with pytest.raises(InputError, match=r"factor 3\.0 -> 2\.0"):
        adopt.run(f"Scale@{other.key}", staged(workplace))
    adopt.run("Scale", staged(workplace))
    assert workplace.keys() == made
    assert said(capsys, adopt, "Scale", staged(workplace)) == "Scale is already adopted. There is nothing to adopt.\n"


def test_the_same_stage_of_several_folds(workplace, made, capsys):
    """Each fold gets the artifact that was made with its own parameters; folds without one stay missing."""
    factors = (2, 3, 4)

    def folds():
        return [workplace.chain(overrides={"Scale": {"factor": factor}})["Scale"] for factor in factors]

    make(folds()[1])
    genuine = [stage.key for stage in folds()]
    workplace.edit(*SCALE)
    assert said(capsys, adopt, "Scale", folds()).count("adopted: ") == 2
    assert [stage.path.name[len("scale-") : -len(".h5")] for stage in folds()[:2]] == genuine[:2]
    assert [stage.complete() for stage in folds()] == [True, True, False]
    with pytest.raises(InputError, match=r"more than code has changed: factor"):
        adopt.run("Scale", folds())
    forget.run("Scale", folds())
    assert records(workplace) == sorted(f"scale-{stage.key}.json.forgotten-1" for stage in folds()[:2])
    workplace.edit("tasks", "POWER = 2", "POWER = 1")
    assert [stage.complete() for stage in folds()] == [True, True, False]
    forget.run("Scale", folds())
    assert [stage.complete() for stage in folds()] == [False, False, False]


def test_status_tells(workplace, made, capsys):
    """The stage is shown as adopted, with date and changes, and so is everything made from it."""
    workplace.edit(*SCALE)
    adopt.run("Scale", staged(workplace))
    lines = {line.split()[0]: line for line in said(capsys, status, staged(workplace)).splitlines()}
    assert lines["Scale"].split()[1:3] == [made["Scale"], "adopted"]
    assert lines["Scale"].endswith("in spite of: code of tasks.Scaling changed")
    for stage in ("Picture", "Total"):
        assert lines[stage].split()[2] == "cached"
        assert lines[stage].endswith("made from adopted Scale")
    for stage in ("Draw", "Guess"):
        assert lines[stage].split()[2] == "cached"
        assert "adopted" not in lines[stage]


def test_inspect_tells(workplace, made, capsys):
    """Adoptions of the artifact and of its ancestors are shown."""
    workplace.edit(*SCALE)
    adopt.run("Scale", staged(workplace))
    assert "but         adopted on 2" in said(capsys, inspect, "Scale", staged(workplace))
    assert f"but         made from Scale@{made['Scale']}, adopted on 2" in said(capsys, inspect, "Total", staged(workplace))
    assert "adopted" not in said(capsys, inspect, "Guess", staged(workplace))


def test_inspect_takes_a_file_of_any_name(workplace, made, capsys):
    """The provenance comes from the contents of the file, not from its name."""
    workplace.edit(*SCALE)
    adopt.run("Scale", staged(workplace))
    copy = shutil.copy(workplace.artifact("Total"), workplace.root / "mine.h5")
    assert f"made from Scale@{made['Scale']}, adopted on 2" in said(capsys, inspect, str(copy), staged(workplace))


def test_forget_undoes_an_adoption(workplace, made):
    """The record is quarantined and no artifact is; under the keys of the new code the stages are missing again."""
    workplace.edit(*SCALE)
    stale, before = workplace.keys(), workplace.files()
    adopt.run("Scale", staged(workplace))
    forget.run("scale", staged(workplace))
    assert records(workplace) == [f"scale-{stale['Scale']}.json.forgotten-1"]
    assert workplace.keys() == stale
    assert workplace.files() == before | {"adopted"}


def test_a_damaged_adopted_artifact(workplace, made):
    """It is quarantined, the run says so, and the next run recomputes its stage with the current code."""
    workplace.edit(*SCALE)
    adopt.run("Scale", staged(workplace))
    workplace.edit(*TOTAL)
    path = workplace.artifact("Scale")
    path.write_bytes(path.read_bytes()[:-1])
    first, second = workplace.run("Total"), workplace.run("Total")
    assert first.returncode == 30
    assert f"Scale failed: models/{path.name}, adopted on 2" in first.stderr
    assert "is damaged or missing. Run the command again: it will make Scale with the current code." in first.stderr
    assert second.returncode == 0
    assert "the sum is 33" in second.stderr
    assert path.with_name(f"{path.name}.damaged-1").exists()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "[" * 100_000, "{}", '{"stage": 1, "key": 2, "adopted": 3, "date": 4, "in_spite_of": 5}', "climbing", "no text"],
    ids=["empty", "cut off", "list", "deep", "nothing", "numbers", "climbing", "no text"],
)
def test_a_record_that_is_none_is_not_followed(workplace, made, capsys, text):
    """The stage is as stale as without it, and a warning says so."""
    workplace.edit(*SCALE)
    stale = workplace.keys()
    adopt.run("Scale", staged(workplace))
    (record,) = workplace.root.glob("models/adopted/*")
    entry = record.read_text()
    climbing, no_text = (
        entry.replace(made["Scale"], f"../models/scale-{made['Scale']}"),
        entry.replace('"code of tasks.Scaling changed"', "1"),
    )
    record.write_text({"climbing": climbing, "no text": no_text}.get(text, text))
    assert workplace.keys() == stale
    assert "is not the record of an adoption, or it is damaged. It is ignored." in capsys.readouterr().err


def test_all_that_only_code_made_stale_is_adopted_at_once(workplace, made, capsys):
    """`adopt --all` leaves nothing to compute; what has other parameters is named with its reason, and the exit code is 1."""
    workplace.edit(*ALL)
    workplace.edit(*TOTAL)
    assert not [stage for stage in staged(workplace) if stage.complete()]
    assert adopt.run_all(staged(workplace)) == 0
    assert capsys.readouterr().out.count("adopted: ") == len(made)
    assert workplace.keys() == made
    assert adopt.run_all(staged(workplace)) == 0
    assert capsys.readouterr().out == "Every stage is up to date. There is nothing to adopt.\n"
    workplace.edit("deep", "UNIT = 1.5", "UNIT = 2.5")
    assert adopt.run_all(staged(workplace, overrides={"Scale": {"factor": 3}})) == 1
    out = capsys.readouterr().out
    assert "not adopted: Scale@" in out
    assert "more than code has changed: factor 2.0 -> 3.0." in out
    assert "adopted: Guess@" in out
    assert "not adopted: Draw" not in out


def test_what_was_forgotten_comes_back(workplace, made, capsys):
    """`forget --undo` gives the files of the last `forget` their names back, then those of the one before."""
    before = workplace.files()
    forget.run("Total", staged(workplace))
    forget.run("Scale", staged(workplace))
    assert len(list(workplace.root.glob("*/*.forgotten-*"))) == 4  # Total, Scale and its CSV, Picture
    assert forget.undo() == 0
    assert [stage.address for stage in staged(workplace) if not stage.path.exists()] == ["Total"]
    assert forget.undo() == 0
    assert workplace.files() == before
    assert "restored: submissions/total-" in capsys.readouterr().out
    assert workplace.keys() == made
    with pytest.raises(InputError, match="there is nothing to undo"):
        forget.undo()


def test_what_was_made_again_is_not_replaced(workplace, made, capsys):
    """The quarantined files of a stage that has run since stay where they are, its CSV included; others are restored."""
    forget.run("Scale", staged(workplace))
    make(workplace.chain()["Scale"])
    assert forget.undo() == 1
    out = capsys.readouterr().out
    assert out.count("made again since, not restored: ") == 2
    assert "restored: submissions/total-" in out
    assert sorted(path.name.split("-")[0] for path in workplace.root.glob("*/*.forgotten-1")) == ["scale", "scale"]


def test_undoing_without_a_log(workplace, made):
    """If the run log does not say what was forgotten last, the highest number does; and records of adoptions come back, too."""
    workplace.edit(*SCALE)
    adopt.run("Scale", staged(workplace))
    forget.run("Scale", staged(workplace))
    (workplace.root / "models" / "runs.jsonl").unlink()
    assert not workplace.chain()["Scale"].complete()
    assert forget.undo() == 0
    assert workplace.keys() == made


@pytest.mark.parametrize("name", ["../outside.h5.forgotten-1", "/tmp/x.forgotten-1", "data/notes.txt.forgotten-1", 3, None])
def test_undo_renames_only_what_forget_has_renamed(workplace, made, name):
    """A run log from a stranger cannot name other files."""
    notes = workplace.root / "data" / "notes.txt.forgotten-1"
    notes.touch()
    (workplace.root.parent / "outside.h5.forgotten-1").touch()
    runlog.append(workplace.root / "models", {"event": "forget", "files": [name]})
    with pytest.raises(InputError, match="there is nothing to undo"):
        forget.undo()
    assert notes.exists()
    assert (workplace.root.parent / "outside.h5.forgotten-1").exists()
