"""From label files to one data set: formats, duplicates, outliers, the split, and faces that the program draws itself."""
