"""The division of an own set into a training part and a validation part, without leaks between them.

What belongs together is never divided: samples of one photograph, whoever labelled it, near duplicates, and what the user keeps together.
Frames of a video resemble those before and after them. They are divided in blocks of consecutive frames, or by whole videos if there are
as many as folds. Near duplicates of held-out frames elsewhere in their video are then left out of the training.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.data import duplicates, leaks
from pipeline.data.leaks import Divided, Kind
from pipeline.data.split import Division, Splitting, split
from pipeline.data.tables import Given, LabelledFaces
from pipeline.data.videos import Videos, videos
from pipeline.errors import InputError
from pipeline.geometry import affine
from pipeline.lazyrows import Images, Selected, chosen
from pipeline.progress import OnProgress
from pipeline.units import counted


def divided(
    given: Given, samples: LabelledFaces, source: np.ndarray, copy: np.ndarray, splitting: Splitting, on_progress: OnProgress
) -> Division:
    """Divides the samples of an own set.

    source: int8 (n,), their annotation sources. copy: int32 (n,), equal for identical samples.

    Raises InputError if they cannot be divided as requested.
    """
    found = _videos(samples, given, splitting.sequences)
    group = _groups(samples.images, copy, given, found, splitting.twin_correlation, on_progress)
    nobody = np.zeros(len(group), bool)
    if given.validation is not None:
        notes = _fixed(samples, given, copy, found, splitting)
        return Division(group, given.validation, nobody, notes)
    plan = _plan(group, found, splitting)
    validation = split(
        source, plan.unit, validation_share=splitting.validation_share, fold=splitting.fold, seed=splitting.seed, fixed=plan.fold
    )
    if splitting.sequences == "random":
        return Division(group, validation, nobody, _random(given, copy, found, validation, splitting))
    frames = _Frames(given, found, splitting.twin_correlation)
    left_out = frames.left_out(validation, copy)
    if (left_out | validation).all():
        raise InputError("All frames of the training part are nearly the same as a held-out one. Label frames that differ more.")
    notes = (*_found(given, found, splitting, plan), *frames.notes(left_out))
    return Division(frames.joined(group, plan.unit), validation, left_out, notes)


def _videos(samples: LabelledFaces, given: Given, sequences: str) -> Videos:
    """The videos of a set; images that the user keeps together with others are of none.

    Raises InputError if there is none, but the images are to be divided as frames of videos.
    """
    first = np.unique(given.photograph, return_index=True)[1]
    names, together = given.origin.image[first], given.together[first]
    free = np.flatnonzero(np.bincount(together)[together] == 1)
    points = affine.move(samples.keypoints[first[free]].astype(np.float64), given.origin.to_original[first[free]])
    own = videos(names[free].tolist(), given.photographs[free], points, alike=sequences != "blocks")
    found = Videos(tuple(free[rows] for rows in own), given.photograph)
    if sequences == "blocks" and not found.members:
        raise InputError(
            "--Load-sequences blocks divides numbered frames, but no two images that the set does not keep together anyway have names that "
            "differ only by a number. Leave it out."
        )
    return found


def _groups(images: Images, copy: np.ndarray, given: Given, found: Videos, correlation: float, on_progress: OnProgress) -> np.ndarray:
    """Duplicate group int32 (n,) of each sample: samples of one image, what the user keeps together, and near duplicates.

    Both the samples and the photographs that they are cut from are compared. They may all have one background, which is subtracted first.
    Frames of videos are not compared here, because one is nearly the same as the next.
    """
    rest = np.flatnonzero(found.of < 0)
    group = given.together
    if len(rest) < len(copy):
        on_progress(len(copy) - len(rest))
    if len(rest):
        photographs, photograph = np.unique(given.photograph[rest], return_inverse=True)
        search = functools.partial(duplicates.groups, correlation=correlation, without_common=True)
        own = search(chosen(images, rest), copy=np.unique(copy[rest], return_inverse=True)[1], on_progress=on_progress)
        whole = search(Selected(given.photographs, photographs))[photograph]
        for near in (own, whole):
            every = np.arange(len(group)) + len(rest)
            every[rest] = near
            group = duplicates.joined(group, every)
    return duplicates.joined(group, group)


@dataclass(frozen=True)
class _Plan:
    """How n samples are dealt.

    unit: int32 (n,), equal for samples that are not divided. fold: int64 (n,), the fold of samples in blocks, -1 for all others.
    """

    unit: np.ndarray
    fold: np.ndarray

    @property
    def blocks(self) -> bool:
        return bool((self.fold >= 0).any())


def _plan(group: np.ndarray, found: Videos, splitting: Splitting) -> _Plan:
    """What of the videos is dealt as a whole: frames, blocks or videos."""
    apart = np.arange(len(group)) + len(found.members) * (splitting.folds + 1)  # a number for each sample that is of no video
    none = np.full(len(group), -1)
    if splitting.sequences == "random" or not found.members:
        return _Plan(group, none)
    block = none if len(found.members) >= splitting.folds else found.blocks(splitting.folds)
    unit = np.where(found.of < 0, apart, found.of * (splitting.folds + 1) + block + 1)
    return _Plan(duplicates.joined(group, unit), block)


@dataclass(frozen=True)
class _Frames:
    """The frames of videos, compared with each other."""

    given: Given
    videos: Videos
    correlation: float

    def left_out(self, validation: np.ndarray, copy: np.ndarray) -> np.ndarray:
        """The samples bool (n,) of the training part that are nearly the same as a held-out frame of their video, or identical with one."""
        held_out = np.zeros(len(self.given.photographs), bool)
        held_out[self.given.photograph[validation]] = True
        near = np.zeros_like(held_out)
        for one, other in leaks.in_videos(self.given.photographs, self.videos, self.correlation):
            across = held_out[one] != held_out[other]
            near[one[across]] = near[other[across]] = True
        copies = np.isin(copy, copy[validation]) & (self.videos.of >= 0)
        return (near[self.given.photograph] | copies) & ~validation

    def joined(self, group: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """The duplicate groups, those joined whose frames are nearly the same and in one unit. They are the same in each fold."""
        of_image = np.zeros(len(self.given.photographs), unit.dtype)
        of_image[self.given.photograph] = unit
        label = np.arange(len(of_image))
        for one, other in leaks.in_videos(self.given.photographs, self.videos, self.correlation):
            new = (of_image[one] == of_image[other]) & (label[one] != label[other])
            if new.any():
                label = duplicates.connected(label, one[new], other[new])
        return duplicates.joined(group, label[self.given.photograph])

    def notes(self, left_out: np.ndarray) -> Iterator[str]:
        if left_out.any():
            yield (
                f"{counted(len(np.unique(self.given.photograph[left_out])), 'frame')} of the training part, nearly the same as a held-out "
                "frame of the same video, left out."
            )


def _found(given: Given, found: Videos, splitting: Splitting, plan: _Plan) -> Iterator[str]:
    """What has been found and how it is divided."""
    count, folds = len(found.members), splitting.folds
    if not count:
        return
    frames = _frames(found)
    if not plan.blocks:
        yield f"{frames}, so that each video is held out as a whole or not at all."
        return
    of = "it" if count == 1 else "each"
    yield (
        f"{frames}, so that each of the {folds} folds holds out a block of consecutive frames of {of}. "
        "Only the frames at the borders of a block are next to frames that are trained on."
    )
    whole = sum(len(own) < folds for own in found.members)
    if whole:
        yield f"{counted(whole, 'video')} with fewer than {folds} frames held out as a whole or not at all."


def _frames(found: Videos) -> str:
    return f"{counted(found.frames, 'image')} are frames of {counted(len(found.members), 'video')}"


def _divided(given: Given, validation: np.ndarray) -> Divided:
    names, held_out = np.empty(len(given.photographs), given.origin.image.dtype), np.zeros(len(given.photographs), bool)
    names[given.photograph], held_out[given.photograph] = given.origin.image, validation
    return Divided(names, held_out)


def _random(given: Given, copy: np.ndarray, found: Videos, validation: np.ndarray, splitting: Splitting) -> tuple[str, ...]:
    """What leaks because frames of videos are dealt at random."""
    parts = _divided(given, validation)
    near = leaks.in_videos(given.photographs, found, splitting.twin_correlation)
    kinds = [
        Kind("identical with", parts.equal(copy, given.photograph)),
        Kind("nearly the same as", parts.partners(near)),
        Kind("next to, in a video,", leaks.neighbours(parts, found)),
    ]
    said = leaks.sentence(parts, kinds, "--Load-sequences auto holds out blocks of consecutive frames.")
    return (*([f"{_frames(found)}, which are divided at random."] if found.members else []), *([said] if said else []))


def _fixed(samples: LabelledFaces, given: Given, copy: np.ndarray, found: Videos, splitting: Splitting) -> tuple[str, ...]:
    """What leaks in the division that the user or the label files fix."""
    assert given.validation is not None
    parts, correlation = _divided(given, given.validation), splitting.twin_correlation

    def near() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        rest = np.flatnonzero(found.of < 0)
        if len(rest):
            photographs = np.unique(given.photograph[rest])
            for one, other in duplicates.pairs(given.photographs[photographs], correlation=correlation):
                yield photographs[one], photographs[other]
            for one, other in duplicates.pairs(chosen(samples.images, rest), correlation=correlation):
                yield given.photograph[rest[one]], given.photograph[rest[other]]
        yield from leaks.in_videos(given.photographs, found, correlation)

    kinds = [
        Kind("identical with", parts.equal(copy, given.photograph)),
        Kind("nearly the same as", parts.partners(near())),
        Kind("of the same photograph or group as", parts.equal(given.together, given.photograph)),
        Kind("next to, in a video,", leaks.neighbours(parts, found)),
    ]
    said = leaks.sentence(parts, kinds, "The division is kept as the labels or --dataset-split give it.")
    return (said,) if said else ()
