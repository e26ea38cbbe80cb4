"""What `keypoints describe` says of a set, its page, and the keypoints.toml that it drafts."""

import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from labelsets import SETS, draw
from PIL import Image

from pipeline.commands import main
from pipeline.data import defining, filenames, likeness, problems
from pipeline.data.definition import Asked, Definition
from pipeline.data.formats import images, tps
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Instance, LabelledImage, Labels
from pipeline.data.likeness import Likeness
from pipeline.data.overview import Overview, overview
from pipeline.results import set_page
from pipeline.results.set_summary import SetSummary

NAMES = ("left_ear", "right_ear", "nose")
POINTS = np.array([(10.5, 12.5), (30.5, 12.5), (20.5, 20.5)])
NOTHING_ALIKE = Likeness((), np.zeros((0, 96, 96), np.uint8), (), 0)


def table(folder: Path, count: int = 12, *, header: str = "left_ear_x,left_ear_y,right_ear_x,right_ear_y,nose_x,nose_y", **rows) -> Path:
    """A set of faces as a wide CSV table, each image with a pattern of its own; `rows` replaces rows of the table by their numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, lines = np.random.default_rng(1), [f"image,{header}"]
    for number in range(count):
        name = f"{'abcdefghijklmnopqrstuvwxyz'[number % 26]}{number // 26 or ''}.png"
        Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).resize((40, 30)).save(folder / name)
        points = POINTS + rng.normal(0, 1, 2) + rng.normal(0, 0.3, (3, 2))
        lines.append(rows.get(f"row{number}", ",".join([name, *(f"{value:.1f}" for value in points.ravel())])))
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def described(folder: Path, capsys, *options: str) -> str:
    """What the command prints."""
    assert main(["describe", str(folder), "--out", str(folder.parent / "page.html"), *options]) == 0
    return capsys.readouterr().out


def seen(*instances: Instance, labelled: int = 0, test: tuple[str, ...] = (), sizes: dict | None = None, **parts) -> Overview:
    """The overview of labels, without files."""
    names = tuple(dict.fromkeys(instance.image for instance in instances))
    labels = Labels("tps", ("a.tps",), NAMES, tuple(LabelledImage(name) for name in (*names, *test)), instances)
    definition = Definition("tps", ("a.tps",), names, test, parts=parts)
    return Overview(Folder(Path("nowhere")), definition, labels, tps.CONVENTION, sizes or dict.fromkeys(names, (40, 30)), {}, labelled)


def instance(number: int, points=POINTS, **more) -> Instance:
    """An instance in an image of its own."""
    points = np.array(points, np.float64)
    return Instance(f"{number}.png", "1", points, np.zeros(len(points), bool), place=f"a.tps, line {number}", **more)


MANY = [instance(number, POINTS + number / 10) for number in range(12)]


@pytest.mark.parametrize("name", SETS)
def test_every_format_is_described(name, tmp_path, capsys):
    """The format, the keypoints and a page with the labelled images, for a set in each format."""
    SETS[name](tmp_path / "set")
    found = defining.define(Asked(str(tmp_path / "set")))
    printed = described(tmp_path / "set", capsys)
    assert f"format        {name}: " in printed
    assert f"keypoints     {len(found.keypointset.names)}: " in printed
    assert all(key in printed for key in found.keypointset.names)
    page = (tmp_path / "page.html").read_text()
    assert page.count('<figure class="face"') >= 1
    assert "<script>" in page


def test_numbers(tmp_path, capsys):
    """Images, sizes, instances, labels and missing labels are counted; images to predict are those without labels."""
    folder = table(tmp_path / "set", row3="d.png,10,12,,,20,20")
    draw(folder, "to/predict.png")
    printed = described(folder, capsys)
    assert "images        12 labelled, 0 empty, 1 to predict" in printed
    assert "size          40 x 30, grey" in printed
    assert "instances     12, one in each labelled image" in printed
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.startswith(NAMES)}
    assert rows == {"left_ear": ["12", "0", "0", "0"], "right_ear": ["11", "1", "0", "0"], "nose": ["12", "0", "0", "0"]}
    assert "No problems were found." in printed


def test_how_mirror_pairs_are_known(tmp_path, capsys):
    """Guessed from names and verified, given by keypoints.toml, or switched off by it."""
    folder = table(tmp_path / "set")
    assert "mirror pairs  Images are mirrored: the names suggest" in described(folder, capsys)
    for line, said in {
        'mirror = [["left_ear", "right_ear"]]': "mirror pairs  1 pair, as keypoints.toml says.",
        "mirror = []": "mirror pairs  A mirrored image exchanges no keypoints, as keypoints.toml says.",
        "mirror = false": "mirror pairs  Images are never mirrored, as keypoints.toml says.",
    }.items():
        (folder / "keypoints.toml").write_text(f"{line}\n")
        assert said in described(folder, capsys)
    (folder / "keypoints.toml").rename(tmp_path / "mine.toml")
    assert "mirror pairs  Images are never" in described(folder, capsys, "--keypoints", str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("instances", "said"),
    [
        (
            [*MANY, instance(20, [(0, 30), (30, 12), (20, 20)])],
            "1 label (left_ear) is at (0, 0); the first is in a.tps, line 20, image 20.png.",
        ),
        ([*MANY, instance(20, [(-1, 31), (-1, 31), (20, 20)])], "2 labels (left_ear, right_ear) are at (-1, -1);"),
        ([*MANY, instance(20, [(10, 12), (30, 12), (20, 45)])], "1 label (nose) is outside the image;"),
        ([instance(n, POINTS / 40) for n in range(12)], "The coordinates are from -1 to 1"),
        ([*MANY, *(instance(n, [(5, 5), (30, 12 + n / 9), (20 + n / 9, 20)]) for n in range(20, 25))], "at the same place (5, 5)"),
        (MANY[:9], "left_ear (9), right_ear (9), nose (9): fewer than 10 labels"),
        ([*MANY, instance(20, np.full((3, 2), np.nan))], "1 instance without any keypoint will not be used;"),
        ([*MANY, instance(20, box=(0.0, 0.0, 4.0, 4.0))], "1 box is far from a keypoint of the same instance;"),
        ([], "No instance is labelled."),
    ],
    ids=["zero", "minus one", "outside", "fractions", "filled in", "few", "bare", "box", "nothing"],
)
def test_a_problem_is_a_sentence_with_its_cure(instances, said):
    """Each kind of problem is found, and is the only one."""
    (problem,) = problems.problems(seen(*instances), NOTHING_ALIKE, None)
    assert said in problem
    assert problem.endswith(".")


def test_no_problem_is_invented():
    """A sound set has none."""
    assert problems.problems(seen(*MANY), NOTHING_ALIKE, None) == []


def test_unreadable_images_are_counted(tmp_path):
    """An image that cannot be read is named with the reason, and the others are still drawn."""
    draw(tmp_path, "0.png", "1.png")
    (tmp_path / "1.png").write_bytes(b"no image")
    folder, own = Folder(tmp_path), (instance(0), instance(1))
    labels = Labels("tps", ("a.tps",), NAMES, tuple(LabelledImage(one.image) for one in own), own)
    found = overview(folder, Definition("tps", labelled=("0.png", "1.png")), labels, tps.CONVENTION)
    assert set(found.sizes) == {"0.png"}
    first, *_ = problems.problems(found, NOTHING_ALIKE, None)
    assert first.startswith("1 image cannot be read, which is 1.png: ")
    assert [face.caption for face in set_page.drawn(found, lambda name, size: images.glance(folder.path(name), size))] == ["0.png"]


def noise(count: int, *, like: np.ndarray | None = None, weight: float = 0.0) -> np.ndarray:
    """Pictures uint8 (count, 96, 96) of coarse noise; a share `weight` of each is that of `like`."""
    rng = np.random.default_rng(2)
    coarse = rng.uniform(0, 255, (count, 12, 12))
    coarse = coarse if like is None else (1 - weight) * coarse + weight * like
    return coarse.round().astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)


def test_copies_and_near_duplicates():
    """Equal pictures are copies, nearly equal ones near duplicates, and others neither."""
    pictures = noise(6)
    pictures[3] = pictures[0]
    pictures[4] = np.clip(pictures[1].astype(int) + 3, 0, 255)
    alike = Likeness(tuple("abcdef"), pictures, ("L",) * 6, 6)
    assert alike.copies == [["a", "d"]]
    assert sorted(alike.near) == [["a", "d"], ["b", "e"]]
    assert "1 image repeats another one, such as d and a." in " ".join(problems.problems(seen(*MANY), alike, None))


def test_images_to_predict_that_are_labelled_are_named():
    """A near duplicate across labelled and test images makes errors look small."""
    pictures = noise(2)
    pictures[1] = pictures[0]
    alike = Likeness(("0.png", "t.png"), pictures, ("L", "L"), 2)
    (problem,) = problems.problems(seen(*MANY, test=("t.png",)), alike, None)
    assert problem.startswith("1 image to predict is nearly the same as a labelled one, such as t.png and 0.png.")


def test_neighbours_in_a_video_are_alike():
    """Frames that change slowly resemble their neighbours; unrelated images, or frames in another order, do not."""
    rng, names = np.random.default_rng(3), tuple(f"img{number:03}.png" for number in range(40))
    steps = rng.normal(0, 12, (40, 12, 12)).cumsum(axis=0) + 128
    video = np.clip(steps, 0, 255).astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    assert Likeness(names, video, ("L",) * 40, 40).neighbours_alike([names])
    assert not Likeness(names, noise(40), ("L",) * 40, 40).neighbours_alike([names])
    assert not Likeness(names, video, ("L",) * 40, 40).neighbours_alike([rng.permutation(names).tolist()])
    assert not Likeness(names[:8], video[:8], ("L",) * 8, 8).neighbours_alike([names[:8]])


@pytest.mark.parametrize(
    ("names", "kinds"),
    [
        ([f"v/img{n:03}.png" for n in range(20)], {"series": 1}),
        ([f"mouse{m}/img{n:03}.png" for m in range(3) for n in range(20)], {"folder": 3, "series": 3}),
        ([f"{n}_{m}.jpg" for n in range(100, 110) for m in (1, 2)], {"prefix": 10}),
        ([f"train/{n:03}.jpg" for n in range(20)] + [f"val/{n:03}.jpg" for n in range(20)], {"series": 2}),
        (["alice.png", "bob.png", "carol.png"], {}),
        ([], {}),
    ],
    ids=["a video", "three videos", "photographs", "parts are no groups", "names", "nothing"],
)
def test_what_names_say(names, kinds):
    """Folders, series of frames and common beginnings are found, with their numbers of groups."""
    assert {own.kind: own.count for own in filenames.groupings(names)} == kinds


def test_frames_are_put_in_their_order():
    """By number, not by text."""
    (grouping,) = filenames.groupings([f"img{n}.png" for n in (10, 9, 100, 1, 2, 3, 4, 5)])
    assert grouping.members() == [[f"img{n}.png" for n in (1, 2, 3, 4, 5, 9, 10, 100)]]


def test_thousands_of_images_are_sampled_in_runs():
    """At most 600 pictures are looked at, in runs of neighbours from all over the set."""
    names = [f"{number:05}" for number in range(5000)]
    sample = likeness.sampled(names)
    assert len(sample) <= 600
    assert sample[0] == names[0]
    assert sample[-1] == names[-1]
    assert sum(int(b) - int(a) == 1 for a, b in pairwise(sample)) >= 570


def test_the_page_needs_no_other_file(tmp_path, capsys):
    """No URL but data, a policy that forbids others, balanced tags, and at most 20 images, those with suspicious labels first."""
    rows = {"row25": "z.png,10,12,30,12,20,31.5"}
    described(table(tmp_path / "set", 26, **rows), capsys)
    page = (tmp_path / "page.html").read_text()
    addresses = _Page.of(page).addresses
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "default-src 'none'" in page
    assert page.count('<figure class="face"') == set_page.SAMPLES
    assert page.index("z.png") < page.index("a.png")
    assert 'class="suspect"' in page


class _Page(HTMLParser):
    """Collects addresses; checks that elements are closed in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses, self.open = [], []

    @classmethod
    def of(cls, text: str) -> "_Page":
        page = cls()
        page.feed(text)
        assert page.open == []
        return page

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in ("meta", "link", "img", "br", "wbr", "source"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_hostile_names_are_text(tmp_path, capsys):
    """Names of keypoints and files are escaped in the page."""
    folder = table(tmp_path / "set", header="<script>alert(1)</script>_x,<script>alert(1)</script>_y,b_x,b_y,c_x,c_y")
    described(folder, capsys)
    page = (tmp_path / "page.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_drawings_are_in_pixels_of_the_picture(tmp_path):
    """A label is drawn where it is in the reduced image: here in the middle of one twice as large as the drawing."""
    side = 2 * set_page.SIDE
    Image.new("L", (side, side // 2)).save(tmp_path / "a.png")
    folder, point = Folder(tmp_path), np.array([(side / 2, side / 4)])
    labels = Labels(
        "tps", (), ("k",), (LabelledImage("a.png"),), (Instance("a.png", "1", point, np.zeros(1, bool), (0.0, 0.0, 100.0, 50.0)),)
    )
    found = overview(folder, Definition("tps", labelled=("a.png",)), labels, tps.CONVENTION)
    (drawn,) = set_page.drawn(found, lambda name, size: images.glance(folder.path(name), size))
    assert drawn.size == (set_page.SIDE, set_page.SIDE // 2)
    assert (drawn.marks[0].x, drawn.marks[0].y) == (set_page.SIDE / 2, set_page.SIDE / 4)
    assert drawn.boxes == ((0.0, 0.0, 50.0, 25.0),)


def test_the_same_set_gives_the_same_page(tmp_path, capsys):
    """Byte for byte."""
    folder = table(tmp_path / "set")
    described(folder, capsys)
    first = (tmp_path / "page.html").read_bytes()
    described(folder, capsys)
    assert (tmp_path / "page.html").read_bytes() == first


def test_write_drafts_what_was_understood(tmp_path, capsys):
    """The draft, read again, gives the same definition; a second draft does not replace it."""
    folder = table(tmp_path / "set")
    before = defining.define(Asked(str(folder)))
    assert "Draft: " in described(folder, capsys, "--write")
    after = defining.define(Asked(str(folder)))
    assert after.keypointset == before.keypointset
    assert (after.labelled, after.test, after.order, after.settings) == (before.labelled, before.test, before.order, before.settings)
    text = (folder / "keypoints.toml").read_text()
    assert main(["describe", str(folder), "--write", "--out", str(tmp_path / "page.html")]) == 2
    assert "exists already, and --write does not replace it" in capsys.readouterr().err
    assert (folder / "keypoints.toml").read_text() == text


def test_a_draft_names_the_files_of_another_folder(tmp_path, monkeypatch, capsys):
    """Files that a keypoints.toml names are relative to its own folder, and the draft is in the folder of the set."""
    folder = table(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    for name in ("boxes.csv", "groups.csv", "sizes.csv"):
        (tmp_path / name).write_text("image,group,mm_per_pixel,x,y,width,height\na.png,1,1,1,1,1,1\n")
    lines = ['boxes = "boxes.csv"', 'group-by = "groups.csv"', 'normalise = { mm-per-pixel = "sizes.csv" }']
    (tmp_path / "mine.toml").write_text("\n".join(lines))
    before = defining.define(Asked(str(folder), keypoints="mine.toml"))
    described(folder, capsys, "--write", "--keypoints", "mine.toml")
    after = defining.define(Asked(str(folder)))
    assert {name: Path(value).resolve() for name, value in after.settings.items() if name in ("boxes", "groups")} == {
        "boxes": tmp_path / "boxes.csv",
        "groups": tmp_path / "groups.csv",
    }
    assert after.settings["normalise"] == {"file": str(tmp_path / "sizes.csv")}
    assert after.keypointset == before.keypointset


def test_by_default_the_page_is_in_the_current_folder(tmp_path, monkeypatch, capsys):
    """It is called after the folder of the set, and a label file may be named instead of the folder."""
    table(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    assert main(["describe", "set/labels.csv"]) == 0
    assert "Page: describe-set.html" in capsys.readouterr().out
    assert (tmp_path / "describe-set.html").is_file()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "does not exist"),
        (lambda folder: (folder.mkdir(), (folder / "training.csv").write_text("")), "has Kaggle's files"),
        (lambda folder: folder.mkdir(), "neither labels nor images"),
        (lambda folder: draw(folder, "a.png"), "no labels in a known format"),
        (lambda folder: (table(folder), (folder / "a.png").unlink()), "a.png"),
        (lambda folder: (table(folder), (folder / "keypoints.toml").write_text("mirrors = 1\n")), "there is no key 'mirrors'"),
        (lambda folder: table(folder, row2="c.png,1,2,3,4,5,many"), "many"),
    ],
    ids=["nothing", "Kaggle", "an empty folder", "no labels", "a missing image", "keypoints.toml", "no number"],
)
def test_a_bad_set_is_one_sentence(make, said, tmp_path, capsys):
    """The exit code is 2, nothing is written, and nothing but the fault is printed."""
    make(tmp_path / "set")
    assert main(["describe", str(tmp_path / "set"), "--out", str(tmp_path / "page.html")]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "page.html").exists()


def test_flags_of_a_run_are_refused(tmp_path, capsys):
    """Describing needs no run."""
    shutil.rmtree(tmp_path, ignore_errors=True)
    assert main(["describe", "set", "--TrainBase-epochs", "3"]) == 2
    assert "describe has no option --TrainBase-epochs=3" in capsys.readouterr().err


def test_two_annotators_are_compared(tmp_path, capsys):
    """How far their labels are apart is said, and instances are counted once."""
    folder = table(tmp_path / "set")
    text = (folder / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").unlink()
    (folder / "train_junior.csv").write_text("\n".join(text))
    moved = [",".join([cells[0], *(str(float(cell) + 3) for cell in cells[1:])]) for cells in (line.split(",") for line in text[1:])]
    (folder / "train_senior.csv").write_text("\n".join([text[0], *moved]))
    printed = described(folder, capsys)
    assert "instances     12, one in each labelled image" in printed
    assert "annotators    junior, senior; half of their labels are within 4.24 px of each other" in printed


def test_a_long_table_is_short_on_a_terminal():
    """Runs of keypoints with equal numbers are shown by their ends."""
    from pipeline.results import set_summary

    names = tuple(f"k{number}" for number in range(30))
    own = [Instance(f"{n}.png", "1", np.full((30, 2), 5.0 + n), np.zeros(30, bool)) for n in range(12)]
    labels = Labels("tps", ("a.tps",), names, tuple(LabelledImage(one.image) for one in own), tuple(own))
    definition = Definition("tps", ("a.tps",), tuple(one.image for one in own))
    found = Overview(Folder(Path("nowhere")), definition, labels, tps.CONVENTION, {}, {}, 0)
    printed = set_summary.text(SetSummary(found, NOTHING_ALIKE, "not known"))
    assert "... 28 more with the same numbers" in printed
    assert "k0 " in printed
    assert "k29" in printed
