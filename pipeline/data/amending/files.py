"""The label files of a set with corrected values, found by the module of their kind of text, and checked by reading them again."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from pipeline.data import conversion, corrected
from pipeline.data.amending import additions, documents, lines, markup, tables
from pipeline.data.amending.edits import Amendment, Edit, NoPlaceError, edited
from pipeline.data.corrections import Corrections
from pipeline.data.formats.catalogue import format_module
from pipeline.data.formats.folder import Folder
from pipeline.data.labels import Convention, Instance, Labels, Reading
from pipeline.data.ownset import OwnSet
from pipeline.errors import InputError
from pipeline.units import printable

# What finds the edits of a label file: the folder of the set, the file, its text, and the amendments of its instances.
Finding = Callable[[Folder, str, str, Sequence[Amendment]], Iterator[Edit]]
FINDERS: dict[str, Finding] = {
    "wide_csv": tables.wide,
    "deeplabcut": tables.of_deeplabcut,
    "pts": lines.pts,
    "tps": lines.tps,
    "yolo": lines.yolo,
    "coco": documents.coco,
    "image_json": documents.image_json,
    "labelme": documents.labelme,
    "label_studio": documents.label_studio,
    "cvat": markup.cvat,
    "dlib": markup.dlib,
}
BYTES = "latin-1"  # has a character for each byte
ENCODINGS = {"cvat": BYTES, "dlib": BYTES}


class AmendedFolder(Folder):
    """The folder of a set with other contents for some of its files. amended: where these are, by name."""

    def __init__(self, folder: Folder, amended: dict[str, Path]) -> None:
        super().__init__(folder.root, folder.only)
        self._amended = amended

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The files of the folder, and the new ones."""
        return tuple(sorted({*super().files, *self._amended}))

    def path(self, name: str) -> Path:
        """The path of a file: that of the amended content where there is one."""
        return self._amended.get(name) or super().path(name)


@dataclass(frozen=True)
class AmendedSet:
    """A set and the corrections of its labels.

    own: the set. given: its labels with the keypoints of their files. form: how the label format places keypoints. corrections: of labels.
    """

    own: OwnSet
    given: Labels
    form: Convention
    corrections: Corrections

    @cached_property
    def labels(self) -> Labels:
        """The corrected labels with the keypoints of the set, of all instances that have one. Raises InputError for other corrections."""
        found = corrected.of_set(self.own, self.corrections, self.form, free=True).labels
        return replace(found, instances=_labelled(found.instances))

    def write(self, out: Path, place: Path) -> list[str]:
        """Writes the label files at `out`, a new file or folder, in which nothing but the corrected values differs.

        place: an existing folder for files that are used meanwhile. The keypoints of the set must be those of the files.

        Returns what the format has no place for, a few words for each. Raises NoPlaceError if a label file cannot be amended.
        """
        contents = self._contents()
        amended = {name: place / f"amended-{number}" for number, name in enumerate(contents)}
        for name, content in contents.items():
            amended[name].write_bytes(content)
        if self._new and self.given.format in additions.EACH_IMAGE:
            amended |= additions.files(self.given, self._new, self.own.folder, place / "added")
        folder, settings = AmendedFolder(self.own.folder, amended), self.own.definition.settings
        given = replace(self.given, files=tuple(dict.fromkeys((*self.given.files, *amended))))
        reading = Reading(settings.get("category", ""), settings.get("upwards"))
        try:
            again = format_module(given.format).read(folder, given.files, reading)
            lost = list(conversion.lost(self._wanted, conversion.in_order(again, given.names)))
        except (InputError, RuntimeError) as error:
            raise NoPlaceError(f"the amended files are read in another way: {error}") from error
        conversion.copied(given, folder, out)
        return lost

    @cached_property
    def _new(self) -> list[Instance]:
        """The instances that the label files do not have."""
        known = {(one.image, one.id, one.source) for one in self.given.instances}
        return [one for one in self.labels.instances if (one.image, one.id, one.source) not in known]

    @cached_property
    def _amendments(self) -> list[Amendment]:
        """The corrections of instances that the label files have."""
        places, found = corrected.named(self.given), []
        for place, correction in self.corrections.effective.items():
            if (at := places.get((place.image, place.instance))) is None:
                continue
            instance, number, value = self.given.instances[at], self.own.keypointset.names.index(place.keypoint), correction.value
            x, y = (np.nan if axis is None else axis for axis in (value.x, value.y))
            size = self.own.folder.size(instance.image)
            found.append(Amendment(instance, self.given.names[number], number, x, y, value.occluded, size))
        return found

    def _contents(self) -> dict[str, bytes]:
        """The contents of the label files that change."""
        if (finder := FINDERS.get(self.given.format)) is None:
            raise NoPlaceError(f"the format {self.given.format} is no text.")
        by_file, found = defaultdict[str, list[Amendment]](list), {}
        if self._new and self.given.format not in additions.EACH_IMAGE:
            by_file[self._only_file] = []
        for amendment in self._amendments:
            by_file[self._file(amendment.instance)].append(amendment)
        encoding = ENCODINGS.get(self.given.format, "utf-8")
        for file, amendments in by_file.items():
            try:
                text = self.own.folder.path(file).read_bytes().decode(encoding)
                edits = [*finder(self.own.folder, file, text, amendments), *self._additions(file, text)]
                found[file] = edited(text, edits).encode(encoding)
            except (LookupError, StopIteration, ValueError) as error:
                raise NoPlaceError(f"a value is not found in {printable(file)}: {error}.") from error
        return found

    @property
    def _only_file(self) -> str:
        """The label file that gets new instances. Raises NoPlaceError if there are several, or if the format cannot be extended."""
        if len(self.given.files) > 1 or self.given.format not in additions.ADDERS:
            raise NoPlaceError(f"they have no instance in {printable(self._new[0].image)} yet.")
        return self.given.files[0]

    def _additions(self, file: str, text: str) -> list[Edit]:
        """The edits that add new instances to a label file, if they belong there."""
        adder = additions.ADDERS.get(self.given.format)
        return [*adder(self.own.folder, file, text, self._new, self.form)] if adder and self._new else []

    def _file(self, instance: Instance) -> str:
        """The label file of an instance."""
        places = {file: (file, printable(file), printable(self.own.folder.path(file))) for file in self.given.files}
        fitting = [file for file, names in places.items() if instance.place.startswith(names)]
        if not fitting:
            raise NoPlaceError(f"{instance.place} is in no label file.")
        return max(fitting, key=len)

    @property
    def _wanted(self) -> Labels:
        """The labels that the amended files have; instances without a labelled keypoint are none."""
        changed: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for each in self._amendments:
            keypoints, occluded = changed.setdefault(id(each.instance), (each.instance.keypoints.copy(), each.instance.occluded.copy()))
            keypoints[each.number] = self.form.inwards(np.array([each.x, each.y]), each.size[1])
            occluded[each.number] = each.occluded
        instances = [
            replace(one, keypoints=changed[id(one)][0], occluded=changed[id(one)][1]) if id(one) in changed else one
            for one in self.given.instances
        ]
        known = {image.name for image in self.given.images}
        images = [image for image in self.labels.images if image.name not in known]
        return replace(self.given, images=(*self.given.images, *images), instances=_labelled([*instances, *self._new]))


def _labelled(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """The instances with a labelled keypoint."""
    return tuple(one for one in instances if not np.isnan(one.keypoints).all())
