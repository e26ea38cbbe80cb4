"""The definition of a keypoint set: from label files, keypoints.toml and flags; remembered until one of them changes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data import beside, defining, definition
from pipeline.data.definition import Asked, Definition
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Instance
from pipeline.errors import InputError
from pipeline.store.run.keyed import Builds
from pipeline.store.workspace import remembered
from pipeline.tasks import definitions

HEADER = "image,nose_x,nose_y,left_ear_x,left_ear_y,right_ear_x,right_ear_y\n"
NAMES = ("nose", "left_ear", "right_ear")


def row(image, shift=0.0):
    return f"{image},{20 + shift},10,{10 + shift},30,{30 + shift},30\n"


class Album:
    """A folder with images and a table of labels."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images(*(f"{number}.png" for number in range(1, 9)))
        self.labels("labels.csv", *(f"{number}.png" for number in range(1, 7)))

    def images(self, *names):
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((40, 40), "uint8")).save(path)

    def labels(self, name, *images):
        self.write(name, HEADER + "".join(row(image, number / 3) for number, image in enumerate(images)))

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def defined(self, path="", **flags):
        return defining.define(Asked(str(self.root / path), **flags))


@pytest.fixture
def album(tmp_path):
    return Album(tmp_path / "mice")


def test_a_set_is_understood_as_it_is(album):
    """Format, names, mirror pairs and groups, and the images without labels as test images."""
    found = album.defined()
    assert found.fault == ""
    assert (found.format, found.files) == ("wide_csv", ("labels.csv",))
    assert found.labelled == tuple(f"{number}.png" for number in range(1, 7))
    assert found.test == ("7.png", "8.png")
    assert found.keypointset.name == "mice"
    assert found.keypointset.names == NAMES
    assert found.keypointset.mirror == (NAMES[1:],)
    assert found.keypointset.groups == {"nose": ("nose",), "ear": NAMES[1:]}
    assert "and 6 samples confirm them" in found.notes[-1]
    assert (found.order, found.sources, found.instances, found.parts) == ((0, 1, 2), (), 1, {})


def test_the_definition_survives_json(album):
    """Every field, with tuples where there were tuples."""
    album.write("keypoints.toml", "normalise = { pair = ['left_ear', 'right_ear'] }\norigin = 'upper-left'")
    found = album.defined()
    assert Definition.of_plain(json.loads(json.dumps(found.plain()))) == found
    assert found.settings["normalise"] == {"pair": ("left_ear", "right_ear")}
    assert found.settings["upwards"] is False


def test_keypoints_toml_completes_and_overrides(album, tmp_path):
    """The one in the folder, unless the user names another."""
    album.write(
        "keypoints.toml",
        "name = 'own'\nnames = ['right_ear', 'nose']\nmirror = []\ngroup-by = '(.)'\nboxes = 'boxes.csv'",
    )
    album.write("boxes.csv", "image,x,y,width,height\n")
    found = album.defined()
    assert (found.keypointset.name, found.keypointset.names, found.order) == ("own", ("right_ear", "nose"), (2, 0))
    assert found.keypointset.mirror == ()
    assert found.settings == {"predict": "labels", "group_by": "(.)", "boxes": str(album.root / "boxes.csv")}
    other = tmp_path / "other.toml"
    other.write_text("mirror = false\ngroup-by = 'groups.csv'\n[groups]\nall = ['1-3']")
    found = album.defined(keypoints=str(other))
    assert (found.keypointset.name, found.keypointset.mirror, found.groups) == ("mice", None, ("all",))
    assert found.settings == {"predict": "labels", "groups": str(tmp_path / "groups.csv")}


def test_a_label_file_can_be_named(album):
    """Its folder is that of the set, or the one above if the images are there."""
    album.labels("others.csv", "1.png", "2.png")
    found = album.defined("others.csv")
    assert (found.root, found.only, found.files) == (str(album.root), "others.csv", ("others.csv",))
    assert len(found.labelled) == 2
    assert len(found.test) == 6
    album.labels("annotations/more.csv", "1.png", "2.png", "3.png")
    found = album.defined("annotations/more.csv")
    assert (found.root, found.only, len(found.labelled)) == (str(album.root), "annotations/more.csv", 3)


def test_two_annotators_are_two_sources(album):
    """Each has a source, and the first is that of the predictions, unless keypoints.toml names another."""
    (album.root / "labels.csv").rename(album.root / "labels_junior.csv")
    album.labels("labels_senior.csv", "1.png", "2.png")
    found = album.defined()
    assert found.sources == ("junior", "senior")
    assert found.keypointset.sources == {"junior": NAMES, "senior": NAMES}
    assert any("several annotation sources: junior, senior." in note for note in found.notes)
    assert found.settings["predict"] == "junior"
    album.write("keypoints.toml", "[sources]\npredict = 'senior'")
    assert album.defined().settings["predict"] == "senior"


TPS = "".join(f"LM=3\n20 {10 + number}\n10 30\n30 30\nIMAGE={number}.png\nID={number}\n" for number in range(1, 7))


def test_the_richer_of_two_formats_is_read(album):
    """If the labels are of the same images; a note names the other file."""
    album.write("labels.tps", TPS)
    found = album.defined()
    assert found.format == "tps"
    assert any(note.startswith("labels.csv is not used, because labels.tps has labels of the same images") for note in found.notes)
    assert album.defined(format="wide_csv").files == ("labels.csv",)
    album.write("labels.csv", HEADER + "1.png,a,b,c,d,e,f\n")
    assert any("labels.csv is not used, because labels.tps is read, and cannot be read: " in note for note in album.defined().notes)


def test_formats_with_different_images_are_a_fault(album):
    """Neither is richer than the other."""
    album.labels("labels.csv", "7.png", "8.png")
    album.write("labels.tps", TPS)
    found = album.defined()
    assert "labels.tps (tps) and labels.csv (wide_csv) label different images. Name one of these files" in found.fault
    assert (found.keypointset, found.groups, found.labelled) == (None, (), ())


def test_mirror_pairs_that_the_labels_do_not_confirm_are_not_used(album):
    """Images of something that is seen from the side are not mirrored, and a note says so."""
    album.write("labels.csv", HEADER + "".join(f"{n}.png,{30 + n / 9},10,10,12,10,30\n" for n in range(1, 7)))
    found = album.defined()
    assert found.keypointset.mirror is None
    assert found.notes[-1].startswith("Images are not mirrored: the names suggest pairs such as left_ear and right_ear")


@pytest.mark.parametrize(("given", "used"), [((("b", "c"),), (("b", "c"),)), ((), None)], ids=["pair", "none"])
def test_mirror_pairs_of_label_files_are_confirmed(album, monkeypatch, given, used):
    """Programs often write that a mirrored image exchanges nothing, which the labels of two ears refute."""
    from pipeline.data.formats import wide_csv

    read = wide_csv.read
    monkeypatch.setattr(wide_csv, "read", lambda *asked: replace(read(*asked), mirror=given, names=tuple("abc")))
    assert album.defined().keypointset.mirror == used


@pytest.mark.parametrize(("part", "divided"), [("training", True), ("validation", False)])
def test_a_validation_part_without_labels_divides_nothing(album, part, divided):
    """Some of its images have to be labelled."""
    album.write("labels.csv", (album.root / "labels.csv").read_text() + "7.png,,,,,,\n")
    split = album.write("../split.csv", f"image,part\n1.png,{'validation' if divided else 'training'}\n7.png,{part}\n")
    assert bool(album.defined(split=split).parts) == divided


def test_mirror_pairs_of_keypoints_toml_count_in_spite_of_the_labels(album):
    """With a note."""
    album.write("keypoints.toml", "mirror = [['nose', 'left_ear']]")
    found = album.defined()
    assert found.keypointset.mirror == (("nose", "left_ear"),)
    assert any(note.startswith("The labels do not confirm the mirror pairs of keypoints.toml") for note in found.notes)


def test_a_folder_of_test_images_can_be_named(album, tmp_path):
    """Inside of the set or elsewhere; they are not trained on even if they are labelled, and other images are not predicted."""
    album.images("new/1.jpg", "new/2.jpg")
    assert album.defined(test=str(album.root / "new")).test == ("new/1.jpg", "new/2.jpg")
    Album(tmp_path / "elsewhere")
    found = album.defined(test=str(tmp_path / "elsewhere"))
    assert found.test[0] == "../elsewhere/1.png"
    assert Folder(Path(found.root)).path(found.test[0]).is_file()
    album.images("labelled/9.png")
    album.labels("labels.csv", "1.png", "labelled/9.png")
    found = album.defined(test=str(album.root / "labelled"))
    assert (found.labelled, found.test) == (("1.png",), ("labelled/9.png",))


def test_a_split_file_fixes_the_parts(album):
    """Test images never train, with or without labels."""
    split = album.write("split/parts.csv", "image,part\n1.png,train\n2.png,validation\n3.png,test\n7.png,training\n")
    found = album.defined(split=split)
    assert found.labelled == ("1.png", "2.png", "4.png", "5.png", "6.png")
    assert found.test == ("3.png", "8.png")
    assert found.parts == {"1.png": "training", "2.png": "validation"}


def test_parts_without_validation_divide_nothing(album):
    """The validation part is then chosen as usual."""
    split = album.write("split/parts.csv", "image,part\n1.png,train\n3.png,test\n")
    found = album.defined(split=split)
    assert found.parts == {}
    assert "3.png" not in found.labelled


def test_folders_called_test_are_test_images(album):
    """As the label format says."""
    for name in ("labels.csv", *(f"{number}.png" for number in range(1, 9))):
        (album.root / name).unlink()
    for part in ("train", "test"):
        album.images(*(f"{part}/{number}.png" for number in range(1, 7)))
        album.labels(f"{part}/labels.csv", *(f"{number}.png" for number in range(1, 7)))
    found = album.defined()
    assert found.labelled == tuple(f"train/{number}.png" for number in range(1, 7))
    assert found.test == tuple(f"test/{number}.png" for number in range(1, 7))


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        ({"path": "nowhere"}, "nowhere does not exist. Name the folder of a keypoint set, or its label file."),
        ({"format": "coco"}, "has no labels in the format coco. Name another format, or leave out --dataset-format."),
        ({"format": "cocoa"}, "There is no label format 'cocoa'; did you mean coco?"),
        ({"keypoints": "nowhere.toml"}, "nowhere.toml cannot be read: no such file or directory. Check the path."),
        ({"test": "nowhere"}, "--dataset-test nowhere is not a folder. Name the folder of the images to predict."),
        ({"split": "nowhere.csv"}, "nowhere.csv cannot be read: no such file or directory."),
        ({"path": "1.png"}, "1.png has no labels in a known format: sleap, coco, "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_faults_are_sentences(album, flags, fault):
    """A definition is returned in any case, without groups."""
    found = album.defined(**flags)
    assert fault in found.fault
    assert (found.keypointset, found.groups) == (None, ())


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda album: album.write("labels.csv", HEADER + "1.png,1,2,3,4,5,x\n"), "labels.csv, line 2"),
        (lambda album: (album.root / "labels.csv").unlink(), "has no labels in a known format"),
        (
            lambda album: album.write("keypoints.toml", "miror = []"),
            "keypoints.toml, line 1: there is no key 'miror'",
        ),
        (
            lambda album: album.write("keypoints.toml", "mirror = [['nose', 'ear']]"),
            "line 1: mirror: there is no keypoint 'ear'",
        ),
        (lambda album: album.write("labels.csv", HEADER + "1.png,,,,,,\n"), "labels no keypoint in any image"),
        (lambda album: album.labels("labels.csv", "9.png"), "9.png"),
        (
            lambda album: album.write("keypoints.toml", "name = 'x'\ngroup-by = '(z)'"),
            "line 2: group-by: the regular expression fits the path of no labelled image, such as 1.png.",
        ),
        (lambda album: album.write("keypoints.toml", "boxes = 'none.csv'"), "none.csv cannot be read"),
        (
            lambda album: (album.root / "labels.csv").rename(album.root / "film.mp4"),
            "wide_csv. 1 video (mice/film.mp4) is not read; convert first, for example: ffmpeg -i film.mp4",
        ),
        (
            lambda album: [album.write("9.HEIC", "x"), album.labels("labels.csv", "1.png", "9.heic", "8.heic")],
            "labels.csv labels images of a format that is not read. 1 HEIC photograph (mice/9.HEIC) is not read; convert first",
        ),
    ],
    ids=["label", "no labels", "key", "reference", "empty", "image", "group-by", "boxes", "video", "heic"],
)
def test_faults_of_files_are_sentences(album, change, fault):
    """With the file, the line and what to do."""
    change(album)
    assert fault in album.defined().fault.replace(f"{album.root.parent}/", "")


def test_a_set_of_test_images_only_is_a_fault(album):
    """Nothing would be left to train with."""
    found = album.defined(test=str(album.root))
    assert "All labelled images of" in found.fault


def test_a_validation_part_of_all_images_is_a_fault(album, tmp_path):
    """Nothing would be left to train with either."""
    rows = "".join(f"{number}.png,validation\n" for number in range(1, 7))
    split = album.write("../split.csv", "image,part\n" + rows)
    assert "All labelled images of" in album.defined(split=split).fault


def test_an_instance_that_repeats_another_counts_once(album):
    """A line that was copied does not make two objects of one, so samples stay whole images."""
    lines = (album.root / "labels.csv").read_text()
    album.write("labels.csv", lines + lines.splitlines()[1] + "\n")
    found = album.defined()
    assert (found.instances, found.around) == (1, "image")
    assert "1 instance with the same labels as another one of the same image left out." in found.notes


def test_a_few_images_with_several_instances_are_said(album):
    """They may be a mistake, and decide how all samples are cut."""
    album.images(*(f"{number}.png" for number in range(9, 30)))
    album.labels("labels.csv", *(f"{number}.png" for number in range(1, 30)), "3.png")
    found = album.defined()
    assert (found.instances, found.around) == (2, "keypoints")
    assert any(note.startswith("1 image of 29 has several instances; the first is 3.png.") for note in found.notes)


def boxes_of(album, *numbers):
    rows = "".join(f"{number}.png,5,5,30,30\n" for number in numbers)
    album.write("boxes.csv", "image,x,y,width,height\n" + rows)
    album.write("keypoints.toml", "boxes = 'boxes.csv'")
    return album.defined()


def test_samples_are_cut_around_the_boxes_of_a_file(album):
    """If labelled images and images to predict have them; otherwise a note says why not."""
    assert boxes_of(album, *range(1, 9)).around == "box"
    for lacking in (boxes_of(album, *range(1, 8)), boxes_of(album, *range(2, 9))):
        assert lacking.around == "image"
        assert "Samples are whole images, because boxes are not known for all images, including those to predict." in lacking.notes


@pytest.fixture
def counted(album, tmp_path, monkeypatch):
    """How often a definition is found anew; the cache is in the current folder."""
    (tmp_path / "workspace" / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "workspace")
    monkeypatch.setattr(definition, "RECENT", -(10**18))
    calls = []
    define = defining.define
    monkeypatch.setattr(defining, "define", lambda asked: calls.append(asked) or define(asked))

    def defined(**flags):
        monkeypatch.setattr(Builds, "generation", Builds.generation + 1)
        return definitions.defined(Asked(str(album.root), **flags)), len(calls)

    return defined


def test_a_definition_is_remembered(counted, album):
    """Across builds and processes, until a file of the set changes."""
    first, calls = counted()
    assert calls == 1
    assert counted() == (first, 1)
    album.labels("labels.csv", "1.png", "2.png")
    assert len(counted()[0].labelled) == 2
    album.images("9.png")
    assert counted()[0].test[-1] == "9.png"
    album.write("keypoints.toml", "mirror = false")
    assert counted()[0].keypointset.mirror is None
    assert counted()[1] == 4


def test_another_file_of_boxes_is_another_definition(counted, album, tmp_path):
    """Also one outside of the folder of the set."""
    flags = {"keypoints": album.write("../keypoints.toml", "boxes = 'boxes.csv'")}
    header, *rows = ["image,x,y,width,height\n", *(f"{number}.png,5,5,30,30\n" for number in range(1, 9))]
    album.write("../boxes.csv", header + "".join(rows))
    assert counted(**flags)[0].around == "box"
    album.write("../boxes.csv", header + "".join(rows[1:]))
    assert counted(**flags)[0].around == "image"


def test_a_link_to_the_folder_itself_ends(album, tmp_path):
    """Two of them would be followed without end."""
    for name in ("one", "two"):
        (album.root / name).symlink_to(album.root)
    assert definition.state((album.root,), 10**19)
    assert album.defined().labelled == tuple(f"{number}.png" for number in range(1, 7))


def test_predictions_are_no_labels(album):
    """A table of them may have been copied into the folder."""
    album.write("mine.csv", "image,instance,keypoint,x,y\n1.png,1,nose,3,4\n")
    assert album.defined().files == ("labels.csv",)


def test_other_flags_are_another_definition(counted, album, tmp_path):
    """Several are remembered, each with the files that it depends on."""
    other = tmp_path / "other.toml"
    other.write_text("mirror = false")
    assert counted()[1] == 1
    assert counted(keypoints=str(other))[0].keypointset.mirror is None
    assert counted()[1] == 2
    other.write_text("mirror = []")
    assert counted(keypoints=str(other))[0].keypointset.mirror == ()
    assert counted()[1] == 3


@pytest.mark.parametrize("content", ["", "[]", "{", '{"KEY": 1}', '{"KEY": {}}', '{"KEY": {"state": "x", "definition": {"format": 1}}}'])
def test_a_damaged_cache_is_ignored(counted, content):
    """The definition is found anew and the file is replaced."""
    first, _ = counted()
    cache = Path("data") / definitions.CACHE
    key = next(iter(json.loads(cache.read_text())))
    cache.write_text(content.replace("KEY", key))
    assert counted() == (first, 2)
    assert counted() == (first, 2)


def test_edited_code_finds_definitions_anew(counted, monkeypatch):
    """The code of data and keypoints decides what a definition is."""
    counted()
    monkeypatch.setattr(definitions, "_code", lambda: "another")
    assert counted()[1] == 2


def test_a_fault_and_a_recent_file_are_not_remembered(counted, album, monkeypatch):
    """A fault may have other causes than files; a file can change again within the resolution of its times."""
    (album.root / "labels.csv").rename(album.root / "labels.txt")
    assert counted()[0].fault
    assert counted()[1] == 2
    (album.root / "labels.txt").rename(album.root / "labels.csv")
    monkeypatch.setattr(definition, "RECENT", 10**12)
    counted()
    assert counted()[1] == 4


def test_a_build_finds_a_definition_once(album, tmp_path, monkeypatch):
    """Each of its stages asks for it."""
    monkeypatch.chdir(tmp_path)
    first = definitions.defined(Asked(str(album.root)))
    assert definitions.defined(Asked(str(album.root))) is first


def test_few_values_are_remembered(tmp_path):
    """The newest; a value under the same key is replaced."""
    for number in range(12):
        remembered.remember(tmp_path / "values.json", f"key {number}", number)
    assert remembered.recall(tmp_path / "values.json", "key 11") == 11
    assert remembered.recall(tmp_path / "values.json", "key 1") is None
    remembered.remember(tmp_path / "values.json", "key 11", 1)
    assert remembered.recall(tmp_path / "values.json", "key 11") == 1
    assert len(json.loads((tmp_path / "values.json").read_text())) == remembered.MOST
    assert [path.name for path in tmp_path.iterdir()] == ["values.json"]


@pytest.mark.parametrize(
    ("read", "text", "found"),
    [
        (beside.parts, "image,part\n1.png,train\n2.png,val\n", {"1.png": "training", "2.png": "validation"}),
        (beside.groups, "group;image\na;1.png\nb;2.png\n", {"1.png": "a", "2.png": "b"}),
        (beside.scales, "image,mm-per-pixel\n1.png,0.2\n", {"1.png": 0.2}),
        (
            beside.boxes,
            "image,x,y,width,height,instance\n1.png,1,2,3,4,a\n1.png,5,6,7,8,b\n",
            {"1.png": [beside.Box("a", (1, 2, 3, 4)), beside.Box("b", (5, 6, 7, 8))]},
        ),
    ],
    ids=["parts", "groups", "scales", "boxes"],
)
def test_tables_beside_the_labels(album, read, text, found):
    """Each says something about images."""
    assert read(Path(album.write("table.csv", text)), Folder(album.root)) == found


@pytest.mark.parametrize(
    ("read", "text", "fault"),
    [
        (beside.parts, "", r"has no column image; its first line must have image, part\."),
        (beside.parts, "image,group\n1.png,a\n", r"has no column part"),
        (beside.parts, "image,part\n1.png,exam\n", r"line 2: 'exam' is no part; write training, validation or test\."),
        (beside.parts, "image,part\n1.png,test\n1.png,train\n", r"line 3: 1\.png is in two parts"),
        (beside.parts, "image,part\n99.png,test\n", r"line 2: there is no image '99\.png' in"),
        (beside.groups, "image,group\n1.png,a\n1.png,b\n", r"line 3: 1\.png is in two groups"),
        (beside.scales, "image,mm_per_pixel\n1.png,-1\n", r"line 2: mm_per_pixel is -1 but must be positive"),
        (beside.scales, "image,mm_per_pixel\n1.png,a\n", r"line 2: mm_per_pixel"),
        (beside.boxes, "image,x,y,width,height\n1.png,1,2,0,4\n", r"line 2: a box of 0 x 4 pixels is empty"),
    ],
    ids=["empty", "column", "part", "two parts", "image", "two groups", "negative", "no number", "empty box"],
)
def test_mistakes_in_tables_beside_the_labels(album, read, text, fault):
    """One sentence with the file, the line and what to do."""
    with pytest.raises(InputError, match=fault):
        read(Path(album.write("table.csv", text)), Folder(album.root))


@pytest.mark.parametrize("name", ["9.png", "../new/9.png", "new/9.png"])
def test_boxes_of_images_outside_of_the_folder(album, name):
    """Those to predict may be in another folder."""
    album.images("../new/9.png")
    rows = [f"{number}.png,5,5,30,30\n" for number in range(1, 7)]
    album.write("boxes.csv", "image,x,y,width,height\n" + "".join([*rows, f"{name},5,5,30,30\n"]))
    album.write("keypoints.toml", "boxes = 'boxes.csv'")
    found = album.defined(test=str(album.root.parent / "new"))
    assert (found.test, found.around, found.fault) == (("../new/9.png",), "box", "")


def instances(*named):
    points = np.zeros((1, 2))
    return [Instance(image, name, points, np.zeros(1, bool), (0, 0, 1, 1), place="labels.csv") for image, name in named]


@pytest.mark.parametrize(
    ("rows", "widths"),
    [
        ("a.png,1,5\na.png,2,6\n", [5, 6, 1]),
        ("a.png,2,6\na.png,1,5\nb.png,,9\n", [5, 6, 9]),
        ("a.png,,5\na.png,,6\nb.png,head,9\n", [5, 6, 9]),
        ("", [1, 1, 1]),
    ],
    ids=["named", "other order", "their order", "none"],
)
def test_boxes_belong_to_instances(album, rows, widths):
    """By name, or in their order; what has no box in the file keeps its own."""
    album.images("a.png", "b.png")
    path = Path(album.write("boxes.csv", "image,instance,width,x,y,height\n" + rows.replace("\n", ",0,0,1\n")))
    own = instances(("a.png", "1"), ("a.png", "2"), ("b.png", "1"))
    found = beside.boxed(own, beside.boxes(path, Folder(album.root)), path)
    assert [one.box[2] for one in found] == widths


def test_an_instance_without_a_box_beside_one_with(album):
    """It is not known which of them the box belongs to."""
    with pytest.raises(InputError, match=r"boxes.csv has no box of the instance 1 of a.png, which labels.csv labels. Add its box"):
        beside.boxed(instances(("a.png", "1"), ("a.png", "2")), {"a.png": [beside.Box("2", (0, 0, 5, 5))]}, Path("boxes.csv"))


def test_images_inside_of_label_files_are_known_by_name(album):
    """They are no files of the folder."""
    path = Path(album.write("table.csv", "image,part\nvideo 1/frame 3,test\n"))
    assert beside.parts(path, Folder(album.root), ("video 1/frame 3",)) == {"video 1/frame 3": "test"}
