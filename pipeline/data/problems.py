"""What may be wrong with a keypoint set of the user's: a sentence for each problem that says what to do about it."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from pipeline.data.filenames import NameGroups
from pipeline.data.likeness import Likeness
from pipeline.data.overview import Overview, Suspicion, place
from pipeline.units import counted, printable

FEWEST_LABELS = 10  # of a keypoint, below which a net cannot learn it
# Share of a keypoint's labels at one place, as if a mean had been filled in, and the fewest of them; see `formats.placeholders`.
SHARE_AT_ONE_PLACE, FEWEST_AT_ONE_PLACE = 0.2, 5
# Share of the coordinates from -1 to 1 above which they are fractions of the image's size.
SHARE_OF_FRACTIONS = 0.95
# Keypoints farther outside of their box than this share of its longer side.
BEYOND_A_BOX = 0.5
_MEANING = {
    "0": ("at (0, 0)", "If that marks missing labels, leave these empty."),
    "-1": ("at (-1, -1)", "If that marks missing labels, leave these empty."),
    "outside": ("outside the image", "Correct these labels, or remove them."),
}


def problems(overview: Overview, likeness: Likeness, grouping: NameGroups | None) -> list[str]:
    """The problems of a set, the gravest first. grouping: the images that belong together, which a split should not separate."""
    return [
        *_images(overview),
        *_coordinates(overview),
        *_labels(overview),
        *_boxes(overview),
        *_duplicates(overview, likeness),
        *_leaks(overview, likeness, grouping),
    ]


def _images(overview: Overview) -> Iterator[str]:
    if overview.unreadable:
        name, why = next(iter(overview.unreadable.items()))
        count = len(overview.unreadable)
        yield f"{counted(count, 'image')} cannot be read, {'the first is' if count > 1 else 'which is'} {printable(name)}: {why}"
    if not overview.labels.instances:
        yield "No instance is labelled. Label some images first."


def _coordinates(overview: Overview) -> Iterator[str]:
    known = overview.keypoints[~np.isnan(overview.keypoints)]
    if len(known) and (np.abs(known - 0.5) <= 1.5).mean() >= SHARE_OF_FRACTIONS and np.ptp(known) > 0:
        yield "The coordinates are from -1 to 1, so they seem to be fractions of the image. Convert them to pixels."
        return
    for kind, (where, cure) in _MEANING.items():
        own = [suspicion for suspicion in overview.suspicions if suspicion.kind == kind]
        if own:
            yield f"{_of(own)} {where}; the first is in {printable(own[0].place)}. {cure}"
    for name, points in zip(overview.labels.names, np.swapaxes(overview.keypoints, 0, 1), strict=True):
        points = points[~np.isnan(points).any(axis=1)]
        points = points[(points > 1).all(axis=1)]  # placeholders such as 0 are another problem
        if len(points):
            (x, y), count = Counter(map(tuple, points.tolist())).most_common(1)[0]
            if count >= FEWEST_AT_ONE_PLACE and count > SHARE_AT_ONE_PLACE * len(points):
                yield (
                    f"{count:,} of {len(points):,} labels of {printable(name)} are at the same place ({x:g}, {y:g}), as if that had been"
                    " filled in for missing labels. Leave missing labels empty."
                )


def _of(own: list[Suspicion]) -> str:
    """The number of labels and their keypoints, as the beginning of a sentence."""
    count = sum(suspicion.count for suspicion in own)
    names = ", ".join(printable(suspicion.keypoint) for suspicion in own[:3]) + (f" and {len(own) - 3} more" if len(own) > 3 else "")
    return f"{counted(count, 'label')} ({names}) {'is' if count == 1 else 'are'}"


def _labels(overview: Overview) -> Iterator[str]:
    if not overview.labels.instances:
        return
    table = overview.table
    if few := [number for number in range(len(table.names)) if table.labelled[number] < FEWEST_LABELS]:
        names = ", ".join(f"{printable(table.names[number])} ({table.labelled[number]})" for number in few[:5])
        more = f" and {len(few) - 5} more" if len(few) > 5 else ""
        yield f"{names}{more}: fewer than {FEWEST_LABELS} labels, from which no net learns. Label more images, or leave the keypoint out."
    bare = [instance for instance in overview.labels.instances if np.isnan(instance.keypoints).all()]
    if bare:
        which = f"the first is in {printable(place(bare[0]))}"
        yield f"{counted(len(bare), 'instance')} without any keypoint will not be used; {which}. Label or remove them."


def _boxes(overview: Overview) -> Iterator[str]:
    beyond = []
    for instance in overview.labels.instances:
        known = instance.keypoints[~np.isnan(instance.keypoints).any(axis=1)]
        if instance.box and len(known):
            low, size, margin = np.array(instance.box[:2]), np.array(instance.box[2:]), BEYOND_A_BOX * max(instance.box[2:])
            if ((known < low - margin) | (known > low + size + margin)).any():
                beyond.append(instance)
    if beyond:
        which = f"the first is in {printable(place(beyond[0]))}"
        boxes = "1 box is" if len(beyond) == 1 else f"{len(beyond):,} boxes are"
        yield f"{boxes} far from a keypoint of the same instance; {which}. Correct them."


def _duplicates(overview: Overview, likeness: Likeness) -> Iterator[str]:
    test = set(overview.definition.test)
    across = [own for own in likeness.near if 0 < len(test.intersection(own)) < len(own)]
    if across:
        one, other = min(set(across[0]) - test), min(set(across[0]) & test)
        repeated = sum(len(test.intersection(own)) for own in across)
        yield (
            f"{counted(repeated, 'image')} to predict {'is' if repeated == 1 else 'are'} nearly the same as a labelled one, such as"
            f" {printable(other)} and {printable(one)}. Remove one of each, because errors on them would be too small."
        )
    elif likeness.copies:
        copies = sum(len(own) - 1 for own in likeness.copies)
        one, other = likeness.copies[0][:2]
        repeat = "repeats" if copies == 1 else "repeat"
        yield (
            f"{counted(copies, 'image')} {repeat} another one, such as {printable(other)} and {printable(one)}."
            " Duplicates never come to both training and validation, but remove them if they are a mistake."
        )


def _leaks(overview: Overview, likeness: Likeness, grouping: NameGroups | None) -> Iterator[str]:
    if not grouping or grouping.kind != "series" or overview.parts.get("validation"):
        return
    if grouping.count == 1:
        yield (
            "The images are numbered and resemble their neighbours, as frames of one video do. Blocks of consecutive frames are held out,"
            " but errors on them are smaller than those on another video. Label a second video for the validation, and give the part of"
            " each image in a file for --dataset-split."
        )
    else:
        yield (
            f"The images are numbered frames of {grouping.count:,} videos and resemble their neighbours. If there are fewer videos than"
            " folds, blocks of consecutive frames are held out. To hold out whole videos in any case, set group-by in keypoints.toml."
        )
