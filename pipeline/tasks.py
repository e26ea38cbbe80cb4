"""The stages as Luigi tasks, in the order in which the data pass through: wiring only, the work is in the modules that `run` imports."""

import contextlib
import dataclasses
import functools
from pathlib import Path

import luigi

from pipeline.errors import InputError
from pipeline.keypointset import KAGGLE
from pipeline.nets.options import (
    ACTIVATIONS,
    ANY_SIDE,
    HEADS,
    INITIALISATIONS,
    NETWORKS,
    NORMALISATIONS,
    OPTIMIZERS,
    PRETRAINED,
    SCHEDULES,
    SETTINGS,
    STARTS,
    VIEWS,
)
from pipeline.store.settings import choice, real, switch, whole
from pipeline.store.stage import Stage
from pipeline.store.targets import ExternalFile, expanded, workspace_root

GROUPS = tuple(KAGGLE.groups)
KAGGLE_PAGE = "https://www.kaggle.com/c/facial-keypoints-detection/data"
FILES = {"training": "training.csv or training.zip", "test": "test.csv or test.zip", "IdLookupTable": "IdLookupTable.csv"}


class dataset(luigi.Config):  # the name of its section and flag: --dataset-path
    """Where the faces come from."""

    path = luigi.Parameter(
        default="auto",
        description="folder with training.csv, test.csv (or .zip) and IdLookupTable.csv; rendered: faces drawn by the program;"
        " auto: the workspace's data/ if one of those files is in it, else rendered",
    )

    def folder(self) -> Path | None:
        """The folder of the user's files, None for rendered faces."""
        if self.path == "rendered":
            return None
        if self.path != "auto":
            return expanded(self.path, "--dataset-path")
        folder = workspace_root() / "data"
        return folder if any(_found(folder, stem) for stem in FILES) else None

    def files(self) -> dict[str, ExternalFile]:
        """The three files by stem, whether they are there or not."""
        folder, files = self.folder(), {}
        for stem, names in FILES.items():
            advice = f"Put {names} of {KAGGLE_PAGE} into {folder}, or run with --dataset-path rendered."
            files[stem] = ExternalFile(path=str(_found(folder, stem) or folder / f"{stem}.csv"), advice=advice)
        return files


def _found(folder: Path, stem: str) -> Path | None:
    from pipeline.faces import archives

    return archives.find_file(folder, stem)


class device(luigi.Config):
    """What trains and predicts."""

    threads = whole(0, "CPU threads of the backend; 0 is one for each core", 0)


class checkpoint(luigi.Config):
    """What a killed training goes on from."""

    seconds = real(30.0, "a kill costs at most so many seconds of training, or an epoch if that is longer", 0.0)


class Render(Stage):
    """Faces that the program draws itself, in Kaggle's formats: so that everything runs without Kaggle's files."""

    folder = "data"
    training = whole(600, "labelled faces to draw", 60)
    test = whole(150, "faces to draw for the test set", 6)
    seed = whole(0, "seed of the drawing", 0)

    def run(self):
        from pipeline.faces import rendered
        from pipeline.points import points

        suffixes = tuple(f".{stem}.csv" for stem in FILES)
        counts = {"training": self.training, "test": self.test}
        with (
            self.publishing(*suffixes) as paths,
            self.collecting() as collector,
            self.progress(sum(counts.values()), "face drawn") as progress,
        ):
            truth = rendered.write_files(*paths, KAGGLE, **counts, seed=self.seed, collector=collector, report=progress.add)
        self.save(rendered.Truth(truth, points(truth, KAGGLE.side)), siblings=suffixes)


class Load(Stage):
    """Reads and checks the files, finds duplicates and outliers, splits the labelled faces into a training and a validation part."""

    folder = "data"
    validation_share = real(
        0.1, "share of the labelled faces kept for validation, by duplicate groups; one of n folds: 0.3 is one of 3", 0.01, 0.5
    )
    fold = whole(0, "which of the 1 / validation-share folds is the validation part", 0)
    faces = whole(0, "faces to train on at most, chosen at random; 0: all. The validation part stays as it is", 0)
    seed = whole(0, "seed of the split", 0)
    clean = switch(True, "leave out grossly wrong labels of the training part: outliers and conflicting duplicates")
    twin_correlation = real(0.985, "correlation above which two images are near duplicates", 0.5, 1.0)
    outlier_deviations = real(4.5, "an outlier is more than this many robust deviations off", 0.0)
    outlier_pixels = real(5.0, "and more than this many pixels off where the face's other keypoints put it", 0.0)
    conflict_pixels = real(8.0, "labels of identical images conflict when they are more than this many pixels apart", 0.0)

    def requires(self):
        return dataset().files() if dataset().folder() else {"rendered": Render()}

    def run(self):
        from pipeline.faces import archives, csvfiles, exploration
        from pipeline.faces import dataset as datasets

        paths = self._paths()
        self.say(f"reading {paths['training']}")
        size = sum(archives.size(paths[stem]) for stem in ("training", "test"))
        with self.collecting() as collector, self.progress(size, "MB read", scale=10**6) as progress:
            training = csvfiles.read_training(paths["training"], KAGGLE, images=collector(), report=progress.add)
            test = csvfiles.read_test(paths["test"], KAGGLE, images=collector(), report=progress.add)
        lookup = csvfiles.read_lookup(paths["IdLookupTable"], KAGGLE, test.image_ids)
        rules = {name: getattr(self, name) for name, _ in self.get_params() if name != "overrides"}
        with self.progress(len(training.images), "face compared") as progress:
            faces = datasets.assemble(training, test, lookup, KAGGLE, **rules, report=progress.add)
        self.say("\n" + exploration.table(faces))
        self.save(faces)

    def _paths(self) -> dict[str, Path]:
        if "rendered" in self.requires():
            return {stem: self.requires()["rendered"].sibling(f".{stem}.csv") for stem in FILES}
        return {stem: Path(file.path) for stem, file in self.requires().items()}


def from_parameters(kind: type, task: luigi.Task, **given):
    """The dataclass `kind`, its fields from the task's parameters of the same names but for those given."""
    return kind(**given, **{field.name: getattr(task, field.name) for field in dataclasses.fields(kind) if field.name not in given})


class Augment(Stage):
    """Augmented copies of the training part; a training epoch reads one copy."""

    folder = "data"
    copies = whole(16, "augmented copies of each training face", 1)
    seed = whole(0, "seed of the random transforms", 0)
    flip = real(0.5, "share of mirrored faces", 0.0, 1.0)
    rotation = real(20.0, "rotation by up to this many degrees to either side", 0.0, 180.0)
    shear = real(8.5, "shear by up to this many degrees", 0.0, 60.0)
    shift = real(8.0, "shift by up to this many pixels in x and in y", 0.0)
    scale = real(1.17, "scale by a factor up to this or its inverse", 1.0, 4.0)
    stretch = real(1.08, "stretch x against y by a factor up to this or its inverse", 1.0, 2.0)
    small_share = real(0.25, "share of faces that are also made smaller and moved away from the middle", 0.0, 1.0)
    small_scale = real(0.45, "smallest factor for those", 0.1, 1.0)
    gain = real(0.3, "contrast changes by up to this share", 0.0, 1.0)
    bias = real(0.15, "brightness changes by up to this share of the full range", 0.0, 1.0)

    def requires(self):
        return Load()

    def run(self):
        from pipeline.faces import augmentation
        from pipeline.faces import dataset as datasets
        from pipeline.lazyrows import chosen
        from pipeline.store import artifacts

        faces = self.input().load(datasets.Dataset)
        training = ~faces.validation
        made = augmentation.copies(
            chosen(faces.images, training),
            datasets.labels(faces)[training],
            keypointset=KAGGLE,
            ranges=from_parameters(augmentation.Ranges, self),
            count=self.copies,
            seed=self.seed,
        )
        with self.writing() as file, self.progress(self.copies, "copy") as progress:
            copies = ({"images": images, "keypoints": keypoints} for images, keypoints in progress.over(made))
            artifacts.put_copies(file, augmentation.Copies, copies, self.copies)


class Structured:
    """The parameters of a net's structure. A specialist has its base net's, for it begins with those weights."""

    network = choice(
        "compact",
        "the net: compact; kfkd, the tutorial's; resnet50 and vgg16 of keras.applications, which begin with their ImageNet weights",
        NETWORKS,
    )
    filters = real(1.0, "compact and kfkd: factor of the net's own numbers of filters", 0.05, 16.0)
    kernel = whole(0, "side of the kernels: of all of kfkd's convolutions, or (odd) of compact's 3 x 3 ones; 0: the net's own", 0, 31)
    pool = whole(2, "kfkd: side of the pooling after each convolution; 1: no pooling", 1, 31)
    activation = choice("relu", "compact and kfkd: what follows each convolution and hidden layer, by Keras' names", ACTIVATIONS)
    hidden = whole(1000, "kfkd: units of each of its two hidden layers", 1)
    normalisation = choice(
        "standard",
        "compact and kfkd: the pixels that they see: standard, less the training faces' mean, in units of their standard deviation;"
        " unit, from 0 to 1; none, grey levels",
        NORMALISATIONS,
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        every, own = set().union(*SETTINGS.values()), SETTINGS[self.network]
        for name, parameter in self.get_params():
            if name in every and name not in own and (value := getattr(self, name)) != parameter._default:
                raise InputError(f"{parameter.flag} {value}: {self.network} has no such setting; leave it at {parameter._default}.")

    def structure(self, faces, base):
        """The `Structure` of a net for these faces."""
        from pipeline.nets import structure

        pixels = {"mean": float(faces.pixel_mean), "std": float(faces.pixel_std)}
        return from_parameters(structure.Structure, self, **structure.normalised(self.network, self.normalisation, **pixels))


class Training:
    """The parameters that the base net and the specialists share."""

    on_backend = True
    watch = None  # told the history after each epoch; a search ends a training from there
    epochs = whole(75, "epochs at most", 1)
    batch = whole(64, "faces in a training step", 1)
    optimizer = choice("adamw", "how the weights move", OPTIMIZERS)
    schedule = choice("cosine", "how the learning rate changes", SCHEDULES)
    learning_rate = real(3e-3, "learning rate at its highest", 1e-9)
    learning_rate_stop = real(3e-6, "learning rate at the end, for linear and cosine", 0.0)
    decay = real(0.1, "d of the inverse schedule: start / (1 + d * epoch)", 0.0)
    warmup = real(2.0, "epochs in which the cosine schedule's learning rate rises", 0.0)
    halving_patience = whole(5, "epochs without improvement before the halving schedule halves", 1)
    momentum = real(0.9, "momentum at the start, for momentum and nesterov", 0.0, 1.0)
    momentum_stop = real(0.999, "momentum at the end", 0.0, 1.0)
    weight_decay = real(1e-4, "weight decay of adamw", 0.0)
    clip_norm = real(0.0, "largest norm of the gradient; 0 is unlimited", 0.0)
    robust_from = real(2.0, "errors beyond so many pixels count in proportion, no longer squared; 0: the plain mean squared error", 0.0)
    initialisation = choice(
        "net",
        "the kernels' first weights: net, the net's own rule, which is ImageNet's weights for a base net resnet50 or vgg16; he; glorot;"
        " uniform, within 1 / sqrt(n) of n inputs. Of a specialist with a kept head they are the base net's",
        INITIALISATIONS,
    )
    l1 = real(0.0, "penalty on the kernels' absolute values", 0.0)
    l2 = real(0.0, "penalty on the kernels' squares", 0.0)
    dropout = real(0.0, "factor of the net's own dropout rates; 1 is as published", 0.0, 1.9)
    patience = whole(0, "stop after this many epochs without improvement and take the best epoch; 0: train to the end, take the last", 0)
    patience_factor = real(0.5, "or after this share of the best epoch's number, if that is longer", 0.0)
    improvement = real(0.005, "relative improvement that counts for the patience", 0.0, 1.0)
    snapshots = whole(0, "keep the weights after every so many epochs and after the last, beside the artifact; 0: no", 0)
    device_memory = whole(512, "MiB of images kept on the device; more faces are brought in blocks", 1)
    seed = whole(0, "seed of the first weights, the order and the dropout", 0)

    def train(self, group: str | None = None, base=None, *, keep_head: bool = False, scratch: bool = False) -> None:
        """Trains, saves and reports. group: None is all keypoints. base: the net to start from; keep_head: with its output layer.

        scratch: with fresh weights all the same.
        """
        from pipeline.faces import alignment
        from pipeline.faces import dataset as datasets
        from pipeline.nets import device as devices

        trains_on = devices.prepare(seed=self.seed, threads=device().threads)
        self.say(f"trains on {trains_on}")
        from pipeline.nets import diagnosis, models, training
        from pipeline.nets.snapshots import Series

        faces = self.input()["faces"].load(datasets.Dataset)
        indices = KAGGLE.indices(group) if group else list(range(len(KAGGLE.names)))
        target = alignment.upright(faces.mean_face[0], KAGGLE).astype("float32")
        window = self.window(target, indices)
        recipe = from_parameters(training.Recipe, self)
        with self.copies(faces, indices, window, base) as copies, self.progress(self.epochs, "epoch") as progress:
            result = models.train(
                self.structure(faces, base),
                copies,
                models.labelled(faces.images, datasets.labels(faces), faces.source),
                faces.validation,
                recipe,
                keypointset=KAGGLE,
                base=base,
                target=None if group else target,
                window=window,
                keep_head=keep_head,
                scratch=scratch,
                imagenet=self.imagenet(),
                seed=self.seed,
                report=functools.partial(self._report, progress),
                checkpoints=self._checkpoints(trains_on, progress),
                snapshots=Series(self.snapshots, self.set_down) if self.snapshots else None,
            )
        self.save(result, siblings=self._snapshots(result.history.epoch.tolist()))
        if len(result.carried_over):
            origin = "the base net" if base else "ImageNet"
            self.say(f"began with {len(result.carried_over)} weights of {origin}; new: {', '.join(result.new) or 'none'}")
        for warning in diagnosis.warnings(result.history, result.health):
            self.say(f"warning: {warning}")
        said = f"validation RMSE {result.rmse:.3f} px after {len(result.history.epoch)} epochs"
        self.conclude(result=said, rmse=float(result.rmse), device=trains_on)

    def imagenet(self) -> Path | None:
        """The file of the weights that a base net begins with; None: with fresh ones."""

    def window(self, target, indices: list[int]):
        """The window of the aligned face that the net sees; None: it sees the whole image."""

    @contextlib.contextmanager
    def copies(self, faces, indices: list[int], window, base):
        """The augmented faces to train on: those of Augment."""
        from pipeline.faces import augmentation
        from pipeline.faces import dataset as datasets
        from pipeline.nets.copies import Copies, rows_with

        source, rows = faces.source[~faces.validation], rows_with(datasets.labels(faces)[~faces.validation], indices)
        with self.input()["copies"].reading(augmentation.Copies) as file:
            yield Copies(file["images"], file["keypoints"], source, faces=rows, indices=indices)

    def _report(self, progress, history) -> None:
        progress.step(history.last)
        if self.watch:
            self.watch(history)

    def _checkpoints(self, trains_on: str, progress):
        from pipeline.nets.checkpoints import Checkpoint, Checkpoints

        latest = self.latest_checkpoint(Checkpoint)
        done = len(latest.history.epoch) if latest else 0
        if lacking := self.lacks_snapshots(range(self.snapshots, done + 1, self.snapshots) if self.snapshots else ()):
            self.say(f"begins anew: the snapshots of epochs {', '.join(map(str, lacking))} are gone")
            latest = None
        if latest:
            # The key tells neither threads nor machine. To begin anew would lose more than the last digits are worth.
            inexact = f"; until then on {latest.device}, so not to the last bit as an undisturbed run" if latest.device != trains_on else ""
            self.say(f"resumes after epoch {done} of {progress.total}{inexact}")
            progress.skip(done)
        return Checkpoints(lambda state: self.checkpoint(state, len(state.history.epoch)), checkpoint().seconds, trains_on, latest)

    def _snapshots(self, epochs: list[int]) -> tuple[str, ...]:
        """Publishes those that were taken; the suffix of their file."""
        from pipeline.nets.trained import Snapshots

        taken = [epoch for epoch in epochs if epoch % self.snapshots == 0 or epoch == epochs[-1]] if self.snapshots else []
        return (self.publish_snapshots(Snapshots, taken),) if taken else ()


class TrainBase(Structured, Training, Stage):
    """One net for all keypoints."""

    priority = 1  # of several folds all base nets go first: six specialists wait for each, and a last one alone would leave a worker idle

    weights = luigi.Parameter(
        default="",
        significant=False,
        description="resnet50 and vgg16: file of their ImageNet weights without the top; empty: downloaded into ~/.keras/models",
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.weights and not self._from_imagenet:
            nets = " and ".join(PRETRAINED)
            raise InputError(f"--TrainBase-weights {self.weights}: {nets} alone, with --TrainBase-initialisation net, begin with a file's.")

    @property
    def _from_imagenet(self) -> bool:
        return self.network in PRETRAINED and self.initialisation == "net"

    @property
    def _brought(self) -> Path | None:
        """The file of weights that the user has."""
        return expanded(self.weights, "--TrainBase-weights") if self.weights else None

    def requires(self):
        advice = "Give --TrainBase-weights the file that was fetched, or leave it out to have it downloaded."
        brought = {"weights": ExternalFile(path=str(self._brought), advice=advice)} if self._brought else {}
        return {"faces": Load(), "copies": Augment(), **brought}

    def imagenet(self):
        if not self._from_imagenet:
            return None
        from pipeline.nets import pretrained

        return self._brought or pretrained.fetched(self.network)

    def run(self):
        self.train()


class TrainSpecialist(Training, Stage):
    """A net for one group of keypoints: the base net, trained further on the faces that have these keypoints, and for them alone."""

    group = choice("", "the group of keypoints", GROUPS)
    view = choice("window", "what it sees: window, the part around the group of the face that the base net found; face, the image", VIEWS)
    margin = real(18.0, "window: pixels from the group's outermost keypoints on the mean face to its edge", 1.0)
    extent = real(64.0, "window: pixels from edge to edge at least; what lies around a keypoint helps to find it", 1.0)
    zoom = real(1.0, "window: its pixels for one of the image; more shows finer detail and takes longer", 0.1, 8.0)
    flip = real(0.5, "window: share of mirrored faces", 0.0, 1.0)
    rotation = real(15.0, "window: rotation by up to this many degrees to either side", 0.0, 180.0)
    shift = real(5.0, "window: shift by up to this many of its pixels in x and in y", 0.0)
    scale = real(1.16, "window: scale by a factor up to this or its inverse", 1.0, 4.0)
    stretch = real(1.06, "window: stretch x against y by a factor up to this or its inverse", 1.0, 2.0)
    gain = real(0.3, "window: contrast changes by up to this share", 0.0, 1.0)
    bias = real(0.15, "window: brightness changes by up to this share of the full range", 0.0, 1.0)
    start = choice("base", "the weights to begin with: base, the base net's; scratch, fresh ones, to see what those are worth", STARTS)
    head = choice("kept", "with start base, the output layer to begin with: kept, the base net's; new, as in the tutorial", HEADS)
    epochs = whole(5, "epochs at most; window: in each as many windows for every group, several of a face if few faces have the group", 1)
    batch = whole(16, "faces in a training step", 1)
    learning_rate = real(1e-3, "learning rate at its highest", 1e-9)
    learning_rate_stop = real(1e-6, "learning rate at the end, for linear and cosine", 0.0)
    warmup = real(1.0, "epochs in which the cosine schedule's learning rate rises", 0.0)

    @property
    def identity(self):
        return (self.group,)

    def requires(self):
        copies = {"copies": Augment()} if self.view == "face" else {}
        return {"faces": Load(), **copies, "base": TrainBase()}

    def structure(self, faces, base):
        own = {name: getattr(self, name) for name in ("l1", "l2", "dropout", "initialisation")}
        return dataclasses.replace(base.structure, **own)

    def window(self, target, indices):
        from pipeline.faces import alignment

        return alignment.window(target, indices, margin=self.margin, extent=self.extent, zoom=self.zoom) if self.view == "window" else None

    @contextlib.contextmanager
    def copies(self, faces, indices, window, base):
        if not window:
            with super().copies(faces, indices, window, base) as copies:
                yield copies
            return
        from pipeline.faces import affine, alignment, augmentation
        from pipeline.faces import dataset as datasets
        from pipeline.nets.copies import Windows, repeated, rows_with

        labels, held_out = datasets.labels(faces), faces.validation
        yield Windows(
            faces.images,
            labels,
            faces.source,
            affine.compose(window.matrix, alignment.to_frame(base.located, base.target)),
            keypointset=dataclasses.replace(KAGGLE, side=window.side),
            ranges=from_parameters(augmentation.Ranges, self, shear=0.0, small_share=0.0, small_scale=1.0),
            seed=self.seed,
            faces=repeated(rows_with(labels, indices, among=~held_out), int((~held_out).sum())),
            indices=indices,
        )

    def run(self):
        from pipeline.nets.trained import Trained

        base = self.input()["base"].load(Trained)
        network = base.structure.network
        if self.view == "window" and network not in ANY_SIDE:
            raise InputError(f"The weights of {network} fit the whole image alone: give --TrainSpecialist-view face.")
        self.train(self.group, base, keep_head=self.head == "kept", scratch=self.start == "scratch")


def _chain(overrides: dict) -> dict:
    """A base net with its specialists and the faces that they were trained on, as one variation of their parameters."""
    specialists = {group: TrainSpecialist(group=group, overrides=overrides) for group in GROUPS}
    return {"faces": Load(overrides=overrides), "base": TrainBase(overrides=overrides), "specialists": specialists}


class LearningCurves(Stage):
    """RMSE over epochs of the base net and the specialists, as arrays and as a picture."""

    companion = True

    @property
    def shown(self):
        return self.sibling(".png")

    def requires(self):
        return {"base": TrainBase(), **{group: TrainSpecialist(group=group) for group in GROUPS}}

    def run(self):
        from pipeline.nets.trained import Trained
        from pipeline.results import curves, style

        content = curves.curves({name: artifact.load(Trained) for name, artifact in self.input().items()})
        with self.publishing(".png") as (picture,):
            style.save_png(curves.learning_curves(content), picture)
        self.save(content, siblings=(".png",))


class Predict(Stage):
    """The keypoints of the test faces as Kaggle's submission, and of the validation faces beside the truth."""

    folder = "submissions"
    on_backend = True
    folds = whole(1, "1: one chain of nets; more: as many, each with another part of the faces held out, and the mean of what they say", 1)
    base_share = real(0.33, "weight of the base net's answer in its mean with the specialist's; 0: the specialist alone", 0.0, 1.0)

    def requires(self):
        companions = [LearningCurves(overrides=overrides) for overrides in self.variations()]
        return {"chains": [_chain(overrides) for overrides in self.variations()], "companions": companions}

    def variations(self) -> list[dict]:
        """The overrides of each fold's chain."""
        if self.folds == 1:
            return [{}]
        return [{"Load": {"validation_share": 1 / self.folds, "fold": fold}} for fold in range(self.folds)]

    @property
    def shown(self):
        return self.sibling(".csv")

    @property
    def stem(self):
        return "submission" if dataset().folder() else "submission-rendered"

    def run(self):
        from pipeline.faces import dataset as datasets
        from pipeline.nets import device as devices

        self.say(f"predicts on {devices.prepare(seed=0, threads=device().threads)}")
        from pipeline.nets import models
        from pipeline.nets.trained import Trained
        from pipeline.results import submission

        chains = []
        with self.progress(self.folds * (1 + len(GROUPS)), "net") as progress:
            for inputs in self.input()["chains"]:
                faces = inputs["faces"].load(datasets.Dataset)
                nets = [artifact.load(Trained) for artifact in (inputs["base"], *inputs["specialists"].values())]
                tests = models.predict_chain(progress.over(nets), faces.test_images, faces.test_source, KAGGLE)
                chains.append(submission.chain(faces, nets, tests, base_share=self.base_share))
        content = submission.predictions(faces, KAGGLE, chains)
        with self.publishing(".csv") as (csv,):
            submission.write_csv(csv, content.row_ids, content.locations)
        self.save(content, siblings=(".csv",))
        self.say("\n" + submission.table(content))
        beside = f"base net alone {content.rmse_base:.3f}, mean face {content.rmse_mean_face:.3f}"
        self.conclude(
            result=f"validation RMSE {content.rmse:.3f} px ({beside})",
            rmse=float(content.rmse),
            rmse_base=float(content.rmse_base),
            rmse_mean_face=float(content.rmse_mean_face),
        )

    def closing_words(self):
        curves = ", ".join(str(companion.shown) for companion in self.requires()["companions"])
        faces = dataset().folder() or "rendered by the program (not Kaggle's: give --dataset-path for those)"
        return {"Faces": faces, "Learning curves": curves, "Submission": self.shown, "Look inside": "keypoints status"}


class Report(Stage):
    """One HTML page to send to a colleague: how good the answers are, faces with predictions, data, nets and what was run."""

    folder = "submissions"
    faces = whole(6, "faces of a kind to show", 1, 24)

    def requires(self):
        predict = Predict(overrides=self.overrides)
        chains = predict.requires()["chains"]
        nets = {"base": chains[0]["base"], **chains[0]["specialists"]}
        # Edited, they are another page.
        styles = {name: ExternalFile(path=str(Path(__file__).parent / "results" / name)) for name in ("report.html", "report.css")}
        faces = [chain["faces"] for chain in chains]
        return {"predictions": predict, "faces": faces, "nets": nets, "copies": nets["base"].requires()["copies"], "styles": styles}

    def run(self):
        from pipeline.faces import augmentation
        from pipeline.faces import dataset as datasets
        from pipeline.nets import diagnosis
        from pipeline.nets.trained import Snapshots, Trained
        from pipeline.results import gallery, report, scores, submission

        inputs = self.input()
        predictions = inputs["predictions"].load(submission.Predictions)
        faces = [artifact.load(datasets.Dataset) for artifact in inputs["faces"]]
        nets = {name: artifact.load(Trained) for name, artifact in inputs["nets"].items()}
        content = scores.scores(predictions, faces, shown=self.faces)
        example, count = gallery.example(faces[0]), 2 * self.faces - 1
        with inputs["copies"].reading(augmentation.Copies) as file:
            copies = augmentation.Copies(file["images"][:count, example], file["keypoints"][:count, example])
        with self.publishing(".html") as (page,):
            origin, warnings = (
                self._origin_of_all(report),
                {name: diagnosis.warnings(net.history, net.health) for name, net in nets.items()},
            )
            kept = {"warnings": warnings, "snapshots": self.requires()["nets"]["base"].published_snapshots(Snapshots)}
            parts = report.parts(content, predictions, faces, copies, nets, origin, **kept, keypointset=KAGGLE)
            with self.progress(len(parts), "part") as progress:
                made = {name: make() for name, make in progress.over(parts.items())}
            page.write_text(report.page(made), encoding="utf-8")
        self.save(content, views=(".html",))
        self.conclude(result=f"validation RMSE {predictions.rmse:.3f} px")

    def _origin_of_all(self, report):
        """What the page rests on, as `results.report` takes it."""
        from pipeline.store import artifacts, runlog

        stages, log, predict = self.ancestors(), runlog.made(workspace_root() / "models"), self.requires()["predictions"]
        lines = [log.get(stage.key, {}) for stage in stages]
        files = {name: digest for stage in stages if isinstance(stage, Load) for name, digest in stage.recipe["files"].items()}
        return report.Origin(
            faces=", ".join(files) or "drawn by the program",
            files=files,
            stages=[
                report.Made(stage.address, stage.key, stage.settings, line.get("seconds"), line.get("time"))
                for stage, line in zip(stages, lines, strict=True)
            ],
            versions=artifacts.attributes(predict.path)["versions"],
            device=next((line["device"] for line in lines if "device" in line), None),
            chains=predict.folds,
            adopted=list(self.adopted),
        )

    @property
    def shown(self):
        return self.sibling(".html")

    def closing_words(self):
        return {"Report": self.shown}
