"""The stages."""

import luigi

from pipeline.store.run.parameters import choice, real, switch, whole
from pipeline.store.run.stage import Stage
from pipeline.store.run.targets import ExternalFile

LIMIT = 1e9
UNUSED = 1


class source(luigi.Config):
    """The file with the numbers."""

    path = luigi.Parameter(default="numbers.txt")


def clipped(values):
    """Values of at most LIMIT."""
    return values.clip(-LIMIT, LIMIT)


class Draw(Stage):
    """Numbers from a file, repeated."""

    folder = "data"
    size = whole(3, "how many numbers", 1)
    seed = whole(0, "seed of the noise", 0, 99)

    def requires(self):
        return {"numbers": ExternalFile(path=source().path, advice="Write some numbers into it.")}

    def run(self):
        from chainlet import work

        work.hook("Draw")
        self.save(work.draw(source().path, size=self.size, seed=self.seed))


class Scaling:
    """A base class that is not a stage."""

    POWER = 1
    factor = real(2.0, "factor", 0.0)

    def scaled(self, numbers):
        from chainlet import work

        return clipped(work.scale(numbers.values, factor=self.factor**self.POWER))


class Scale(Scaling, Stage):
    """The numbers, scaled, as an array and as a CSV."""

    mode = choice("plain", "how", ("plain", "fancy"))
    be_loud = switch(False, "say so")

    def requires(self):
        return Draw()

    def run(self):
        from chainlet import work
        from pipeline.store.hdf5 import artifacts

        work.hook("Scale")
        values = self.scaled(self.input().load(work.Numbers))
        with self.publishing(".csv") as (csv,):
            csv.write_text("".join(f"{value}\n" for value in values))
        with self.writing((".csv",)) as file:
            artifacts.put(file, work.Numbers(values))
            file.flush()
            work.hook("Scale writing")


class Guess(Stage):
    """A computation that would use a backend."""

    on_backend = True

    def requires(self):
        return Draw()

    def run(self):
        from chainlet import work

        work.hook("Guess")
        self.save(work.Numbers(self.input().load(work.Numbers).values + 1))


class Picture(Stage):
    """Made along with Total."""

    companion = True

    def requires(self):
        return Scale()

    def run(self):
        from chainlet import work

        work.hook("Picture")
        self.save(self.input().load(work.Numbers))


class Total(Stage):
    """The sum of all numbers."""

    folder = "submissions"

    def requires(self):
        return {"scaled": Scale(), "guessed": Guess(), "companions": [Picture()]}

    def run(self):
        from chainlet import work

        work.hook("Total")
        assert len(self.requires()) == 3
        total = work.total(self.input()["scaled"].load(work.Numbers), self.input()["guessed"].load(work.Numbers))
        self.save(total)
        self.conclude(result=f"the sum is {float(total.value):g}")
