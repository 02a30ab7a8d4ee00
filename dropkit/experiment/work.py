"""What a worker does: one run, guarded, with its provenance."""

import datetime
import functools
import platform
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dropkit._version import __version__

# Keras's seed belongs to the process: two runs in two threads would mix.
_one_at_a_time = threading.Lock()


def work(train: Callable, variant: Mapping, seed: int, data: Any) -> dict:
    """Runs `train` once and returns the result's part of the record.

    Args:
        train: As in `run`.
        variant: The variant's arguments.
        seed: Int.
        data: One data set, or the function that returns it.
    Returns:
        Dict with the metrics or the error, and the provenance.
    """
    with _one_at_a_time:
        began = time.perf_counter()
        try:
            data = load_data(data) if callable(data) else data
            keras.utils.set_random_seed(seed)
            measured = train(seed=seed, data=data, **variant)
            result = {"status": "done", "metrics": _numbers(measured)}
        except Exception as error:
            result = failure(error)
        seconds = time.perf_counter() - began
    return result | {
        "seconds": round(seconds, 3),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(
            timespec="seconds"
        ),
        "versions": {
            "python": platform.python_version(),
            "dropkit": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
        },
        "machine": f"{platform.system()} {platform.machine()}",
    }


def failure(error: BaseException) -> dict:
    """Describes an exception as the result of a run."""
    return {
        "status": "failed",
        "error": "".join(traceback.format_exception_only(error)).strip(),
        "traceback": "".join(traceback.format_exception(error)),
    }


@functools.lru_cache(maxsize=4)
def load_data(function: Callable) -> Any:
    """Calls the function once for the runs of a process that share it."""
    return function()


def _numbers(metrics: Any) -> dict:
    if not isinstance(metrics, Mapping) or not metrics:
        raise TypeError(
            "Expected `train` to return a dict of one or more metrics. "
            f"Received: {metrics!r}"
        )
    numbers = {}
    for name, value in metrics.items():
        array = np.asarray(value)
        if array.ndim or array.dtype.kind not in "biuf":
            raise TypeError(
                "Expected each metric to be one number. "
                f"Received: {name}={value!r}"
            )
        numbers[str(name)] = array.item()
    return numbers
