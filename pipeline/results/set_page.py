"""The page about a keypoint set of the user's: one HTML file that needs no other, with drawn samples."""

import base64
import contextlib
import hashlib
import io
import math
from collections.abc import Callable
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from pipeline.data.formats.images import Glance
from pipeline.data.labels import Instance
from pipeline.data.overview import Overview
from pipeline.errors import InputError
from pipeline.progress import OnProgress, ignored
from pipeline.results.marked import Face, Mark
from pipeline.results.set_summary import SetSummary, side_of, title
from pipeline.results.style import data_uri
from pipeline.units import counted, printable

FOLDER = Path(__file__).parent
SAMPLES = 20
SUSPICIOUS = 6  # samples with suspicious labels, if there are so many
SIDE = 560  # longer side of a drawn sample, pixels
RADII = 0.013, 0.008  # of a mark, as a share of the longer side, of few keypoints and of many
OF_INSTANCE, SMALLEST = 0.04, 2.0  # the largest radius, as a share of what the keypoints span, and the smallest, pixels
FEW = 24  # keypoints that are named where an image is enlarged
QUALITY = 80


def page(summary: SetSummary, glance: Callable[[str, int], Glance], on_progress: OnProgress = ignored) -> str:
    """The page as HTML; the same set gives the same text.

    glance: reduces an image, given by its name, to a longer side of so many pixels, see `pipeline.data.formats.images.glance`.
    on_progress: called with 1 after each drawn sample.
    """
    script = (FOLDER / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"printable": printable, "title": title}
    return environment.get_template("set.html").render(
        summary=summary,
        overview=summary.overview,
        name=printable(summary.overview.folder.root.resolve().name),
        samples=drawn(summary.overview, glance, on_progress),
        few=len(summary.overview.labels.names) <= FEW,
        script=script,
        script_digest=f"sha256-{digest}",
    )


def drawn(overview: Overview, glance: Callable[[str, int], Glance], on_progress: OnProgress = ignored) -> list[Face]:
    """Samples of the labelled images with their labels drawn, those with suspicious labels first.

    Images that cannot be read are left out.
    """
    by_image: dict[str, list[Instance]] = {}
    for instance in overview.labels.instances:
        by_image.setdefault(instance.image, []).append(instance)
    found = []
    for name in chosen(overview, by_image):
        with contextlib.suppress(InputError):
            found.append(_drawing(overview, name, by_image[name], glance(name, SIDE)))
        on_progress(1)
    return found


def chosen(overview: Overview, by_image: dict[str, list[Instance]]) -> list[str]:
    """The images to draw: some with labels outside the image or at 0 or -1, and others evenly spaced over the set."""
    places = [name for name in by_image if name not in overview.unreadable]
    odd = [name for name in places if any(_is_odd(overview, instance).any() for instance in by_image[name])][:SUSPICIOUS]
    rest = [name for name in places if name not in set(odd)]
    count = min(SAMPLES - len(odd), len(rest))
    return odd + [rest[number] for number in np.linspace(0, len(rest) - 1, count).round().astype(int).tolist()]


def _is_odd(overview: Overview, instance: Instance) -> np.ndarray:
    """Which keypoints (K,) of an instance are outside its image, or at 0 or -1 in the label file's convention."""
    size = overview.sizes.get(instance.image, (np.inf, np.inf))
    with np.errstate(invalid="ignore"):
        return np.any((instance.keypoints <= 0) | (instance.keypoints > size), axis=1)


def _drawing(overview: Overview, name: str, own: list[Instance], glance: Glance) -> Face:
    scale = glance.image.width / glance.size[0]
    marks, links, boxes = [], [], []
    for instance in own:
        points = instance.keypoints * scale
        marks += _marks(overview, instance, points, _radius(points, max(glance.image.size)))
        links += _links(overview, points)
        if instance.box:
            x, y, width, height = (round(value * scale, 1) for value in instance.box)
            boxes.append((x, y, width, height))
    sources = len({instance.source for instance in own})
    instances = f", {counted(len(own) // sources, 'instance')}" if len(own) > sources else ""
    caption = f"{printable(name)}{instances}{f' by {sources} annotators' if sources > 1 else ''}"
    alt = f"Image {printable(name)} with {counted(len(marks), 'label')}"
    return Face(_jpeg(glance.image), glance.image.size, marks, links, caption, alt, tuple(boxes))


def _radius(points: np.ndarray, side: int) -> float:
    """The radius of the marks of an instance in an image of this longer side: smaller for many keypoints and for a small instance."""
    known = points[~np.isnan(points).any(axis=1)]
    span = float(np.ptp(known, axis=0).max()) if len(known) > 1 else side
    return max(min(RADII[len(points) > FEW] * side, OF_INSTANCE * span), SMALLEST)


def _marks(overview: Overview, instance: Instance, points: np.ndarray, radius: float) -> list[Mark]:
    names, odd, few = overview.labels.names, _is_odd(overview, instance), len(points) <= FEW
    mirror = overview.definition.keypointset.mirror if overview.definition.keypointset else overview.labels.mirror
    marks = []
    for name, (x, y), occluded, strange in zip(names, points.round(1).tolist(), instance.occluded, odd, strict=True):
        if not math.isnan(x):
            kind = "suspect" if strange else side_of(name, mirror)
            text = title(name) if few else ""
            marks.append(Mark(f"{kind} occluded" if occluded else kind, x, y, 2 * radius if strange else radius, text))
    return marks


def _links(overview: Overview, points: np.ndarray) -> list[tuple[float, float, float, float]]:
    own = overview.definition.keypointset
    skeleton = own.skeleton if own else overview.labels.skeleton
    index = {name: number for number, name in enumerate(overview.labels.names)}
    ends = [np.concatenate([points[index[one]], points[index[other]]]) for one, other in skeleton if one in index and other in index]
    lines = []
    for end in ends:
        if not np.isnan(end).any():
            x1, y1, x2, y2 = end.round(1).tolist()
            lines.append((x1, y1, x2, y2))
    return lines


def _jpeg(image: Image.Image) -> str:
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=QUALITY, optimize=True)
        return data_uri(file.getvalue(), "image/jpeg")
