"""The runs of an experiment: planned, resumed, executed, kept."""

import contextlib
import operator
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, as_completed
from typing import Any

from dropkit.experiment.identity import describe, digest
from dropkit.experiment.progress import progress_bar
from dropkit.experiment.results import Results
from dropkit.experiment.store import Store
from dropkit.experiment.training import Training
from dropkit.experiment.work import failure, load_data, work


def run(
    train: Callable[..., Mapping[str, float]],
    variants: Mapping[str, Mapping[str, Any]],
    data: Mapping[str, Any],
    seeds: Iterable[int],
    *,
    store: str | os.PathLike | None = None,
    executor: Executor | None = None,
    progress: bool = True,
) -> Results:
    """Trains every variant with every seed on every data set.

    Each run starts with `keras.utils.set_random_seed(seed)`. A run that
    raises an exception is reported and loses no other; the next call tries it
    again. With a `store`, each finished run is kept in one file at once. A
    later call trains only what is missing, and trains again what has changed:
    the variant's arguments, the content of the data, the settings, the source
    of `train` or a constant or function of its module that it uses. What it
    imports from other modules isn't looked at.

    Args:
        train: A `Training`, or any function `train(seed=, data=, **variant)`
            that returns a dict of metrics.
        variants: Dict from a variant's name to the dict of its arguments. A
            `Training` takes all initial weights from the first.
        data: Dict from a data set's name to its content, or to a function
            without arguments that returns it: each worker then loads it
            itself. For a `Training` it is `(training, validation, test)`,
            each `(x, y)` or `(x, y, sample_weight)`.
        seeds: Integers, all different. Each variant gets each seed.
        store: Folder that keeps the finished runs; default: none is kept.
        executor: A `concurrent.futures` executor, or one with its interface
            from Dask or Ray; default: one run after the other, here. Processes
            must be started by "spawn", and workers must be able to import
            `train`. Threads take turns. A Dask worker's own threads draw
            from Python's generator too: there, a `train` of your own must
            give its seeds by hand; a `Training` is safe.
        progress: Whether a bar shows the progress and failures are printed.
    Returns:
        A `Results`, with the stored and the new runs.
    Raises:
        ValueError: if nothing is to be run, a seed isn't a 32-bit unsigned
            integer or is there twice, an argument is named `seed` or `data`,
            or two variants are the same; the message ends `Received: ...`.
        TypeError: if `store` is given and a run can't be recognized again.
    Example:
        >>> from dropkit import experiment
        >>> def train(rate, seed, data):
        ...     return {"loss": rate + seed + sum(data)}
        >>> runs = experiment.run(
        ...     train,
        ...     variants={"low": {"rate": 0.1}, "high": {"rate": 0.5}},
        ...     data={"small": [1, 2]},
        ...     seeds=range(3),
        ...     progress=False,
        ... )
        >>> runs
        Results(6 of 6 runs done; metrics: loss)
        >>> runs.values("loss")["high"]
        [3.5, 4.5, 5.5]
    """
    seeds = _checked_seeds(seeds)
    _check_names(variants, data)
    if isinstance(train, Training):
        train = train.first(next(iter(variants.values())))
    records = [
        {
            "variant": variant,
            "data": name,
            "seed": seed,
            "order": [row, column],
        }
        # Seeds outermost: what a kill leaves is balanced over the variants.
        for seed in seeds
        for column, name in enumerate(data)
        for row, variant in enumerate(variants)
    ]
    kept = None if store is None else Store(store)
    if kept is not None:
        _identify(records, train, variants, data)
        records = [_stored(kept, record) for record in records]
    pending = [r for r in records if r.get("status") != "done"]
    done = len(records) - len(pending)
    with progress_bar(len(records), done, shown=progress) as advance:
        with contextlib.closing(
            _results(pending, train, variants, data, executor)
        ) as results:
            for record, result in results:
                record.update(result)
                if kept is not None:
                    kept.write(record)
                advance(record)
    failed = [record for record in records if record["status"] == "failed"]
    if failed:
        first = failed[0]
        warnings.warn(
            f"{len(failed)} of {len(records)} runs failed; a new call tries "
            f"them again. The first: {first['variant']}, {first['data']}, "
            f"seed {first['seed']}: {first['error']}",
            stacklevel=2,
        )
    return Results(records)


def load(store: str | os.PathLike) -> Results:
    """Reads the runs of a store, without training anything.

    Args:
        store: Folder that was given to `run`.
    Returns:
        A `Results`.
    Raises:
        ValueError: if the folder has no runs, or several of one variant, data
            set and seed (they differ in a setting that was changed between
            two calls); the message ends `Received: ...`.
    Example:
        >>> import tempfile
        >>> from dropkit import experiment
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     experiment.load(folder)
        Traceback (most recent call last):
        ValueError: The store has no finished runs. Received: store=...
    """
    records = Store(store).records() if os.path.isdir(store) else []
    if not records:
        raise ValueError(
            "The store has no finished runs. "
            f"Received: store={os.fspath(store)!r}"
        )
    seen: dict = {}
    for record in records:
        place = record["variant"], record["data"], record["seed"]
        other = seen.setdefault(place, record)
        if other is not record:
            raise ValueError(
                f"The store has two runs of {place}, made with different "
                "settings. Keep each experiment in a folder of its own. "
                f"Received: {other['key']}.json and {record['key']}.json"
            )
    return Results(records)


def _checked_seeds(seeds: Iterable[int]) -> list[int]:
    given = list(seeds)
    try:
        checked = [operator.index(seed) for seed in given]
    except TypeError:
        checked = []
    unique = len(set(checked)) == len(given)
    if not checked or not unique or not all(0 <= s < 2**32 for s in checked):
        raise ValueError(
            "Invalid value received for argument `seeds`. Expected different "
            f"integers from 0 to 2**32 - 1. Received: seeds={given}"
        )
    return checked


def _check_names(variants: Mapping, data: Mapping) -> None:
    for name, value in (("variants", variants), ("data", data)):
        if not isinstance(value, Mapping) or not value:
            raise ValueError(
                f"Invalid value received for argument `{name}`. Expected a "
                f"dict with one or more names. Received: {name}={value!r}"
            )
    for name, variant in variants.items():
        if not isinstance(variant, Mapping) or {"seed", "data"} & set(variant):
            raise ValueError(
                "Invalid value received for argument `variants`. Expected "
                "dicts of arguments other than `seed` and `data`. "
                f"Received: {name}={variant!r}"
            )


def _identify(
    records: list[dict], train: Callable, variants: Mapping, data: Mapping
) -> None:
    """Adds the key, and what it stands for, to each record."""
    settings = describe(train)
    configs = {name: describe(each) for name, each in variants.items()}
    contents = {
        name: digest(describe(load_data(each) if callable(each) else each))
        for name, each in data.items()
    }
    taken: dict = {}
    for record in records:
        identity = {
            "config": configs[record["variant"]],
            "content": contents[record["data"]],
            "settings": settings,
        }
        record |= identity
        record["key"] = digest([identity, record["seed"]])
        other = taken.setdefault(record["key"], record)
        if other is not record:
            raise ValueError(
                "Two variants or two data sets are the same. Received: "
                f"{other['variant']!r} on {other['data']!r} and "
                f"{record['variant']!r} on {record['data']!r}"
            )


def _stored(store: Store, record: dict) -> dict:
    """Returns the finished run of a record, else the record itself."""
    found = store.read(record["key"])
    if found is None or found["status"] != "done":
        return record
    # A variant may have a new name or place since.
    if record.items() <= found.items():
        return found
    found |= record
    store.write(found)
    return found


def _results(
    records: list[dict],
    train: Callable,
    variants: Mapping,
    data: Mapping,
    executor: Executor | None,
) -> Iterator[tuple[dict, dict]]:
    """Yields each record with its result, in the order of completion."""

    def arguments(record):
        variant = variants[record["variant"]]
        return train, variant, record["seed"], data[record["data"]]

    if executor is None:
        for record in records:
            yield record, work(*arguments(record))
        return
    futures = {
        executor.submit(work, *arguments(record)): record for record in records
    }
    try:
        for future in as_completed(futures):
            error = future.exception()
            result = future.result() if error is None else failure(error)
            yield futures[future], result
    finally:
        for future in futures:
            future.cancel()
