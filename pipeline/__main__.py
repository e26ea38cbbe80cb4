"""`python -m pipeline` does the same as the program `keypoints`."""

import sys

from pipeline.commands import main

if __name__ == "__main__":
    sys.exit(main())
