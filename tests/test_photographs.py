"""Faces in photographs: they are read, detected and cut out, and keypoints are mapped back to the photograph."""

import os
import socket
import struct
from pathlib import Path

import numpy as np
import PIL
import pytest
import tifffile
from PIL import Image, ImageCms, ImageFile

from pipeline.data.formats import images, photographs
from pipeline.errors import InputError
from pipeline.geometry import crops
from pipeline.inference import detection


def scene(width=61, height=40):
    """A colour picture without symmetry."""
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3)).astype(np.uint8))


# The inverse of what a viewer does for each orientation (EXIF 2.32, tag 0x0112).
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_a_glance_is_small_and_upright(suffix, tmp_path):
    """A glance has the asked size, the upright image's proportions, and says what the file contains."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (400, 200), 77).save(tmp_path / f"a.{suffix}", exif=exif)
    glance = images.glance(tmp_path / f"a.{suffix}", 100)
    assert (glance.image.size, glance.size, glance.mode) == ((50, 100), (200, 400), "L")
    assert abs(np.asarray(glance.image).astype(int) - 77).max() <= 1


@pytest.mark.parametrize("orientation", STORED)
def test_read_turns_upright(orientation, tmp_path):
    """Every EXIF orientation results in the same upright picture, whose size is known without decoding it."""
    upright, exif = scene(), Image.Exif()
    exif[0x0112] = orientation
    stored = upright.transpose(STORED[orientation]) if STORED[orientation] is not None else upright
    stored.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(images.read(tmp_path / "a.png"), upright)
    assert images.size(tmp_path / "a.png") == upright.size


def exif(*entries, orientation=6):
    """EXIF data with an orientation and further entries: tag, type, count and value, where a longer value follows the list of entries."""
    listed, behind = [(0x0112, 3, 1, struct.pack("<H", orientation)), *entries], b""
    packed, start = struct.pack("<H", len(listed)), 8 + 2 + 12 * len(listed) + 4
    for tag, kind, count, value in sorted(listed):
        if len(value) > 4:
            value, behind = struct.pack("<I", start + len(behind)), behind + value
        packed += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", 8) + packed + bytes(4) + behind


ODD_EXIF = {
    "a resolution that is text": exif((0x011A, 2, 6, b"72/1\0\0")),  # python-pillow/Pillow#7839
    "two signed fractions for one": exif((0x9204, 10, 2, struct.pack("<iiii", 1, 0, -1, 3))),
    "a list that is elsewhere": exif((0x8769, 4, 1, struct.pack("<I", 99_999))),
    "a list that is text": exif((0x8769, 2, 4, b"abc\0")),
    "a type that does not exist": exif((0x9999, 99, 4, b"abcd")),
    "a text of a gigabyte": exif((0x010E, 2, 1 << 30, b"\xff\xff\0\0")),
}
FORMATS = ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"]


def with_exif(name, path, image, content):
    """Saves an image with EXIF data in the way of its format; skips the test where Pillow itself refuses to write the two."""
    if name == "a.avif" and name[1:] not in photographs.suffixes():
        pytest.skip("Pillow without AVIF")
    if name == "a.tif":
        image.save(path)
        whole = path.read_bytes()
        place = struct.unpack("<I", whole[4:8])[0]
        own = [whole[place + 2 + 12 * n :][:12] for n in range(struct.unpack("<H", whole[place : place + 2])[0])]
        added = [content[10 + 12 * n :][:12] for n in range(struct.unpack("<H", content[8:10])[0])]
        entries = sorted(own + added, key=lambda entry: struct.unpack("<H", entry[:2]))
        path.write_bytes(
            whole[:4] + struct.pack("<I", len(whole)) + whole[8:] + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
        )
        return
    try:
        image.save(path, exif=b"Exif\0\0" + content if name == "a.jpg" else content)
    except (TypeError, UserWarning):
        pytest.skip("Pillow does not write such an AVIF")


@pytest.mark.parametrize("what", ODD_EXIF)
@pytest.mark.parametrize("name", FORMATS)
def test_of_exif_only_the_orientation_is_read(name, what, tmp_path):
    """Whatever is wrong with other EXIF tags, the photograph is read, and turned upright."""
    if what == "a text of a gigabyte" and int(PIL.__version__.split(".")[0]) < 13:
        pytest.skip("before version 13 Pillow ignores the tags that follow one which is cut off")
    with_exif(name, tmp_path / name, scene(), ODD_EXIF[what])
    assert images.read(tmp_path / name).size == (40, 61)


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, exif()[:14], exif(orientation=9), exif(orientation=0)])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_exif_that_cannot_be_read(name, content, tmp_path):
    """A photograph with EXIF data that are damaged, or with an orientation that does not exist, is read as it is stored."""
    with_exif(name, tmp_path / name, scene(), content)
    assert images.read(tmp_path / name).size == (61, 40)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "F"])
def test_read_gives_eight_bits_of_colour(mode, tmp_path):
    """Whatever the mode of the file, a grey picture has the same grey in red, green and blue."""
    grey = np.tile(np.array([0, 255] if mode == "1" else [0, 85, 170, 255], np.uint8), (8, 4))
    image = Image.fromarray(grey)
    image = (
        Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else image.convert("RGB").convert(mode) if mode == "CMYK" else image
    )
    image = image if mode in ("I;16", "CMYK") else image.convert(mode)
    path = tmp_path / ("a.tif" if mode in ("CMYK", "F") else "a.png")
    image.save(path)
    read = images.read(path)
    assert read.mode == "RGB"
    assert np.array_equal(read, np.repeat(grey[..., None], 3, axis=2))


def test_read_lays_transparency_over_white(tmp_path):
    """Semi-transparent black is read as mid grey, as viewers display it."""
    Image.new("RGBA", (5, 4), (0, 0, 0, 128)).save(tmp_path / "a.png")
    assert set(np.unique(images.read(tmp_path / "a.png"))) == {127}


def profile(space, tag, content):
    """A colour profile (ICC.1:2001-04) for printers or displays with a single table."""
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061)  # D50
    tags = [(b"wtpt", white), (tag, content)]
    table, place = struct.pack(">I", len(tags)), 128 + 4 + 12 * len(tags)
    for name, data in tags:
        table, place = table + name + struct.pack(">II", place, len(data)), place + len(data)
    body = table + b"".join(data for _, data in tags)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    pcs = b"Lab " if space == b"CMYK" else b"XYZ "
    head = struct.pack(">I4sI", 128 + len(body), b"lcms", 0x02400000) + kind + space + pcs + bytes(12) + b"acsp" + bytes(28)
    return (head + struct.pack(">iii", 63190, 65536, 54061)).ljust(128, b"\0") + body


def cmyk_profile():
    """A press on which cyan ink gives mid grey (L* = 50), black ink gives black, and the other inks leave no trace."""
    lightness = np.array(
        [[0 if black else 128 if cyan else 255, 128, 128] for cyan in (0, 1) for _ in range(4) for black in (0, 1)], np.uint8
    )
    straight, matrix = np.arange(256, dtype=np.uint8).tobytes(), struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + 4 * straight + lightness.tobytes() + 3 * straight
    return profile(b"CMYK", b"A2B0", table + bytes(-len(table) % 4))


def grey_profile():
    """Grey levels that are proportional to the light: a gamma of 1."""
    return profile(b"GRAY", b"kTRC", b"curv" + bytes(4) + struct.pack(">I", 0))


def test_cmyk_by_its_profile(tmp_path):
    """Ink has the colour that the profile states, here L* = 50, which is 119 of sRGB (IEC 61966-2-1), and the profile is dropped."""
    Image.new("CMYK", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.tif", icc_profile=cmyk_profile())
    read = images.read(tmp_path / "a.tif")
    assert read.mode == "RGB"
    assert np.abs(np.asarray(read).astype(int) - 119).max() <= 2
    assert read.info == {}


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_by_its_profile(mode, tmp_path):
    """A fifth of the light is 124 of sRGB (IEC 61966-2-1), and the profile is dropped."""
    Image.new(mode, (8, 8), 51 if mode == "L" else (51, 255)).save(tmp_path / "a.png", icc_profile=grey_profile())
    read = images.read(tmp_path / "a.png")
    assert np.abs(np.asarray(read).astype(int) - 124).max() <= 1
    assert read.info == {}


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    ("mode", "given", "kept"),
    [
        ("RGB", SRGB, True),
        ("RGBA", SRGB, True),
        ("P", SRGB, True),
        ("L", SRGB, True),
        ("I;16", SRGB, True),
        ("CMYK", SRGB, False),
        ("RGB", cmyk_profile(), False),
        ("RGB", grey_profile(), False),
        ("I;16", grey_profile(), False),
        ("CMYK", cmyk_profile()[:200], False),
        ("L", grey_profile()[:140], False),
        ("RGB", b"no profile", False),
        ("RGB", SRGB[:36], False),
    ],
    # The profile has the time at which it was created, so its bytes are no name for a test.
    ids=[
        "RGB",
        "RGBA",
        "palette",
        "grey",
        "16 bits",
        "CMYK picture",
        "CMYK profile",
        "grey profile",
        "grey profile, 16 bits",
        "CMYK profile cut off",
        "grey profile cut off",
        "no profile",
        "cut off",
    ],
)
def test_only_profiles_for_rgb_are_kept(mode, given, kept, tmp_path):
    """The profile of a photograph is passed on only if it is one for RGB; others, damaged ones among them, are dropped."""
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new(mode, (8, 8)).save(path, icc_profile=given)
    assert images.read(path).info == ({"icc_profile": given} if kept else {})


def test_a_very_large_jpeg_is_read_at_a_reduced_size(tmp_path, monkeypatch):
    """Its size is that of the upright photograph, its image is a half, a quarter or an eighth of it; other formats are refused."""
    monkeypatch.setattr(images, "MOST_PIXELS", 20_000)
    content = Image.Exif()
    content[0x0112] = 6
    for size, reduction in (((200, 100), 1), ((201, 100), 2), ((403, 333), 4), ((1001, 1001), 8)):
        scene(*size).save(tmp_path / "a.jpg", exif=content)
        read = images.read_photograph(tmp_path / "a.jpg")
        assert (read.reduction, read.size) == (reduction, size[::-1])
        assert read.image.size == tuple(-(-length // reduction) for length in size[::-1])
    for name in ("a.png", "b.jpg", "c.jpg"):
        scene(*{"a.png": (201, 100), "b.jpg": (2, 15_000), "c.jpg": (201, 100)}[name]).save(
            tmp_path / name, **({"progressive": True} if name == "c.jpg" else {})
        )
    assert images.read_photograph(tmp_path / "b.jpg").reduction == 2
    assert images.read_photograph(tmp_path / "c.jpg").reduction == 2
    monkeypatch.setattr(images, "MOST_PROGRESSIVE_PIXELS", 20_000)
    monkeypatch.setattr(images, "MOST_JPEG_PIXELS", 20_100)
    for name in ("a.png", "b.jpg", "c.jpg"):
        with pytest.raises(InputError, match=rf"{name} cannot be read as a picture: it has 0 megapixels.*magick {name} -resize 50% "):
            images.read(tmp_path / name)


def claiming(path, changed, tile=None):
    """A compressed TIFF file with some tags changed to values that its content does not have: {tag: value}."""
    tifffile.imwrite(path, np.asarray(scene()), photometric="rgb", compression="zlib", tile=tile)
    content = bytearray(path.read_bytes())
    place = struct.unpack("<I", content[4:8])[0]
    for entry in range(place + 2, place + 2 + 12 * struct.unpack("<H", content[place : place + 2])[0], 12):
        tag = struct.unpack("<H", content[entry : entry + 2])[0]
        if tag in changed:
            content[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, changed[tag])
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "size", "bytes_per_pixel"),
    [("a.png", (1250, 1000), 8), ("a.jp2", (500, 1000), 20), ("a.webp", (625, 1000), 16), ("a.avif", (1000, 1000), 10)],
)
def test_a_decoder_that_takes_much_memory(name, size, bytes_per_pixel, tmp_path, monkeypatch):
    """How large an image may be depends on what its decoder takes; beyond that it is refused before it is decoded, with what to do."""
    if name[1:] not in photographs.suffixes():
        pytest.skip("Pillow without AVIF")
    monkeypatch.setattr(images, "MOST_MEMORY", size[0] * size[1] * bytes_per_pixel)
    scene(*size).save(tmp_path / name)
    assert images.read(tmp_path / name).size == size
    scene(size[0] + 1, size[1]).save(tmp_path / name)
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    with pytest.raises(InputError, match=r"it has [\d,]+ x 1,000 pixels, and reading them would take 0\.0 GB of memory.* Reduce it, for"):
        images.read(tmp_path / name)


@pytest.mark.parametrize(
    ("changed", "tile"),
    [({0x0100: 13_000, 0x0101: 13_000, 0x0116: 13_000}, None), ({0x0142: 30_000, 0x0143: 30_000}, (16, 16))],
    ids=["a strip", "a tile"],
)
def test_a_tiff_file_with_a_large_strip_or_tile(changed, tile, tmp_path):
    """libtiff keeps a whole decoded strip or tile in memory, however small the image is."""
    claiming(tmp_path / "a.tif", changed, tile)
    with pytest.raises(InputError, match=r"reading them would take \d\.\d GB of memory, above the limit of 1\.5 GB\. Reduce it"):
        images.read(tmp_path / "a.tif")


def test_what_reads_photographs_leaves_pillows_limit_alone(tmp_path):
    """The limit that Pillow keeps for the whole process is the same after a photograph was read, and after one was refused."""
    before = Image.MAX_IMAGE_PIXELS
    scene().save(tmp_path / "a.png")
    images.read(tmp_path / "a.png")
    with pytest.raises(InputError):
        images.read(tmp_path / "b.png")
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("content", [b"", b"no picture", "cut short"])
def test_read_refuses_what_is_no_picture(content, tmp_path):
    """For files that are empty, of another kind or truncated the message is one sentence with the file's name."""
    path = tmp_path / "a.jpg"
    if content == "cut short":
        scene(200, 200).save(path)
        content = path.read_bytes()[:3000]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.jpg cannot be read as a picture"):
        images.read(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jpg", b"", "it is empty"),
        ("a.jpg", b"\0\0\0\x18ftypheic\0\0\0\0", "it is a HEIC photograph. Convert it first, for example: magick a.jpg a.jpg"),
        ("IMG 1.HEIC", b"?", "magick 'IMG 1.HEIC' 'IMG 1'.jpg"),
        ("a.cr2", b"II*\0\x10\0\0\0CR\2\0", "it is a raw photograph. Convert it first, for example: magick a.cr2 a.jpg"),
        ("a", b"%PDF-1.4\n", "it is a document. Convert it first, for example: magick -density 200 a a.png"),
        ("a.mpg", b"\0\0\1\xb3", "it is a video. Convert it first, for example: ffmpeg -i a.mpg "),
        ("a.xyz", b"?", "its format is not one of those that are read"),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is a document"),
    ],
)
def test_what_is_no_photograph_is_named(name, content, said, tmp_path):
    """The message says what a file is, as far as its first bytes or its name tell, and how to convert it."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(images.UnreadableError) as caught:
        images.read(tmp_path / name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_raw_photograph_is_not_its_preview(tmp_path):
    """A raw file is a TIFF file for Pillow, which would read a preview in other pixels; a JPEG of such a name is a JPEG."""
    scene().save(tmp_path / "a.dng", "TIFF")
    with pytest.raises(images.UnreadableError, match="it is a raw photograph"):
        images.read(tmp_path / "a.dng")
    scene().save(tmp_path / "b.heic", "JPEG")
    assert images.read(tmp_path / "b.heic").size == (61, 40)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_the_first_frame_of_an_animation(name, tmp_path):
    """Of an animation the first frame is read."""
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("white", "black")]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    assert np.asarray(images.read(tmp_path / name)).min() > 250


def test_a_palette_with_transparency_is_over_white(tmp_path):
    """Transparent entries of a palette are read as white, in PNG and in GIF files."""
    image = Image.new("P", (5, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    for name in ("a.png", "a.gif"):
        image.save(tmp_path / name, transparency=1)
        assert np.asarray(images.read(tmp_path / name)).min() == 255


def dotted(size, place, radius):
    """A grey photograph with a soft bright dot at `place`."""
    x, y = np.arange(size[0]) + 0.5 - place[0], np.arange(size[1])[:, None] + 0.5 - place[1]
    return Image.fromarray((40 + 200 * np.exp(-(x**2 + y**2) / radius**2)).astype(np.uint8)).convert("RGB")


def brightest(image):
    """Centre of mass, in pixels, of what is brighter than the background."""
    light = image.astype(float) - 40
    light[light < 8] = 0
    centres = np.arange(len(image)) + 0.5
    return np.array([light.sum(axis=0) @ centres, light.sum(axis=1) @ centres]) / light.sum()


@pytest.mark.parametrize(
    "square",
    [(100, 80, 96), (100.4, 79.7, 96), (60.3, 40.8, 200.6), (140, 110, 20.5), (-40, -30, 300), (150, 100, 250)],
    ids=["whole", "shifted", "larger", "smaller", "over the corner", "over the other corner"],
)
def test_a_dot_comes_back(square):
    """The position of a dot in the crop is mapped back to its position in the photograph, to a twentieth of a pixel of the crop."""
    place = np.array([151.3, 121.6]) if square[0] != 150 else np.array([250.2, 180.7])
    squares, photo = np.array([square], float), dotted((300, 240), place, max(2.5, square[2] / 20))
    crop = crops.crop(photo, squares, 96)
    assert crop.shape == (1, 96, 96)
    back = crops.to_photo(brightest(crop[0])[None, None], squares, 96)[0, 0]
    assert np.abs(back - place).max() < 0.05 * square[2] / 96


def test_crop_is_luma_and_repeats_the_edge():
    """The weights of red, green and blue are 0.299, 0.587 and 0.114 (ITU-R BT.601); outside the photograph its edge is repeated."""
    photo = Image.new("RGB", (50, 50), (200, 100, 50))
    assert np.unique(crops.crop(photo, np.array([[-60.0, 20.0, 200.0]]), 96)) == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]


def test_crop_does_not_alias():
    """Stripes that are too fine for the crop become a uniform grey."""
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.ptp(crops.crop(Image.fromarray(stripes), np.array([[10.3, 10.0, 700.0]]), 96).astype(int)) < 12


def test_boxes_become_squares():
    """The square around a box has the box's centre and longer side; scaling keeps the centre."""
    assert crops.around(np.array([[10.0, 20, 30, 50]])).tolist() == [[0, 20, 50]]
    assert crops.scaled(np.array([[10.0, 20, 30]]), 2.0).tolist() == [[-5, 5, 60]]


def test_distinct_faces_from_left_to_right():
    """Of two squares with nearly the same keypoints the one with less doubt is kept; the result is ordered from left to right."""
    squares = np.array([[300.0, 0, 100], [0, 50, 100], [10, 40, 60], [150, 90, 100]])
    keypoints = np.array([[350.0, 50], [50, 100], [52, 101], [200, 140]])[:, None] + np.zeros((1, 15, 1))
    assert detection.distinct(squares, keypoints, np.array([0.1, 0.5, 0.2, 0.3])) == [2, 3, 0]
    assert detection.distinct(squares, keypoints, np.array([0.1, 0.1, 0.2, 0.3])) == [1, 3, 0]
    assert detection.distinct(squares[:0], keypoints[:0], np.zeros(0)) == []


SPECIAL = {
    "pipe": os.mkfifo,
    "socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nowhere": lambda path: path.symlink_to("nowhere"),
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.filterwarnings("ignore:unclosed")
@pytest.mark.parametrize("what", SPECIAL)
def test_what_is_no_file_is_never_opened(what, tmp_path, monkeypatch):
    """Pipes, sockets, devices and links to nowhere are passed over in a folder; named by themselves, or read, they are refused at once."""
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    path = Path("a.jpg")
    SPECIAL[what](path)
    scene().save("b.png")
    assert [str(found) for found in photographs.listed([path.parent])] == ["b.png"]
    with pytest.raises(InputError):
        photographs.listed([path])
    with pytest.raises(InputError):
        images.read(path)


def test_photographs_are_a_fixed_list_of_formats(tmp_path):
    """Documents, films and data that Pillow has heard of are no photographs; files that can be converted are named once for each kind."""
    others = ["a.pdf", "b.mpg", "c.MOV", "d.h5", "e.fits", "f.eps", "g.heic", "h.HEIC", "i.cr2", "j.txt", ".k.heic"]
    for name in ["z.jpg", *others]:
        (tmp_path / name).touch()
    assert [path.name for path in photographs.listed([tmp_path])] == ["z.jpg"]
    found = photographs.convertible([tmp_path, tmp_path / "z.jpg"])
    assert [path.name for path in found] == ["a.pdf", "b.mpg", "c.MOV", "f.eps", "g.heic", "h.HEIC", "i.cr2"]
    said = list(photographs.advice(found))
    assert [line.split(" (")[0] for line in said] == ["2 documents", "2 videos", "2 HEIC photographs", "1 raw photograph"]
    assert said[2].endswith("g.heic among them) are not read; convert first, for example: magick g.heic g.jpg")
    (tmp_path / "z.jpg").unlink()
    with pytest.raises(InputError, match=r"contains no photographs .* 2 HEIC photographs .* magick g\.heic g\.jpg"):
        photographs.listed([tmp_path])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tmp_path):
    """A folder without permission is one sentence; a photograph without permission is one of many."""
    scene().save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(images.UnreadableError, match="permission denied"):
        images.read(tmp_path / "a.png")
    tmp_path.chmod(0)
    try:
        for path in (tmp_path, tmp_path / "a.png"):
            with pytest.raises(InputError, match="cannot be read: permission denied"):
                photographs.listed([path])
    finally:
        tmp_path.chmod(0o700)


def test_names_are_printed_with_escapes(tmp_path):
    """Line ends and what drives a terminal do not reach it by way of a name."""
    path = tmp_path / "a\n\x1b[2J\udcff.jpg"
    path.touch()
    with pytest.raises(InputError) as caught:
        images.read(path)
    assert "a\\n\\x1b[2J\\udcff.jpg" in str(caught.value)
    assert str(caught.value).isprintable()


def test_listed_takes_files_and_folders(tmp_path):
    """Files are listed as given and pictures of a folder by name, each once; hidden files and other kinds of files are omitted."""
    for name in ("b.JPG", "a.png", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    a, b = tmp_path / "a.png", tmp_path / "b.JPG"
    assert photographs.listed([b, tmp_path]) == [b, a]
    with pytest.raises(InputError, match="does not exist"):
        photographs.listed([tmp_path / "c.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="contains no photographs"):
        photographs.listed([tmp_path / "empty"])
