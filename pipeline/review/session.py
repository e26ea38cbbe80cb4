"""A review: samples in the order of their doubts, what the page shows of each, and the changes that the reviewer makes."""

import datetime
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.data import corrections
from pipeline.data.corrections import Change, Corrections, LabelValue, Locked
from pipeline.errors import InputError, near
from pipeline.review.judgement import EVERYTHING, RankedBy, Ranking
from pipeline.review.samples import MARGIN, ReviewedSamples
from pipeline.review.wish import Wish, WrongRequestError
from pipeline.units import printable

LONGEST_REMARK = 500  # letters


class Review:
    """A review of samples by one person; its methods may be called from several threads.

    file: the file of corrections. who: the name of the reviewer. locked: holds the lock of the file.
    """

    def __init__(self, samples: ReviewedSamples, ranking: Ranking, file: Path, who: str, locked: Locked) -> None:
        self.samples, self.ranking, self.file, self.who, self.locked = samples, ranking, file, who, locked
        self._reading = threading.Lock()
        self._read: tuple[tuple[int, ...] | None, Corrections] | None = None
        self._orders: dict[RankedBy, list[int]] = {}
        self._start: int | None = None

    def start_with(self, named: Sequence[str]) -> None:
        """Lets the page start with a sample instead of the first one that nobody has seen.

        named: its image and, if that has several, the instance, with or without the name of its annotation source, as in corrections.csv;
        or nothing. Raises InputError if there is no such sample.
        """
        if not named:
            return
        names = [self.samples.name(sample) for sample in range(len(self.samples))]
        image, instance = named[0], named[1] if len(named) > 1 else None
        of_image = [sample for sample, name in enumerate(names) if name[0] == image]
        found = [sample for sample in of_image if instance in (None, names[sample][1], names[sample][1].rpartition("@")[0])]
        if not found:
            raise InputError(f"--sample {printable(' '.join(named))}: {self._lacking(image, [names[sample][1] for sample in of_image])}")
        self._start = found[0]

    def _lacking(self, image: str, instances: list[str]) -> str:
        """What is wrong with the name of a sample, as a sentence. instances: those of its image."""
        if instances:
            return f"the image has only the instances {printable(', '.join(instances))}."
        known = {self.samples.name(sample)[0] for sample in range(len(self.samples))}
        guess = near(image, known)
        return f"the set has no such image{f'; did you mean {printable(guess)}?' if guess else '.'}"

    def order(self, ranked: RankedBy = EVERYTHING) -> list[int]:
        """The samples in the order in which they are reviewed."""
        if ranked not in self._orders:
            self._orders[ranked] = self.ranking.order(ranked).tolist()
        return self._orders[ranked]

    def ranked(self, title: str, keypoint: str) -> RankedBy:
        """What the page asks to rank samples by: the title of a judgement and a keypoint, "" for all of them.

        What there is not counts as "": a page that is loaded again may remember a judgement of another server.
        """
        names = self.samples.keypointset.names
        return RankedBy(title if title in self.ranking.titles else "", names.index(keypoint) if keypoint in names else None)

    def summary(self, ranked: RankedBy = EVERYTHING) -> dict[str, Any]:
        """What the page shows of all samples together."""
        own, known = self.samples.keypointset, self.corrections()
        return {
            "count": len(self.samples),
            "orders": self.ranking.titles,
            "by": ranked.title,
            "of": "" if ranked.keypoint is None else own.names[ranked.keypoint],
            "names": own.names,
            "lines": [[own.names.index(one), own.names.index(other)] for one, other in own.skeleton],
            "hasOccluded": self.samples.has_occluded,
            "file": str(self.file),
            "who": self.who,
            "corrections": len(known.effective),
            "note": known.note,
            "first": self._first(known, ranked),
        }

    def shown(self, rank: int, ranked: RankedBy = EVERYTHING) -> dict[str, Any]:
        """What the page shows of the sample at a rank, from 0. Raises WrongRequestError if there is none."""
        sample, known = self.sample(rank, ranked), self.corrections()
        image, instance = self.samples.name(sample)
        width, height = self.samples.size(sample)
        x, y, side = self.samples.square(sample)
        return {
            "rank": rank,
            "sample": sample,
            "image": image,
            "instance": instance,
            "size": [width, height],
            "view": [x + side / 2, y + side / 2, side * MARGIN],
            "rankedBy": self.ranking.by(sample, ranked),
            "doubtful": self.ranking.doubtful(sample, ranked),
            "labels": [self._label(sample, keypoint, known) for keypoint in range(len(self.samples.keypointset.names))],
        }

    def sample(self, rank: int, ranked: RankedBy = EVERYTHING) -> int:
        """The sample at a rank. Raises WrongRequestError if there is none."""
        if not 0 <= rank < len(self.samples):
            raise WrongRequestError(f"There is no sample {rank + 1}; there are {len(self.samples)}.")
        return self.order(ranked)[rank]

    def change(self, wish: Wish) -> dict[str, Any]:
        """Makes a change, which is on the disk afterwards, and returns the label as it is now.

        Raises WrongRequestError for a change that cannot be made, ConflictError if somebody else has changed the label, InputError if the
        file cannot be understood, and OSError if it cannot be written.
        """
        own = self.samples.keypointset.names
        if not (0 <= wish.sample < len(self.samples) and 0 <= wish.keypoint < len(own)):
            raise WrongRequestError("There is no such label.")
        place, original = self.samples.place(wish.sample, wish.keypoint), self.samples.original(wish.sample, wish.keypoint)
        try:
            old = LabelValue.parse(wish.old)
            new = LabelValue.parse(wish.new, old) if wish.new is not None else self._at(wish)
        except ValueError:
            raise WrongRequestError(f"{place}: this value cannot be set.") from None
        self._check(new, wish.sample)
        when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        corrections.append(self.file, Change(place, old, new, self.who, when, wish.why[:LONGEST_REMARK]), original, self.locked)
        return self._label(wish.sample, wish.keypoint, self.corrections())

    def corrections(self) -> Corrections:
        """The content of the file of corrections, which is read again whenever it has changed."""
        with self._reading:
            state = _state(self.file)
            if self._read is None or self._read[0] != state:
                self._read = (state, corrections.read(self.file))
            return self._read[1]

    def _first(self, known: Corrections, ranked: RankedBy) -> int:
        """The rank of the sample to start with: the one asked for, or the first without any line in the file; 0 if there is none."""
        if self._start is not None:
            return self.order(ranked).index(self._start)
        seen = {place[:2] for place in known.by_place}
        if not seen:
            return 0
        return next((rank for rank, sample in enumerate(self.order(ranked)) if self.samples.name(sample) not in seen), 0)

    def _label(self, sample: int, keypoint: int, known: Corrections) -> dict[str, Any]:
        place, original = self.samples.place(sample, keypoint), self.samples.original(sample, keypoint)
        found = known.by_place.get(place)
        value = found.value if found else original
        corrected = not value.same(original)
        predicted = self.ranking.prediction(sample)
        prediction = None if predicted is None else [float(each) for each in predicted[keypoint]]
        return {
            "value": str(value),
            "point": self._point(sample, value),
            "occluded": value.occluded,
            "original": str(original),
            "corrected": corrected,
            "by": _by(found.last) if found else "",
            "checked": bool(found and found.last.old.same(found.last.new)),
            "prediction": None if prediction is None or any(map(math.isnan, prediction)) else prediction,
            "reasons": [] if corrected else self.ranking.reasons(sample, keypoint),
        }

    def _point(self, sample: int, value: LabelValue) -> list[float] | None:
        """The place of a label in pixels of the image."""
        return None if value.x is None or value.y is None else [*self.samples.inwards(sample, value.x, value.y)]

    def _at(self, wish: Wish) -> LabelValue:
        """The value of a point in the image. Raises ValueError if there is none."""
        if wish.point is None or not all(map(math.isfinite, wish.point)):
            raise ValueError(wish.point)
        x, y = self.samples.outwards(wish.sample, *wish.point)
        # As the file has it, so that the page gets the same text as answer and in the next request.
        return LabelValue.parse(str(LabelValue.at(x, y, occluded=wish.occluded)))

    def _check(self, value: LabelValue, sample: int) -> None:
        """Raises WrongRequestError for a place far outside the image, which Load would refuse, and for an occluded keypoint of a table."""
        if value.occluded and not self.samples.has_occluded:
            raise WrongRequestError("Kaggle's labels cannot be occluded. Mark the keypoint as missing instead.")
        point = self._point(sample, value)
        if point and any(not -size / 2 <= at <= 1.5 * size for at, size in zip(point, self.samples.size(sample), strict=True)):
            raise WrongRequestError("The point is far outside the image.")


def _by(change: Change) -> str:
    return " on ".join(text for text in (change.who, change.when) if text)


def _state(file: Path) -> tuple[int, ...] | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
