"""`keypoints filters`: draws the filters of the first layer of a net."""

from pipeline.commands.support import drawing, reading
from pipeline.store.run.stage import Stage


def run(what: str, stages: list[Stage], *, out: str | None) -> int:
    """Draws the filters of a net, given as for `addresses.locate`, into a PNG file and returns 0; InputError if there is none."""
    from pipeline.nets.trained import Trained
    from pipeline.results import feature_maps

    path = drawing.find_net(what, stages)
    layer, kernel = feature_maps.first_filters(reading.load(path, Trained))
    return drawing.write(feature_maps.filters(drawing.title(path), layer, kernel), out or f"filters-{path.stem}.png")
