"""Data in: files, checks, duplicates, splits, augmentation, and faces drawn by the program."""
