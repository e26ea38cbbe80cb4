"""The one place that knows the backend: seeds, threads, and which device trains and predicts."""

import contextlib
import gc
import os
import sys
from collections.abc import Iterator


def prepare(*, seed: int, threads: int) -> str:
    """Fixes the seeds and the number of CPU threads (0: one for each core) and names the device that will be used.

    Imports Keras and its backend, and must do so first: TensorFlow cannot change its number of threads after its first operation.
    Another number later in the same process is a RuntimeError; the same one does nothing.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    threads = threads or os.cpu_count()
    # What is left of the nets before this one: Keras' models are cycles, which Python seldom looks for where few objects are large.
    gc.collect()
    with _quiet_start():
        import keras

        if keras.backend.backend() == "tensorflow":
            _tensorflow_threads(threads)
        elif keras.backend.backend() == "jax":
            # Read by XLA's CPU client when it starts, as the size of its thread pool; JAX has no setting of its own for it.
            os.environ["NPROC"] = str(threads)
        keras.distribution.list_devices()
    keras.utils.set_random_seed(seed)
    return describe(threads)


def describe(threads: int) -> str:
    """For example "CPU, 2 threads (tensorflow 2.21.0)"."""
    import keras

    backend = keras.backend.backend()
    # Asked for "gpu" alone, JAX raises where there is none.
    gpus = [name for name in map(str, keras.distribution.list_devices()) if not name.lower().startswith("cpu")]
    where = f"GPU {', '.join(gpus)}" if gpus else f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    return f"{where} ({backend} {sys.modules[backend].__version__})"


def apart(tensors: list) -> list:
    """The same tensors for what is only measured beside a training step: JAX's compiler would merge it with the step's own operations.

    Then these round otherwise, and the weights differ in their last digits (JAX 0.10 on a CPU).
    """
    import keras

    if keras.backend.backend() != "jax":
        return tensors
    import jax

    return jax.lax.optimization_barrier(tensors)


def stream(batches: Iterator[tuple]):
    """What `keras.Model.fit` reads batches (indices,), int32 (m,), from.

    Of an iterator Keras makes a dataset of TensorFlow's that tunes its own buffers. The thread that does so notices the end of a training
    late (36 s were seen), and `fit` waits for it (TensorFlow 2.21: RootDataset::Iterator::~Iterator).
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
def _quiet_start():
    """Keeps the dozen lines off the screen that TensorFlow's C++ code writes when it starts, even at its quietest level."""
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

    # Each net is compiled once and for all, seven in a run: TensorFlow takes that for careless retracing and warns.
    tf.get_logger().setLevel("ERROR")
    config = tf.config.threading
    if config.get_intra_op_parallelism_threads() != threads:
        config.set_intra_op_parallelism_threads(threads)
        config.set_inter_op_parallelism_threads(threads)
