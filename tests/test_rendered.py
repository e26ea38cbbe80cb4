"""Faces drawn by the program: bytes, keypoints, labels, and files in Kaggle's formats."""

import csv
from dataclasses import astuple, replace

import numpy as np
import pandas as pd
import pytest

from pipeline.data.synthetic import anatomy, portrait
from pipeline.data.synthetic.rendered import labels_for, rendered_faces, with_repeats, write_kaggle_files
from pipeline.keypoints.definition import KeypointSet
from pipeline.keypoints.kaggle import KAGGLE, SIDE

FILES = ("training.csv", "test.csv", "IdLookupTable.csv")


@pytest.fixture(scope="module")
def faces():
    return rendered_faces(KAGGLE, side=SIDE, count=90, widest_source_share=1 / 3, seed=11)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kaggle")
    keypoints = write_kaggle_files(folder, KAGGLE, side=SIDE, training=24, test=9, seed=5)
    np.save(folder / "keypoints.npy", keypoints)
    return folder


@pytest.fixture(scope="module")
def many_labels():
    """4,000 labelled faces of each source whose keypoints all lie in the middle of the image."""
    keypoints = np.full((8000, len(KAGGLE.names), 2), 48.0)
    source = np.repeat(np.array([0, 1], np.int8), 4000)
    return labels_for(KAGGLE, keypoints, source, side=SIDE, rng=np.random.default_rng(2)) - keypoints, source


def at(faces, name):
    return faces.keypoints[:, KAGGLE.names.index(name)]


def around(image, xy, reach):
    column, row = np.floor(xy).astype(int)
    return image[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]


# ---- arrays ----------------------------------------------------------------------------------------------------------------------------


def test_equal_arguments_give_equal_bytes_and_another_seed_others():
    """The seed determines what is drawn and how it is labelled."""
    once, again, other = (rendered_faces(KAGGLE, side=SIDE, count=3, widest_source_share=0.5, seed=seed) for seed in (1, 1, 2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(astuple(once), astuple(again), strict=True))
    assert not np.array_equal(once.images, other.images)


def test_a_face_does_not_depend_on_how_many_follow():
    """The first faces of a longer sequence are those of a shorter one (all of one source, so that no face changes its source)."""
    short, long = (rendered_faces(KAGGLE, side=SIDE, count=count, widest_source_share=1, seed=4) for count in (2, 4))
    np.testing.assert_array_equal(short.images, long.images[:2])
    np.testing.assert_array_equal(short.keypoints, long.keypoints[:2])


def test_arrays_are_what_their_descriptions_say(faces):
    """Each array has the dtype and the number of axes in its description; the first third belongs to the first source."""
    for name, field in faces.__dataclass_fields__.items():
        value, said = getattr(faces, name), field.metadata["array"]
        assert (value.dtype, value.ndim) == (said.dtype, len(said.axes)), name
    assert faces.images.shape == (90, 96, 96)
    np.testing.assert_array_equal(faces.source, np.repeat([0, 1], [30, 60]))


def test_every_keypoint_and_every_label_lies_in_the_image(faces):
    """A head with a keypoint outside the image is placed again, and labels are clipped."""
    assert ((faces.keypoints > 0) & (faces.keypoints < SIDE)).all()
    labels = faces.labels[np.isfinite(faces.labels)]
    assert ((labels >= 0) & (labels <= SIDE)).all()


def test_a_head_beyond_the_frame_is_placed_anew(monkeypatch):
    """The first pose drawn here puts the left eyebrow outside the image, so the second one is used."""
    views = [anatomy.view(centre=(x, 40), scale=35, yaw=0, pitch=0, roll=0) for x in (75, 48)]
    monkeypatch.setattr(portrait, "draw_view", lambda *_, **__: views.pop(0))
    _, keypoints = portrait.portrait(KAGGLE.names, side=96, steady=True, rng=np.random.default_rng(0))
    assert not views
    assert keypoints[KAGGLE.names.index("nose_tip"), 0] == 48


def test_left_is_the_side_of_larger_x(faces):
    """A keypoint left_* has a larger x than its right_*, because no head is rolled or turned far enough to swap them."""
    for name, mirrored in zip(KAGGLE.names, KAGGLE.mirror_order, strict=True):
        if "left" in name:
            assert (at(faces, name)[:, 0] > faces.keypoints[:, mirrored, 0]).all(), name


def test_keypoints_stand_in_the_order_of_a_face(faces):
    """From top to bottom the order is eyebrow, eye, nose tip, top lip, bottom lip; the eye centre is between the corners of the eye."""
    rows = [at(faces, name)[:, 1] for name in ("left_eye_center", "nose_tip", "mouth_center_top_lip", "mouth_center_bottom_lip")]
    assert (np.diff(rows, axis=0) > 0).all()
    assert (at(faces, "left_eyebrow_inner_end")[:, 1] < at(faces, "left_eye_inner_corner")[:, 1]).all()
    for inner, middle, outer in (("inner_corner", "center", "outer_corner"),):
        x = [at(faces, f"left_eye_{part}")[:, 0] for part in (inner, middle, outer)]
        assert (np.diff(x, axis=0) > 0).all()


def test_eyes_and_corners_of_the_mouth_are_darker_than_the_cheek_between_them(faces):
    """Within 2 px of an eye centre there are dark pixels of pupil, iris or lashes, and within 2 px of a mouth corner those of the lips.

    The darkest grey relative to the cheek's was measured as follows. Eyes: below 0.37 in 9 of 10, and above 0.64 in 19 of 20 if eyes are
    not painted. Corners: below 0.71 in 19 of 20, and above 0.76 in 3 of 4 if the mouth is not painted.
    """
    eyes, corners = [], []
    for side in ("left", "right"):
        for image, eye, corner in zip(faces.images, at(faces, f"{side}_eye_center"), at(faces, f"mouth_{side}_corner"), strict=True):
            cheek = around(image, (eye + corner) / 2, 1).mean()
            eyes.append(around(image, eye, 2).min() / cheek)
            corners.append(around(image, corner, 2).min() / cheek)
    assert np.mean(np.array(eyes) < 0.55) > 0.9
    assert np.mean(np.array(corners) < 0.72) > 0.85


def test_most_faces_fill_the_frame_and_some_snapshots_are_small(faces):
    """Eyes of the first source are about 35 px apart, as in Kaggle's images; some of the other heads are half that size."""
    apart = np.linalg.norm(at(faces, "left_eye_center") - at(faces, "right_eye_center"), axis=1)
    assert 32 < np.median(apart[faces.source == 0]) < 38
    assert apart[faces.source == 0].min() > 28
    assert apart[faces.source == 1].min() < 25


def test_another_keypoint_set_is_drawn_at_its_own_side_with_its_own_names():
    """Other sides and other keypoints are possible; at twice the side it is the same face with keypoints at twice the coordinates."""
    names = ("left_eye_center", "right_eye_center", "nose_tip")
    eyes = KeypointSet("eyes", names, (names[:2],), {"all": names}, {"all": names})
    one, two = (rendered_faces(eyes, side=side, count=2, widest_source_share=1, seed=3) for side in (40, 80))
    assert one.images.shape == (2, 40, 40)
    assert two.images.shape == (2, 80, 80)
    np.testing.assert_allclose(2 * one.keypoints, two.keypoints)


def test_no_faces_are_no_error():
    """Zero faces give empty arrays of the usual shapes."""
    assert rendered_faces(KAGGLE, side=SIDE, count=0, widest_source_share=0.5, seed=0).labels.shape == (0, 15, 2)


def test_an_unknown_keypoint_and_a_share_beyond_one_are_refused():
    """The message names what cannot be drawn."""
    ears = KeypointSet("ears", ("ear",), (), {"all": ("ear",)}, {"all": ("ear",)})
    with pytest.raises(ValueError, match="ear"):
        rendered_faces(ears, side=32, count=1, widest_source_share=1, seed=0)
    with pytest.raises(ValueError, match="widest_source_share"):
        rendered_faces(KAGGLE, side=SIDE, count=1, widest_source_share=1.5, seed=0)


# ---- the view of the head --------------------------------------------------------------------------------------------------------------


def test_the_picture_shows_each_keypoint_where_it_is_projected():
    """At the projection of a keypoint the grids have its own head coordinates to 0.2 px, for turned, tilted and small heads."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        person, view = anatomy.draw_person(rng), anatomy.draw_view(rng, 96, steady=False)
        uv = np.array(list(anatomy.positions(person).values()))
        xy = view.project(person, uv)
        u, v, _ = view.grids(person, 96)
        for (x, y), wanted in zip(xy, uv, strict=True):
            if min(x, y) > 1 and max(x, y) < 95:
                shown = [_between_pixels(grid, x, y) for grid in (u, v)]
                assert np.hypot(*(shown - wanted)) * view.scale < 0.2


def _between_pixels(grid, x, y):
    """Linear interpolation between pixel centres, which lie at i + 0.5."""
    column, row = int(x - 0.5), int(y - 0.5)
    right, down = x - 0.5 - column, y - 0.5 - row
    above, below = grid[row : row + 2, column : column + 2] @ [1 - right, right]
    return above * (1 - down) + below * down


def test_a_head_turned_the_other_way_is_the_mirror_image():
    """Yaw and roll of the opposite sign give the mirrored keypoints of a symmetric head: x -> 96 - x, with left and right exchanged."""
    person = anatomy.draw_person(np.random.default_rng(0))
    person.mouth_tilt, person.brow_lift = 0.0, dict.fromkeys(anatomy.SIDES, 0.0)
    uv = [anatomy.positions(person)[name] for name in KAGGLE.names]
    here, there = (
        anatomy.view(centre=(48 + sign * 5, 40), scale=30, yaw=sign * 0.3, pitch=0.1, roll=sign * 0.2).project(person, uv)
        for sign in (1, -1)
    )
    mirrored = here[list(KAGGLE.mirror_order)] * [-1, 1] + [96, 0]
    np.testing.assert_allclose(mirrored, there)


# ---- labels ----------------------------------------------------------------------------------------------------------------------------


def test_each_source_labels_its_keypoints(faces):
    """The second source labels exactly its four keypoints, and the first omits few labels."""
    labelled = np.isfinite(faces.labels)
    assert (labelled[..., 0] == labelled[..., 1]).all()
    four = np.isin(KAGGLE.names, KAGGLE.sources["4-point"])
    assert (labelled[faces.source == 1, :, 0] == four).all()
    assert labelled[faces.source == 0].mean() > 0.95


def test_label_noise_and_shift_of_each_source(many_labels):
    """The first source has no shift and 0.3 px of noise; the second has a shift in x of 0.8 px (eyes) or 0.5 px and 1 px of noise."""
    error, source = many_labels
    eye, nose = (error[:, KAGGLE.names.index(name)] for name in ("left_eye_center", "nose_tip"))
    for values, group, expected in ((eye, 0, 0), (nose, 0, 0), (eye, 1, 0.8), (nose, 1, 0.5)):
        np.testing.assert_allclose(np.nanmedian(values[source == group], axis=0), (expected, 0), atol=0.08)
    for group, spread in ((0, 0.3), (1, 1.0)):
        quartiles = np.nanquantile(nose[source == group], (0.25, 0.75), axis=0)
        np.testing.assert_allclose(quartiles[1] - quartiles[0], 1.349 * spread, rtol=0.1)  # 1.349: of the normal distribution


def test_few_labels_are_missing_and_few_plainly_wrong(many_labels):
    """About 2 % of the first source's rows lack labels, and about 0.3 % of all labels are wrong by many pixels."""
    error, source = many_labels
    assert 0.01 < np.isnan(error[source == 0, :, 0]).any(axis=1).mean() < 0.03
    off = np.linalg.norm(error, axis=2)
    assert 0.0015 < (off[np.isfinite(off)] > 6).mean() < 0.0045


def test_repeated_images_are_labelled_a_second_time(faces):
    """A repeated image is identical to an earlier image of the second source but has its own labels."""
    many = replace(faces, **{name: np.concatenate([getattr(faces, name)] * 3) for name in ("images", "keypoints", "labels", "source")})
    many.images[:, 0, 0] = np.arange(270) % 256  # makes every image unique
    repeated = with_repeats(KAGGLE, many, rng=np.random.default_rng(0))
    changed = np.flatnonzero((repeated.images != many.images).any(axis=(1, 2)))
    assert 2 <= len(changed) <= 20  # 4 % of 180
    for i in changed:
        earlier = [j for j in range(i) if np.array_equal(repeated.images[j], repeated.images[i])]
        assert earlier
        assert many.source[i] == many.source[earlier[0]] == 1
        assert not np.array_equal(repeated.labels[i], repeated.labels[earlier[0]], equal_nan=True)
        np.testing.assert_array_equal(repeated.keypoints[i], repeated.keypoints[earlier[0]])
        assert np.nanmedian(np.abs(repeated.labels[i] - repeated.keypoints[i])) < 3  # the noise is 1 px, so the labels belong to this image


# ---- Kaggle's files --------------------------------------------------------------------------------------------------------------------


def rows(path):
    with path.open(newline="") as lines:
        return list(csv.reader(lines))


def test_training_file_has_kaggles_columns_and_fields(folder):
    """There are 30 columns of decimal or empty coordinates and one of 9,216 grey levels; the first third is of the first source."""
    header, *faces = rows(folder / "training.csv")
    assert header == [*KAGGLE.columns, "Image"]
    assert len(faces) == 24
    for i, row in enumerate(faces):
        assert len(row) == len(header)
        assert all(value == "" or value.replace(".", "", 1).isdecimal() for value in row[:-1])
        assert i < 8 or sum(value != "" for value in row[:-1]) == 8
        levels = row[-1].split(" ")
        assert len(levels) == 9216
        assert all(0 <= int(level) <= 255 for level in levels)


def test_files_hold_what_was_drawn(folder):
    """pandas reads the labels of the 15-point faces and the images as they were drawn, to the six decimals written."""
    table = pd.read_csv(folder / "training.csv")
    again = pd.read_csv(folder / "test.csv")
    assert table["nose_tip_x"].dtype == float
    np.testing.assert_array_equal(again["ImageId"], np.arange(1, 10))
    keypoints = np.load(folder / "keypoints.npy")
    seeds = np.random.SeedSequence(5).generate_state(3).tolist()
    drawn, asked = (
        rendered_faces(KAGGLE, side=SIDE, count=n, widest_source_share=1 / 3, seed=s) for n, s in zip((24, 9), seeds, strict=False)
    )
    np.testing.assert_allclose(table.iloc[:8, :-1], drawn.labels[:8].reshape(8, -1), atol=1e-6)
    np.testing.assert_array_equal(np.array(again["Image"][4].split(), np.uint8), asked.images[4].ravel())
    np.testing.assert_array_equal(keypoints, asked.keypoints)


def test_lookup_table_asks_for_30_values_of_a_15_point_face_and_8_of_a_4_point_face(folder):
    """Rows and images are numbered from 1, names are in the order of the columns, and Location is empty."""
    header, *asked = rows(folder / "IdLookupTable.csv")
    assert header == ["RowId", "ImageId", "FeatureName", "Location"]
    assert [int(row[0]) for row in asked] == list(range(1, 3 * 30 + 6 * 8 + 1))
    assert all(row[3] == "" for row in asked)
    assert [row[2] for row in asked if row[1] == "1"] == list(KAGGLE.columns)
    four = [column for column in KAGGLE.columns if column[:-2] in KAGGLE.sources["4-point"]]
    assert [row[2] for row in asked if row[1] == "9"] == four


def test_files_are_equal_byte_for_byte(folder, tmp_path):
    """The same arguments give the same three files, and another seed gives others; lines end with a line feed, as in Kaggle's files."""
    write_kaggle_files(tmp_path / "again", KAGGLE, side=SIDE, training=24, test=9, seed=5)
    write_kaggle_files(tmp_path / "other", KAGGLE, side=SIDE, training=24, test=9, seed=6)
    for name in FILES:
        written = (folder / name).read_bytes()
        assert written == (tmp_path / "again" / name).read_bytes()
        assert b"\r" not in written
        assert written.endswith(b"\n")
    assert (folder / "training.csv").read_bytes() != (tmp_path / "other" / "training.csv").read_bytes()
