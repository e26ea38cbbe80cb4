"""The stages as Luigi tasks, in the order in which the data pass through: wiring only, the work is in the modules that `run` imports."""

import dataclasses
from pathlib import Path

import luigi

from pipeline.keypointset import KAGGLE
from pipeline.nets.options import NETWORKS, OPTIMIZERS, SCHEDULES
from pipeline.store.settings import choice, real, switch, whole
from pipeline.store.stage import Stage
from pipeline.store.targets import ExternalFile, workspace_root

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
            return Path(self.path).expanduser()
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


class Render(Stage):
    """Faces that the program draws itself, in Kaggle's formats: so that everything runs without Kaggle's files."""

    folder = "data"
    training = whole(600, "labelled faces to draw", 60)
    test = whole(150, "faces to draw for the test set", 6)
    seed = whole(0, "seed of the drawing", 0)

    def run(self):
        from pipeline.faces import rendered

        suffixes = tuple(f".{stem}.csv" for stem in FILES)
        with self.publishing(*suffixes) as paths:
            truth = rendered.write_files(*paths, KAGGLE, training=self.training, test=self.test, seed=self.seed)
        self.save(rendered.Truth(truth), siblings=suffixes)


class Load(Stage):
    """Reads and checks the files, finds duplicates and outliers, splits the labelled faces into a training and a validation part."""

    folder = "data"
    validation_share = real(0.1, "share of the labelled faces kept for validation, by duplicate groups", 0.01, 0.5)
    fold = whole(0, "which of the 1 / validation-share folds is the validation part", 0)
    seed = whole(0, "seed of the split", 0)
    clean = switch(True, "leave out grossly wrong labels of the training part: outliers and conflicting duplicates")
    twin_correlation = real(0.985, "correlation above which two images are near duplicates", 0.5, 1.0)
    outlier_deviations = real(4.5, "an outlier is more than this many robust deviations off", 0.0)
    outlier_pixels = real(5.0, "and more than this many pixels off where the face's other keypoints put it", 0.0)
    conflict_pixels = real(8.0, "labels of identical images conflict when they are more than this many pixels apart", 0.0)

    def requires(self):
        return dataset().files() if dataset().folder() else {"rendered": Render()}

    def run(self):
        from pipeline.faces import csvfiles
        from pipeline.faces import dataset as datasets

        paths = self._paths()
        self.say(f"reading {paths['training']}")
        training = csvfiles.read_training(paths["training"], KAGGLE)
        test = csvfiles.read_test(paths["test"], KAGGLE)
        lookup = csvfiles.read_lookup(paths["IdLookupTable"], KAGGLE, test.image_ids)
        rules = {name: getattr(self, name) for name, _ in self.get_params() if name != "overrides"}
        faces = datasets.assemble(training, test, lookup, KAGGLE, **rules)
        self.say("\n" + datasets.exploration(faces, KAGGLE))
        self.save(faces)

    def _paths(self) -> dict[str, Path]:
        if "rendered" in self.requires():
            return {stem: self.requires()["rendered"].sibling(f".{stem}.csv") for stem in FILES}
        return {stem: Path(file.path) for stem, file in self.requires().items()}


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
        from pipeline.store import artifacts

        faces = self.input().load(datasets.Dataset)
        ranges = augmentation.Ranges(**{field.name: getattr(self, field.name) for field in dataclasses.fields(augmentation.Ranges)})
        training = ~faces.validation
        made = augmentation.copies(
            faces.images[training],
            datasets.training_labels(faces),
            keypointset=KAGGLE,
            ranges=ranges,
            count=self.copies,
            seed=self.seed,
        )
        with self.writing() as file, self.progress(self.copies, "copy") as progress:
            copies = ({"images": images, "keypoints": keypoints} for images, keypoints in progress.over(made))
            artifacts.put_copies(file, augmentation.Copies, copies, self.copies)


class Training:
    """The parameters that the base net and the specialists share."""

    on_backend = True
    epochs = whole(80, "epochs at most", 1)
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
    l1 = real(0.0, "penalty on the kernels' absolute values", 0.0)
    l2 = real(0.0, "penalty on the kernels' squares", 0.0)
    dropout = real(0.0, "factor of the net's own dropout rates; 1 is as published", 0.0, 1.9)
    patience = whole(0, "stop after this many epochs without improvement; 0 never stops", 0)
    patience_factor = real(0.5, "or after this share of the best epoch's number, if that is longer", 0.0)
    improvement = real(0.005, "relative improvement that counts for the patience", 0.0, 1.0)
    device_memory = whole(2048, "MiB of images kept on the device; more faces are brought in blocks", 1)
    seed = whole(0, "seed of the first weights, the order and the dropout", 0)

    def train(self, network: str, group: str | None = None, base=None, **head) -> None:
        """Trains, saves and reports. group: None is all keypoints. base: the net to start from. head: what differs for its output layer."""
        from pipeline.faces import augmentation
        from pipeline.faces import dataset as datasets
        from pipeline.nets import device as devices

        self.say(f"trains on {devices.prepare(seed=self.seed, threads=device().threads)}")
        from pipeline.nets import models, training

        faces = self.input()["faces"].load(datasets.Dataset)
        labels, held_out = datasets.training_labels(faces), faces.validation
        indices = KAGGLE.indices(group) if group else list(range(len(KAGGLE.names)))
        source = faces.source[~held_out]
        structure = models.Structure(network, self.l1, self.l2, self.dropout, float(faces.pixel_mean), float(faces.pixel_std))
        recipe = training.Recipe(**{field.name: getattr(self, field.name) for field in dataclasses.fields(training.Recipe)})
        epochs = self.epochs + head.get("epochs", 0)
        with self.input()["copies"].reading(augmentation.Copies) as file, self.progress(epochs, "epoch") as progress:
            copies = training.Copies(file["images"], file["keypoints"], source, faces=training.rows_with(labels, indices), indices=indices)
            result = models.train(
                structure,
                copies,
                training.Faces(faces.images[~held_out], labels, source),
                training.Faces(faces.images[held_out], faces.keypoints[held_out], faces.source[held_out]),
                recipe,
                keypointset=KAGGLE,
                base=base,
                head=dataclasses.replace(recipe, **head) if head else None,
                seed=self.seed,
                report=lambda training_rmse, validation_rmse: progress.step(
                    f"RMSE training {training_rmse:.2f} px, validation {validation_rmse:.2f} px"
                ),
            )
        self.save(result)
        if base:
            self.say(f"new: {', '.join(result.new)}; carried over from the base net: the other {len(result.carried_over)} weights")
        self.conclude(result=f"validation RMSE {result.rmse:.3f} px after {len(result.history.epoch)} epochs", rmse=float(result.rmse))


class TrainBase(Training, Stage):
    """One net for all keypoints."""

    network = choice("compact", "the net: compact, or the tutorial's kfkd", NETWORKS)

    def requires(self):
        return {"faces": Load(), "copies": Augment()}

    def run(self):
        self.train(self.network)


class TrainSpecialist(Training, Stage):
    """A net for one group of keypoints: the base net's weights with a new output layer, trained on the faces that have these keypoints."""

    group = choice("", "the group of keypoints", GROUPS)
    epochs = whole(12, "epochs at most", 1)
    learning_rate = real(6e-4, "learning rate at its highest", 1e-9)
    learning_rate_stop = real(6e-7, "learning rate at the end, for linear and cosine", 0.0)
    warmup = real(1.0, "epochs in which the cosine schedule's learning rate rises", 0.0)
    head_epochs = whole(4, "epochs, before the others, in which the new output layer trains alone", 0)
    head_learning_rate = real(3e-2, "learning rate of those epochs at its highest", 1e-9)

    @property
    def identity(self):
        return (self.group,)

    def requires(self):
        return {"faces": Load(), "copies": Augment(), "base": TrainBase()}

    def run(self):
        from pipeline.nets.trained import Trained

        base = self.input()["base"].load(Trained)
        head = {"epochs": self.head_epochs, "learning_rate": self.head_learning_rate, "warmup": 0.0, "patience": 0}
        self.train(str(base.network), self.group, base, **head)


class LearningCurves(Stage):
    """RMSE over epochs of the base net and the specialists, as arrays and as a picture."""

    companion = True

    def requires(self):
        return {"base": TrainBase(), **{group: TrainSpecialist(group=group) for group in GROUPS}}

    def run(self):
        from pipeline.nets.trained import Trained
        from pipeline.results import figures

        nets = {name: artifact.load(Trained) for name, artifact in self.input().items()}
        content = figures.curves(
            {name: (2 * len(net.indices), net.history.training_rmse, net.history.validation_rmse) for name, net in nets.items()}
        )
        with self.publishing(".png") as (picture,):
            figures.save_png(figures.learning_curves(content), picture)
        self.save(content, siblings=(".png",))


class Predict(Stage):
    """The specialists' keypoints of the test faces as Kaggle's submission, and of the validation faces beside the truth."""

    folder = "submissions"
    on_backend = True

    def requires(self):
        specialists = {group: TrainSpecialist(group=group) for group in GROUPS}
        return {"faces": Load(), "base": TrainBase(), "specialists": specialists, "companions": [LearningCurves()]}

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

        faces = self.input()["faces"].load(datasets.Dataset)
        base = self.input()["base"].load(Trained)
        specialists = [artifact.load(Trained) for artifact in self.input()["specialists"].values()]
        tests = []
        with self.progress(1 + len(specialists), "net") as progress:
            for net in progress.over([base, *specialists]):
                tests.append(models.predict(net, faces.test_images, faces.test_source, KAGGLE))
        content = submission.predictions(faces, KAGGLE, [base, *specialists], tests)
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

    def closing_words(self, figures):
        curves = self.requires()["companions"][0].sibling(".png")
        faces = dataset().folder() or "rendered by the program (not Kaggle's: give --dataset-path for those)"
        words = [f"Faces: {faces}", f"Learning curves: {curves}", f"Submission: {self.sibling('.csv')}"]
        return [*words, f"Result: {figures['result']}"] if "result" in figures else words
