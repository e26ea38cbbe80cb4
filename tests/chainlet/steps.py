"""A stage that saves a checkpoint after each step."""

import numpy as np

from pipeline.store.run.parameters import whole
from pipeline.store.run.stage import Stage


class Climb(Stage):
    """Numbers, each of which depends on all before it."""

    steps = whole(6, "how many steps", 1)

    def run(self):
        from chainlet import work

        latest = self.partials.latest_checkpoint(work.Numbers)
        values = latest.values if latest else np.zeros(0)
        if latest:
            self.say(f"resumes after step {len(values)}")
        for number in range(len(values), self.steps):
            values = np.append(values, values.sum() + number)
            self.partials.save_checkpoint(work.Numbers(values), number + 1)
            work.hook(f"Climb {number + 1}")
        self.save(work.Numbers(values))
