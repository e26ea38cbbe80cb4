"""Small valid sets in each label format, and what the tests of all formats have in common.

`SETS` has a function for each format that writes a set into a folder: images, and label files of this format only.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import sleapfiles
from PIL import Image

from pipeline.data.formats.catalogue import format_module
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Labels, Reading

SIZE = (40, 30)  # width and height of the images


def draw(folder: Path, *names: str, size: tuple[int, int] = SIZE) -> None:
    """Writes an image for each name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", size, 128).save(path)


def read(name: str, folder: Path, *, only: str = "", reading: Reading = Reading()) -> Labels:  # noqa: B008
    """The labels of a set in the format of this name, whose label files are found first."""
    found = Folder(folder, only)
    form = format_module(name)
    files = form.find(found)
    assert files, f"no label files of the format {name} in {Folder(folder).files}"
    labels = form.read(found, files, reading)
    check(labels)
    return labels


def rewritten(labels: Labels, name: str, folder: Path, out: str) -> Labels:
    """The labels after they have been written in the format of this name to `out`, a file or a folder of the set, and read again."""
    form = format_module(name)
    form.write(labels, Folder(folder), folder / out)
    files = tuple(file for file in form.find(Folder(folder)) if file == out or file.startswith(f"{out}/"))
    again = form.read(Folder(folder), files, Reading())
    check(again)
    return again


def check(labels: Labels) -> None:
    """Asserts what holds for all labels."""
    names = [image.name for image in labels.images]
    assert len(set(names)) == len(names)
    assert labels.files
    assert labels.names
    assert len(set(labels.names)) == len(labels.names)
    assert len({(one.image, one.source, one.id) for one in labels.instances}) == len(labels.instances)
    for one in labels.instances:
        assert one.image in names
        assert one.keypoints.shape == (len(labels.names), 2)
        assert one.keypoints.dtype == np.float64
        assert one.occluded.shape == (len(labels.names),)
        assert one.occluded.dtype == bool
        missing = np.isnan(one.keypoints)
        assert (missing[:, 0] == missing[:, 1]).all()
        assert not (one.occluded & missing[:, 0]).any()
        assert np.isfinite(one.keypoints[~missing]).all()
        assert isinstance(one.id, str)
        assert one.place
        if one.box is not None:
            assert len(one.box) == 4
            assert np.isfinite(one.box).all()
            assert one.box[2] > 0
            assert one.box[3] > 0
    for pair in (*(labels.mirror or ()), *labels.skeleton):
        assert set(pair) <= set(labels.names)


def image_json(folder: Path) -> None:
    draw(folder, "train/images/a.png", "train/images/b.png", "test/images/c.png")
    contents = {
        "train/annotations/a.json": {
            "bboxes": [[1, 2, 30, 25], [0, 0, 9.5, 9]],
            "keypoints": [[[3, 4, 1], [20, 21.5, 1]], [[5, 6, 1], [0, 0, 0]]],
        },
        "train/annotations/b.json": {"bboxes": [], "keypoints": []},
        "test/annotations/c.json": {"bboxes": [[1, 2, 30, 25]], "keypoints": [[[3, 4, 1], [20, 21, 1]]]},
    }
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def wide_csv(folder: Path) -> None:
    draw(folder, "images/a.png", "images/b.png")
    lines = ["image,id,bbox_x,bbox_y,bbox_w,bbox_h,split,nose_x,nose_y,tail_x,tail_y", "a.png,1,1,2,20,22.5,train,3,4,20,21.5"]
    lines += ["a.png,2,,,,,train,5.25,6,,", "images/b.png,1,,,,,val,7,8,9,10"]
    (folder / "labels.csv").write_text("\n".join(lines))


def deeplabcut(folder: Path) -> None:
    draw(folder, "labeled-data/v/img1.png", "labeled-data/v/img2.png")
    lines = ["scorer,me,me,me,me,me,me,me,me", "individuals,a,a,a,a,b,b,b,b", "bodyparts,nose,nose,tail,tail,nose,nose,tail,tail"]
    lines += ["coords,x,y,x,y,x,y,x,y", "labeled-data/v/img1.png,1,2,3.5,4,5,6,,", "labeled-data/v/img2.png,,,,,9,8,7,6"]
    (folder / "labeled-data/v/CollectedData_me.csv").write_text("\n".join(lines))
    (folder / "config.yaml").write_text("Task: test\nskeleton:\n- - nose\n  - tail\n")


def yolo(folder: Path) -> None:
    draw(folder, "images/train/a.png", "images/train/b.png", "images/val/c.png", "images/test/d.png")
    data = "path: /home/me/tubes\ntrain: images/train\nval: val.txt\ntest: images/test\nkpt_shape: [2, 3]\nflip_idx: [1, 0]\n"
    texts = {
        "data.yaml": f"{data}names: {{0: tube, 1: cap}}\nkpt_names: {{0: [left, right]}}\n",
        "val.txt": "/home/me/tubes/images/val/c.png\n",
        "labels/train/a.txt": "0 0.5 0.5 0.5 0.4 0.25 0.5 2 0.9 0.1 1\n0 0.25 0.25 0.1 0.1 0.3 0.3 2 0 0 0\n",
        "labels/val/c.txt": "0 0.5 0.5 1 1 0.25 0.5 2 0.9 0.1 1\n",
    }
    _write(folder, texts)


def pts(folder: Path) -> None:
    draw(folder, "a.png", "b_1.png", "sub/c.png")
    points = "3.5 4.25\n20 21.5\n1 1\n"
    texts = dict.fromkeys(["b_1.pts", "b_2.pts"], points) | dict.fromkeys(
        ["a.pts", "sub/c.pts"], f"version: 1\nn_points: 3\n{{\n{points}}}\n"
    )
    _write(folder, texts)


def cvat(folder: Path) -> None:
    draw(folder, "a.png", "b.png", "frame_000000.png", "frame_000003.png")
    drawing = '&lt;circle data-node-id="1" data-label-name="left"&gt;&lt;circle data-node-id="2" data-label-name="right"&gt;'
    drawing += '&lt;line data-node-from="1" data-node-to="2"&gt;'
    labels = f"<label><name>mouse</name><type>skeleton</type><svg>{drawing}</svg></label>"
    labels += "".join(f"<label><name>{name}</name><type>points</type><parent>mouse</parent></label>" for name in ("left", "right"))
    points = '<points label="left" outside="0" occluded="1" points="3.5,4"/><points label="right" outside="1" occluded="0" points="20,21"/>'
    size, box = 'width="40" height="30"', '<box label="body" group_id="1" xtl="1" ytl="2" xbr="30" ybr="25.5"/>'
    skeletons = f'<skeleton label="mouse" group_id="1">{points}</skeleton><skeleton label="mouse">{points}</skeleton>'
    images = f'<image id="0" name="a.png" subset="Train" {size}>{box}{skeletons}</image><image id="1" name="b.png" {size}/>'
    inner = "".join(
        f'<track id="{number}" label="{name}">'
        + "".join(f'<points frame="{frame}" outside="0" occluded="0" points="3,4.5"/>' for frame in (0, 3))
        + "</track>"
        for number, name in enumerate(["left", "right"])
    )
    track = f'<track id="4" label="mouse"><skeleton frame="0"/><skeleton frame="3"/>{inner}</track>'
    _write(folder, {"annotations.xml": f"<annotations><meta><task><labels>{labels}</labels></task></meta>{images}{track}</annotations>"})


def label_studio(folder: Path) -> None:
    draw(folder, "a.png", "sub/b.png", "c.png")
    size = {"original_width": 40, "original_height": 30, "image_rotation": 0}

    def point(name: str, x: float, parent: str) -> dict:
        return {"type": "keypointlabels", "value": {"x": x, "y": 12.5, "keypointlabels": [name]}, **size, "parentID": parent}

    box = {"id": "r", "type": "rectanglelabels", "value": {"x": 1, "y": 2, "width": 90, "height": 50.5, "rotation": 0}, **size}
    results = [[box, point("left", 10, "r"), point("right", 80, "r"), point("left", 3, "")], [point("left", 11, "r")], []]
    images = ["/data/upload/1/0a1b2c3d-a.png", "/data/local-files/?d=sub/b.png", "c.png"]
    tasks = [
        {"id": number, "data": {"image": image}, "annotations": [{"completed_by": 1, "was_cancelled": False, "result": result}]}
        for number, (image, result) in enumerate(zip(images, results, strict=True), 1)
    ]
    tasks[1]["annotations"].append({"completed_by": {"id": 2, "email": "a@b.c"}, "result": [point("right", 20, "r")]})
    configuration = '<View><KeyPointLabels name="k"><Label value="right"/><Label value="left"/></KeyPointLabels></View>'
    _write(folder, {"project.json": json.dumps(tasks), "config.xml": configuration})


def _write(folder: Path, texts: dict[str, str]) -> None:
    """Writes text files, by their paths."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def coco(folder: Path) -> None:
    draw(folder, "train/a.png", "train/b.png", "val/a.png")
    category = {"id": 1, "name": "animal", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]}
    first = {"id": 7, "image_id": 1, "category_id": 1, "keypoints": [3, 4, 2, 20.5, 21, 1], "bbox": [1, 2, 20, 25.5], "iscrowd": 0}
    second = {**first, "id": 8, "keypoints": [5, 6, 2, 0, 0, 0]}
    for part, names, annotations in (("train", "ab", [first, second]), ("val", "a", [first])):
        images = [{"id": index, "file_name": f"{name}.png", "width": 40, "height": 30} for index, name in enumerate(names, 1)]
        content = {"images": images, "annotations": annotations, "categories": [category]}
        (folder / f"instances_{part}.json").write_text(json.dumps(content))


def labelme(folder: Path) -> None:
    draw(folder, "a.png", "sub/b.png")

    def shape(label: str, kind: str, *points: list[float], **more: object) -> dict:
        return {"label": label, "points": points, "shape_type": kind, "flags": {}, "group_id": 3, **more}

    shapes = [shape("nose", "point", [3, 4.5]), shape("tail", "point", [20, 21], flags={"occluded": True})]
    shapes += [shape("mouse", "rectangle", [1, 2], [30, 25.5]), shape("nose", "point", [5, 6], group_id=None)]
    rest = {"version": "5.5.0", "flags": {}, "imageData": None, "imageHeight": 30, "imageWidth": 40}
    contents = {"a.json": {"shapes": shapes, "imagePath": "a.png"}, "sub/b.json": {"shapes": shapes[:1], "imagePath": "..\\sub\\b.png"}}
    _write(folder, {name: json.dumps({**content, **rest}) for name, content in contents.items()})


def dlib(folder: Path) -> None:
    draw(folder, "a.png", "b.png")
    parts = "<part name='00' x='3' y='4'/><part name='01' x='20' y='21'/>"
    box = f"<box top='2' left='1' width='30' height='25'><label>face</label>{parts}</box>"
    images = f"<image file='a.png'>{box}<box top='1' left='1' width='3' height='3' ignore='1'/></image><image file='b.png'>{box}</image>"
    _write(folder, {"faces.xml": f"<?xml version='1.0' encoding='ISO-8859-1'?><dataset><name>x</name><images>{images}</images></dataset>"})


def tps(folder: Path) -> None:
    draw(folder, "a.png", "b.png")
    curves = "CURVES=1\nPOINTS=2\n1 1\n2 2\n"
    _write(folder, {"w.tps": f"LM=2\n3,5 4\n-1 -1\n{curves}IMAGE=a.png\nID=0\nSCALE=0.02\nLM=2\n5. 6.\n20 21\nIMAGE=b.png\nID=1\n"})


def sleap(folder: Path) -> None:
    draw(folder, "a.png", "b.png", size=(20, 10))
    sleapfiles.Contents(sleapfiles.SEQUENCE).save(folder / "sequence.slp")
    sleapfiles.package(folder / "embedded.pkg.slp")


SETS: dict[str, Callable[[Path], None]] = {
    "coco": coco,
    "image_json": image_json,
    "wide_csv": wide_csv,
    "deeplabcut": deeplabcut,
    "yolo": yolo,
    "pts": pts,
    "cvat": cvat,
    "label_studio": label_studio,
    "labelme": labelme,
    "dlib": dlib,
    "tps": tps,
    "sleap": sleap,
}
