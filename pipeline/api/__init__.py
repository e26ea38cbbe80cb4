"""The functions for notebooks and scripts: `import pipeline as kp`, then `kp.read`, `kp.load_nets`, `kp.rmse` and `kp.draw`.

`pipeline` imports this package when one of them is first used. Libraries that start slowly, such as Keras and pandas, are imported by the
calls that need them.
"""

from pipeline.api.drawing import draw
from pipeline.api.loading import load_nets
from pipeline.api.points import rmse
from pipeline.api.predicting import KeypointNets
from pipeline.api.reading import Sample, read

__all__ = ["KeypointNets", "Sample", "draw", "load_nets", "read", "rmse"]
