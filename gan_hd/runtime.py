"""What the machine is good at: compute precision and distribution strategy, chosen or checked.

In: the words given on the command line. Out: a Keras dtype policy name, a ``tf.distribute`` strategy.
"""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

from gan_hd.config import PRECISIONS, STRATEGIES


def choose_precision(precision: str = "auto") -> str:
    """A Keras dtype policy for this machine.

    "auto" is bfloat16 on TPUs, on GPUs from compute capability 8.0 and on CPUs with native bfloat16
    instructions (AVX512-BF16 or AMX); float16 on GPUs from 7.0; float32 elsewhere.

    Raises:
        ValueError: for an unknown word.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"--precision must be one of {', '.join(PRECISIONS)}. Received: {precision}")
    if precision != "auto":
        return precision
    # Physical devices: listing logical ones would start the runtime before a strategy can set it up.
    if tf.config.list_physical_devices("TPU"):
        return "mixed_bfloat16"
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = (tf.config.experimental.get_device_details(gpu) for gpu in gpus)
        capability = min(detail.get("compute_capability", (0, 0)) for detail in details)
        if capability >= (8, 0):
            return "mixed_bfloat16"
        return "mixed_float16" if capability >= (7, 0) else "float32"
    return "mixed_bfloat16" if cpu_has_bfloat16() else "float32"


def cpu_has_bfloat16(cpuinfo: str | None = None) -> bool:
    """True where the CPU multiplies bfloat16 natively, read from /proc/cpuinfo (Linux; else False)."""
    if cpuinfo is None:
        path = Path("/proc/cpuinfo")
        cpuinfo = path.read_text() if path.exists() else ""
    words = set(cpuinfo.split())
    # Arm's name of the instructions is bf16.
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def one_operation_per_core() -> None:
    """On one or two CPU cores: no operation is split over cores, but as many run at a time as there are.

    A training step has independent branches enough for two cores, and pieces of one operation wait for each other
    (docs/performance.md). With more cores, with accelerators, where TF_NUM_INTRAOP_THREADS says otherwise, and
    where TensorFlow has computed something already, nothing is changed.
    """
    accelerated = tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("TPU")
    if cpu_count() > 2 or accelerated or "TF_NUM_INTRAOP_THREADS" in os.environ:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(cpu_count())
    except RuntimeError:  # it is awake: a slower step, nothing else
        return


def choose_strategy(strategy: str = "auto") -> tf.distribute.Strategy:
    """The distribution strategy for a training.

    "auto" mirrors over all GPUs where there are several, takes a TPU where there is one, and else is "none".
    "multi_worker" reads TF_CONFIG as TensorFlow documents it.

    Raises:
        ValueError: for an unknown word, or a TPU that is not there.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"--strategy must be one of {', '.join(STRATEGIES)}. Received: {strategy}")
    if strategy == "auto":
        if tf.config.list_physical_devices("TPU"):
            strategy = "tpu"
        else:
            strategy = "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "none"
    if strategy == "mirrored":
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        return tf.distribute.MirroredStrategy([d.name for d in tf.config.list_logical_devices(kind)])
    if strategy == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if strategy == "tpu":
        try:
            return tf.distribute.TPUStrategy(tf.distribute.cluster_resolver.TPUClusterResolver.connect())
        except Exception as error:  # the resolver raises whatever its transport raises
            raise ValueError(f"--strategy=tpu: no TPU can be reached ({error})") from error
    return tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """True for the one process that writes checkpoints, logs and the exported model."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if resolver.task_type == "worker" and "chief" not in resolver.cluster_spec().jobs:
        return resolver.task_id == 0
    return resolver.task_type == "chief"


def describe_devices() -> str:
    """One phrase: how many accelerators or CPU cores TensorFlow will use."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        names = [tf.config.experimental.get_device_details(g).get("device_name", "GPU") for g in gpus]
        return ", ".join(names)
    return f"CPU, {cpu_count()} cores"


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
