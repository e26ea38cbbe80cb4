"""Keypoint sets: what is labelled, which keypoints exchange places in mirrored images, and the groups."""
