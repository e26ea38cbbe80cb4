"""keypoints.toml: what it can say, and the sentence with file and line for each mistake."""

import pytest

from pipeline.errors import InputError
from pipeline.keypoints import file as files
from pipeline.keypoints.file import Normaliser, Selection

NAMES = ("nose", "left_ear", "right_ear", "tail")
NUMBERED = tuple(map(str, range(1, 69)))


@pytest.fixture
def written(tmp_path):
    """Writes a keypoints.toml and reads it."""

    def write(text):
        path = tmp_path / "keypoints.toml"
        path.write_text(text)
        return files.read(path)

    return write


def keypointset(file, names=NAMES, **more):
    values = {"title": "mice", "mirror": (("left_ear", "right_ear"),), "groups": {"body": names}}
    return file.keypointset(names, **{**values, **more})


def test_an_empty_file_says_nothing(written):
    """The set is what the labels and the guesses say."""
    found = keypointset(written(""), sources=("a", "b"), skeleton=(("nose", "tail"),))
    assert found.names == NAMES
    assert (found.name, found.mirror, found.skeleton) == ("mice", (("left_ear", "right_ear"),), (("nose", "tail"),))
    assert found.sources == {"a": NAMES, "b": NAMES}
    assert found.groups == {"body": NAMES}


def test_everything_can_be_said(written):
    """Every key, with references by name, by number and by range."""
    file = written(
        """
        name = "mice from above"
        names = ["nose", "left_ear", "right_ear", "tail"]
        mirror = [["left_ear", 3]]
        skeleton = [["1-3"], ["nose", "tail"]]
        normalise = { pair = [2, "right_ear"] }
        origin = "lower-left"
        detector = "none"
        group-by = "^(mouse[0-9]+)/"
        boxes = "boxes.csv"
        [groups]
        head = ["1-3"]
        tail = [4]
        [sources]
        predict = "junior"
        senior = ["1-4"]
        junior = ["nose", "tail"]
        """
    )
    found = keypointset(file, sources=("junior", "senior"), mirror=None, groups={})
    assert found.name == "mice from above"
    assert found.mirror == (("left_ear", "right_ear"),)
    assert found.skeleton == (("nose", "left_ear"), ("left_ear", "right_ear"), ("nose", "tail"))
    assert found.groups == {"head": ("nose", "left_ear", "right_ear"), "tail": ("tail",)}
    assert found.sources == {"senior": NAMES, "junior": ("nose", "tail")}
    assert file.source_to_predict(found.sources) == "junior"
    assert file.normaliser(NAMES) == Normaliser(pair=("left_ear", "right_ear"))
    assert (file.origin, file.detector, file.group_by, file.boxes) == ("lower-left", "none", "^(mouse[0-9]+)/", "boxes.csv")


def test_sixty_eight_numbered_points_are_a_few_lines(written):
    """Ranges in mirror pairs are paired in order, so one may run backwards."""
    file = written('mirror = [["1-8", "17-10"], ["18-22", "27-23"]]\nskeleton = [["1-17"]]\n[groups]\njaw = ["1-17"]\nrest = ["18-68"]\n')
    found = keypointset(file, NUMBERED)
    assert found.mirror[:2] == (("1", "17"), ("2", "16"))
    assert len(found.mirror) == 13
    assert found.groups["jaw"] == NUMBERED[:17]
    assert len(found.skeleton) == 16


@pytest.mark.parametrize(
    ("text", "mirror"),
    [("mirror = false", None), ("mirror = []", ()), ("", (("left_ear", "right_ear"),))],
    ids=["never", "nothing", "unsaid"],
)
def test_how_images_are_mirrored(written, text, mirror):
    """Never, without an exchange, or as otherwise known."""
    assert keypointset(written(text)).mirror == mirror


@pytest.mark.parametrize(
    ("text", "labelled", "order", "names"),
    [
        ("", "abc", (0, 1, 2), "abc"),
        ('names = ["c", "a"]', "abc", (2, 0), "ca"),
        ('names = ["x", "y", "z"]', "abc", (0, 1, 2), "xyz"),
        ('names = ["1", "y", "3"]', "123", (0, 1, 2), "1y3"),
    ],
    ids=["none", "selected", "renamed", "numbers renamed"],
)
def test_names_select_or_rename(written, text, labelled, order, names):
    """Names of the labels select and order them; as many others replace them."""
    assert written(text).selection(tuple(labelled)) == Selection(order, tuple(names))


@pytest.mark.parametrize(
    ("text", "normaliser"),
    [
        ("normalise = { box = true }", Normaliser(box=True)),
        ("normalise = { mm-per-pixel = 0.1 }", Normaliser(mm_per_pixel=0.1)),
        ("[normalise]\nmm_per_pixel = 'scale.csv'", Normaliser(file="scale.csv")),
        ("", None),
    ],
    ids=["box", "number", "file", "none"],
)
def test_normalisers(written, text, normaliser):
    """Underscores and hyphens in keys are the same."""
    assert written(text).normaliser(NAMES) == normaliser


def test_files_are_relative_to_it(written, tmp_path):
    """A file that it names lies beside it, wherever the command runs."""
    file = written('boxes = "boxes.csv"')
    assert file.beside(file.boxes) == tmp_path / "boxes.csv"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name = mice", r"keypoints\.toml, line 1, column 8: not TOML \(invalid value\)\. Correct it\."),
        ("\nmiror = []", r"keypoints\.toml, line 2: there is no key 'miror'; did you mean mirror\?"),
        ("name = 3", "line 1: name: a text in quotes is needed"),
        ("names = 'nose'", "line 1: names: a list of names in quotes is needed"),
        ("mirror = true", "line 1: mirror: a list of pairs is needed, .* or false if images must not be flipped"),
        ("mirror = [\n  ['nose', 'tail'],\n  ['left_ear'],\n]", r"line 3: mirror: \['left_ear'\] is not a pair"),
        ("mirror = [[1.5, 2]]", "line 1: mirror: 1.5 is neither the name nor the number of a keypoint"),
        ("skeleton = ['nose', 'tail']", "line 1: skeleton: a list of lists of keypoints is needed"),
        ("groups = ['nose']", r"line 1: groups: write \[groups\], and below it lines such as NAME = \[KEYPOINTS\]"),
        ("[groups]\nhead = 'nose'", "line 2: groups: head must be a list of keypoints"),
        ("[groups]\nhead = ['nose']\norigin = 'lower-left'", "line 3: groups: origin belongs to the set. Move its line above"),
        ("[sources]\npredict = 1", "line 2: sources: predict must be the name of an annotation source"),
        ("sources = ['a']", r"line 1: sources: write \[sources\]"),
        ("normalise = { eyes = true }", "line 1: normalise: 'eyes' is unknown; the choices are pair, box, mm-per-pixel"),
        ("normalise = { box = true, pair = [1, 2] }", "line 1: normalise: write one of"),
        ("[normalise]\nmm-per-pixel = -1", "line 2: normalise: mm-per-pixel must be a positive number or a CSV file"),
        ("origin = 'top'", "line 1: origin: 'top' is unknown; the choices are upper-left, lower-left"),
        ("detector = 'faces'", r"line 1: detector: 'faces' is unknown; did you mean face\?"),
        ("group-by = '('", "line 1: group-by: not a regular expression"),
        ("group_by = 'a'", "line 1: group-by: the regular expression must have one group in parentheses, and this one has 0"),
        (f"boxes = {'[' * 5000}", "nested too deeply"),
        (f"boxes = {'9' * 5000}", "a number that is too long"),
    ],
    ids=lambda value: None if len(value) > 60 else "".join(letter if letter.isalnum() else "-" for letter in value),
)
def test_values_of_the_wrong_kind(written, text, fault):
    """One sentence with the file and the line."""
    with pytest.raises(InputError, match=fault):
        written(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "mirror = [\n  ['nose', 'tail'],\n  ['left_ear', 'rigt_ear'],\n]",
            r"line 3: mirror: there is no keypoint 'rigt_ear'; did you mean right_ear\?",
        ),
        ("mirror = [['1-2', '3-5']]", r"line 1: mirror: there is no keypoint 5; they are numbered from 1 to 4"),
        ("mirror = [['1-2', '3']]", "line 1: mirror: '1-2' has 2 keypoints and '3' has 1"),
        ("\nmirror = [[1, 2], [2, 3]]", "line 2: .*'left_ear' occurs more than once in the mirror pairs"),
        ("mirror = [[0, 2]]", "line 1: mirror: there is no keypoint 0"),
        ("mirror = [['1-999999999', 2]]", "line 1: mirror: there is no keypoint 999999999"),
        ("[groups]\nhead = ['1-3']", r"line 1: .*every keypoint exactly once, which is not so for 'tail'"),
        ("[groups]\nhead = [1, 2]\nrest = [3, 4]", r"line 1: .*contains 'left_ear' but not 'right_ear', its partner"),
        ("[groups]\nbase = ['1-4']", r"line 1: .*'base' cannot be the name of a group"),
        ("[groups]\nhead = ['1-3']\nHead = [4]", "line 1: .*the group name 'head' occurs more than once"),
        ("skeleton = [['nose', 'Tail']]", r"line 1: skeleton: there is no keypoint 'Tail'; did you mean tail\?"),
        ("[sources]\nsenor = ['1-4']", "line 2: sources: no label file is called 'senor'; did you mean senior"),
        ("[sources]\nsenior = [1]", "line 1: .*the first annotation source must label every keypoint"),
    ],
    ids=lambda value: None if len(value) > 60 else "".join(letter if letter.isalnum() else "-" for letter in value),
)
def test_values_that_do_not_fit_the_labels(written, text, fault):
    """One sentence with the file, the line and the name."""
    with pytest.raises(InputError, match=fault):
        keypointset(written(text), sources=("senior",))


def test_the_first_source_labels_all_keypoints(written):
    """A source that does not follows the others, also if it is the only one in the file."""
    found = keypointset(written("[sources]\njunior = ['1-2']"), sources=("junior", "senior"))
    assert list(found.sources.items()) == [("senior", NAMES), ("junior", NAMES[:2])]


def test_an_unknown_source_to_predict(written):
    """It is named with its line."""
    with pytest.raises(InputError, match=r"line 2: sources: there is no annotation source 'junor'; did you mean junior\?"):
        written("[sources]\npredict = 'junor'").source_to_predict(["senior", "junior"])


@pytest.mark.parametrize(
    ("text", "labelled", "fault"),
    [
        ('names = ["nose", "tial"]', NAMES, r"line 1: names: the labels have no keypoint 'tial'; did you mean tail\?"),
        ('names = ["a", "b"]', ("1", "2", "3"), "line 1: names: 2 names are given, but the labels have 3 keypoints. Name each of them"),
    ],
    ids=["unknown", "number"],
)
def test_names_that_do_not_fit(written, text, labelled, fault):
    """They neither select nor rename."""
    with pytest.raises(InputError, match=fault):
        written(text).selection(labelled)


def test_files_that_are_no_text(tmp_path):
    """A missing file, another encoding and a large file are refused with a sentence."""
    path = tmp_path / "keypoints.toml"
    with pytest.raises(InputError, match=r"keypoints\.toml cannot be read: no such file or directory"):
        files.read(path)
    path.write_bytes("name = 'Mäuse'".encode("latin-1"))
    with pytest.raises(InputError, match="byte 10 is not UTF-8 text"):
        files.read(path)
    path.write_bytes(b"#" * (files.LARGEST + 1))
    with pytest.raises(InputError, match=r"such files of up to 1\.0 MB are read"):
        files.read(path)
