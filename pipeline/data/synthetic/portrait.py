"""The picture of one drawn face: light, skin, features, hair, clothes, backdrop, camera.

Painting happens in head coordinates, see `anatomy`: each function gets the coordinates u and v that the pixels show, takes tones and
returns tones. A tone is an albedo or a brightness between 0 (black) and 1 (white). `soft` is half the width of an antialiased edge, in head
coordinates.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data.synthetic.anatomy import (
    DESIGN_SIDE,
    SIDES,
    HeadPose,
    Person,
    Point,
    brow_ends,
    draw_person,
    draw_view,
    eye_line,
    lower_lip,
    positions,
    upper_lip,
)

Tone = np.ndarray | float

_OVERSAMPLING = 2  # by `_doubled`


# ---- light -----------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Light:
    """The light on a head: the unit vector (x, y, z) towards the lamp, the share of ambient light, and the gloss of the skin."""

    direction: list[float]
    ambient: float
    gloss: float


def _light(rng: np.random.Generator) -> Light:
    """Draws a random light, which comes from above more often than not."""
    direction = np.array([rng.normal(0, 0.55), rng.normal(-0.28, 0.3), 1.0])
    unit = (direction / np.linalg.norm(direction)).tolist()
    return Light(direction=unit, ambient=rng.uniform(0.15, 0.65), gloss=rng.uniform(0.0, 0.22))


def _shading(person: Person, view: HeadPose, light: Light, u: np.ndarray, v: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brightness of the skin (1 = facing the lamp) and its gloss, from the slopes of the nearness over the image."""
    towards_u, towards_v, towards_z = (view.scale * view.depth).astype(np.float32)
    slope_y, slope_x = np.gradient(towards_u * u + towards_v * v + towards_z * (z + _relief(person, u, v)))
    x, y, forward = light.direction
    length = np.sqrt(1 + slope_x * slope_x + slope_y * slope_y)
    facing = (forward - x * slope_x - y * slope_y) / length
    lit = np.clip((facing + 0.4) / 1.4, 0, 1)  # the lamp is wide: its light wraps around the nose
    return light.ambient + (1 - light.ambient) * lit, light.gloss * lit**16


def _relief(person: Person, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Heights that matter for the light but hardly for the outline: sockets, cheeks, nose, lips, chin, edge of the head."""
    a = np.abs(u)
    side = np.clip(a / person.face_width, 0, 1.3)
    wings = 0.10 * _blob(a - person.nose_width * 0.8, v - person.nose_v - 0.04, 0.08, 0.08)
    tip = 0.06 * _blob(u, v - person.nose_v + 0.02, 0.1, 0.1)
    socket = -(0.10 + 0.06 * person.age) * _blob(a - 0.42, v + 0.02, 0.24, 0.15)
    ball = 0.06 * _blob(a - 0.5, v, 0.16, 0.12)
    cheek = (0.05 + 0.08 * max(person.smile, 0)) * _blob(a - 0.62, v - 0.55, 0.25, 0.22)
    lips = 0.07 * _blob(u, v - person.mouth_v, person.mouth_half * 0.8, 0.12)
    under = -0.05 * _blob(u, v - person.mouth_v - lower_lip(person) - 0.08, 0.25, 0.05)
    chin = 0.08 * _blob(u, v - person.chin_v + 0.2, 0.2, 0.14)
    return -0.5 * side**4 + wings + tip + socket + ball + cheek + lips + under + chin


# ---- painting: each function takes tones and returns tones -------------------------------------------------------------------------------


def _blob(du: np.ndarray, dv: np.ndarray | float, width: float, height: float) -> np.ndarray:
    across, down = du / width, dv / height
    return np.exp(-np.minimum(across * across + down * down, 40))  # smaller values would be denormal numbers, which are slow


def _two_or_four(x: np.ndarray, four: float) -> np.ndarray:
    """Interpolates between x^2 and x^4, for rounder or squarer outlines without the cost of a real power."""
    square = x * x
    return square * (1 - four + four * square)


def _ramp(distance: np.ndarray, softness: float) -> np.ndarray:
    """0 outside, 1 inside and 0.5 on the outline, where the distance is positive inside."""
    return np.clip(distance * (0.5 / softness) + 0.5, 0, 1)


def _mix(tone: Tone, other: Tone, mask: np.ndarray) -> np.ndarray:
    return tone + mask * (other - tone)


def _doubled(grid: np.ndarray) -> np.ndarray:
    """Doubles the resolution by linear interpolation, as sums of slices: a matrix product would wake all threads of BLAS."""
    rows, columns = grid.shape
    tall = np.empty((2 * rows, columns), np.float32)
    edge = np.concatenate([2 * grid[:1] - grid[1:2], grid, 2 * grid[-1:] - grid[-2:-1]])
    tall[::2], tall[1::2] = 0.75 * grid + 0.25 * edge[:-2], 0.75 * grid + 0.25 * edge[2:]
    wide = np.empty((2 * rows, 2 * columns), np.float32)
    edge = np.concatenate([2 * tall[:, :1] - tall[:, 1:2], tall, 2 * tall[:, -1:] - tall[:, -2:-1]], axis=1)
    wide[:, ::2], wide[:, 1::2] = 0.75 * tall + 0.25 * edge[:, :-2], 0.75 * tall + 0.25 * edge[:, 2:]
    return wide


def _noise(rng: np.random.Generator, cells: int, side: int) -> np.ndarray:
    """Smooth noise float32 (side, side) with about unit variance, linearly interpolated from cells x cells values."""
    where = np.clip((np.arange(side) + 0.5) * cells / side - 0.5, 0, cells - 1.001)
    first = where.astype(int)
    share = (where - first).astype(np.float32)
    grid = rng.standard_normal((cells, cells), dtype=np.float32)
    rows = _mix(grid[first], grid[first + 1], share[:, None])
    return _mix(rows[:, first], rows[:, first + 1], share)


def _backdrop(rng: np.random.Generator, side: int) -> np.ndarray:
    """The background (side, side): a wall, a gradient, a blurred room, or a texture."""
    level, contrast = rng.uniform(0.05, 0.95), rng.uniform(0.0, 0.3)
    line = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    tone = level + rng.normal(0, 0.25) * line[None, :] + rng.normal(0, 0.25) * line[:, None]
    tone = tone + contrast * _noise(rng, int(rng.integers(2, 8)), side)
    if rng.random() < 0.4:
        edge, angle = rng.uniform(-0.4, 0.4), rng.normal(0, 0.3)
        tone = tone + rng.normal(0, 0.3) * _ramp(line[None, :] + angle * line[:, None] - edge, rng.uniform(0.005, 0.05))
    if rng.random() < 0.3:
        tone = tone + 0.1 * _noise(rng, side // 4, side)
    return np.clip(tone, 0.02, 1)


def _body(tone: np.ndarray, person: Person, view: HeadPose, light: Light, rng: np.random.Generator, soft: float) -> np.ndarray:
    """Neck and clothes, upright below the head. They follow its position and size, but only a part of its roll."""
    side = tone.shape[0]
    pixel = np.arange(side, dtype=np.float32) + 0.5
    chin_x, chin_y = view.project(person, [(0.0, person.chin_v)])[0].tolist()
    u = ((pixel - (0.7 * chin_x + 0.3 * float(view.centre[0]))) / view.scale)[None, :]
    v = ((pixel - chin_y) / view.scale)[:, None]
    neck = _ramp(0.62 * person.face_width + 0.12 * np.clip(v, 0, 1) ** 2 - np.abs(u), soft) * _ramp(v + 0.6, soft)
    shadow = 1 - 0.5 * np.exp(-np.clip(v, 0, None) / 0.25)
    turn = np.clip(u / (0.7 * person.face_width), -1, 1)
    lit = np.clip(light.direction[0] * turn + light.direction[2] * np.sqrt(1 - turn * turn), 0, 1)
    tone = _mix(tone, person.skin * 0.9 * shadow * (light.ambient + (1 - light.ambient) * lit), neck)
    cut = (0.75 if person.collar else 0.35) * np.clip(0.5 - np.abs(u), 0, None)
    top = person.shoulder - 1.65 + 0.28 * u * u + cut
    cloth = person.cloth_tone * (1 + 0.2 * _noise(rng, 9, side)) + 0.12 * rng.random() * np.sin(u * rng.uniform(5, 30))
    return _mix(tone, np.clip(cloth, 0.02, 1), _ramp(v - top, soft))


def _ears(tone: np.ndarray, person: Person, u: np.ndarray, v: np.ndarray, lit: np.ndarray, soft: float) -> np.ndarray:
    a = np.abs(u) - person.face_width * 1.02
    ear = 1 - (a / 0.15) ** 2 - ((v - 0.22) / 0.34) ** 2
    inner = _blob(a - 0.02, v - 0.2, 0.06, 0.2)
    return _mix(tone, person.skin * (0.9 - 0.4 * inner) * lit, _ramp(ear, soft * 8))


def _outline(person: Person, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Positive within the face, and about the distance from the outline near it."""
    middle = 0.35
    below, above = (v - middle) / (person.chin_v - middle), (middle - v) / 1.75
    across = _two_or_four(u / (person.face_width * (1 - person.taper * np.clip(below, 0, 1))), 0.1)
    return 0.45 * (1 - across - _two_or_four(np.clip(below, 0, 3), person.jaw) - _two_or_four(np.clip(above, 0, 3), 0.2))


def _skin(person: Person, rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Albedo of the bare face: blotches, rims of the eyes, cheeks, folds next to the mouth, wrinkles."""
    side = u.shape[0]
    a = np.abs(u)
    tone = person.skin * (1 + 0.035 * _noise(rng, 12, side) + 0.02 * _noise(rng, side // 3, side))
    tone = tone * (1 - 0.22 * _blob(a - 0.45, v + 0.03, 0.24, 0.13))
    bags = 0.16 * person.age * _blob(a - 0.47, v - 0.16 - 0.1 * (a - 0.47) ** 2, 0.2, 0.035)
    fold_u = 0.24 + 0.32 * np.clip((v - person.nose_v) / 0.4, -0.2, 1.2)
    fold = (0.08 + 0.2 * max(person.smile, 0) * (0.4 + person.age)) * np.exp(-(((a - fold_u) / 0.035) ** 2))
    fold = fold * _ramp(v - person.nose_v, 0.1) * _ramp(person.mouth_v + 0.05 - v, 0.12)
    lines = 0.09 * max(person.age - 0.5, 0) * (1 + np.sin((v + 0.1 * u * u) * 48)) * _blob(u, v + 0.62, 0.55, 0.17)
    nostrils = 0.75 * _blob(a - person.nose_width * 0.5, v - person.nose_v - 0.1, 0.055, 0.032)
    wings = 0.22 * np.exp(-(((np.hypot(a - person.nose_width * 0.55, v - person.nose_v - 0.02) - 0.15) / 0.025) ** 2)) * (a > 0.15)
    return tone * (1 - bags) * (1 - fold) * (1 - lines) * (1 - nostrils) * (1 - wings)


def _brow(tone: np.ndarray, person: Person, side: str, u: np.ndarray, v: np.ndarray, rng: np.random.Generator, soft: float) -> np.ndarray:
    """A tapering arch of hair between its two ends; u increases away from the nose."""
    (inner, top), (outer, bottom) = brow_ends(person, side)
    t = (u - inner) / (outer - inner)
    bow = np.clip(t * (1 - t), 0, None)
    line = top + (bottom - top) * t - 4 * person.brow_arch * bow
    thick = person.brow_thickness * (0.45 + 0.55 * np.clip(1.4 - t, 0, 1))
    along = _ramp(np.minimum(t, 1 - t) * (outer - inner), 0.03)
    hairs = 0.8 + 0.25 * rng.standard_normal(u.shape, dtype=np.float32)
    mask = _ramp(thick - np.abs(v - line), max(soft, 0.4 * person.brow_thickness)) * along * person.brow_strength * np.clip(hairs, 0.3, 1)
    return _mix(tone, min(person.hair_tone, 0.6 * person.skin) * 0.8, mask)


def _eye(tone: np.ndarray, person: Person, u: np.ndarray, v: np.ndarray, gaze: float, soft: float) -> np.ndarray:
    """Eyeball, iris, pupil and highlight between the lids, the lids' edges and the crease; u increases away from the nose."""
    inner, outer, middle = eye_line(person)
    t = (u - inner[0]) / (outer[0] - inner[0])
    bow = np.clip(4 * t * (1 - t), 0, None)
    base = inner[1] + (outer[1] - inner[1]) * t
    upper, lower = base - person.lid_upper * np.sqrt(bow), base + person.lid_lower * bow
    opening = _ramp(np.minimum(v - upper, lower - v), soft) * (bow > 0)
    far = np.hypot(u - middle[0] - gaze, v - middle[1] + 0.1 * person.lid_upper)
    ball = min(0.95 * person.skin + 0.18, 0.92) * np.clip(0.55 + (v - upper) * 6, 0.5, 1) * (0.75 + 0.25 * bow)
    ball = _mix(ball, person.iris_tone * (0.7 + 3 * far), _ramp(person.iris - far, soft))
    ball = _mix(ball, 0.02, _ramp(person.iris * 0.45 - far, soft))
    ball = _mix(ball, 0.95, 0.9 * _blob(u - middle[0] - gaze - 0.03, v - middle[1] + 0.04, 0.022, 0.022))
    reach = _ramp(np.minimum(t + 0.03, 1.06 - t), 0.05)
    lash = 0.75 * np.exp(-(((v - upper) / 0.024) ** 2)) * reach
    rim = 0.3 * np.exp(-(((v - lower) / 0.02) ** 2)) * reach
    crease = 0.3 * np.exp(-(((v - upper + 0.065) / 0.022) ** 2)) * np.sqrt(bow)
    return _mix(tone * (1 - crease), ball, opening) * (1 - lash) * (1 - rim)


def _mouth(tone: np.ndarray, person: Person, u: np.ndarray, v: np.ndarray, soft: float) -> np.ndarray:
    """Lips between their outer contours, and between the lips a line, teeth or darkness."""
    s = u / person.mouth_half
    arc = np.clip(1 - s * s, 0, None)
    base = person.mouth_v - person.mouth_lift * s * s + person.mouth_tilt * s
    bow = 1 - 0.15 * np.exp(-((s / 0.14) ** 2))  # the dip in the middle of the upper lip
    upper, lower = (
        base - upper_lip(person) * (0.3 * np.sqrt(arc) + 0.7 * arc) * bow,
        base + lower_lip(person) * np.sqrt(arc) * (0.5 + 0.5 * arc),
    )
    gap_top, gap_bottom = base - 0.35 * person.gap * arc, base + 0.65 * person.gap * arc
    within = (arc > 0).astype(np.float32)
    lips = _ramp(np.minimum(v - upper, lower - v), soft) * within
    shadow = 0.2 * np.exp(-np.minimum(((v - lower - 0.04) / 0.04) ** 2, 40)) * arc
    sheen = 0.06 * _blob(u, v - person.mouth_v - 0.6 * lower_lip(person) - 0.2 * person.gap, 0.15, 0.03)
    shade = person.skin * person.lip_tone * np.where(v < base, 0.85, 1.0) + sheen
    tone = _mix(tone * (1 - shadow), shade, lips)
    depth = np.clip((v - gap_top) / 0.13, 0, 2)
    teeth = 0.9 * (1 - 0.2 * _two_or_four(np.cos(u * 60), 1.0)) * (0.6 + 0.4 * arc)
    inside = _mix(0.06, teeth, _ramp(0.85 - depth, 0.15)) if person.teeth else 0.06 + 0.0 * depth
    tone = _mix(tone, inside, _ramp(np.minimum(v - gap_top, gap_bottom - v), soft) * within * (person.gap > 0.02))
    seam = 0.6 * np.exp(-(((v - base) / 0.018) ** 2)) * _ramp(1.03 - np.abs(s), 0.06) * (person.gap <= 0.02)
    corner = 0.4 * _blob(np.abs(u) - person.mouth_half, v - base, 0.035, 0.03)
    return tone * (1 - seam) * (1 - corner)


def _beard(tone: np.ndarray, person: Person, rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Hair or stubble on the jaw and above the lip, painted before the lips."""
    hairs = np.clip(0.75 + 0.35 * _noise(rng, len(u) // 2, len(u)), 0, 1)
    jaw = _ramp(v - person.nose_v - 0.15 - 0.9 * np.clip(0.75 - np.abs(u), 0, 0.35), 0.12) * person.full_beard
    lip = _blob(u, v - (person.nose_v + person.mouth_v - upper_lip(person)) / 2 - 0.07, person.mouth_half * 1.05, 0.075)
    mask = np.maximum(jaw, np.clip(1.6 * lip, 0, 1) * (person.moustache or person.full_beard))
    return _mix(tone, person.hair_tone * 0.9, mask * hairs * person.beard_strength)


def _hair(
    person: Person, rng: np.random.Generator, u: np.ndarray, v: np.ndarray, soft: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Tone of the hair, mask of all hair (behind the head), mask of the hair in front of the face, and the shadow that it casts there."""
    side = u.shape[0]
    waves = _noise(rng, 22 if person.curly else 7, side)
    strands = rng.standard_normal(512).astype(np.float32)
    comb = ((u + 0.06 * waves) / (v * 0.4 + 2.2) * 90).astype(np.int32) % 512
    rough = waves if person.curly else 0.6 * strands[comb] + 0.7 * strands[comb // 5]
    tone = np.clip(person.hair_tone * (1 + 0.17 * rough + 0.25 * _blob(u - person.hair_part, v + 1.05, 0.7, 0.2)), 0.01, 1)
    below = v + 0.25
    down = np.where(below > 0, below / (5.0 if person.long_hair else 0.75), below / (1.15 + person.hair_volume))
    width = person.face_width + 0.12 + person.hair_volume * (0.35 + 0.3 * np.clip(below, 0, 1) * person.long_hair)
    behind = _ramp(1 - _two_or_four(u / width, 0.0) - down * down + (0.16 if person.curly else 0.07) * waves, soft * 3)
    narrow = person.face_width * (0.88 if person.long_hair else 1.0) - 0.03
    across = _two_or_four((u + person.hair_part * np.clip(-v, 0, 1)) / narrow, person.hair_shape)
    window = 1 - across - _two_or_four(np.minimum(v - 0.3, 0) / (0.3 - person.hairline), person.hair_shape)
    window = window + 0.13 * waves + (0 if person.curly else 0.05 * rough)
    return tone, behind, behind * (1 - _ramp(window, 0.16)), 1 - 0.35 * _ramp(0.12 - window, 0.3)


def _glasses(tone: np.ndarray, person: Person, u: np.ndarray, v: np.ndarray, soft: float) -> np.ndarray:
    a = np.abs(u)
    far = np.sqrt(np.sqrt(_two_or_four((a - 0.52) / 0.37, 1.0) + _two_or_four((v - 0.04) / (0.2 + 3 * person.rim), 1.0)))
    rims = _ramp(person.rim - 0.3 * np.abs(far - 1), soft)
    bridge = _ramp(person.rim - np.abs(v + 0.03 + 0.4 * u * u), soft) * (a < 0.17)
    arms = _ramp(person.rim - np.abs(v + 0.02), soft) * (a > 0.88) * (a < person.face_width)
    glare = 0.18 * _ramp(1 - far, 0.1) * _blob(u + 0.6 * v - 0.25, 0, 0.25, 1)
    return _mix(tone + glare * (1 - tone), 0.08 + 0.5 * (person.rim < 0.02), np.maximum(rims, np.maximum(bridge, arms)))


def _painted(person: Person, view: HeadPose, rng: np.random.Generator, side: int) -> np.ndarray:
    """The brightness of the scene, float32, at _OVERSAMPLING times the side. Soft parts are painted at the side and enlarged."""
    soft = 0.6 / view.scale
    light = _light(rng)
    u, v, z = view.grids(person, side)
    lit, gloss = _shading(person, view, light, u, v, z)
    hair, behind, before, shade = _hair(person, rng, u, v, 2 * soft)
    if person.bald:
        behind, before, shade = 0 * behind, 0 * before, np.ones_like(shade)
    room = _mix(_backdrop(rng, side), hair * 0.75, behind)
    room = _body(room, person, view, light, rng, 2 * soft)
    skin = _skin(person, rng, u, v)
    u, v, tone, face, lit, gloss, before, hair = (
        _doubled(grid) for grid in (u, v, room, skin, lit * shade, gloss, before, hair * (0.4 + 0.6 * lit))
    )
    tone = _ears(tone, person, u, v, lit, soft)
    face = _features(face, person, view, rng, u, v, soft)
    tone = _mix(tone, face * lit + gloss, _ramp(_outline(person, u, v), soft))
    if person.glasses:
        tone = _glasses(tone, person, u, v, soft)
    return _mix(tone, hair, before)


def _features(
    face: np.ndarray, person: Person, view: HeadPose, rng: np.random.Generator, u: np.ndarray, v: np.ndarray, soft: float
) -> np.ndarray:
    """The bare face with beard, mouth, eyes and brows, each painted in the part of the picture that it can reach."""
    if person.full_beard or person.moustache:
        face = _beard(face, person, rng, u, v)
    box = _around(person, view, (0, person.mouth_v), 0.8, len(face))
    face[box] = _mouth(face[box], person, u[box], v[box], soft)
    for name, sign in SIDES.items():
        box = _around(person, view, (sign * 0.5, -0.1), 0.75, len(face))
        face[box] = _eye(face[box], person, sign * u[box], v[box], sign * person.gaze_u, soft)
        face[box] = _brow(face[box], person, name, sign * u[box], v[box], rng, soft)
    return face


def _around(person: Person, view: HeadPose, uv: Point, radius: float, fine: int) -> tuple[slice, slice]:
    """Slices (rows, columns) of the painting that contain everything within `radius` of a point of the head."""
    x, y = view.project(person, [uv])[0] * _OVERSAMPLING
    reach = radius * view.scale * _OVERSAMPLING
    rows, columns = (slice(*(int(np.clip(at + d, 0, fine)) for d in (-reach, reach))) for at in (y, x))
    return rows, columns


def _photograph(scene: np.ndarray, rng: np.random.Generator, side: int, *, steady: bool) -> np.ndarray:
    """The photograph uint8 (side, side) of a scene: blur of the lens, exposure, contrast, noise of the sensor."""
    picture = scene.reshape(side, _OVERSAMPLING, side, _OVERSAMPLING).mean(axis=(1, 3), dtype=np.float32)
    picture = _blurred(picture, rng.uniform(0.2, 0.5 if steady else 1.0) * side / DESIGN_SIDE)
    exposure = np.clip(rng.uniform(0.32, 0.56) / float(picture.mean()), 0.65, 2.2)
    picture = 0.5 + rng.uniform(0.9, 1.4) * (picture * float(exposure) - 0.5)
    picture = np.clip(picture, 0, 1.15) ** rng.uniform(0.75, 1.3)
    picture = 255 * (rng.uniform(0.0, 0.12) + rng.uniform(0.75, 0.98) * picture)
    picture += rng.uniform(0.5, 5) * rng.standard_normal((side, side), dtype=np.float32)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur with sigma in pixels; the edge pixels are repeated outside the picture."""
    reach, side = int(np.ceil(3 * sigma)), len(picture)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).tolist()
    padded = np.pad(picture, reach, mode="edge")
    rows = sum((weight * padded[i : i + side] for i, weight in enumerate(weights)), start=np.zeros_like(padded[:side]))
    return sum((weight * rows[:, i : i + side] for i, weight in enumerate(weights)), start=np.zeros_like(picture))


def portrait(names: Sequence[str], *, side: int, steady: bool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws a random face: a picture uint8 (side, side) and the keypoints `names`, float64 (K, 2), pixels, x then y.

    A head is placed again until every keypoint lies within the picture.

    steady: see `anatomy.draw_view`.

    Raises ValueError for a keypoint that drawn faces do not have.
    """
    person = draw_person(rng)
    where = positions(person)
    if unknown := set(names) - set(where):
        raise ValueError(f"drawn faces have no keypoint {', '.join(sorted(unknown))}; choose among {', '.join(where)}")
    inside = False
    while not inside:
        view = draw_view(rng, side, steady=steady)
        keypoints = view.project(person, [where[name] for name in names])
        inside = bool(((keypoints > 0) & (keypoints < side)).all())
    return _photograph(_painted(person, view, rng, side), rng, side, steady=steady), keypoints
