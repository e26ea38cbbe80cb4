"""Several label files of one format in the folder of a set: the parts of the set, or annotation sources for the same images."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pipeline.data.formats.numbers import shown
from pipeline.data.labels import Instance, LabelledImage, Part, part_of
from pipeline.errors import InputError
from pipeline.units import printable


def parts(files: Collection[str]) -> dict[str, Part]:
    """Label file -> the part of the set that its path names, see `part_of`; "" for all of them if they do not differ in that."""
    found = {file: part_of(file) for file in files}
    return found if len(set(found.values())) > 1 else dict.fromkeys(files, "")


def sources(images: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Label file -> its annotation source: "" for all of them unless an image is labelled in more than one.

    images: label file -> the names of the images that it labels. The source is the file's stem without what all stems begin with, such as
    "senior" and "junior" of train_senior.csv and train_junior.csv; files with the same stem in different folders are one source.
    Raises InputError if files that are different parts of the set label the same image.
    """
    part, labelled, shared = parts(tuple(images)), dict[str, str](), False
    stems = {file: file.rsplit("/", 1)[-1].rsplit(".", 1)[0] for file in images}
    for file in images:
        for image in dict.fromkeys(images[file]):
            other = labelled.setdefault(image, file)
            if part[other] != part[file]:
                raise InputError(
                    f"The image {printable(image)} is labelled in {printable(other)} and in {printable(file)}, which are different parts "
                    "of the set. Remove it from one of them."
                )
            if other != file and stems[other] == stems[file]:
                stems = {file: file.rsplit(".", 1)[0] for file in images}
            shared |= other != file
    if not shared:
        return dict.fromkeys(images, "")
    distinct = [*set(stems.values())]
    same = next((index for index, letters in enumerate(zip(*distinct, strict=False)) if len(set(letters)) > 1), 0)
    cut = max(distinct[0][:same].rfind(mark) for mark in "_- ./") + 1
    return {file: stem[cut:] for file, stem in stems.items()}


def with_sources(instances: Mapping[str, Sequence[Instance]]) -> tuple[Instance, ...]:
    """The instances of all label files, each with its annotation source, see `sources`. instances: label file -> its instances."""
    named = sources({file: [one.image for one in own] for file, own in instances.items()})
    return tuple(replace(one, source=named[file]) if named[file] else one for file, own in instances.items() for one in own)


def check_names(names: tuple[str, ...], others: tuple[str, ...], file: str, other: str) -> None:
    """Raises InputError if two label files do not have the same keypoints, in any order."""
    if odd := set(names) ^ set(others):
        name = min(odd)
        has, lacks = (file, other) if name in names else (other, file)
        raise InputError(
            f"{printable(has)} has the keypoint {shown(name)}, which {printable(lacks)} does not have. "
            "Files of one set have the same keypoints; name one of the files instead of the folder."
        )


def reordered(instance: Instance, order: list[int]) -> Instance:
    """The instance with its keypoints in another order. order: for each keypoint, its present position."""
    if order == sorted(order):
        return instance
    return replace(instance, keypoints=instance.keypoints[order], occluded=instance.occluded[order])


def add_image(images: dict[str, LabelledImage], image: LabelledImage, file: str) -> None:
    """Adds an image of a label file. Raises InputError if it is in another part of the set already."""
    if images.setdefault(image.name, image).part != image.part:
        raise InputError(
            f"{printable(file)}: the image {printable(image.name)} is also in another part of the set. Remove it from one of them."
        )
