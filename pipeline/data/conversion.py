"""Labels written in another label format, and what that format has no place for.

What is lost is found by reading the written files: so a conversion is also checked.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.data.formats.catalogue import format_module
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Instance, Labels, Reading
from pipeline.errors import InputError, meant
from pipeline.units import counted, printable

# Pixels: what rounding to whole pixels may change, and what nobody notices.
ROUNDED, SAME = 0.501, 1e-4
# Format -> suffix of its file; labels of the other formats are folders. In those of BY_SOURCE a folder may have a file for each source.
SUFFIXES = {
    "wide_csv": ".csv",
    "deeplabcut": ".csv",
    "coco": ".json",
    "cvat": ".xml",
    "dlib": ".xml",
    "tps": ".tps",
    "sleap": ".slp",
}
BY_SOURCE = ("wide_csv", "deeplabcut", "label_studio")


class WrittenFolder(Folder):
    """The images of a folder together with label files that were written elsewhere.

    images: the folder with the images. labels_at: the label file, or the folder with the label files. below: where the images would be,
    relative to these label files, such as "images/".
    """

    def __init__(self, images: Folder, labels_at: Path, below: str = "") -> None:
        super().__init__(images.root)
        self._given, self._labels_at, self._below = images, labels_at, below

    @cached_property
    def written(self) -> dict[str, Path]:
        """The label files by name."""
        if self._labels_at.is_file():
            return {self._labels_at.name: self._labels_at}
        found = sorted(path for path in self._labels_at.rglob("*") if path.is_file())
        return {path.relative_to(self._labels_at).as_posix(): path for path in found}

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The images and the written label files."""
        return tuple(sorted({*self.written, *(self._below + name for name in self._given.images)}))

    def path(self, name: str) -> Path:
        """The path of an image or a written label file."""
        return self.written.get(name) or self._given.path(self.given(name))

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of an image, upright, pixels."""
        return self._given.size(self.given(name))

    def given(self, name: str) -> str:
        """The name of an image in the folder with the images."""
        return name.removeprefix(self._below)


def of_source(labels: Labels, source: str) -> Labels:
    """The labels of one annotation source. Raises InputError if there is no such source."""
    sources = sources_of(labels)
    if source not in sources:
        known = meant(source, sources) if sources else "the labels are of one source, which has no name."
        raise InputError(f"There is no annotation source {source!r}; {known}")
    own = tuple(replace(instance, source="") for instance in labels.instances if instance.source == source)
    return replace(labels, instances=own)


def sources_of(labels: Labels) -> tuple[str, ...]:
    """The annotation sources by name; none if there is only one."""
    return tuple(name for name in dict.fromkeys(instance.source for instance in labels.instances) if name)


def check_out(to: str, out: Path, sources: tuple[str, ...]) -> None:
    """Raises InputError if a path is not one for labels of this format: its suffix would keep them from being recognised.

    sources: the annotation sources of the labels.
    """
    suffix = SUFFIXES.get(to)
    if suffix is None and out.suffix in SUFFIXES.values():
        raise InputError(f"--out {printable(out)}: {to} is a folder of label files. Name a folder.")
    if sources and (to not in BY_SOURCE or out.suffix):
        into = f" Or name a folder, for a file of each: --out {printable(out.with_suffix(''))}." if to in BY_SOURCE else ""
        raise InputError(f"The labels are of the annotation sources {', '.join(map(printable, sources))}. Choose one with --source.{into}")
    if suffix and not sources and out.suffix.lower() != suffix:
        raise InputError(f"--out {printable(out)}: {to} is a file that ends in {suffix}. Name such a file.")


def copied(labels: Labels, folder: Folder, out: Path) -> None:
    """Copies the label files, byte by byte: a single one to the file `out`, several into the folder `out` with their own folders."""
    if len(labels.files) == 1:
        shutil.copyfile(folder.path(labels.files[0]), out)
        return
    for name in labels.files:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder.path(name), target)


def converted(labels: Labels, folder: Folder, to: str, out: Path) -> list[str]:
    """Writes labels in the format `to` at `out`, a new file or folder, and reads them again.

    Returns what the format has no place for, a few words for each. Raises InputError if the format cannot hold the labels, and RuntimeError
    if what is read are not the labels that were written.
    """
    module = format_module(to)
    module.write(labels, folder, out)
    return list(lost(labels, read_again(labels, folder, to, out)))


def read_again(labels: Labels, folder: Folder, to: str, out: Path) -> Labels:
    """Labels that were written as they are read, with the names of the images in `folder`."""
    module, reading = format_module(to), Reading(predictions=bool(labels.model))
    for below in ("", "images/"):
        written = WrittenFolder(folder, out, below)
        if (files := module.find(written)) and (found := module.read(written, files, reading)).instances:
            break
    else:
        if labels.instances:
            raise RuntimeError(f"{to}: no labels are found in what was written")
        return replace(labels, format=to, instances=())
    given = written.given
    return replace(
        found,
        images=tuple(replace(image, name=given(image.name)) for image in found.images),
        instances=tuple(replace(instance, image=given(instance.image)) for instance in found.instances),
    )


def lost(before: Labels, after: Labels) -> Iterator[str]:
    """Yields what labels that were written and read again do not have any more, a few words for each.

    Raises RuntimeError if their coordinates differ by more than a format may round.
    """
    if before.names != after.names:
        yield _other_names(before.names, after.names)
        after = in_order(after, before.names)
    if missing := {image.name for image in before.images} - {image.name for image in after.images}:
        yield f"{counted(len(missing), 'image')} without labels"
    pairs, left_out = _pairs(before, after)
    if left_out:
        yield f"{counted(left_out, 'instance')}, the first in {printable(_without_pair(before, after))}"
    yield from _differences(pairs)
    if before.skeleton and not after.skeleton:
        yield "the skeleton"
    if before.mirror and not after.mirror:
        yield "the mirror pairs"
    parts = {image.name: image.part for image in after.images}
    divided = len({image.part for image in before.images}) > 1
    if divided and any(parts.get(image.name, image.part) != image.part for image in before.images):
        yield "the division into training, validation and test"


def _by_image(labels: Labels) -> defaultdict[tuple[str, str], list[Instance]]:
    """The instances by image and annotation source."""
    found: defaultdict[tuple[str, str], list[Instance]] = defaultdict(list)
    for instance in labels.instances:
        found[instance.image, instance.source].append(instance)
    return found


def _pairs(before: Labels, after: Labels) -> tuple[list[tuple[Instance, Instance]], int]:
    """The instances before and after, in the order in which they are in their images, and the number of those that are gone."""
    one, other = _by_image(before), _by_image(after)
    pairs = [pair for place, own in one.items() for pair in zip(own, other[place], strict=False)]
    return pairs, len(before.instances) - len(pairs)


def _without_pair(before: Labels, after: Labels) -> str:
    one, other = _by_image(before), _by_image(after)
    return next(image for (image, source), own in one.items() if len(own) > len(other[image, source]))


def _differences(pairs: list[tuple[Instance, Instance]]) -> Iterator[str]:
    if not pairs:
        return
    given, found = (np.stack([pair[side].keypoints for pair in pairs]) for side in (0, 1))
    if given.shape != found.shape or (np.isnan(given) != np.isnan(found)).any():
        raise RuntimeError("other keypoints are labelled in what was written")
    moved = float(np.nanmax(np.abs(given - found), initial=0.0))
    if moved > ROUNDED:
        raise RuntimeError(f"keypoints were written up to {moved:.3g} px from their places")
    if moved > SAME:
        yield f"fractions of pixels (up to {moved:.2g} px)"
    occluded = sum(int((one.occluded & ~other.occluded).sum()) for one, other in pairs)
    if occluded:
        yield f"that {counted(occluded, 'keypoint')} {'is' if occluded == 1 else 'are'} occluded"
    if boxes := sum(one.box is not None and other.box is None for one, other in pairs):
        yield f"{boxes:,} {'box' if boxes == 1 else 'boxes'}"


def _other_names(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    if not set(after) <= set(before):
        return "the names of the keypoints"
    gone = [name for name in before if name not in after]
    return f"keypoints without labels ({printable(', '.join(gone))})" if gone else "the order of the keypoints"


def in_order(labels: Labels, names: tuple[str, ...]) -> Labels:
    """The labels with these keypoints, NaN where they are not known; as they are if their keypoints have other names."""
    if not set(labels.names) <= set(names):
        return labels
    places = [names.index(name) for name in labels.names]

    def placed(instance: Instance) -> Instance:
        keypoints, occluded = np.full((len(names), 2), np.nan), np.zeros(len(names), bool)
        keypoints[places], occluded[places] = instance.keypoints, instance.occluded
        return replace(instance, keypoints=keypoints, occluded=occluded)

    return replace(labels, names=names, instances=tuple(placed(instance) for instance in labels.instances))
