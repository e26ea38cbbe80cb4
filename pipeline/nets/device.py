"""The only module that depends on the backend: seeds, threads, and the device that trains and predicts."""

import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from typing import Any


def prepare(*, seed: int, threads: int) -> str:
    """Sets the seeds and the number of CPU threads (0: one for each core) and returns the name of the device that will be used.

    Must be called before anything else imports Keras: TensorFlow cannot change its number of threads after its first operation. A call with
    another number of threads later in the same process raises RuntimeError; a call with the same number is allowed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    threads = threads or os.cpu_count() or 1
    # Frees earlier nets. Keras' models are reference cycles, and with few but large objects Python seldom looks for cycles.
    gc.collect()
    with _quiet_start():
        import keras

        if keras.backend.backend() == "tensorflow":
            _tensorflow_threads(threads)
        elif keras.backend.backend() == "jax":
            # XLA's CPU client reads the size of its thread pool from here when it starts; JAX has no setting for it.
            os.environ["NPROC"] = str(threads)
        keras.distribution.list_devices()
    keras.utils.set_random_seed(seed)
    return describe(threads)


def describe(threads: int) -> str:
    """Names the device, the number of CPU threads and the backend, for example "CPU, 2 threads (tensorflow 2.21.0)"."""
    import keras

    backend = keras.backend.backend()
    # `list_devices("gpu")` raises with JAX on a machine without GPU.
    gpus = [name for name in map(str, keras.distribution.list_devices()) if not name.lower().startswith("cpu")]
    where = f"GPU {', '.join(gpus)}" if gpus else f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    return f"{where} ({backend} {sys.modules[backend].__version__})"


def isolated(tensors: list) -> list:
    """The same tensors, for measurements that must not change the results of a training step.

    JAX's compiler would fuse the measurements with the operations of the step. These would then round differently, so that the weights
    differ in their last digits (JAX 0.10 on a CPU).
    """
    import keras

    if keras.backend.backend() != "jax":
        return tensors
    import jax

    return jax.lax.optimization_barrier(tensors)


def stream(batches: Iterator[tuple]) -> Any:
    """Batches (indices,), int32 (m,), in the form that `keras.Model.fit` should read them from.

    Keras turns an iterator into a TensorFlow data set that tunes its own buffers. The tuning thread can notice the end of a training late
    (36 s were observed), and `fit` waits for that thread (TensorFlow 2.21: RootDataset::Iterator::~Iterator).
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    signature = (tf.TensorSpec((None,), tf.int32),)
    return tf.data.Dataset.from_generator(lambda: batches, output_signature=signature).with_options(options)


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """Hides the dozen lines that TensorFlow's C++ code writes when it starts, even at its quietest log level."""
    if "keras" in sys.modules:
        yield
        return
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _tensorflow_threads(threads: int) -> None:
    import tensorflow as tf

    # Each of the seven nets of a run is compiled exactly once, but TensorFlow takes this for careless retracing and warns.
    tf.get_logger().setLevel("ERROR")
    config = tf.config.threading
    if config.get_intra_op_parallelism_threads() != threads:
        config.set_intra_op_parallelism_threads(threads)
        config.set_inter_op_parallelism_threads(threads)
