"""Measures what many samples cost: CPU time, memory and disk of each stage, with stored augmented versions and with versions drawn anew.

    python bench/samples.py [--sizes 5000 100000] [--copies 2 0] [--drawn 500] [--folder FOLDER] [-- LUIGI FLAGS]

Only some faces are drawn. The others are augmented versions of them, in a training.zip like Kaggle's, because drawing takes longer than
everything else. Each stage runs in a process of its own, the base net for one epoch, with few filters and with at most 64 MiB of an image
array in memory and 64 MiB on the device. Prints for each size and stage the CPU seconds of the process, its peak memory and what it leaves
on the disk; then the same per 1,000 samples, from the difference between the first and the last size, so that the start of the process does
not count; and what a million and ten million samples would take. Goal: the disk that TrainBase and Augment need with `--Augment-copies 0`
does not grow with the samples. 100,000 samples take about ten minutes of CPU time, and 5 GB of disk.
"""

import argparse
import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import chain

if TYPE_CHECKING:
    import numpy as np

    from pipeline.data.dataset import Dataset

SHORT = ["--TrainBase-epochs", "1", "--TrainBase-filters", "0.1"]
LIMITS = ["--memory-images", "64", "--TrainBase-device-memory", "64"]
TABLES = ("training", "test", "IdLookupTable")
MB = 1e6


@dataclass(frozen=True)
class Cost:
    """What a stage needed: CPU seconds, peak memory in MB of 2^20 bytes, and disk in MB of 10^6 bytes."""

    cpu: float
    memory: float
    disk: float

    def each(self, other: "Cost", samples: int) -> "Cost":
        """The difference from another cost per 1,000 samples."""
        return Cost(*(1000 * (getattr(other, name) - getattr(self, name)) / samples for name in ("cpu", "memory", "disk")))

    def text(self) -> str:
        """The cost as columns."""
        return f"{self.cpu:12.2f}{self.memory:12.2f}{self.disk:12.2f}"


def main() -> None:
    """Measures each size, and extrapolates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[5000, 100_000], help="numbers of samples (default: 5000 100000)")
    parser.add_argument("--copies", type=int, nargs="+", default=[2, 0], help="numbers of stored versions to compare (default: 2 0)")
    parser.add_argument("--drawn", type=int, default=500, help="number of faces that are drawn (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="an empty folder for everything that is written (default: a temporary one)")
    options, flags = chain.arguments(parser)
    sizes = sorted(options.sizes)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        print(f"{'':<28}{'samples':>12}{'CPU s':>12}{'memory MB':>12}{'disk MB':>12}", flush=True)
        costs = [measure(folder, size, options, flags) for size in sizes]
    if len(sizes) > 1:
        extrapolate(costs[0], costs[-1], sizes[0], sizes[-1])


def measure(folder: Path, size: int, options: argparse.Namespace, flags: list[str]) -> dict[str, Cost]:
    """The cost of each stage for a number of samples, which are deleted afterwards."""
    drawn = ["--workspace-root", str(folder / "drawn"), "--dataset-path", "rendered", "--Render-training", str(options.drawn)]
    data, found = folder / "data", {}
    write(data, size, [*drawn, "--Render-test", "6"])
    common = [*chain.dataset_path(data), "--workspace-root", str(folder / "work"), *SHORT, *LIMITS, *flags]
    for copies in options.copies:
        own = [*common, "--Augment-copies", str(copies)]
        for stage in ("Load", "Augment", "TrainBase"):
            name = stage if stage == "Load" else f"{stage}, {copies} versions"
            if name not in found:
                found[name] = cost(stage, own)
                print(f"{name:<28}{size:12,}{found[name].text()}", flush=True)
    table = (data / "training.zip").stat().st_size / MB
    print(f"{'training.zip':<28}{size:12,}{'':24}{table:12.2f}", flush=True)
    shutil.rmtree(folder / "work")
    shutil.rmtree(data)
    return found


def cost(stage: str, flags: list[str]) -> Cost:
    """What a stage needs; the stages before it have run."""
    ran = chain.run(stage, flags)
    with chain.task(stage, flags) as task:
        files = [*task.path.parent.glob(f"*-{task.key}.*")]
    return Cost(ran.cpu, ran.peak_mb, sum(file.stat().st_size for file in files) / MB)


def write(folder: Path, size: int, flags: list[str]) -> None:
    """Writes Kaggle's three tables with so many labelled faces: the drawn ones and augmented versions of them."""
    from pipeline.data.dataset import Dataset
    from pipeline.keypoints.kaggle import KAGGLE

    folder.mkdir(parents=True)
    chain.run("Load", flags)
    with chain.task("Augment", flags) as augment, _table(folder) as table:
        load = augment.requires()
        for stem in TABLES[1:]:
            shutil.copy(load.requires()["rendered"].sibling(f".{stem}.csv"), folder / f"{stem}.csv")
        table.write(",".join([f"{name}_{axis}" for name in KAGGLE.names for axis in "xy"] + ["Image"]).encode() + b"\n")
        left = size
        for images, keypoints in versions(load.output().load(Dataset), augment, size):
            for image, labels in zip(images[:left], keypoints[:left], strict=True):
                table.write(row(image, labels))
            left -= len(images[:left])


@contextlib.contextmanager
def _table(folder: Path) -> "Iterator[IO[bytes]]":
    """Yields the open training.csv in training.zip."""
    with zipfile.ZipFile(folder / "training.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("training.csv", "w", force_zip64=True) as table:
            yield table


def versions(drawn: "Dataset", augment: Any, size: int) -> "Iterator[tuple[np.ndarray, np.ndarray]]":
    """Yields images and keypoints of the drawn faces and then of augmented versions, as many as are needed for `size` faces."""
    from pipeline.geometry import augmentation

    keypointset, ranges = drawn.keypointset.restored(), augment.ranges(drawn)
    yield drawn.images[:], drawn.keypoints
    of_each = [ranges] * (-(-size // len(drawn.images)) - 1)
    for images, keypoints in augmentation.versions(drawn.images, drawn.keypoints, keypointset=keypointset, ranges=of_each, seed=1):
        yield images[:], keypoints


def row(image: "np.ndarray", labels: "np.ndarray") -> bytes:
    """A line of Kaggle's table."""
    numbers = ["" if number != number else f"{number:.4f}" for number in labels.ravel().tolist()]
    letters = _texts()[image.ravel()].ravel()
    return ",".join(numbers).encode() + b"," + letters[letters != 0].tobytes().rstrip() + b"\n"


def _texts() -> "np.ndarray":
    """The numbers from 0 to 255 as text, each followed by a space: uint8 (256, 4), with zeros where there is no letter."""
    import numpy as np

    return np.array([f"{number} " for number in range(256)], "S4").view(np.uint8).reshape(256, 4)


def extrapolate(small: dict[str, Cost], large: dict[str, Cost], few: int, many: int) -> None:
    """Prints the costs per 1,000 samples, and those of a million and ten million."""
    print(f"\nper 1,000 samples, from the difference between {few:,} and {many:,}")
    each = {name: small[name].each(large[name], many - few) for name in small}
    for name, own in each.items():
        print(f"{name:<40}{own.text()}")
    for samples in (10**6, 10**7):
        print(f"\n{samples:,} samples: CPU hours, memory in GB, disk in GB")
        for name, own in each.items():
            total = Cost(*(getattr(large[name], part) + getattr(own, part) * (samples - many) / 1000 for part in ("cpu", "memory", "disk")))
            print(f"{name:<40}{total.cpu / 3600:12.2f}{total.memory / 1000:12.2f}{total.disk / 1000:12.2f}")


if __name__ == "__main__":
    main()
