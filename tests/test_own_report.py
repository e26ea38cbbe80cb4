"""The report about a keypoint set of the user's: words, captions, units and drawings that fit any images."""

from dataclasses import replace

import numpy as np
import pytest
from test_report import (  # noqa: F401  # fixtures
    LOOK,
    SHOWN,
    TABLES,
    averaged,
    browser,
    content,
    faces,
    nets,
    pixels,
    places,
    predictions,
    provenance,
    test,
    text_of,
    trained,
    versions,
)
from toys import DOTS, TARGET, labelled

from pipeline.data.tables import Origin
from pipeline.data.testset import UnlabelledSamples
from pipeline.geometry.augmentation import AugmentedVersions
from pipeline.inference import ensemble
from pipeline.keypoints.stored import StoredSet
from pipeline.results import agreement, error_map, gallery, metric_text, report, scores, style
from pipeline.results import predictions as results

SCALE = 10  # pixels of an image for each pixel of a sample
NAME = "a_rather_long_folder/of-recordings_2024-11-03/camera-1_left/frame"


def origin(count):
    """Images of 320 x 200 pixels with two samples each, which show the whole width."""
    to_original = np.tile(np.array([[SCALE, 0, 0], [0, SCALE, -60]], np.float64), (count, 1, 1))
    images = np.array([f"{NAME}{number // 2:03}.png" for number in range(count)])
    size, white = np.tile(np.array([320, 200], np.int32), (count, 1)), np.full(count, 255, np.int32)
    instances, boxes = np.array([f"{1 + number % 2}" for number in range(count)]), np.full((count, 4), np.nan)
    return Origin(images, instances, size, boxes, to_original, white)


def coloured(images):
    """Colour images (n, side, side, 3) with more red than blue."""
    return np.stack([images, images // 2, images // 4], axis=-1)


@pytest.fixture(scope="module")
def mice(faces):  # noqa: F811
    """The dot faces as samples in colour of a set of the user's that must not be mirrored."""
    named = replace(StoredSet.of(DOTS), name=np.array("own set"), may_mirror=np.array(False), mirror=np.zeros((0, 2), np.int16))
    return replace(faces, images=coloured(faces.images), origin=origin(len(faces.row)), keypointset=named)


@pytest.fixture(scope="module")
def wanted():
    """Four samples to predict, one in each image."""
    nothing = dict.fromkeys(("image_id", "lookup_row", "lookup_sample", "lookup_keypoint", "lookup_axis"))
    asked = labelled(4, seed=2)
    one = replace(origin(4), image=np.array([f"new/{number}.png" for number in range(4)]), instance=np.array(["1"] * 4))
    return UnlabelledSamples(coloured(asked.images), np.zeros(4, np.int8), source_names=np.array(DOTS.source_names), origin=one, **nothing)


@pytest.fixture(scope="module")
def records(mice, wanted, nets, versions):  # noqa: F811
    """The records of a run on the set."""
    tests = [averaged(np.tile(TARGET[net.indices], (len(wanted.images), 1, 1))) for net in nets.values()]
    predicted = results.predictions(wanted, DOTS, [ensemble.chain_predictions(mice, list(nets.values()), tests, base_share=0.3)])
    found = scores.scores(predicted, [mice], wanted, shown=SHOWN)
    drawn = AugmentedVersions(coloured(versions.images), versions.keypoints)
    made = provenance(faces="mice, labels in the format coco", files={"label files": "ab" * 32})
    said = {"notes": ("Images are not mirrored: <no pairs>.",), "skeleton": (("left_eye", "nose_tip"),), "title": "<mice>"}
    return report.RunRecords(found, predicted, [mice], wanted, drawn, nets, made, **said)


@pytest.fixture(scope="module")
def page(records):
    return report.page(records)


def test_the_page_speaks_of_samples(page):
    """Nowhere of faces, Kaggle, a leaderboard, rows or ImageIds, and of mirroring only in the note."""
    text = text_of(page)
    for word in ("face", "Kaggle", "leaderboard", "lookup", "ImageId", "row "):
        assert word not in text, word
    assert "&lt;mice&gt;" in text[:60]
    assert "Samples: mice, labels in the format coco" in text
    assert "Images are not mirrored: &lt;no pairs&gt;." in text
    assert text.count("mirror") == 1
    assert "in pixels of the original images" in text
    assert "in pixels of the samples as they are stored (32" in text


def test_the_page_has_the_units_of_the_images(records):
    """Ten times as many pixels as those of the samples, also in captions and for outliers, while circles keep their size."""
    best = records.scores.best[0]
    place = int(np.flatnonzero(records.predictions.validation_face == best)[0])
    face = gallery.validation(records.held_out, records.predictions, records.scores.best)[0]
    (own,) = scores.face_rmse(records.predictions.validation[[place]], records.predictions.validation_truth[[place]])
    source = records.predictions.sources[records.predictions.validation_source[place]]
    instance = records.predictions.validation_origin.instance[place]
    assert face.caption == f"{SCALE * own:.2f} px, frame{best // 2:03}.png, instance {instance}, {source} labels"
    (suspect,) = gallery.outliers(records.dataset, SHOWN)
    assert "nose tip, 142 px off; " in suspect.caption
    assert suspect.command.startswith("keypoints review --sample ")
    assert suspect.command in text_of(report.page(records))
    both, _ = error_map.errors(records.held_out, records.dataset, records.predictions, records.scores)
    circles, errors = [mark for mark in both.marks if mark.kind == "error"], records.scores.error_by_place[0]
    np.testing.assert_allclose([mark.radius / circles[0].radius for mark in circles], errors / errors[0], rtol=1e-5)
    numbers = {mark.text.split()[-1] for mark in circles if mark.text}
    assert numbers
    assert numbers <= {f"{error:.1f}" for error in errors}


def test_a_sample_is_shown_without_its_padding(records):
    """The part that lies within the image, 32 x 20 pixels of 32 x 32; marks and lines move with it."""
    (face, *_) = gallery.to_predict(records.predictions, records.scores.tests, records.lines)
    assert face.caption == "0.png"
    assert face.size == (32, 20)
    np.testing.assert_array_equal(pixels(face), records.test.images[0][6:26])
    np.testing.assert_allclose(places(face, "predicted"), records.predictions.test[0] - [0, 6], atol=0.051)
    assert face.bones == ((*places(face, "predicted")[0], *places(face, "predicted")[2]),)


def test_what_was_chosen_is_listed(records):
    """Below the sentences on the labels; without any there is no heading."""
    assert "What was chosen" not in text_of(report.page(records))
    text = text_of(report.page(replace(records, chosen=("75 epochs: <enough>.",))))
    assert "What was chosen from the data" in text
    assert "75 epochs: &lt;enough&gt;." in text


def test_a_set_without_images_to_predict(records):
    """The page says that there are none."""
    nothing = replace(records.predictions, test=np.zeros((0, 3, 2), np.float32), test_ids=np.zeros(0, np.int64))
    text = text_of(report.page(replace(records, predictions=nothing, scores=replace(records.scores, tests=np.zeros(0, np.int64)))))
    assert "There are none: the label files mention every image of the set." in text


def test_annotators_of_the_same_samples_are_compared(mice):
    """By an RMSE in pixels of the images, over the samples that both have labelled; Kaggle's faces have no such samples."""
    both = replace(
        mice,
        origin=replace(mice.origin, instance=np.array(["1"] * 60)),
        keypoints=np.tile(TARGET, (60, 1, 1)) + np.array([0, 3])[np.arange(60) % 2, None, None].astype(np.float32),
        source=(np.arange(60) % 2).astype(np.int8),
    )
    assert agreement.sentences(both) == ["The labels of all and nose differ by an RMSE of 30.00 px, on 30 samples that both have labelled."]
    assert agreement.sentences(mice) == agreement.sentences(replace(both, origin=None)) == []


def test_numbers_of_many_circles_do_not_overlap(mice, records):
    """Of 68 keypoints close together, the least accurate have a number."""
    target, error = np.stack([np.linspace(10, 20, 68), np.full(68, 15.0)], axis=1), np.linspace(1, 5, 68)
    face = error_map._circles(records.held_out[0], error_map.Circles(target, error, error), "some")
    numbers = [mark.text for mark in face.marks if mark.text]
    assert numbers[-1] == "5.0"
    assert 2 <= len(numbers) <= 10


def test_the_mean_shape_fills_its_frame(records):
    """Circles have the size of the errors at the scale of the shape, and few keypoints are named: those that the typical shape has."""
    circles = error_map.Circles(np.array([[40.0, 50], [200, 50], [120, 300]]), np.array([9.0, 3, 6]), np.array([1.5, 0.5, 1.0]))
    face = error_map._circles(np.zeros((384, 384)), circles, "12 samples", names=("nose", "left_eye", "tail"), skeleton=((0, 2),))
    assert [mark.text for mark in face.marks if mark.kind == "error"] == ["nose: 1.5", "left eye: 0.5", "tail: 1.0"]
    assert [mark.kind for mark in face.marks].count("place") == 3
    assert face.bones == ((40, 50, 120, 300),)
    frame = error_map.Excerpt.around(np.array([[100.0, 100], [150, 120]]), 5.0, 640)
    assert frame.extent == 80  # the smallest side; the shape spans 50 pixels, and the largest circles 10
    np.testing.assert_allclose(frame.place(np.array([125.0, 110])), [192, 192])
    to_frame = frame.seen(np.array([[[1.0, 0, 7], [0, 1, 9]]]))[0]
    np.testing.assert_allclose(to_frame @ [10, 20, 1], frame.place(np.array([17.0, 29])))


def test_a_small_object_is_shown_with_its_surroundings():
    """Keypoints that span less than a third of the image are shown at a multiple of what they span, and marks move along."""
    view = gallery.Shown(np.zeros((480, 640), np.uint8), np.zeros(2), 640)
    points = np.array([[100.0, 400], [140, 430], [np.nan, np.nan]])
    near = view.near(points)
    assert near.image.shape == (100, 134)
    assert near.place(points[0]) == (100 - near.corner[0], 400 - near.corner[1])
    assert near.side == 134
    assert view.near(np.array([[10.0, 10], [600, 400]])) is view
    assert view.near(np.full((2, 2), np.nan)) is view


def test_marks_of_many_keypoints_are_smaller(records):
    """So that 68 of them cover no more of the image than 20."""
    few, many = (gallery.Shown(records.held_out[0], np.zeros(2), 32).marks("truth", np.ones((n, 2)), 2.0)[0].radius for n in (20, 80))
    assert few == 2 * many


def test_large_images_take_little_space():
    """An image of 256 pixels is a JPEG; one as small as Kaggle's is a PNG with the same grey levels."""
    large, small = (np.random.default_rng(0).integers(0, 256, (side, side), np.uint8) for side in (256, 96))
    assert gallery.Shown(large, np.zeros(2), 256).face([], "", "").image.startswith("data:image/jpeg")
    np.testing.assert_array_equal(pixels(gallery.Shown(small, np.zeros(2), 96).face([], "", "")), small)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1600])
def test_the_page_fits_any_screen(browser, page, tmp_path, width, scheme):  # noqa: F811
    """Long paths break, no table is cut, nothing is wider than the page, and an enlarged sample keeps its shape."""
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    emulated = {"media": "screen", "features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", emulated)
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())
    seen = browser.execute_script(LOOK, width)
    assert (seen["width"], seen["wide"], seen["broken"], seen["unnamed"]) == (width, [], 0, 0)
    assert browser.get_log("browser") == []
    assert not any(table["cut"] for table in browser.execute_script(TABLES))
    browser.execute_script("document.querySelector('#samples .face button').click()")
    box = browser.execute_script("const r = document.querySelector('.enlarged').getBoundingClientRect(); return [r.width, r.height]")
    assert box[0] / box[1] == pytest.approx(32 / 20, abs=0.02)


def test_words_of_drawn_and_kaggles_faces(faces, mice):  # noqa: F811
    """They stay faces; others are samples."""
    from pipeline.results.wording import FACES, wording

    assert wording(faces) is FACES
    assert (wording(mice, "<mice>").title, wording(mice).one) == ("<mice>", "sample")
    assert style.words("nose_tip") == "nose tip"


def test_the_page_has_the_table_of_metrics(records, page):
    """That of the artifact: every line of the log with its cells, a line for each keypoint, and the most important metrics at the top."""
    table, text = records.predictions.metrics, text_of(page)
    for _, lines in metric_text.blocks(table):
        for line in lines:
            assert " ".join([style.words(line.title), *line.cells, line.labels]).strip() in text, line
    assert all(" ".join([style.words(line.title), *line.cells, line.labels]) in text for line in metric_text.keypoints(table))
    assert metric_text.headline(table)[1:] in text
    assert "Validation RMSE in pixels. The intervals" not in text
