"""The keypoint set of Kaggle's Facial Keypoints Detection."""

from pipeline.keypoints.definition import KeypointSet

SIDE = 96  # width and height of the competition's images, pixels


def _sides(*names: str) -> tuple[str, ...]:
    return tuple(f"{side}_{name}" for name in names for side in ("left", "right"))


# The order of Kaggle's columns. "left" is the subject's left: the larger x.
_FIFTEEN = (
    *_sides("eye_center"),
    "left_eye_inner_corner",
    "left_eye_outer_corner",
    "right_eye_inner_corner",
    "right_eye_outer_corner",
    "left_eyebrow_inner_end",
    "left_eyebrow_outer_end",
    "right_eyebrow_inner_end",
    "right_eyebrow_outer_end",
    "nose_tip",
    "mouth_left_corner",
    "mouth_right_corner",
    "mouth_center_top_lip",
    "mouth_center_bottom_lip",
)


KAGGLE = KeypointSet(
    name="Kaggle Facial Keypoints Detection",
    names=_FIFTEEN,
    mirror=(
        ("left_eye_center", "right_eye_center"),
        ("left_eye_inner_corner", "right_eye_inner_corner"),
        ("left_eye_outer_corner", "right_eye_outer_corner"),
        ("left_eyebrow_inner_end", "right_eyebrow_inner_end"),
        ("left_eyebrow_outer_end", "right_eyebrow_outer_end"),
        ("mouth_left_corner", "mouth_right_corner"),
    ),
    sources={
        "15-point": _FIFTEEN,
        "4-point": (*_sides("eye_center"), "nose_tip", "mouth_center_bottom_lip"),
    },
    groups={
        "eye_centers": _sides("eye_center"),
        "nose_tip": ("nose_tip",),
        "mouth": ("mouth_left_corner", "mouth_right_corner", "mouth_center_top_lip"),
        "lower_lip": ("mouth_center_bottom_lip",),
        "eye_corners": _sides("eye_inner_corner", "eye_outer_corner"),
        "eyebrows": _sides("eyebrow_inner_end", "eyebrow_outer_end"),
    },
)
