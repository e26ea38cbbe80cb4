"""Any damage to an artifact of any kind is noticed by its next reader; the file is quarantined and recomputed."""

import kinds
import numpy as np
import pytest
from damage import cut, files_of, flipped, found
from workplace import make

from pipeline import commands
from pipeline.errors import InputError
from pipeline.store.hdf5 import artifacts


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_flipped_bits_and_cuts(tmp_path, kind):
    """One random flipped bit or a random cut in the artifact or a file published with it. `python -m tests.damage` makes 500 of them."""
    damage_is_found(kinds.KINDS[kind], tmp_path)


@pytest.mark.keras
def test_flipped_bits_and_cuts_of_checks(tmp_path):
    """The same for the only kind whose module imports Keras."""
    from pipeline.nets.sanity import Checks

    damage_is_found(Checks, tmp_path)


def damage_is_found(kind, folder):
    path, rng = kinds.write(kind, folder), np.random.default_rng(7)
    assert artifacts.load(path, kind) is not None
    for number in range(24):
        damage, file = (flipped, cut)[number % 2], files_of(path)[number % len(files_of(path))]
        with damage(file, rng) as where:
            assert found(path), where
            assert file.name in found(path)
    assert found(path) is None


def to_folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = {
    "truth": lambda path: path.write_bytes(b""),
    "dataset": to_folder,
    "augmentedversions": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "trained": lambda path: path.write_bytes(path.read_bytes()[:2000] + b"x" + path.read_bytes()[2001:]),
    "snapshots": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "curves": lambda path: path.with_suffix(".png").unlink(),
    "predictions": lambda path: path.with_suffix(".csv").write_text("RowId,Location\n"),
    "scores": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "outcome": lambda path: path.write_bytes(path.read_bytes()[::-1]),
    "comparison": lambda path: path.with_suffix(".csv").write_bytes(b""),
}


def test_verify_finds_it_all_without_a_run(tmp_path, capsys):
    """An empty file, a folder, truncated, edited and extended files, and missing or edited siblings are found in all folders."""
    for folder in ("data", "models", "submissions"):
        (tmp_path / folder).mkdir()
    places = dict(zip(DAMAGES, [*["data"] * 3, *["models"] * 3, *["submissions"] * 2, *["models"] * 2], strict=True))
    paths = {kind.lower(): kinds.write(kinds.KINDS[kind], tmp_path / places[kind.lower()]) for kind in kinds.KINDS}
    at = f"--workspace-root={tmp_path}"
    assert commands.main(["verify", at]) == 0
    for name, damage in DAMAGES.items():
        damage(paths[name])
    capsys.readouterr()
    assert commands.main(["verify", at]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert last.startswith("10 artifacts")
    assert "10 damaged" in last
    for path in paths.values():
        assert len([line for line in lines if path.stem in line and line.startswith("damaged: ")]) == 1


@pytest.mark.parametrize("stage", ["Draw", "Scale", "Guess", "Picture", "Total"])
def test_its_stage_and_no_other_runs_again(workplace, capsys, stage):
    """After a random flip or cut, the file is quarantined unchanged, the new one equals the original, and the user is told."""
    stages, rng = workplace.chain(), np.random.default_rng(len(stage))
    make(stages["Total"])
    make(stages["Picture"])
    path = stages[stage].path
    for number, damage in enumerate((flipped, cut), start=1):
        whole, ran = path.read_bytes(), len(workplace.ran())
        with damage(path, rng):
            broken = path.read_bytes()
        path.write_bytes(broken)
        artifacts._verified.clear()
        capsys.readouterr()
        make(stages[stage])
        assert path.read_bytes() == whole
        assert path.with_name(f"{path.name}.damaged-{number}").read_bytes() == broken
        assert f"damaged, kept as {path.parent}/{path.name}.damaged-{number}" in capsys.readouterr().err
        assert workplace.ran()[ran:] == [stage]


def test_what_only_its_reader_can_tell(workplace, capsys):
    """An artifact with a correct digest but of another kind is quarantined by the stage that reads it and recomputed by the next run."""
    stages = workplace.chain()
    make(stages["Draw"])
    path = stages["Draw"].path
    whole, strange = path.read_bytes(), kinds.write(kinds.KINDS["Truth"], workplace.root)
    path.write_bytes(strange.read_bytes())
    for suffix in kinds.SIBLINGS[kinds.Truth]:
        strange.with_suffix(suffix).rename(path.parent / f"{strange.stem}{suffix}")
    with pytest.raises(InputError, match=r"is not a Numbers of this program: /values is missing; .* It was quarantined; the same command"):
        stages["Scale"].run()
    assert not path.exists()
    make(stages["Scale"])
    assert path.read_bytes() == whole
    assert path.with_name(f"{path.name}.damaged-1").read_bytes() == strange.read_bytes()
    assert workplace.ran() == ["Draw", "Draw", "Scale"]
