"""Faces drawn by the program, whose keypoints are known exactly."""
