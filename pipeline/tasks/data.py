"""Stages from label files to augmented training data."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.keypoints.kaggle import KAGGLE, SIDE
from pipeline.store.run.parameters import real, switch, whole
from pipeline.store.run.stage import Stage
from pipeline.tasks.sections import FILES, dataset, from_parameters, inside

if TYPE_CHECKING:
    from pipeline.data.tables import Tables


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
                draw = partial(rendered.write_files, side=SIDE, collector=collector, on_progress=progress.add)
                truth = draw(KaggleFiles(*paths), KAGGLE, training=self.training, test=self.test, seed=self.seed)
        self.save(rendered.Truth(truth, points(truth, SIDE)), siblings=suffixes)


class Load(Stage):
    """Reads and checks the files, finds duplicates and outliers, splits the labelled faces into a training and a validation part."""

    folder = "data"
    validation_share = real(
        0.1,
        "fraction of the labelled faces held out for validation, by duplicate group; rounded to one of n folds: 0.3 is one of 3",
        0.01,
        0.5,
    )
    fold = whole(0, "which of the 1 / validation-share folds is the validation part", 0)
    faces = whole(0, "maximum number of training faces, sampled at random (0: all); the validation part is unchanged", 0)
    seed = whole(0, "seed of the split", 0)
    clean = switch(True, "ignore grossly wrong labels of the training part: outliers and contradicting duplicates")
    twin_correlation = real(0.985, "correlation above which two images are near duplicates", 0.5, 1.0)
    outlier_deviations = real(4.5, "an outlier deviates by more than this many robust standard deviations", 0.0)
    outlier_pixels = real(5.0, "minimum distance in pixels of an outlier from where the other keypoints of the face suggest", 0.0)
    conflict_pixels = real(8.0, "labels of identical images contradict each other if they are more than this many pixels apart", 0.0)

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

    def requires(self):
        folder = dataset().folder()
        return dataset().files(folder) if folder else {"rendered": Render()}

    def run(self):
        from pipeline.data import dataset as datasets
        from pipeline.data import summary, trainable

        tables = self._tables()
        splitting, cleaning = from_parameters(datasets.Splitting, self), from_parameters(datasets.Cleaning, self)
        with self.progress(len(tables.training.images), "face compared") as progress:
            faces = datasets.assemble(tables, KAGGLE, splitting=splitting, cleaning=cleaning, on_progress=progress.add)
        self.say("\n" + summary.table(faces))
        trainable.check(faces, KAGGLE)
        self.save(faces)

    def _tables(self) -> "Tables":
        """What the files contain, read and checked."""
        from pipeline.data.formats import archives, kaggle, placeholders

        files = kaggle.KaggleFiles(*self._paths())
        self.say(f"reading {files.training}")
        size = archives.size(files.training) + archives.size(files.test)
        with self.collecting() as collector, self.progress(size, "MB read", scale=10**6) as progress:
            tables = kaggle.read_tables(files, KAGGLE, side=SIDE, collector=collector, on_progress=progress.add)
        for doubt in placeholders.doubts(tables.training.keypoints, KAGGLE, side=SIDE):
            self.say(f"warning: {files.training}: {doubt}")
        return tables

    def _paths(self) -> list[Path]:
        """The paths of the three files, in the order of FILES; they may lead into a zip file."""
        inputs = self.requires()
        if "rendered" in inputs:
            return [inputs["rendered"].sibling(f".{stem}.csv") for stem in FILES]
        return [inside(Path(inputs[stem].path), stem) for stem in FILES]


class Augment(Stage):
    """Augmented versions of the training part; each training epoch reads one version."""

    folder = "data"
    copies = whole(16, "number of augmented versions of each training face", 1)
    seed = whole(0, "seed of the random transforms", 0)
    flip = real(0.5, "fraction of mirrored faces", 0.0, 1.0)
    rotation = real(20.0, "maximum rotation in degrees to either side", 0.0, 180.0)
    shear = real(8.5, "maximum shear in degrees", 0.0, 60.0)
    shift = real(8.0, "maximum shift in pixels in x and in y", 0.0)
    scale = real(1.17, "maximum scale factor; its inverse is the minimum", 1.0, 4.0)
    stretch = real(1.08, "maximum factor by which x is stretched against y; its inverse is the minimum", 1.0, 2.0)
    small_share = real(0.25, "fraction of faces that are also shrunk and moved away from the centre", 0.0, 1.0)
    small_scale = real(0.45, "smallest scale factor of these faces", 0.1, 1.0)
    gain = real(0.3, "maximum relative change of the contrast", 0.0, 1.0)
    bias = real(0.15, "maximum change of the brightness, as a fraction of the full range", 0.0, 1.0)

    def requires(self):
        return Load()

    def run(self):
        from pipeline.data import dataset as datasets
        from pipeline.geometry import augmentation
        from pipeline.lazyrows import Images, chosen
        from pipeline.store.hdf5 import artifacts

        faces = self.input().load(datasets.Dataset)
        training = ~faces.validation
        images, labels = chosen(faces.images, training), datasets.labels(faces)[training]
        ranges = from_parameters(augmentation.Ranges, self)
        made = augmentation.versions(images, labels, keypointset=KAGGLE, ranges=ranges, count=self.copies, seed=self.seed)
        with self.writing() as file, self.progress(self.copies, "version") as progress:
            versions: Iterator[dict[str, Images]] = ({"images": images, "keypoints": labels} for images, labels in progress.over(made))
            artifacts.put_versions(file, augmentation.AugmentedVersions, versions, self.copies)
