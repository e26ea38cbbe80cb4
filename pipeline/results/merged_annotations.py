"""The tables of many annotated photographs, written from one block after another, so that only one is in memory."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.results import annotations
from pipeline.results.annotated_block import AnnotatedBlock, restored
from pipeline.schema import array, record

# Rows of a Parquet file that are compressed together, however the work was divided.
ROW_GROUP = 50_000
PYARROW = 'pip install "pyarrow>=15"'

# Gives the blocks of all photographs in their order, each time that it is called.
Blocks = Callable[[], Iterable[AnnotatedBlock]]


@record
class AnnotatedPhotographs:
    """How many photographs were annotated, and with what result."""

    photographs: np.int64 = array("int64", "", "", "number of photographs")
    with_instances: np.int64 = array("int64", "", "", "number of photographs with instances")
    unusable: np.int64 = array("int64", "", "", "number of photographs that could not be read")
    instances: np.int64 = array("int64", "", "", "number of instances")
    left_out: np.int64 = array("int64", "", "", "number of detections that were left out because the nets disagree about them")
    names: np.ndarray = array("text", "keypoint", "", "names of the keypoints")
    noun: np.ndarray = array("text", "", "", "what an instance is called, such as face")


def summary(blocks: Iterable[AnnotatedBlock]) -> AnnotatedPhotographs:
    """The numbers for all blocks, of which there is at least one."""
    total = np.zeros(5, np.int64)
    for block in blocks:
        names, noun = block.names, block.noun
        counts = (len(block.photo), (block.instances > 0).sum(), (block.error != "").sum(), block.instances.sum(), block.doubts.sum())
        total += np.array(counts, np.int64)
    photographs, with_instances, unusable, instances, left_out = total
    return AnnotatedPhotographs(photographs, with_instances, unusable, instances, left_out, names, noun)


def write_instances(path: Path, blocks: Blocks, found: AnnotatedPhotographs) -> None:
    """Writes the table of instances, as CSV or, by the suffix of its path, as Parquet."""
    expected = any(block.expected is not None for block in blocks())
    header = annotations.columns(tuple(found.names.tolist()), str(found.noun), expected=expected)
    rows = annotations.rows(annotated for block in blocks() for annotated in restored(block))
    (write_parquet if path.suffix == ".parquet" else annotations.write_rows)(path, header, rows)


def write_photographs(path: Path, blocks: Blocks, found: AnnotatedPhotographs) -> None:
    """Writes a row for each photograph as CSV: its size in pixels, how many instances and left out detections it has, its error."""
    header = ["photo", "width", "height", f"{found.noun}s", "left_out", "error"]
    annotations.write_rows(path, header, (row for block in blocks() for row in _photographs(block)))


def _photographs(block: AnnotatedBlock) -> Iterator[list[Any]]:
    size = block.size.tolist()
    counts = zip(block.photo.tolist(), size, block.instances.tolist(), block.doubts.tolist(), block.error.tolist(), strict=True)
    for photo, (width, height), instances, doubts, error in counts:
        yield [photo, width, height, instances, doubts, error]


def write_parquet(path: Path, header: list[str], rows: Iterable[list[Any]]) -> None:
    """Writes rows as they come to a Parquet file; floats are rounded to two decimals. The first column is text, the second int64."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet

    types = [pa.string(), pa.int64(), *[pa.float64()] * (len(header) - 2)]
    schema = pa.schema(list(zip(header, types, strict=True)))
    todo = iter(rows)
    with pyarrow.parquet.ParquetWriter(path, schema) as written:
        while group := list(itertools.islice(todo, ROW_GROUP)):
            frame = pd.DataFrame(group, columns=header).round(2)
            written.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False), row_group_size=ROW_GROUP)


def text(found: AnnotatedPhotographs) -> str:
    """The numbers, in words."""
    lost = f", {found.unusable:,} could not be read" if found.unusable else ""
    left_out = f"; {found.left_out:,} detections left out because the nets disagree" if found.left_out else ""
    noun = f"{found.noun}{'' if found.instances == 1 else 's'}"
    return f"{found.instances:,} {noun} in {found.with_instances:,} of {found.photographs:,} photographs{lost}{left_out}"
