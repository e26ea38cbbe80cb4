"""SLEAP's files: labels with images that are embedded, or that the file names."""

import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from sleapfiles import EDGE, POINT, RED, SEQUENCE, Contents, package, png

from pipeline.data.formats import sleap, sleap_process
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Labels, Reading
from pipeline.errors import InputError

NAN = np.nan
BLUE = (10, 20, 250)


def read(path: Path, category: str = "", upwards: bool | None = None) -> Labels:
    """The labels of one file."""
    return sleap.read(Folder(path.parent), (path.name,), Reading(category, upwards))


@pytest.fixture
def images(tmp_path) -> Path:
    """A folder with two images of 20 x 10 pixels."""
    for name in ("a.png", "b.png"):
        Image.new("L", (20, 10)).save(tmp_path / name)
    return tmp_path


def test_a_package_has_labels_and_images(tmp_path):
    """An integer is the centre of a pixel; invisible points and NaN are missing; predictions are no labels."""
    labels = read(package(tmp_path / "flies.pkg.slp"))
    assert labels.names == ("left", "head", "right")
    assert labels.mirror == (("left", "right"),)
    assert labels.skeleton == (("head", "left"), ("head", "right"))
    names = ["flies/video0/000000.png", "flies/video0/000001.png"]
    assert [(each.name, each.embedded) for each in labels.images] == [(name, ("flies.pkg.slp", row)) for row, name in enumerate(names)]
    expected = [[(1.5, 2.5), (3.5, 4.5), (5.5, 6.5)], [(2, 3), (NAN, NAN), (8.5, 9.5)], [(0.5, 0.5), (1.5, 1.5), (NAN, NAN)]]
    np.testing.assert_array_equal(labels.keypoints(), expected)
    assert [(each.image, each.id) for each in labels.instances] == [(names[0], "1"), (names[0], "2"), (names[1], "1")]
    content = sleap.frame(Folder(tmp_path), "flies.pkg.slp", 1)
    assert content == png(RED).tobytes()


def test_before_format_1_1_0_was_the_edge_of_the_image(tmp_path):
    """So the same number is half a pixel less."""
    content = Contents()
    content.format_id = 1.0
    labels = read(content.save(tmp_path / "a.slp", [png(RED), png(RED)]))
    np.testing.assert_array_equal(labels.instances[0].keypoints, [(1, 2), (3, 4), (5, 6)])


def test_the_user_may_say_that_y_grows_upwards(tmp_path):
    """The height is that of the embedded image."""
    labels = read(package(tmp_path / "a.slp"), upwards=True)
    np.testing.assert_array_equal(labels.instances[0].keypoints[0], (1.5, 7.5))


@pytest.mark.parametrize(
    ("format_id", "order", "color"), [(1.3, "RGB", RED), (1.3, "BGR", BLUE), (1.3, None, BLUE), (1.4, None, RED)], ids=str
)
def test_red_and_blue_are_exchanged_where_opencv_did(tmp_path, format_id, order, color):
    """Files before format 1.4 do not say so, and are as OpenCV encodes."""
    content = Contents()
    content.format_id = format_id
    content.save(tmp_path / "a.slp", [png(RED), png(RED)], **({"channel_order": order} if order else {}))
    with Image.open(io.BytesIO(sleap.frame(Folder(tmp_path), "a.slp", 0))) as image:
        assert (image.size, image.getpixel((3, 3))) == ((20, 10), color)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_images_that_are_embedded_as_pixels_become_png(tmp_path, channels, mode):
    """As SLEAP writes them with the format "hdf5"."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 10, 20, channels), np.uint8)
    Contents().save(tmp_path / "a.slp", pixels, format="hdf5")
    with Image.open(io.BytesIO(sleap.frame(Folder(tmp_path), "a.slp", 1))) as image:
        assert image.mode == mode
        np.testing.assert_array_equal(np.asarray(image).reshape(10, 20, channels), pixels[1])


def test_images_of_one_length_are_padded_with_zeros(tmp_path):
    """As sleap-io writes them."""
    padded = np.stack([np.pad(png(RED), (0, 100)), np.pad(png(RED), (0, 100))])
    Contents().save(tmp_path / "a.slp", padded, format="png", channel_order="RGB")
    assert sleap.frame(Folder(tmp_path), "a.slp", 0) == png(RED).tobytes()


def test_a_sequence_of_images_is_looked_for_in_the_folder(images):
    """By name, whatever the path on the other computer."""
    labels = read(Contents(SEQUENCE).save(images / "a.slp"))
    assert [(each.name, each.embedded) for each in labels.images] == [("a.png", None), ("b.png", None)]
    assert len(labels.instances) == 3


def test_the_numbers_of_videos_may_have_gaps(tmp_path):
    """In packages they are those of the datasets."""
    content = Contents({"filename": ".", "backend": {"filename": ".", "dataset": "video7/video"}})
    content["frames"]["video"] = 7
    content.save(tmp_path / "a.slp", [png(RED), png(RED)])
    with h5py.File(tmp_path / "a.slp", "a") as file:
        file.move("video0", "video7")
    labels = read(tmp_path / "a.slp")
    assert labels.images[1].name == "a/video7/000001.png"
    assert sleap.frame(Folder(tmp_path), *labels.images[1].embedded)


def test_a_frame_with_predictions_only_and_instances_without_points_are_left_out(tmp_path):
    """With a note for each."""
    content = Contents()
    content["instances"]["instance_type"][2] = 1
    content["points"]["visible"][3:6] = False
    labels = read(content.save(tmp_path / "a.slp", [png(RED), png(RED)]))
    assert [each.name for each in labels.images] == ["a/video0/000000.png"]
    assert len(labels.instances) == 1
    assert labels.notes == ("a.slp: 1 frame with predictions only: not read.", "a.slp: 1 instance without a visible point: not read.")


def test_a_category_is_the_name_of_a_skeleton(tmp_path):
    """It must be given where several are in use."""
    content = Contents()
    other = {"graph": {"name": "mouse"}, "links": [], "nodes": [{"id": 2}, {"id": 0}, {"id": 1}]}
    content.metadata["skeletons"].append({"nx_graph": other})
    content["instances"]["skeleton"][1] = 1
    path = content.save(tmp_path / "a.slp", [png(RED), png(RED)])
    with pytest.raises(InputError, match=r"several skeletons \(fly, mouse\)\. Choose one with --dataset-category\."):
        read(path)
    with pytest.raises(InputError, match=r"no labelled skeleton 'mose'; did you mean mouse\?"):
        read(path, "mose")
    labels = read(path, "mouse")
    assert (labels.names, labels.mirror, [each.id for each in labels.instances]) == (("right", "head", "left"), None, ["2"])


def test_a_file_without_images_beside_a_package_is_left_out(tmp_path):
    """With a note that says how to make a package; if there is no other file, that is the error."""
    video = {"filename": "C:\\fly.mp4", "backend": {"type": "MediaVideo", "filename": "C:\\fly.mp4"}}
    Contents(video).save(tmp_path / "a.slp")
    package(tmp_path / "a.pkg.slp")
    folder = Folder(tmp_path)
    (note,) = sleap.read(folder, sleap.find(folder), Reading()).notes
    assert note == (
        f"{tmp_path}/a.slp labels frames of the video C:\\fly.mp4 and does not contain them. Make a package with SLEAP, or with sleap-io: "
        "sio embed a.slp -o a.pkg.slp"
    )
    with pytest.raises(InputError, match="sio embed"):
        read(tmp_path / "a.slp")


def test_files_are_recognised_by_their_content(tmp_path):
    """Files that are not HDF5 are not SLEAP's."""
    package(tmp_path / "a.slp")
    (tmp_path / "b.slp").write_text("{}")
    (tmp_path / "c.h5").write_bytes((tmp_path / "a.slp").read_bytes())
    assert sleap.find(Folder(tmp_path)) == ("a.slp",)


def set_(name: str, field: str, row: int, value: Any) -> Any:
    """A change of a table."""

    def change(content: Contents) -> None:
        content[name][field][row] = value

    return change


def metadata(**changes: Any) -> Any:
    """A change of the JSON text of /metadata."""
    return lambda content: content.metadata.update(changes)


def skeleton(**changes: Any) -> Any:
    """A change of the skeleton."""
    return lambda content: content.metadata["skeletons"][0].update(changes)


def video(**changes: Any) -> Any:
    """A change of the video."""
    return lambda content: content.videos[0]["backend"].update(changes)


FIRST = ", frame 0 of video 0"
FAULTS = {
    "infinite": (set_("points", "x", 0, np.inf), f"{FIRST}, instance 1, image a/video0/000000.png: a coordinate is inf, which cannot"),
    "huge": (set_("points", "y", 0, 1e300), f"{FIRST}, instance 1, image a/video0/000000.png: a coordinate is 1e+300, which cannot"),
    "far": (
        set_("points", "x", 0, 41),
        f"{FIRST}, instance 1, image a/video0/000000.png: the keypoint 'left' lies at x = 41.5, y = 2.5, far",
    ),
    "instances": (set_("frames", "instance_id_end", 0, 9), f"{FIRST}: the file has no instances 0 to 9"),
    "points": (set_("instances", "point_id_end", 0, 10), f"{FIRST}, instance 1, image a/video0/000000.png: the points do not fit"),
    "number of points": (set_("instances", "point_id_end", 0, 2), f"{FIRST}, instance 1, image a/video0/000000.png: the points do not fit"),
    "skeleton": (set_("instances", "skeleton", 0, 1), f"{FIRST}, instance 1, image a/video0/000000.png: the points do not fit"),
    "video": (set_("frames", "video", 0, 1), ", frame 0 of video 1: the file has no such video"),
    "row": (set_("frames", "frame_idx", 0, 1 << 40), " is not a SLEAP file that can be read (its tables have numbers that are no"),
    "no image": (set_("frames", "frame_idx", 0, 5), ", frame 5 of video 0: the image is not in the file"),
    "nodes": (metadata(nodes=[]), " is not a SLEAP file that can be read (its skeletons are not in a form that is known: IndexError"),
    "same names": (metadata(nodes=[{"name": "head"}] * 3), " is not a SLEAP file that can be read (its skeletons are not in"),
    "no skeletons": (metadata(skeletons=None), " is not a SLEAP file that can be read (its skeletons are not in"),
    "empty skeletons": (metadata(skeletons=[]), f"{FIRST}, instance 1, image a/video0/000000.png: the points do not fit"),
    "links": (
        skeleton(links=[{"source": 0, "target": 9, "type": EDGE}]),
        " is not a SLEAP file that can be read (its skeletons are not in",
    ),
    "another dataset": (video(dataset="../../x"), " is not a SLEAP file that can be read (its videos are not in a form that is known"),
    "missing dataset": (video(dataset="video1"), " is not a SLEAP file that can be read (/video1/video is missing or a link"),
    "no table": (lambda content: content.pop("points"), " is not a SLEAP file that can be read (/points is missing or a link to another"),
    "no columns": (
        lambda content: content.update(points=np.zeros(9)),
        " is not a SLEAP file that can be read (/points has no columns x, y",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_with_its_place(tmp_path, fault):
    """The file, the frame, the instance, what is wrong, and what to do."""
    change, message = FAULTS[fault]
    content = Contents()
    change(content)
    with pytest.raises(InputError) as caught:
        read(content.save(tmp_path / "a.slp", [png(RED), png(RED)], width=20, height=10))
    assert str(caught.value).startswith(f"{tmp_path}/a.slp{message}")
    assert "\n" not in str(caught.value)


def external_link(file: h5py.File) -> None:
    file["points"] = h5py.ExternalLink("other.h5", "/points")


def soft_link(file: h5py.File) -> None:
    file["points"] = h5py.SoftLink("/elsewhere")


def external_data(file: h5py.File) -> None:
    file.create_dataset("points", (9,), POINT, external=[("/etc/passwd", 0, 1000)])


def virtual_data(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((9,), POINT)
    layout[:] = h5py.VirtualSource("other.h5", "points", (9,), POINT)
    file.create_virtual_dataset("points", layout)


def terabytes(file: h5py.File) -> None:
    file.create_dataset("points", (10**12,), POINT, chunks=(1000,), compression="gzip")


def large_chunks(file: h5py.File) -> None:
    file.create_dataset("points", (9,), POINT, chunks=(30_000_000,), maxshape=(None,), compression="gzip")


def texts_in_columns(file: h5py.File) -> None:
    file["points"] = np.zeros(9, [("x", "S8"), ("y", "f8"), ("visible", "?")])


HOSTILE = {
    "external link": (external_link, "/points is missing or a link to another place"),
    "soft link": (soft_link, "/points is missing or a link to another place"),
    "external data": (external_data, "/points has its data in another file"),
    "virtual data": (virtual_data, "/points has its data in another file"),
    "terabytes": (terabytes, "/points has 1,000,000,000,000 rows"),
    "large chunks": (large_chunks, "/points has chunks that are too large"),
    "texts": (texts_in_columns, "/points has no columns x, y, visible"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_before_it_is_read(tmp_path, kind):
    """Links to other files, terabytes, chunks that do not fit in memory."""
    path = package(tmp_path / "a.slp")
    change, message = HOSTILE[kind]
    with h5py.File(path, "a") as file:
        del file["points"]
        change(file)
    with pytest.raises(InputError, match=f"is not a SLEAP file that can be read \\({message}"):
        read(path)


@pytest.mark.parametrize("length", [8, 100, 2000, -1])
def test_a_file_that_is_cut_is_refused(tmp_path, length):
    """Wherever it ends."""
    path = package(tmp_path / "a.slp")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"a\.slp is not a SLEAP file that can be read"):
        read(path)


def break_(monkeypatch, code: str) -> None:
    """Lets the process that reads run this code before each answer."""
    sleap_process._servant.close()
    lines = f"import os, time; from pipeline.data.formats import sleap_hdf5, sleap_process as p\ndef metadata(file, path): {code}"
    monkeypatch.setattr(sleap_process, "_CODE", f"{lines}\np._FUNCTIONS['metadata'] = metadata\np.SECONDS = 1\np.serve()")


@pytest.mark.parametrize(
    ("code", "message"),
    [("os.abort()", "HDF5 crashed while it was read"), ("time.sleep(60)", "reading took more than 20 s")],
    ids=["crash", "time limit"],
)
def test_a_crash_of_the_library_is_one_sentence(tmp_path, monkeypatch, code, message):
    """The process that reads has ended; the next request starts another."""
    path = package(tmp_path / "a.slp")
    with monkeypatch.context() as patch:
        break_(patch, code)
        with pytest.raises(InputError, match=f"is not a SLEAP file that can be read \\({message}\\)"):
            read(path)
    assert read(path).instances


def test_after_a_crash_a_file_is_read_again_if_others_were_read_before(tmp_path, monkeypatch):
    """Because one of those may have damaged the process."""
    first, second = package(tmp_path / "a.slp"), package(tmp_path / "b.slp")
    break_(
        monkeypatch,
        f"return sleap_hdf5.metadata(file, path) if path.name == 'a.slp' or os.path.exists({str(tmp_path / 'mark')!r}) "
        f"else (open({str(tmp_path / 'mark')!r}, 'w'), os.abort())",
    )
    assert read(first).instances
    assert read(second).instances
    assert (tmp_path / "mark").exists()
    sleap_process._servant.close()


def test_a_changed_file_is_opened_anew(tmp_path):
    """By its date and size."""
    path = package(tmp_path / "a.slp")
    assert read(path).images[0].embedded
    for name in ("a.png", "b.png"):
        Image.new("L", (20, 10)).save(tmp_path / name)
    assert not read(Contents(SEQUENCE).save(path)).images[0].embedded


def test_a_sequence_that_is_written_is_read_back(images):
    """With the same coordinates, names, pairs and lines; a second time, the same bytes."""
    Image.new("L", (30, 10)).save(images / "b.png")
    content = Contents(SEQUENCE)
    content["points"]["x"][0] = 1 / 3
    labels = read(content.save(images / "a.slp"))
    sleap.write(labels, Folder(images), images / "out.slp")
    again = read(images / "out.slp")
    assert (again.names, again.mirror, again.skeleton, again.images) == (labels.names, labels.mirror, labels.skeleton, labels.images)
    np.testing.assert_allclose(again.keypoints(), labels.keypoints(), rtol=0, atol=1e-9)
    assert [(each.image, each.id) for each in again.instances] == [(each.image, each.id) for each in labels.instances]
    sleap.write(again, Folder(images), images / "again.slp")
    assert (images / "again.slp").read_bytes() == (images / "out.slp").read_bytes()
    with h5py.File(images / "out.slp") as file:
        videos = [json.loads(text)["backend"] for text in file["videos_json"]]
    assert [(each["filenames"], each["shape"]) for each in videos] == [(["a.png"], [1, 10, 20, 3]), (["b.png"], [1, 10, 30, 3])]


def test_embedded_images_are_embedded_again(tmp_path):
    """With their bytes."""
    labels = read(package(tmp_path / "a.pkg.slp"))
    sleap.write(labels, Folder(tmp_path), tmp_path / "out.pkg.slp")
    again = read(tmp_path / "out.pkg.slp")
    np.testing.assert_array_equal(again.keypoints(), labels.keypoints())
    assert [each.name for each in again.images] == ["out/video0/000000.png", "out/video0/000001.png"]
    assert sleap.frame(Folder(tmp_path), *again.images[0].embedded) == png(RED).tobytes()
