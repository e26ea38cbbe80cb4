"""The devices on which a stage trains or predicts: how many share a batch, and what that means for the key."""

import sys
from typing import TYPE_CHECKING

import luigi

from pipeline import environment
from pipeline.errors import InputError
from pipeline.store.run.parameters import whole
from pipeline.store.run.stage import Stage
from pipeline.tasks.sections import device

if TYPE_CHECKING:
    # The mixins below are used only by stages. But Luigi registers every subclass of Task, and they are not tasks themselves.
    _OfStage = Stage
else:
    _OfStage = object

PARALLEL = "pipeline.nets.parallel"


class devices(luigi.Config):  # the name of its section and flag: --devices-per-net
    """The devices that train or predict together."""

    per_net = whole(1, "backend jax: number of devices, such as GPUs, that share each batch of a training or prediction", 1)


class WithDevices(_OfStage):
    """A stage whose process computes with the backend."""

    @property
    def gpus(self) -> int:
        """The number of GPUs that its process has, if `--workers` shares them out."""
        return int(devices().per_net)


class OnDevices(WithDevices):
    """A stage that trains or predicts, on one device or on several that divide each batch among themselves."""

    on_backend = True

    @property
    def divided(self) -> int:
        """The number of samples in a batch, which the devices divide: `nets.forward.BATCH` for a stage that only predicts."""
        return 128

    @property
    def sharing(self) -> int:
        """The number of devices that share a batch: the largest one that divides it, and at most `--devices-per-net`.

        Raises InputError if several devices are asked for and the backend is not JAX.
        """
        if (count := devices().per_net) == 1:
            return 1
        if (backend := environment.backend()).name != "jax":
            raise InputError(
                f"--devices-per-net {count} needs the backend jax, but {backend.named_by} names {backend.name}. Set KERAS_BACKEND=jax,"
                " or leave the flag out."
            )
        return max(number for number in range(1, count + 1) if self.divided % number == 0)

    def computed_by(self) -> dict[str, str]:
        """The backend and, if there are several, the number of devices."""
        return super().computed_by() | ({"devices": str(self.sharing)} if self.sharing > 1 else {})

    def used_modules(self) -> tuple[str, ...]:
        """The module that divides batches, if there are several devices."""
        return (*super().used_modules(), *([PARALLEL] if self.sharing > 1 else []))

    def set_up(self) -> None:
        """Lets what this stage builds compute on its devices."""
        count = self.sharing
        if count == 1 and PARALLEL not in sys.modules:
            return
        from pipeline.nets import device as backend

        backend.prepare(seed=0, threads=device().threads)
        from pipeline.nets import parallel

        names = parallel.use(count)
        if devices().per_net > 1:
            fewer = "" if count == devices().per_net else f", because a batch of {self.divided} cannot be divided by {devices().per_net}"
            self.say(f"divides each batch among {count} devices ({', '.join(names)}){fewer}")
