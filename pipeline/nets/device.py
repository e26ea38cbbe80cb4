"""The only module that depends on the backend: seeds, threads, and the device that trains and predicts."""

import contextlib
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from pipeline import environment
from pipeline.errors import InputError


def prepare(*, seed: int, threads: int) -> str:
    """Sets the seeds and the number of CPU threads (0: one for each core) and returns the name of the device that will be used.

    Must be called before anything else imports Keras: TensorFlow cannot change its number of threads after its first operation. A call with
    another number of threads later in the same process raises RuntimeError; a call with the same number is allowed.

    Raises InputError if the backend cannot train, is not installed, or cannot be imported.
    """
    named = environment.check_backend()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    threads = threads or os.cpu_count() or 1
    # Frees earlier nets. Keras' models are reference cycles, and with few but large objects Python seldom looks for cycles.
    gc.collect()
    with _quiet_start():
        try:
            with environment.own_settings():
                import keras
        except Exception as error:
            raise InputError(f"The backend {named.name} ({named.named_by}) does not start: {error}. Run `keypoints doctor`.") from error
        environment.settle_keras()
        if named.name == "tensorflow":
            _tensorflow_threads(threads)
        elif named.name == "jax":
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


# Collects what it reads and, unless that ends with the byte 0, writes it to standard error.
_LISTENER = """
import sys
text = sys.stdin.buffer.read()
if not text.endswith(bytes(1)):
    sys.stderr.buffer.write(b"The backend of Keras ended this process while it started. It wrote:\\n" + text)
"""


@contextlib.contextmanager
def _quiet_start() -> Iterator[None]:
    """Hides the dozen lines that TensorFlow's C++ code writes when it starts, even at its quietest log level.

    The backend may end this process, for example if it has too little memory. Therefore another process collects the lines and writes
    them then.
    """
    if "keras" in sys.modules or (listener := _listener()) is None or listener.stdin is None:
        yield
        return
    _flush()
    saved = os.dup(2)
    os.dup2(listener.stdin.fileno(), 2)
    try:
        yield
    finally:
        _flush()
        os.dup2(saved, 2)
        os.close(saved)
        with contextlib.suppress(OSError):
            listener.stdin.write(bytes(1))
            listener.stdin.close()
        listener.wait()


def _listener() -> "subprocess.Popen[bytes] | None":
    """The process that collects the lines; None if it cannot be started, because there are too many processes, for example.

    It is in a session of its own, so that Ctrl-C does not end it before this process.
    """
    command = [sys.executable, "-I", "-S", "-c", _LISTENER]
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0, start_new_session=True)
    except OSError:
        return None


def _flush() -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # the terminal may be gone, the stream closed or None
        sys.stderr.flush()


def _tensorflow_threads(threads: int) -> None:
    import tensorflow as tf

    # Each of the seven nets of a run is compiled exactly once, but TensorFlow takes this for careless retracing and warns.
    tf.get_logger().setLevel("ERROR")
    config = tf.config.threading
    if config.get_intra_op_parallelism_threads() != threads:
        config.set_intra_op_parallelism_threads(threads)
        config.set_inter_op_parallelism_threads(threads)
