"""The one place that knows the backend: seeds, threads, the device and how much of the faces fits on it."""

import os
import sys


def prepare(*, seed: int, threads: int) -> str:
    """Fixes the seeds and the number of CPU threads (0: one for each core) and names the device that will be used.

    Must run before the first operation: TensorFlow cannot change its number of threads afterwards (asked again for the same, nothing happens).
    """
    import_backend()
    import keras

    threads = threads or os.cpu_count()
    if keras.backend.backend() == "tensorflow":
        _tensorflow_threads(threads)
    keras.utils.set_random_seed(seed)
    return describe(threads)


def import_backend() -> None:
    """Imports Keras and its backend without the dozen lines of C++ log that TensorFlow writes even at its quietest level."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" in sys.modules:
        return
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras

        keras.distribution.list_devices()
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def describe(threads: int) -> str:
    """For example "CPU, 2 threads (tensorflow 2.21.0)"."""
    import keras

    backend = keras.backend.backend()
    names = [str(name) for name in keras.distribution.list_devices("gpu")]
    where = f"GPU {', '.join(names)}" if names else f"CPU, {threads} threads"
    return f"{where} ({backend} {backend_version()})"


def backend_version() -> str:
    import keras

    return __import__(keras.backend.backend()).__version__


def on_gpu() -> bool:
    import keras

    return bool(keras.distribution.list_devices("gpu"))


def _tensorflow_threads(threads: int) -> None:
    import tensorflow as tf

    config = tf.config.threading
    if config.get_intra_op_parallelism_threads() != threads:
        config.set_intra_op_parallelism_threads(threads)
        config.set_inter_op_parallelism_threads(threads)
