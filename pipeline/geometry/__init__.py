"""Geometry: affine maps, alignment, augmentation and crops, which move points and pixels together."""
