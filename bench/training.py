"""Shows where the time of a run goes, and compares the run with its convolutions.

    python bench/training.py FOLDER WORKSPACE [--rounds 9] [-- LUIGI FLAGS]

FOLDER: Kaggle's files, or `rendered`. Runs Predict and all stages before it in this process, one after another, and then the same command
again as a user would, with nothing left to do. WORKSPACE: a folder without results of these stages. A short run on one thread:

    python bench/training.py rendered WORKSPACE -- --Render-training 300 --Render-test 60 --TrainBase-epochs 2 --device-threads 1

Right after each training, TensorFlow's kernels are timed with the shapes of its layers: the products of the convolutions (the maps and both
gradients), and the batch norms. At best, a run would take as long as the convolutions in its training steps and in its predictions. Goals:
the run takes at most 1.5 times as long as that, and everything in an epoch that is not a training step takes less than 5 % of it.
"""

import argparse
import functools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chain
from timing import goal, medians
from training_step import batch_norms, convolutions

from pipeline.nets import device

if TYPE_CHECKING:
    import keras

STARTING, TRACING, BUILDING = "starting TensorFlow", "tracing and compiling", "building the nets"
STEPS, LOOP, REST = "training steps", "Keras' loop over the steps", "everything else"
MEASURING = "timing the kernels"  # no part of a run
# What an epoch consists of. Its first step is traced and compiled, which is no part of it.
EPOCH = (STEPS, LOOP, "waiting for the images", "placing the images on the device", "validation", "training health", "checkpoints")
TITLES = {"": "between the stages", "TrainBase": "base net", "TrainSpecialist": "specialists"}


def main() -> None:
    """Runs all stages and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--rounds", type=int, default=9, help="number of rounds whose median is a kernel's time (default: %(default)s)")
    options, flags = chain.arguments(parser)
    flags = [*chain.dataset_path(options.folder), "--workspace-root", str(options.workspace.resolve()), *flags]
    stopwatch = Stopwatch()
    work = Work(options.rounds)
    with chain.task("Predict", flags) as predict:
        watch(stopwatch, work, predict.needed_stages())
        with stopwatch.part(REST):
            chain.make(predict)
    warm = chain.run("Predict", flags).seconds
    print_table(stopwatch, work, warm)


class Stopwatch:
    """The seconds that the main thread spends in parts of stages, each moment in exactly one: within a part, another one may begin."""

    def __init__(self) -> None:
        self.stage, self.spent = "", defaultdict[tuple[str, str], float](float)
        self._parts: list[str] = []
        self._since = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A context whose time counts for this part of the current stage."""
        self._count()
        self._parts.append(name)
        try:
            yield
        finally:
            self._count()
            self._parts.pop()

    @contextmanager
    def within(self, stage: str) -> Iterator[None]:
        """A context of a stage that runs."""
        self._count()
        self.stage = stage
        try:
            yield
        finally:
            self._count()
            self.stage = ""

    def timed(self, function: Callable[..., Any], name: str, *, first: str | None = None) -> Callable[..., Any]:
        """The function, with its calls as this part. first: the part of the first call, if that is another one."""
        names = iter([first or name])

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self.part(next(names, name)):
                return function(*args, **kwargs)

        wrapped.timed = True
        return wrapped

    def _count(self) -> None:
        now = time.perf_counter()
        if self._parts:
            self.spent[self.stage, self._parts[-1]] += now - self._since
        self._since = now


@dataclass(frozen=True)
class Kernels:
    """The seconds of TensorFlow's kernels for one net: in a training step, and in the prediction of a batch of images."""

    convolutions: float
    batch_norms: float
    predicting: float


@dataclass
class Work:
    """What the nets of a run compute.

    rounds: see `timing.medians`. kernels: of the nets, by their shapes. steps, batches: the number of training steps, and of batches that
    are predicted, by stage and net. preparing: the seconds in which blocks of samples are read or drawn, in whatever thread, by stage.
    """

    rounds: int
    kernels: dict[tuple, Kernels] = field(default_factory=dict)
    steps: Counter[tuple[str, tuple]] = field(default_factory=Counter)
    batches: Counter[tuple[str, tuple]] = field(default_factory=Counter)
    preparing: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def measure(self, net: "keras.Model", batch: int) -> None:
        """Times the kernels of a net, unless those of one with the same shapes have been timed."""
        from pipeline.nets import forward

        if shape_of(net) in self.kernels:
            return
        weights = net.get_weights()  # the batch norms' moving averages change when they are timed
        step = {**dict(convolutions(net, batch)), "norms": batch_norms(net, batch)}
        ahead = {name: call for name, call in convolutions(net, forward.BATCH) if name.endswith("forward")}
        for call in (*step.values(), *ahead.values()):
            call()
        seconds = medians(step, self.rounds)
        net.set_weights(weights)
        norms = seconds.pop("norms")
        self.kernels[shape_of(net)] = Kernels(sum(seconds.values()), norms, sum(medians(ahead, self.rounds).values()))

    def total(self, stage: str, kind: str, counts: Counter[tuple[str, tuple]]) -> float:
        """The seconds that a kind of kernels takes for these counts of a stage."""
        return sum(count * getattr(self.kernels[net], kind) for (of, net), count in counts.items() if of == stage)


def shape_of(net: "keras.Model") -> tuple:
    """The shapes of a net's input and output, which tell the nets of a run apart."""
    return (*net.input_shape[1:], *net.output_shape[1:])


def watch(stopwatch: Stopwatch, work: Work, stages: list[Any]) -> None:
    """From now on, times the stages and their parts. Exits if one of the stages has a result."""
    if done := [stage.address for stage in stages if stage.path.exists()]:
        raise SystemExit(f"The workspace already has results of {', '.join(done)}. Name an empty folder.")
    for stage in {type(stage) for stage in stages}:
        stage.run = run_within(stopwatch, stage.__name__, stage.run)
    prepare, started = device.prepare, []

    def prepare_watched(**options: Any) -> str:
        with stopwatch.part(STARTING):
            name = prepare(**options)
            if not started:
                started.append(True)
                print(name, flush=True)
                watch_nets(stopwatch, work)
        return name

    device.prepare = prepare_watched


def run_within(stopwatch: Stopwatch, stage: str, run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The `run` of a stage, with its time counted for the stage."""

    @functools.wraps(run)
    def wrapped(task: Any) -> Any:
        with stopwatch.within(stage):
            return run(task)

    return wrapped


def watch_nets(stopwatch: Stopwatch, work: Work) -> None:
    """Times the parts of trainings and predictions wherever they are called; Keras has started."""
    import keras

    from pipeline.nets import checkpoints, fitting, forward, health, monitoring, network, samples, training
    from pipeline.store.run.stage import Stage

    model = training.SamplesOnDevice
    for owner, name, part in (
        (training.PlaceSamples, "_read", "waiting for the images"),
        (model, "place", "placing the images on the device"),
        (monitoring.Validation, "on_epoch_end", "validation"),
        (health.MeasureHealth, "on_epoch_end", "training health"),
        (checkpoints.SaveCheckpoints, "on_epoch_end", "checkpoints"),
        (model, "fit", LOOP),
        (network, "build", BUILDING),
        (fitting, "_evaluated", "predictions of the labelled samples"),
        (Stage, "save", "saving"),
    ):
        setattr(owner, name, stopwatch.timed(getattr(owner, name), part))
    for kind, function, later in ((model, "train_function", STEPS), (keras.Model, "predict_function", None)):
        watch_compiled(stopwatch, kind, function, later)
    for versions in (samples.StoredVersions, samples.DrawnVersions):
        versions.block = count_preparing(stopwatch, work, versions.block)
    fit, ahead = training.fit, forward.forward

    def fit_and_measure(net: Any, versions: Any, validation: Any, recipe: Any, **given: Any) -> Any:
        result = fit(net, versions, validation, recipe, **given)
        work.steps[stopwatch.stage, shape_of(net)] += len(result[0].epoch) * (len(versions) // min(recipe.batch, len(versions)))
        with stopwatch.part(MEASURING):
            work.measure(net, recipe.batch)
        return result

    def forward_counted(net: Any, images: Any) -> Any:
        work.batches[stopwatch.stage, shape_of(net)] += -(-len(images) // forward.BATCH)
        return ahead(net, images)

    training.fit, forward.forward = fit_and_measure, forward_counted


def watch_compiled(stopwatch: Stopwatch, kind: Any, function: str, later: str | None) -> None:
    """Counts the first call of a function that Keras compiles for each model as tracing, later calls as the part `later` or as before."""
    make = getattr(kind, f"make_{function}")

    @functools.wraps(make)
    def make_timed(net: Any, force: bool = False) -> Any:
        made = make(net, force=force)
        if not hasattr(call := getattr(net, function), "timed"):
            setattr(net, function, traced(call))
        return made

    def traced(call: Any) -> Any:
        if later:
            return stopwatch.timed(call, later, first=TRACING)
        calls = iter([stopwatch.timed(call, TRACING)])

        @functools.wraps(call)
        def wrapped(*args: Any) -> Any:
            return next(calls, call)(*args)

        wrapped.timed = True
        return wrapped

    setattr(kind, f"make_{function}", make_timed)


def count_preparing(stopwatch: Stopwatch, work: Work, block: Callable[..., Any]) -> Callable[..., Any]:
    """The method `block` of versions, with its time counted in whatever thread it runs."""
    lock = threading.Lock()

    @functools.wraps(block)
    def wrapped(versions: Any, version: int, part: slice) -> Any:
        start = time.perf_counter()
        try:
            return block(versions, version, part)
        finally:
            with lock:
                work.preparing[stopwatch.stage] += time.perf_counter() - start

    return wrapped


def print_table(stopwatch: Stopwatch, work: Work, warm: float) -> None:
    """Prints the seconds of each stage and its parts, and the goals. warm: the seconds of a run with nothing to do."""
    spent = {place: seconds for place, seconds in stopwatch.spent.items() if place[1] != MEASURING}
    whole = warm + sum(spent.values())

    def row(name: str, seconds: float) -> None:
        print(f"{name:<58}{seconds:9.1f} s{100 * seconds / whole:7.1f} %")

    print()
    row("imports, Luigi, and checks with nothing left to do", warm)
    for stage in dict.fromkeys(stage for stage, _ in spent):
        parts = {part: seconds for (of, part), seconds in spent.items() if of == stage}
        row(TITLES.get(stage, stage), sum(parts.values()))
        if STEPS in parts:
            products, norms = (work.total(stage, kind, work.steps) for kind in ("convolutions", "batch_norms"))
            rest = parts.pop(STEPS) - products - norms
            parts |= {f"{STEPS}: convolutions": products, f"{STEPS}: batch norms": norms, f"{STEPS}: the rest": rest}
        for part, seconds in sorted(parts.items(), key=lambda item: -item[1]) if len(parts) > 1 else ():
            row(f"  {part}", seconds)
        if work.preparing.get(stage):
            print(f"  {'(in another thread: reading or drawing the samples':<56}{work.preparing[stage]:9.1f} s)")
    row("the whole run", whole)
    stages = {stage for stage, _ in spent}
    predicted = sum(work.total(stage, "predicting", work.batches) for stage in stages)
    best = predicted + sum(work.total(stage, "convolutions", work.steps) for stage in stages)
    row("of which its predictions' convolutions", predicted)
    row("of which all of its convolutions", best)
    for part in (STARTING, TRACING, BUILDING):
        row(f"of which {part}", sum(seconds for (_, of), seconds in spent.items() if of == part))
    goal("whole run / its convolutions", whole / best, at_most=1.5)
    for stage in ("TrainBase", "TrainSpecialist"):
        epoch = sum(spent.get((stage, part), 0.0) for part in EPOCH)
        goal(f"{TITLES[stage]}: per cent of the epochs that is not a training step", 100 * (1 - spent[stage, STEPS] / epoch), at_most=5)


if __name__ == "__main__":
    main()
