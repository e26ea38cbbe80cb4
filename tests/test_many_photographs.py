"""Annotate: photographs in parts, each a stage, whose joined tables do not depend on how the photographs were divided."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import manyphotos
import numpy as np
import pytest
from luigi.task_register import Register
from PIL import Image
from workplace import until, usual_signals

import pipeline
from pipeline.data.formats import photolists
from pipeline.errors import InputError
from pipeline.results import annotated_block, annotating, merged_annotations

PARTS = 4
COUNT = 100 * PARTS - 30  # so that the last part has fewer photographs


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder with a file of nets, and a folder `photos` with small photographs, one of which cannot be read."""
    folder, rng = tmp_path_factory.mktemp("place"), np.random.default_rng(0)
    (folder / "photos").mkdir()
    for number in range(COUNT):
        grey = rng.integers(0, 200, (20, 24)).astype(np.uint8)
        grey[tuple(rng.integers(2, 18, 2))] = 255
        Image.fromarray(grey).save(folder / "photos" / f"{number:04}.png")
    (folder / "photos" / "0150.png").write_bytes(b"no picture")
    (folder / "nets.h5").write_bytes(b"nets")
    return folder


def start(photos, *flags, **environment):
    """A process that annotates the photographs, in the workspace `photos / NAME` if the first flag is NAME."""
    name, *flags = flags
    (photos / name).mkdir(exist_ok=True)
    own = ["--module", "pipeline", "Annotate", "--photos", "photos", "--nets", "nets.h5", "--workspace-root", name, *flags]
    return subprocess.Popen(
        [sys.executable, manyphotos.__file__, *own],
        cwd=photos,
        env={**os.environ, **environment},
        preexec_fn=usual_signals,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def tables(photos, name):
    """The bytes of the two tables of a workspace."""
    return [next((photos / name / "submissions").glob(f"{stem}-*.csv")).read_bytes() for stem in ("annotate", "photographs")]


@pytest.fixture(scope="module")
def whole(photos):
    """The tables of all photographs in one part, and what the command printed."""
    process = start(photos, "whole", "--part", "1000")
    printed, _ = process.communicate()
    assert process.returncode == 0
    return tables(photos, "whole"), printed


def test_one_part_gives_both_tables(photos, whole):
    """A row for each instance at its brightest pixel, a row for each photograph, and the numbers at the end."""
    (instances, every), printed = whole
    assert f"{COUNT - 1} instances in {COUNT - 1} of {COUNT} photographs, 1 could not be read" in printed
    header, first, *_ = instances.decode().splitlines()
    assert header == "photo,instance,instance_x,instance_y,instance_width,instance_height,tip_x,tip_y,foot_x,foot_y"
    assert first.startswith("0000.png,1,0.00,0.00,24.00,20.00,")
    rows = list(csv.reader(every.decode().splitlines()))
    assert len(rows) == COUNT + 1
    assert rows[151][:5] == ["0150.png", "0", "0", "0", "0"]
    assert rows[151][5].startswith("0150.png cannot be read as a picture: ")


def test_a_killed_worker_loses_one_part_and_the_joined_tables_are_equal(photos, whole):
    """After kill -9 in the third part, two workers make this part and the last one, and the tables have the bytes of a single part."""
    process = start(photos, "parts", "--part", "100", HOLD_AT="3")
    until((photos / "held").exists)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(made(photos)) == 2
    process = start(photos, "parts", "--part", "100", "--workers", "2")
    printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert tables(photos, "parts") == whole[0]
    assert set(Counter(made(photos)).values()) == {1}
    assert len(made(photos)) == PARTS


def made(photos):
    """The keys of the parts that were made, as the run log of the workspace `parts` has them."""
    lines = (photos / "parts" / "models" / "runs.jsonl").read_text().splitlines()
    entries = [entry for entry in map(json.loads, lines) if entry.get("stage") == "AnnotatePart" and entry["status"] == "done"]
    return [entry["key"] for entry in entries]


@pytest.fixture
def here(tmp_path, monkeypatch, photos):
    """A copy of ten photographs in the current folder, and tasks that are made anew, with stub nets."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(10):
        shutil.copy(photos / "photos" / f"{number:04}.png", tmp_path / "photos")
    (tmp_path / "nets.h5").write_bytes(b"nets")
    monkeypatch.setattr("pipeline.tasks.photographs._detects", lambda pack, digest: False)
    monkeypatch.setattr("pipeline.store.workspace.digests.RECENT", -1)
    return tmp_path


def keys(place="photos", **parameters):
    """The key of Annotate and those of its parts, as a new process would compute them."""
    Register.clear_instance_cache()
    pipeline.tasks.photographs._collection_at.cache_clear()
    task = pipeline.Annotate(photos=place, nets="nets.h5", **parameters)
    return task.key, [part.key for part in task.requires()["parts"]]


def test_keys_are_those_of_names_contents_and_nets(here):
    """Neither the place of the photographs, nor that of the nets counts; a changed, renamed or new photograph, and other nets do."""
    before = keys()
    (here / "photos").rename(here / "moved")
    assert keys("moved") == before
    names = sorted(path.name for path in (here / "moved").iterdir())
    (here / "moved" / "list.txt").write_text("".join(f"{name}\r\n" for name in names))
    assert keys("moved/list.txt") == before
    found = [before, keys("moved", part=200)]
    assert found[1][1] == before[1]
    shutil.copy(here / "moved" / "0001.png", here / "moved" / "0002.png")
    found.append(keys("moved"))
    (here / "moved" / "0009.png").rename(here / "moved" / "0010.png")
    found.append(keys("moved"))
    (here / "nets.h5").write_bytes(b"other nets")
    found.append(keys("moved"))
    assert len({key for key, _ in found}) == len(found)
    assert len({part for _, (part,) in found}) == len(found) - 1


def test_what_a_new_photograph_at_the_end_leaves(here):
    """The parts before it keep their keys."""
    names = [f"photos/{number:04}.png" for number in range(10)] * 20
    for number, name in enumerate(names):
        shutil.copy(here / name, here / f"{number:03}.png")
    (here / "list.txt").write_text("\n".join(f"{number:03}.png" for number in range(150)))
    _, before = keys("list.txt", part=100)
    (here / "list.txt").write_text("\n".join(f"{number:03}.png" for number in range(200)))
    _, after = keys("list.txt", part=100)
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False]


def test_missing_photographs_are_missing_files(here):
    """Luigi reports them as it does other files that the user must provide."""
    (here / "list.txt").write_text("photos/0001.png\nphotos/gone.png\n")
    Register.clear_instance_cache()
    (part,) = pipeline.Annotate(photos="list.txt", nets="nets.h5").requires()["parts"]
    assert [task.path for task in part.requires()["missing"]] == [str(here / "photos" / "gone.png")]
    assert not part.requires()["missing"][0].complete()


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("nowhere", "does not exist. Name a folder of photographs"),
        ("photos/0001.png", "is a photograph. Name its folder"),
        ("empty.txt", "lists no photographs"),
        ("binary.dat", "is not a text file"),
    ],
    ids=["missing", "photograph", "empty", "binary"],
)
def test_places_that_name_no_photographs(here, place, why):
    """Each is refused in a sentence."""
    (here / "empty.txt").write_text("\n \n")
    (here / "binary.dat").write_bytes(b"\0\1")
    with pytest.raises(InputError, match=why):
        photolists.named(Path(place))


def test_parquet_has_the_rows_of_the_csv_file_however_they_were_divided(here, monkeypatch):
    """The bytes do not depend on the parts; types and values are those of the table."""
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(merged_annotations, "ROW_GROUP", 4)
    nets = manyphotos.BrightestPixel(((),), manyphotos.PAIR, 0.0, manyphotos.SampleFrame(manyphotos.SIDE, 1))
    files = [(path, path.name) for path in sorted((here / "photos").iterdir())]
    found = list(annotating.in_blocks(annotating.Annotator(nets), files))
    for size in (10, 3):
        blocks = [annotated_block.stored(found[start : start + size], manyphotos.PAIR.names, "instance") for start in range(0, 10, size)]
        total = merged_annotations.summary(blocks)
        for suffix in ("parquet", "csv"):
            merged_annotations.write_instances(here / f"{size}.{suffix}", lambda blocks=blocks: blocks, total)
    assert (here / "10.parquet").read_bytes() == (here / "3.parquet").read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet(here / "3.parquet"), pd.read_csv(here / "3.csv"), check_dtype=False)


def test_parquet_needs_its_package(here, monkeypatch):
    """Without it nothing is predicted, and the sentence says how to install it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("pipeline.tasks.packfiles.read", lambda path: None)
    Register.clear_instance_cache()
    with pytest.raises(InputError, match='pip install "pyarrow'):
        pipeline.Annotate(photos="photos", nets="nets.h5", table="parquet").check()


def test_the_record_of_a_block_gives_back_the_photographs():
    """Sizes, boxes, keypoints, expected errors, reductions and errors are exactly those that were stored, also without any instance."""
    rng = np.random.default_rng(0)
    two = annotating.Annotated(
        Path("a\udcff.jpg"), (30, 20), rng.random((2, 4)), rng.random((2, 3, 2)), reduction=2, expected=rng.random((2, 3)), dropped=(0.1,)
    )
    none = annotating.Annotated(Path("b.jpg"), (9, 8), np.zeros((0, 4)), np.zeros((0, 3, 2)), dropped=(0.2, 0.3))
    bad = annotating.Annotated(Path("c.jpg"), (0, 0), np.zeros((0, 4)), np.zeros((0, 3, 2)), error="it is empty")
    for found in ([two, none, bad, two], [none, bad]):
        again = annotated_block.restored(annotated_block.stored(found, ("a", "b", "c"), "face"), [one.photo for one in found])
        assert [plain(one) for one in again] == [plain(one) for one in found]


def plain(one):
    expected = None if one.expected is None else one.expected.tolist()
    return (one.photo, one.size, one.boxes.tolist(), one.keypoints.tolist(), one.error, one.reduction, expected, one.dropped)
