"""Detectors of faces, one module each. Every one has a function `find`, as `pipeline.inference.detection.find` describes it."""
