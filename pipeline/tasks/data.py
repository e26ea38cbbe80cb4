"""Stages from label files to augmented training data."""

import dataclasses
import functools
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import luigi

from pipeline.data.definition import READER
from pipeline.errors import InputError
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.nets.options import SMALL_SET
from pipeline.store.run.parameters import choice, fraction, from_parameters, is_auto, is_set, multiple, or_usual, real, switch, whole
from pipeline.store.run.stage import Stage
from pipeline.tasks import own
from pipeline.tasks.corrected import corrected_dataset
from pipeline.tasks.kaggle import FILES, files, inside
from pipeline.tasks.own import suited
from pipeline.tasks.sections import dataset
from pipeline.units import counted

if TYPE_CHECKING:
    import numpy as np

    from pipeline.data.dataset import Cleaning, Dataset, Given
    from pipeline.data.ownset import OwnSet
    from pipeline.data.tables import LabelledFaces
    from pipeline.data.testset import UnlabelledSamples
    from pipeline.geometry.augmentation import Ranges
    from pipeline.geometry.suited import Choice
    from pipeline.lazyrows import Images


class Render(Stage):
    """Faces drawn by the program, in Kaggle's formats, so that everything runs without Kaggle's files."""

    folder = "data"
    training = whole(600, "number of labelled faces to draw", 60)
    test = whole(150, "number of faces to draw for the test set", 6)
    seed = whole(0, "seed of the drawing", 0)

    def run(self):
        from pipeline.data.formats.kaggle import KaggleFiles
        from pipeline.data.synthetic import rendered
        from pipeline.scatter import points

        suffixes = tuple(f".{stem}.csv" for stem in FILES)
        with self.publishing(*suffixes) as paths, self.collecting() as collector:
            with self.progress(self.training + self.test, "face drawn") as progress:
                draw = functools.partial(rendered.write_files, side=SIDE, collector=collector, on_progress=progress.add)
                truth = draw(KaggleFiles(*paths), KAGGLE, training=self.training, test=self.test, seed=self.seed)
        self.save(rendered.Truth(truth, points(truth, SIDE)), siblings=suffixes)


class Load(Stage):
    """Reads and checks the files, finds duplicates and outliers, splits the labelled samples into a training and a validation part."""

    folder = "data"
    validation_share = real(
        0.1,
        "fraction of the labelled samples held out for validation, by duplicate group; rounded to one of n folds: 0.3 is one of 3",
        0.01,
        0.5,
    )
    fold = whole(0, "which of the 1 / validation-share folds is the validation part", 0)
    faces = whole(0, "maximum number of training samples, chosen at random (0: all); the validation part is unchanged", 0)
    seed = whole(0, "seed of the split", 0)
    clean = switch(True, "ignore grossly wrong labels of the training part: outliers and contradicting duplicates")
    twin_correlation = real(0.985, "correlation above which two images are near duplicates", 0.5, 1.0)
    outlier_deviations = real(4.5, "an outlier deviates by more than this many robust standard deviations", 0.0)
    outlier_distance = fraction("5/96", "minimum distance of an outlier from where the other keypoints of the sample suggest")
    conflict_distance = fraction("8/96", "labels of identical images contradict each other if they are farther apart than this")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.fold >= (folds := round(1 / self.validation_share)):
            share = f"--Load-validation-share {self.validation_share:g} means {folds} folds, counted from 0"
            raise InputError(f"--Load-fold {self.fold}: must be at most {folds - 1}, because {share}.")

    @classmethod
    def overridden(cls, values: Mapping[str, Any]) -> str:
        if values.keys() == {"validation_share", "fold"}:
            return f"fold {values['fold'] + 1} of {round(1 / values['validation_share'])}"
        return super().overridden(values)

    side = whole(
        0,
        "own sets: largest width and height at which samples are stored, pixels; 0: that of the images, as far as --Load-limit allows",
        0,
        4096,
    )
    limit = whole(1000, "own sets: MB of stored samples at most, if --Load-side is 0; samples of up to 256 pixels are not reduced", 1)
    sequences = choice(
        "auto",
        "own sets: how frames of videos are divided, auto: in blocks of consecutive ones if they resemble their neighbours, blocks: "
        "in any case, random: one by one, which leaks",
        ("auto", "blocks", "random"),
    )
    channels = choice("grey", "own sets: whether samples are stored in grey or in colour", ("grey", "colour"))

    def requires(self):
        return own.files(test=False) if dataset().is_own else _tables("training")

    def used_modules(self) -> tuple[str, ...]:
        return (*own.modules(), *corrected_dataset().used_modules())

    def facts(self) -> dict[str, Any]:
        return {**(own.facts() if dataset().is_own else {}), **corrected_dataset().facts()}

    def amended(self, value: Any) -> Any:
        """What was read of the label files, with the corrections of labels."""
        found = (corrections := corrected_dataset()).label_corrections()
        if found.note:
            self.say(f"warning: {found.note}")
        if not found.effective:
            return value
        self.say(f"{counted(len(found.effective), 'correction')} of labels from {found.path}")
        return corrections.applied(value)

    def check(self) -> None:
        overridden = self.overrides.get("Load", {})
        chosen = [name for name in ("validation_share", "fold", "sequences") if is_set(Load, name) or name in overridden]
        if chosen and (fixed := dataset().definition().fixed):
            flags = " and ".join(f"--Load-{name.replace('_', '-')}" for name in chosen)
            raise InputError(f"{flags} would have no effect, because {fixed}. Leave it out.")
        if not dataset().is_own and (self.side, self.limit, self.sequences, self.channels) != (0, 1000, "auto", "grey"):
            flags = "--Load-side, --Load-limit, --Load-sequences and --Load-channels"
            raise InputError(f"{flags} have an effect only for a keypoint set of your own. Leave them out.")

    def run(self):
        from pipeline.data import dataset as datasets
        from pipeline.data import summary, trainable
        from pipeline.data.split import Splitting

        keypointset = dataset().keypointset()
        samples, given = self._own() if dataset().is_own else (self._samples(), None)
        divide = None if given is None else importlib.import_module(READER).divider(given)
        splitting, cleaning = from_parameters(Splitting, self), self._cleaning(samples.images.shape[1])
        assembled = functools.partial(datasets.assemble, samples, keypointset, splitting=splitting, cleaning=cleaning, given=given)
        with self.progress(len(samples.images), "sample compared") as progress:
            faces = assembled(divide=divide, on_progress=progress.add)
        for text in summary.lines(faces):
            self.say(text)
        trainable.check(faces, keypointset)
        self.save(faces)

    def _cleaning(self, side: int) -> "Cleaning":
        """Which labels of samples of side x side pixels are rejected."""
        from pipeline.data import dataset as datasets

        limits = {"outlier_pixels": self.outlier_distance * side, "conflict_pixels": self.conflict_distance * side}
        return from_parameters(datasets.Cleaning, self, **limits)

    def _own(self) -> "tuple[LabelledFaces, Given]":
        """The labelled samples of an own set, cut out of its images."""
        from pipeline.data.storage import Storage

        found: OwnSet = self.amended(importlib.import_module(READER).opened(dataset().definition(), test=False))
        for note in (*found.definition.notes, *(f"warning: {doubt}" for doubt in found.doubts())):
            self.say(note)
        side, why = from_parameters(Storage, self).chosen(found.squares)
        self.say(why)
        with self.collecting() as collector, self.progress(len(found.instances), "sample cut") as progress:
            return found.labelled(side, self.channels, collector(), progress.add)

    def _samples(self) -> "LabelledFaces":
        """What the training table contains, read and checked."""
        from pipeline.data.formats import archives, placeholders
        from pipeline.data.formats.catalogue import format_module

        (table,) = _paths(self, "training")
        self.say(f"reading {table}")
        with self.collecting() as collector, self.progress(archives.size(table), "MB read", scale=10**6) as progress:
            samples = self.amended(
                format_module("kaggle").read_training(table, KAGGLE, side=SIDE, images=collector(), on_progress=progress.add)
            )
        for doubt in placeholders.doubts(samples.keypoints, KAGGLE, side=SIDE):
            self.say(f"warning: {table}: {doubt}")
        return samples


class LoadTest(Stage):
    """Reads and checks the images to predict. Only Predict needs them, so that a new one retrains nothing."""

    folder = "data"
    priority = 2  # before any training: a fault in these files is reported first

    def requires(self):
        if not dataset().is_own:
            return _tables("test", "IdLookupTable")
        # Load decides at which side all samples are stored, and reports it if the labels cannot be read.
        return {"samples": Load(), **({} if dataset().definition().fault else own.files(test=True))}

    def used_modules(self) -> tuple[str, ...]:
        return own.modules()

    def facts(self) -> dict[str, Any]:
        return own.facts() if dataset().is_own else {}

    def run(self):
        from pipeline.data import testset

        wanted = self._own() if dataset().is_own else self._tables()
        self.say(testset.table(wanted))
        self.save(wanted)

    def _own(self) -> "UnlabelledSamples":
        """The samples to predict of an own set, cut out of its images as the labelled ones are."""
        from pipeline.data.dataset import Dataset

        found: OwnSet = importlib.import_module(READER).opened(dataset().definition(), test=True)
        with self.input()["samples"].reading(Dataset) as file:
            shape = file["images"].shape[1:]
        if found.several_per_image:
            self.say(found.several_per_image)
        with self.collecting() as collector, self.progress(len(found.definition.test), "image read") as progress:
            return found.to_predict(shape, collector(), progress.add)

    def _tables(self) -> "UnlabelledSamples":
        """What the test table and the lookup table contain, read and checked."""
        from pipeline.data import testset
        from pipeline.data.formats import archives
        from pipeline.data.formats.catalogue import format_module

        reader = format_module("kaggle")
        table, lookup = _paths(self, "test", "IdLookupTable")
        self.say(f"reading {table}")
        with self.collecting() as collector, self.progress(archives.size(table), "MB read", scale=10**6) as progress:
            test = reader.read_test(table, side=SIDE, images=collector(), on_progress=progress.add)
        return testset.requested(test, reader.read_lookup(lookup, KAGGLE, test.image_ids), KAGGLE)


def _tables(*stems: str) -> dict[str, luigi.Task]:
    """The stage that draws faces, or those of Kaggle's files that are named by their stems; all three if one of them is missing.

    So nothing is trained that could not be used for a prediction.
    """
    if not (folder := dataset().folder()):
        return {"rendered": Render()}
    found = files(folder)
    return {stem: found[stem] for stem in stems} if all(file.complete() for file in found.values()) else {**found}


def _paths(stage: Stage, *stems: str) -> list[Path]:
    """The paths of Kaggle's files that a stage requires; they may lead into a zip file."""
    inputs = stage.requires()
    if "rendered" in inputs:
        return [inputs["rendered"].sibling(f".{stem}.csv") for stem in stems]
    return [inside(Path(inputs[stem].path), stem) for stem in stems]


EXAMPLES = 16  # versions of one sample that are stored to show the augmentation if the trainings draw their own


class Augment(Stage):
    """Augmented versions of the training part; each training epoch reads one version, or draws its own if they would be too many."""

    folder = "data"
    side = suited(
        multiple(96, "largest width and height in pixels of the base net's input, to which larger samples are reduced", 16),
        "from 96 to 192, so that the keypoints span about 80 of them",
    )
    copies = whole(
        16,
        "number of augmented versions of each training sample; 0, and for fewer than 2048 training samples of a keypoint set of your own:"
        " each training epoch draws its own",
        0,
    )
    limit = whole(4000, "MB of augmented versions that are stored at most; instead of more, each training epoch draws its own", 0)
    seed = whole(0, "seed of the random transforms", 0)
    flip = real(0.5, "fraction of mirrored samples", 0.0, 1.0)
    rotation = suited(
        real(20.0, "maximum rotation in degrees to either side", 0.0, 180.0), "as far as the directions of the samples differ"
    )
    shear = suited(real(8.5, "maximum shear in degrees", 0.0, 60.0), "5")
    shift = suited(fraction("8/96", "maximum shift in x and in y"), "as far as the places of the samples differ")
    scale = suited(real(1.17, "maximum scale factor; its inverse is the minimum", 1.0, 4.0), "as far as the sizes of the samples differ")
    stretch = suited(real(1.08, "maximum factor by which x is stretched against y; its inverse is the minimum", 1.0, 2.0), "1.1")
    small_share = suited(
        real(0.25, "fraction of samples that are also shrunk and moved away from the centre", 0.0, 1.0),
        "0, or 0.25 if the sizes of the samples differ by more than a factor of 1.8",
    )
    small_scale = suited(
        real(0.45, "smallest scale factor of these samples", 0.1, 1.0), "the size of the smallest samples relative to the median"
    )
    scene_share = suited(
        real(0.03, "fraction of samples that are shrunk and placed in front of an enlarged part of another sample or beside one", 0.0, 1.0),
        "0",
    )
    mild_share = suited(
        real(0.7, "fraction of the versions, and of the epochs of the base net, that have milder transforms: the last ones", 0.0, 0.9), "0"
    )
    mild = real(0.25, "factor of the rotation, shear, shift, scale, stretch, small-share and scene-share in these versions", 0.0, 1.0)
    gain = real(0.3, "maximum relative change of the contrast", 0.0, 1.0)
    bias = real(0.15, "maximum change of the brightness, as a fraction of the full range", 0.0, 1.0)

    def requires(self):
        return Load()

    def run(self):
        from pipeline.data.dataset import Dataset
        from pipeline.geometry import augmentation
        from pipeline.store.hdf5 import artifacts

        faces = self.input().load(Dataset)
        for sentence in self.sentences(faces):
            self.say(sentence)
        images, labels = self._stored(*self._in_frame(faces))
        ranges = self.ranges(faces)
        late = ranges.milder(self.mild) if self.mild_versions else ranges
        of_version = [ranges] * (self._count - self.mild_versions) + [late] * self.mild_versions
        made = augmentation.versions(images, labels, keypointset=faces.keypointset.restored(), ranges=of_version, seed=self.seed)
        with self.writing() as file, self.progress(self._count, "version") as progress:
            versions: Iterator[dict[str, Images]] = ({"images": images, "keypoints": labels} for images, labels in progress.over(made))
            artifacts.put_versions(file, augmentation.AugmentedVersions, versions, self._count)

    @property
    def _count(self) -> int:
        """The number of versions in the artifact; if the trainings draw their own, it has as many of one sample."""
        return self.copies or EXAMPLES

    @property
    def share_of_mild(self) -> float:
        """The fraction of the base net's epochs with milder transforms."""
        return 0.0 if is_auto(self, "mild_share") else float(or_usual(self, "mild_share", self.mild_share))

    @property
    def mild_versions(self) -> int:
        """The number of versions in the artifact with milder transforms, the last ones; at least one version has the full ranges."""
        return min(round(self.share_of_mild * self._count), self._count - 1)

    def stores(self, samples: int, size: int) -> bool:
        """Whether the artifact has the versions of all samples of the training part.

        samples: their number. size: of their images in the base net's input, bytes.
        """
        small = dataset().is_own and samples < SMALL_SET
        return not small and 0 < self.copies * size <= self.limit * 10**6

    def _stored(self, images: "Images", labels: "np.ndarray") -> "tuple[Images, np.ndarray]":
        """The samples of the training part of which versions are stored: all of them, or one as an example."""
        from pipeline.geometry import augmentation
        from pipeline.lazyrows import chosen

        if self.stores(len(images), images.size):
            return images, labels
        self.say("stores the versions of one sample as an example; each epoch of a training draws its own")
        one = slice(place := augmentation.example(labels), place + 1)
        return chosen(images, one), labels[one]

    def choices(self, faces: "Dataset") -> "list[Choice]":
        """What the data of an own set choose of the parameters that are not given."""
        from pipeline.data import dataset as datasets
        from pipeline.geometry import spread
        from pipeline.geometry import suited as rules

        if faces.typical is None:
            return []
        stored = faces.images.shape[1]
        measured = spread.measured(datasets.labels(faces)[~faces.validation], faces.typical, stored)
        return [choice for choice in rules.choices(measured, stored) if is_auto(self, choice.name)]

    def sentences(self, faces: "Dataset") -> list[str]:
        """What was chosen for an own set and why."""
        return [choice.sentence for choice in self.choices(faces) if choice.sentence]

    def frame_side(self, faces: "Dataset") -> int:
        """Width and height of the base net's input, pixels: at most `side` or what the data choose, and the size of the samples."""
        from pipeline.geometry import frame

        chosen = {choice.name: choice.value for choice in self.choices(faces)}
        return frame.frame_side(faces.images.shape[1], int(chosen.get("side", self.least_side())))

    def least_side(self) -> int:
        """The smallest value that `side` may stand for, pixels."""
        return int(or_usual(self, "side", self.side))

    def ranges(self, faces: "Dataset") -> "Ranges":
        """The ranges of the random transforms, in pixels of the base net's input."""
        from pipeline.geometry.augmentation import Ranges

        names = {field.name for field in dataclasses.fields(Ranges)}
        chosen = {choice.name: choice.value for choice in self.choices(faces) if choice.name in names}
        own = {"scene_share": 0.0} if is_auto(self, "scene_share") else {}
        ranges = from_parameters(Ranges, self, **chosen | own)
        return dataclasses.replace(ranges, shift=ranges.shift * self.frame_side(faces))

    def _in_frame(self, faces: "Dataset") -> "tuple[Images, np.ndarray]":
        """The images of the training part, reduced to the base net's input, and their labels in its pixels."""
        from pipeline.data import dataset as datasets
        from pipeline.geometry import affine
        from pipeline.lazyrows import chosen

        training, stored = ~faces.validation, faces.images.shape[1]
        side = self.frame_side(faces)
        return affine.resized(chosen(faces.images, training), side), datasets.labels(faces)[training] * (side / stored)
