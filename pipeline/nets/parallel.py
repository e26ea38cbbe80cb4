"""One net on several devices: each computes a part of every batch, and all of them hold the same weights (JAX only)."""

from typing import Any

import keras
from keras.distribution import DataParallel, TensorLayout

from pipeline.errors import InputError


class DividedBatches(DataParallel):
    """Divides a batch among the devices. A batch that they cannot share equally is computed by each of them in full."""

    def get_data_layout(self, data_shape: tuple[int, ...]) -> Any:
        """How an array (B, ...) of a batch is divided."""
        if data_shape[0] % self.device_mesh.devices.size:
            return TensorLayout([None] * len(data_shape), self.device_mesh)
        return super().get_data_layout(data_shape)


def use(count: int) -> list[str]:
    """Lets the nets that are built from now on in this process compute on the first `count` devices, and returns the names of the devices.

    `nets.device.prepare` must have been called before. With a count of 1, the nets compute on the first device, as without this call.

    Raises InputError if there are fewer devices.
    """
    found = [str(name) for name in keras.distribution.list_devices()]
    if count > len(found):
        raise InputError(f"--devices-per-net {count}: there are only {len(found)} devices ({', '.join(found)}). Give at most {len(found)}.")
    keras.distribution.set_distribution(DividedBatches(devices=found[:count], auto_shard_dataset=False) if count > 1 else None)
    return found[:count]
