"""`keypoints filters`: the filters of a net's first layer as a picture."""

from pipeline.commands import drawing, reading
from pipeline.store.stage import Stage


def run(what: str, stages: list[Stage], *, out: str | None) -> int:
    """Draws the net at an address; 0, or InputError where there is none."""
    from pipeline.nets.trained import Trained
    from pipeline.results import insides

    path = drawing.find_net(what, stages)
    layer, kernel = insides.first_filters(reading.load(path, Trained))
    return drawing.write(insides.filters(drawing.title(path), layer, kernel), out or f"filters-{path.stem}.png")
