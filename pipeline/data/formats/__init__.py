"""Label formats and image files: one module for each format, which turns files into arrays."""
