"""At how many pixels the samples of an own set are stored."""

from dataclasses import dataclass

import numpy as np

from pipeline.units import counted

MULTIPLE = 16  # of which the stored side is one, because the nets halve it four times
SMALLEST_SIDE = 32
# The side follows that of the larger samples: not of the largest, because one large image would enlarge all others.
SIDE_QUANTILE = 0.9
# Bounds of a side that nobody has given. Below the first one samples would lose what the base net sees, however many they are.
FEWEST, MOST = 256, 1536


@dataclass(frozen=True)
class Storage:
    """How samples are stored.

    side: the largest width and height, pixels; 0: that of the samples, as far as `limit` allows. limit: MB (10^6 bytes) of all samples
    together, if `side` is 0. channels: "grey" or "colour".
    """

    side: int
    limit: int
    channels: str

    def chosen(self, squares: np.ndarray) -> tuple[int, str]:
        """The stored side of samples with these squares (n, 3), pixels: a multiple of 16, at least 32. And a sentence that explains it.

        It is that of the larger samples, but not more than `side` or, if that is 0, not so large that the samples take more than `limit`,
        and not above 1,536; the limit does not reduce it below 256.
        """
        wanted = np.ceil(np.quantile(squares[:, 2], SIDE_QUANTILE) / MULTIPLE) * MULTIPLE
        own = max(SMALLEST_SIDE, int(wanted))
        within = self._within(len(squares))
        most = self.side or min(MOST, max(FEWEST, within))
        side = min(own, max(SMALLEST_SIDE, most // MULTIPLE * MULTIPLE))
        return side, f"{counted(len(squares), 'sample')} stored at {side} x {side} pixels, {self._why(side, own, within)}"

    def _within(self, samples: int) -> int:
        """The largest multiple of 16 at which so many samples take at most `limit`."""
        pixels = self.limit * 10**6 / (samples * (3 if self.channels == "colour" else 1))
        return int(pixels**0.5) // MULTIPLE * MULTIPLE

    def _why(self, side: int, own: int, within: int) -> str:
        if side == own:
            return "the size of the larger ones"
        instead = f"instead of the {own} x {own} pixels of the larger ones"
        if self.side:
            return f"{instead}, because of --Load-side {self.side}"
        if side == MOST:
            return f"{instead}, the most that is chosen without --Load-side"
        if within < side:
            return f"{instead}, the fewest to which --Load-limit reduces them; --Load-side overrides it"
        return f"{instead}, so that they take at most {self.limit:,} MB (--Load-limit); --Load-side overrides it"
