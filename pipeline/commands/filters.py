"""`keypoints filters`: the filters of a net's first layer as a picture."""

from pipeline.commands.support import drawing, reading
from pipeline.store.run.stage import Stage


def run(what: str, stages: list[Stage], *, out: str | None) -> int:
    """Draws the net at an address; 0, or InputError where there is none."""
    from pipeline.nets.trained import Trained
    from pipeline.results import feature_maps

    path = drawing.find_net(what, stages)
    layer, kernel = feature_maps.first_filters(reading.load(path, Trained))
    return drawing.write(feature_maps.filters(drawing.title(path), layer, kernel), out or f"filters-{path.stem}.png")
