"""A person's head and its place in a picture: what people differ in, where the keypoints are, and how the head is projected.

In head coordinates u points to the right of the image and v downwards, the origin is between the eyes, and the unit is the distance between
the eye centres. The head is a relief z(u, v) over that plane, seen by parallel projection (`HeadPose`). The picture needs the (u, v) that
each pixel shows, and a keypoint is the projection of its (u, v). Both use the same z, so that keypoints stay on what is drawn however the
head is turned.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from numpy.typing import ArrayLike

# Lengths in pixels (distance between the eyes, position, blur, label noise) are given for images of this side.
DESIGN_SIDE = 96

# What people differ in: (lowest, highest), drawn independently from a distribution with a hump in the middle. Lengths are in distances
# between the eyes.
_TRAITS = {
    "eye_width": (0.35, 0.47),
    "eye_tilt": (-0.05, 0.03),  # outer corner below (> 0) or above (< 0) the inner one
    "lid_upper": (0.055, 0.145),  # opening above and below the line through the corners
    "lid_lower": (0.025, 0.07),
    "iris": (0.085, 0.105),
    "iris_tone": (0.05, 0.45),
    "gaze_u": (-0.07, 0.07),
    "brow_inner": (0.14, 0.32),
    "brow_outer": (0.76, 0.98),
    "brow_v": (-0.36, -0.15),
    "brow_drop": (-0.12, 0.14),  # outer end below (> 0) the inner one
    "brow_arch": (0.0, 0.12),
    "brow_thickness": (0.025, 0.085),
    "brow_strength": (0.45, 1.0),
    "nose_v": (0.56, 0.82),
    "nose_width": (0.15, 0.24),
    "nose_height": (0.2, 0.33),
    "mouth_gap": (0.28, 0.46),  # nose tip to the line between the lips
    "mouth_half": (0.31, 0.45),
    "mouth_tilt": (-0.03, 0.03),
    "lip_upper": (0.05, 0.125),
    "lip_lower": (0.07, 0.17),
    "lip_tone": (0.4, 0.78),
    "smile": (-0.3, 1.0),
    "chin_gap": (0.42, 0.68),  # line between the lips to chin
    "face_width": (0.95, 1.2),
    "jaw": (0.0, 0.7),  # pointed ... square
    "taper": (0.08, 0.32),  # how much narrower the jaw is than the cheeks
    "skin": (0.3, 0.88),
    "age": (0.0, 1.0),
    "hair_tone": (0.02, 0.45),
    "hairline": (-1.15, -0.66),
    "hair_volume": (0.0, 0.45),
    "hair_shape": (0.0, 1.0),
    "hair_part": (-0.35, 0.35),
    "cloth_tone": (0.03, 0.95),
    "shoulder": (1.75, 2.3),
    "beard_strength": (0.2, 0.85),
    "rim": (0.012, 0.04),
}
_CHANCES = {
    "open_mouth": 0.45,
    "teeth": 0.75,
    "closed_eyes": 0.04,
    "long_hair": 0.4,
    "fringe": 0.2,
    "curly": 0.2,
    "bald": 0.08,
    "grey_hair": 0.12,
    "glasses": 0.16,
    "full_beard": 0.16,
    "moustache": 0.16,
    "collar": 0.5,
}
SIDES = {"left": 1, "right": -1}  # the subject's left is at the larger x, hence at u > 0

Point = tuple[float, float]  # u, v


# ---- the person ------------------------------------------------------------------------------------------------------------------------


class Person(SimpleNamespace):
    """A person as attributes: every name in _TRAITS (float) and in _CHANCES (bool), and what is derived from them."""


def draw_person(rng: np.random.Generator) -> Person:
    """Draws a random person."""
    traits = {name: low + (high - low) * rng.beta(1.6, 1.6) for name, (low, high) in _TRAITS.items()}
    person = Person(**traits, **{name: bool(rng.random() < chance) for name, chance in _CHANCES.items()})
    person.mouth_v = person.nose_v + person.mouth_gap
    person.gap = person.open_mouth * rng.uniform(0.04, 0.28) * (0.6 if person.smile > 0.3 else 1)
    person.mouth_half *= 1 + 0.22 * max(person.smile, 0) - 0.3 * person.gap
    person.mouth_lift = 0.12 * person.smile
    person.chin_v = person.mouth_v + person.chin_gap + 0.6 * person.gap
    person.lid_upper *= 1 - 0.35 * max(person.smile, 0)
    if person.closed_eyes:
        person.lid_upper, person.lid_lower = 0.012, 0.012
    if person.grey_hair:
        person.hair_tone = rng.uniform(0.55, 0.85)
    if person.fringe:
        person.hairline = rng.uniform(-0.55, -0.22)
    if person.long_hair:
        person.full_beard = person.moustache = person.bald = False
    person.brow_lift = {side: rng.normal(0, 0.02) for side in SIDES}
    return person


def positions(person: Person) -> dict[str, Point]:
    """The (u, v) of the fifteen keypoints of Kaggle's set, by name."""
    half, mouth_v = person.mouth_half, person.mouth_v
    found: dict[str, Point] = {
        "nose_tip": (0, person.nose_v),
        "mouth_center_top_lip": (0, mouth_v - upper_lip(person) * 0.85),
        "mouth_center_bottom_lip": (0, mouth_v + lower_lip(person)),
    }
    for side, sign in SIDES.items():
        inner, outer, opening = eye_line(person)
        found[f"{side}_eye_inner_corner"] = (sign * inner[0], inner[1])
        found[f"{side}_eye_outer_corner"] = (sign * outer[0], outer[1])
        found[f"{side}_eye_center"] = (sign * opening[0], opening[1])
        brow = brow_ends(person, side)
        found[f"{side}_eyebrow_inner_end"] = (sign * brow[0][0], brow[0][1])
        found[f"{side}_eyebrow_outer_end"] = (sign * brow[1][0], brow[1][1])
        found[f"mouth_{side}_corner"] = (sign * half, mouth_v - person.mouth_lift + sign * person.mouth_tilt)
    return found


def eye_line(person: Person) -> tuple[Point, Point, Point]:
    """The (u, v) of the inner corner, the outer corner and the centre of the opening; u increases away from the nose."""
    inner, outer = (0.5 - person.eye_width / 2, -person.eye_tilt / 2), (0.5 + person.eye_width / 2, person.eye_tilt / 2)
    return inner, outer, (0.5, (person.lid_lower - person.lid_upper) / 2)


def brow_ends(person: Person, side: str) -> tuple[Point, Point]:
    """The (u, v) of the inner and the outer end of the eyebrow on one of SIDES; u increases away from the nose."""
    top = person.brow_v + person.brow_lift[side]
    return (person.brow_inner, top), (person.brow_outer, top + person.brow_drop)


def upper_lip(person: Person) -> float:
    """Height of the upper lip's outer contour above the line through the middle of the mouth."""
    return person.lip_upper * (1 - 0.25 * max(person.smile, 0)) + 0.35 * person.gap


def lower_lip(person: Person) -> float:
    """Depth of the lower lip's outer contour below that line."""
    return person.lip_lower * (1 - 0.2 * max(person.smile, 0)) + 0.65 * person.gap


# ---- the view of the head --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeadPose:
    """The position and orientation of a head: (u, v) is seen at centre + scale * (plane @ (u, v) + parallax * z(u, v)), pixels.

    The product of `depth` and (u, v, z) is how near a point is to the viewer.
    """

    centre: np.ndarray
    scale: float
    plane: np.ndarray
    parallax: np.ndarray
    depth: np.ndarray

    def project(self, person: Person, uv: ArrayLike) -> np.ndarray:
        """Projects points of the head, (n, 2) as u and v, to (n, 2) pixels as x and y."""
        uv = np.asarray(uv, dtype=float)
        return self.centre + self.scale * (uv @ self.plane.T + height(person, *uv.T)[:, None] * self.parallax)

    def grids(self, person: Person, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Head coordinates u, v and height z at the pixel centres of a side x side image: three (side, side) float32 arrays.

        Solves the projection for (u, v) by fixed-point iteration, which contracts where the product of parallax and slope of z is below 1,
        as it is for noses and turns of up to 30 degrees. After 9 steps the error is 0.01 px at most points, and 0.1 px at the tip of a
        nose that is turned far.
        """
        x, y = ((np.arange(side) + 0.5)[:, None] - self.centre).T / self.scale
        inverse = np.linalg.inv(self.plane)
        flat_u, flat_v = ((across * x[None, :] + down * y[:, None]).astype(np.float32) for across, down in inverse)
        shift_u, shift_v = (inverse @ self.parallax).tolist()
        u, v, z = flat_u, flat_v, np.zeros((side, side), np.float32)
        for _ in range(9):
            z = height(person, u, v)
            u, v = flat_u - shift_u * z, flat_v - shift_v * z
        return u, v, z


def view(*, centre: ArrayLike, scale: float, yaw: float, pitch: float, roll: float) -> HeadPose:
    """The pose of a head turned by yaw (nose to larger x), then pitch (nose down), then roll (clockwise on the screen), in radians.

    centre: the position of the head's origin in the image, (2,), pixels.
    scale: the distance between the eyes, pixels.
    """
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    nod = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    tilt = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    whole = tilt @ nod @ turn
    return HeadPose(np.asarray(centre, dtype=float), scale, whole[:2, :2], whole[:2, 2], whole[2])


def draw_view(rng: np.random.Generator, side: int, *, steady: bool) -> HeadPose:
    """Draws a random pose in an image of side x side pixels.

    steady: whether the person sits for the camera. In a snapshot heads are turned more, and one in seven is small or off-centre.
    """
    pixel = side / DESIGN_SIDE
    away = not steady and rng.random() < 0.15
    spread = 0.6 if steady else 1.0
    scale = rng.normal(35.5, 1.5 + 1.5 * (not steady)) * (rng.uniform(0.42, 0.8) if away else 1)
    place = rng.uniform(16, 80, 2) if away else rng.normal((48, 37.5), (1.6, 2.0))
    return view(
        centre=place * pixel,
        scale=scale * pixel,
        yaw=np.clip(rng.normal(0, 0.2 * spread), -0.5, 0.5),
        pitch=np.clip(rng.normal(0, 0.12 * spread), -0.3, 0.3),
        roll=np.clip(rng.normal(0, 0.08 * spread), -0.35, 0.35),
    )


def height(person: Person, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Height z of the surface: a rounded head, zero at the eyes, with a nose. Slopes stay below about 1.5, see `HeadPose.grids`."""
    head = np.exp(-0.62 * u * u - 0.28 * (v - 0.35) ** 2) - 0.83
    along = np.clip((v + 0.2) / (person.nose_v + 0.2), 0, 1)
    foot = np.clip((person.nose_v + 0.25 - v - 1.2 * u * u) / 0.25, 0, 1)
    ridge = np.exp(-((u / (0.13 + 0.5 * person.nose_width * along)) ** 2))
    return head + person.nose_height * along * (0.35 + 0.65 * along) * foot * foot * (3 - 2 * foot) * ridge
