"""Files in the folder of a keypoint set that another program has to convert."""

import pytest
from PIL import Image

from pipeline.data.formats.folder import Folder
from pipeline.data.formats.unsupported import unreadable


@pytest.mark.parametrize(
    ("name", "kind", "command"),
    [
        ("scan.dcm", "1 DICOM image", "magick scan.dcm scan.png"),
        ("brain.nii.gz", "1 NIfTI volume", "med2image -i brain.nii.gz -o brain.nii.png"),
        ("brain.nii", "1 NIfTI volume", "med2image -i brain.nii -o brain.png"),
        ("fly.MP4", "1 video", "ffmpeg -i fly.MP4 -vf fps=1 fly-%04d.jpg"),
        ("me and you.heic", "1 HEIC photograph", "magick 'me and you.heic' 'me and you'.jpg"),
    ],
)
def test_a_file_is_named_with_the_command_that_converts_it(tmp_path, name, kind, command):
    """Also in a folder below."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / name).write_bytes(b"x")
    assert unreadable(Folder(tmp_path)) == f"{kind} ({tmp_path}/sub/{name}) is not read; convert first, for example: {command}"


@pytest.mark.parametrize("name", ["IM0001", "1.2.840.113619.2"])
def test_dicom_images_are_recognised_by_their_content(tmp_path, name):
    """Their names often have no suffix, or are numbers with points."""
    (tmp_path / name).write_bytes(bytes(128) + b"DICM")
    (tmp_path / "README").write_text("words")
    expected = f"{tmp_path}/{name} is a DICOM image, which is not read; convert it first, for example: magick {name} "
    assert unreadable(Folder(tmp_path)).startswith(expected)


def test_files_that_are_read_or_unknown_are_not_named(tmp_path):
    """Images, labels, and texts."""
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    for file in ("a.json", "notes.txt", "archive.gz", "Makefile"):
        (tmp_path / file).write_text("x")
    assert unreadable(Folder(tmp_path)) == ""


def test_each_kind_is_one_sentence(tmp_path):
    """With the number of files, and one of them as an example."""
    for name in ("a.dcm", "b.dcm", "c.mov"):
        (tmp_path / name).write_bytes(b"x")
    found = unreadable(Folder(tmp_path))
    assert found.startswith(f"2 DICOM images ({tmp_path}/a.dcm among them) are not read; convert first, for example: magick a.dcm a.png ")
    assert "1 video (" in found


def test_labels_of_yolo_without_their_description(tmp_path):
    """It says how many keypoints there are."""
    path = tmp_path / "labels" / "train" / "a.txt"
    path.parent.mkdir(parents=True)
    path.write_text("0 0.5 0.5 0.25 1e-1 0.4 0.5 2\n")
    assert unreadable(Folder(tmp_path)) == (
        f"{path} seems to be a label file of YOLO-pose, which needs a data.yaml with train, val and kpt_shape. Add that file."
    )
    path.write_text("some notes about the seven images that I made\n")
    assert unreadable(Folder(tmp_path)) == ""
