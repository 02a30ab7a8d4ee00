"""An experiment pairs its arms, loses nothing and reads its seeds fairly."""

import csv
import functools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import experiment_cases as cases
import keras
import numpy as np
import pytest
from scipy import stats

import dropkit as dk
from dropkit.experiment import Training, identity, work
from dropkit.experiment.store import Store

TIMEOUT = 180
run = functools.partial(dk.experiment.run, progress=False)


def draws(train=cases.draw, variants=cases.VARIANTS, **options):
    options = {"data": cases.DATA, "seeds": range(3)} | options
    return run(train, variants, **options)


def measured(results):
    """What must be equal between two ways to run the same experiment."""
    return [
        {k: v for k, v in row.items() if k != "seconds"} for row in results.rows
    ]


def constant(values):
    """A `train` whose loss is looked up: `values[name][seed]`."""

    def train(name, seed, data):
        return {"loss": values[name][seed]}

    variants = {name: {"name": name} for name in values}
    (n,) = {len(v) for v in values.values()}
    return run(train, variants, {"d": None}, range(n))


# The table


def test_every_variant_meets_every_seed_and_data_set_once():
    data = {"one": (1.0,), "two": (2.0,)}
    rows = draws(data=data, seeds=[5, 2]).rows
    assert [(r["data"], r["variant"], r["seed"]) for r in rows] == [
        (d, v, s) for d in data for v in cases.VARIANTS for s in (2, 5)
    ]
    assert [r["loss"] for r in rows] == [1.5, 1.5, 2, 2, 2.5, 2.5, 3, 3]


def test_what_is_done_first_is_balanced_over_the_variants():
    calls = []

    def train(rate, seed, data):
        calls.append((seed, rate))
        return {"loss": 0}

    draws(train)
    assert calls == [(s, r) for s in range(3) for r in (0.0, 0.5)]


def test_each_run_is_seeded_alike_in_all_arms():
    values = draws().values("keras")
    assert values["none"] == values["half"]
    assert len(set(values["none"])) == 3
    numpy = draws().values("numpy")
    assert numpy["none"] == numpy["half"] and len(set(numpy["none"])) == 3


def test_data_may_be_a_function_that_is_called_once():
    calls = []

    def load():
        calls.append(1)
        return cases.DATA["pair"]

    assert measured(draws(data={"pair": load})) == measured(draws())
    assert calls == [1]


def test_csv_holds_the_rows(tmp_path):
    results = draws()
    results.to_csv(tmp_path / "table.csv")
    with open(tmp_path / "table.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{k: str(v) for k, v in r.items()} for r in results.rows]


@pytest.mark.parametrize(
    "wrong",
    [
        {"seeds": []},
        {"seeds": [1, 1]},
        {"seeds": [-1]},
        {"seeds": [2**32]},
        {"seeds": [0.5]},
        {"variants": {}},
        {"variants": {"a": 0.5}},
        {"variants": {"a": {"seed": 1}}},
        {"data": {}},
        {"data": [1, 2]},
    ],
)
def test_what_cannot_be_run_is_refused(wrong):
    with pytest.raises(ValueError, match="Received: "):
        draws(**wrong)


@pytest.mark.parametrize(
    "metrics", [{}, None, {"loss": [1, 2]}, {"loss": "low"}, {"loss": None}]
)
def test_what_is_no_number_is_a_failed_run(metrics):
    with pytest.warns(UserWarning, match="TypeError: Expected .* Received: "):
        results = draws(lambda rate, seed, data: metrics)
    assert results.rows == []


def test_numpy_and_keras_numbers_become_plain_ones():
    def train(rate, seed, data):
        return {
            "a": np.float32(0.5),
            "b": np.int64(3),
            "c": np.bool_(True),
            "d": keras.ops.convert_to_tensor(2.0),
        }

    row = draws(train).rows[0]
    assert [(row[k], type(row[k])) for k in "abcd"] == [
        (0.5, float),
        (3, int),
        (True, bool),
        (2.0, float),
    ]


# Failures


def flaky(broken):
    def train(rate, seed, data):
        if (rate, seed) in broken:
            raise RuntimeError(f"no luck with {seed}")
        return cases.draw(rate, seed, data)

    return train


def test_a_failure_loses_no_other_run_and_is_reported():
    with pytest.warns(UserWarning, match="1 of 6 runs failed.*half, pair, s"):
        results = draws(flaky({(0.5, 1)}))
    assert len(results.rows) == 5
    (failure,) = results.failures
    assert (failure["variant"], failure["seed"]) == ("half", 1)
    assert failure["error"] == "RuntimeError: no luck with 1"
    assert 'raise RuntimeError(f"no luck' in failure["traceback"]
    comparison = results.compare("loss", "none")
    assert "failed: half, seed 1: RuntimeError" in comparison.summary()
    assert len(comparison.rows[0].values) == 2
    assert [len(v) for v in results.values("keras").values()] == [2, 2]


def test_a_failure_is_stored_and_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "OFFSET", None)
    with pytest.warns(UserWarning, match="6 of 6 runs failed"):
        draws(store=tmp_path)
    stored = dk.experiment.load(tmp_path)
    assert len(stored.failures) == 6 and "TypeError" in repr(stored.failures)
    monkeypatch.undo()
    broken = {(0.5, 1)}
    train = flaky(broken)
    folder = tmp_path / "second"
    with pytest.warns(UserWarning, match="1 of 6"):
        draws(train, store=folder)
    broken.clear()
    # A set that a function reads is no part of its identity.
    again = draws(train, store=folder)
    assert len(again.rows) == 6 and not again.failures


def test_an_interrupt_stops_but_keeps_what_is_done(tmp_path):
    def train(rate, seed, data):
        if seed == 1 and rate:
            raise KeyboardInterrupt
        return {"loss": 1.0}

    with pytest.raises(KeyboardInterrupt):
        draws(train, store=tmp_path)
    assert len(dk.experiment.load(tmp_path).rows) == 3


# The store


def count(calls):
    def train(rate, seed, data):
        calls.append((rate, seed))
        return {"loss": rate + seed}

    return train


def test_a_second_call_trains_only_what_is_missing(tmp_path):
    calls = []
    train = count(calls)
    first = draws(train, store=tmp_path, seeds=range(2))
    del calls[:]
    second = draws(train, store=tmp_path, seeds=range(3))
    assert calls == [(0.0, 2), (0.5, 2)]
    assert [r for r in second.rows if r["seed"] < 2] == first.rows
    del calls[:]
    more = cases.VARIANTS | {"most": {"rate": 0.9}}
    assert len(draws(train, more, store=tmp_path).rows) == 9
    assert calls == [(0.9, 0), (0.9, 1), (0.9, 2)]


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"pair": (1.0, 3.0)}},
        {"variants": {"none": {"rate": 0.1}, "half": {"rate": 0.6}}},
        {"train": functools.partial(cases.draw)},
    ],
    ids=["data", "arguments", "train"],
)
def test_a_change_trains_again_and_keeps_the_old_files(tmp_path, change):
    draws(store=tmp_path)
    old = {path: path.read_bytes() for path in tmp_path.iterdir()}
    draws(**({"store": tmp_path} | change))
    assert len(list(tmp_path.iterdir())) == 2 * len(old) == 12
    assert all(path.read_bytes() == text for path, text in old.items())
    if "variants" not in change:
        with pytest.raises(ValueError, match="two runs of .* Received: "):
            dk.experiment.load(tmp_path)


def test_a_new_name_or_order_trains_nothing(tmp_path):
    calls = []
    train = count(calls)
    old = draws(train, store=tmp_path)
    del calls[:]
    renamed = {"50 %": {"rate": 0.5}, "0 %": {"rate": 0.0}}
    new = draws(train, renamed, store=tmp_path)
    assert calls == []
    assert new.values("loss")["50 %"] == old.values("loss")["half"]
    assert dk.experiment.load(tmp_path).rows == new.rows
    assert list(new.values("loss")) == ["50 %", "0 %"]


def test_stored_runs_tell_their_provenance(tmp_path):
    draws(store=tmp_path, seeds=[7])
    record = json.loads(next(tmp_path.iterdir()).read_text("utf-8"))
    assert record["versions"]["keras"] == keras.__version__
    assert record["versions"]["dropkit"] == dk.__version__
    assert record["date"].endswith("+00:00") and record["seconds"] >= 0.01
    assert record["seed"] == 7 and record["config"]["rate"] in (0, 0.5)
    assert "def draw" in record["settings"]["source"]


def test_load_is_what_run_returned(tmp_path):
    results = draws(store=tmp_path)
    loaded = dk.experiment.load(tmp_path)
    assert loaded.rows == results.rows and repr(loaded) == repr(results)


def test_half_written_files_do_not_count(tmp_path):
    draws(store=tmp_path)
    cut, foreign, *_ = sorted(tmp_path.iterdir())
    cut.write_bytes(cut.read_bytes()[:-10])
    foreign.write_text("[]", "utf-8")
    (tmp_path / "left.123.tmp").write_text("{", "utf-8")
    assert len(dk.experiment.load(tmp_path).rows) == 4
    assert len(draws(store=tmp_path).rows) == 6
    assert len(dk.experiment.load(tmp_path).rows) == 6


def test_a_kill_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write({"key": "a", "value": 1})

    def kill(*paths):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", kill)
    for key in "ab":
        with pytest.raises(KeyboardInterrupt):
            store.write({"key": key, "value": 2})
    assert store.records() == [{"key": "a", "value": 1}]


def test_equal_variants_are_refused(tmp_path):
    twice = {"a": {"rate": 0.5}, "b": {"rate": 0.5}}
    with pytest.raises(ValueError, match="Received: 'a' on 'pair' and 'b'"):
        draws(variants=twice, store=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sigkill_loses_nothing_and_doubles_nothing(tmp_path, monkeypatch):
    store, log = tmp_path / "store", tmp_path / "log"
    script = [sys.executable, cases.__file__, str(store), str(log)]
    root = Path(dk.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(
        script, env=environment, stderr=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + TIMEOUT
        while len(list(store.glob("*.json"))) < 4:
            assert process.poll() is None, process.stderr.read().decode()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    kept = {p: p.stat().st_mtime_ns for p in store.glob("*.json")}
    started = log.read_text("utf-8").splitlines()
    # One run was under way; it alone starts twice.
    assert 4 <= len(kept) < 12 and len(started) - len(kept) in (0, 1)
    monkeypatch.setenv("EXPERIMENT_LOG", str(log))
    results = run(
        cases.logged, cases.VARIANTS, cases.DATA, cases.SEEDS, store=store
    )
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    again = log.read_text("utf-8").splitlines()[len(started) :]
    assert len(again) == len(set(again)) == 12 - len(kept)
    assert set(again) & set(started) <= set(started[len(kept) :])
    uninterrupted = draws(seeds=cases.SEEDS)
    assert measured(results) == measured(uninterrupted)


# What a run is recognized by


def adder(amount):
    def add(value):
        return value + amount

    return add


def test_equal_things_have_one_description():
    for make in (
        lambda: adder(1),
        lambda: dk.Gal(0.5),
        lambda: np.arange(3),
        lambda: Training(cases.build, epochs=2),
        lambda: functools.partial(cases.build, rate=0.5),
        lambda: keras.losses.Huber(),
    ):
        first, second = (identity.describe(make()) for _ in range(2))
        assert first == second == json.loads(json.dumps(first))
        assert len(identity.digest(first)) == 20


@pytest.mark.parametrize(
    "first, second",
    [
        (1, True),
        ("1", 1),
        ([1, [2]], [[1], 2]),
        (np.arange(3), np.arange(3.0)),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros(2), -np.zeros(2)),
        (dk.Gal(0.5), dk.Gal(0.25)),
        (dk.Gal(0.5), dk.Semeniuta(0.5)),
        (dk.LSTM, dk.GRU),
        (dk.LSTM, keras.layers.LSTM),
        (cases.build, cases.build_line),
        (adder(1), adder(2)),
        (functools.partial(cases.build, 1), functools.partial(cases.build, 2)),
        (Training(cases.build, epochs=2), Training(cases.build, epochs=3)),
    ],
)
def test_different_things_have_different_descriptions(first, second):
    keys = {identity.digest(identity.describe(v)) for v in (first, second)}
    assert len(keys) == 2


def test_a_constant_that_a_helper_of_the_module_reads_counts(monkeypatch):
    before = identity.describe(cases.draw)
    monkeypatch.setattr(cases, "DATA", {})
    assert identity.describe(cases.draw) == before
    monkeypatch.setattr(cases, "OFFSET", 0.75)
    assert identity.describe(cases.draw) != before


@pytest.mark.parametrize(
    "value", [keras.layers.Dropout(0.5), np.array([object()]), object()]
)
def test_what_no_process_can_recognize_is_refused(tmp_path, value):
    variants = {"a": {"rate": value}}
    with pytest.raises(TypeError, match="Received: "):
        draws(variants=variants, store=tmp_path)
    assert len(draws(lambda **_: {"loss": 0}, variants).rows) == 3


def test_a_function_without_source_is_refused(tmp_path):
    names = {"__name__": "typed"}
    exec("def train(rate, seed, data): return {'loss': 0}", names)
    with pytest.raises(TypeError, match="write it into a file"):
        draws(names["train"], store=tmp_path)


# Training


@keras.saving.register_keras_serializable("test")
class Spy(keras.Sequential):
    """Keeps the batches and the weights that each step starts from."""

    seen: list = []

    def train_step(self, data):
        weights = [w.copy() for w in self.get_weights()]
        self.seen.append(([part.numpy() for part in data], weights))
        return super().train_step(data)


def spied(rate=0.0, layers=1, units=4):
    model = Spy([keras.Input((3,))])
    for _ in range(layers):
        model.add(keras.layers.Dropout(rate))
    model.add(keras.layers.Dense(units))
    model.add(keras.layers.Dense(1))
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def steps(train, seed, **variant):
    Spy.seen = []
    metrics = train(seed=seed, data=cases.parts(rows=(10, 4, 4)), **variant)
    return metrics, Spy.seen


def test_arms_of_a_seed_share_batches_and_initial_weights():
    train = Training(spied, epochs=2, batch_size=4).first({"layers": 0})
    arms = {}
    for seed in (0, 1):
        for layers in (0, 3):
            metrics, seen = steps(train, seed, layers=layers, rate=0.5)
            assert metrics["shared_start"]
            arms[seed, layers] = seen
    for seed in (0, 1):
        one, other = arms[seed, 0], arms[seed, 3]
        assert len(one) == len(other) == 6
        for (batch, _), (same, _) in zip(one, other, strict=True):
            assert all(map(np.array_equal, batch, same))
        assert all(map(np.array_equal, one[0][1], other[0][1]))
        assert not all(map(np.array_equal, one[1][1], other[1][1]))
        first, second = (
            np.concatenate([batch[0] for batch, _ in epoch])
            for epoch in (one[:3], one[3:])
        )
        assert not np.array_equal(first, second)
        rows = np.sort(cases.parts(rows=(10, 4, 4))[0][0], axis=0)
        assert np.array_equal(np.sort(first, axis=0), rows)
        assert np.array_equal(np.sort(second, axis=0), rows)
    a, b = arms[0, 0][0], arms[1, 0][0]
    assert not np.array_equal(a[0][0], b[0][0])
    assert not np.array_equal(a[1][0], b[1][0])


def test_without_the_shared_start_dropout_layers_shift_the_weights():
    train = Training(spied, epochs=1, start=None)
    (one, a), (other, b) = (steps(train, 0, rate=r) for r in (0.0, 0.5))
    assert not one["shared_start"] and not other["shared_start"]
    assert not np.array_equal(a[0][1][0], b[0][1][0])
    assert np.array_equal(a[0][0][0], b[0][0][0])


def test_other_shapes_keep_their_own_start_and_the_table_says_so():
    train = Training(spied, epochs=1)
    variants = {"4": {"units": 4}, "5": {"units": 5}}
    results = run(train, variants, {"d": cases.parts()}, range(2))
    shared = {r["variant"]: r["shared_start"] for r in results.rows}
    assert shared == {"4": True, "5": False}
    notes = results.compare("test_loss", "4").notes
    assert notes == ("own initial weights, not those of the pair: 5",)


def test_validation_chooses_the_epoch_and_test_is_only_measured():
    # Training fits y = 2 x by w <- w + 0.3 (2 - w), from 0. So w passes 1,
    # the validation part's slope, at epoch 2, and 1.5, the test part's, at 4.
    w = 2 * (1 - 0.7 ** np.arange(6))
    data = cases.lines(2.0, 1.0, 1.5)
    expected = {
        "epoch": 2,
        "epochs": 5,
        "val_loss": (w[2] - 1) ** 2,
        "test_loss": (w[2] - 1.5) ** 2,
        "test_mae": abs(w[2] - 1.5),
        "final_test_loss": (w[5] - 1.5) ** 2,
        "final_test_mae": abs(w[5] - 1.5),
    }
    measured = Training(cases.build_line, epochs=5)(seed=0, data=data)
    got = {name: measured[name] for name in expected}
    assert got == pytest.approx(expected, abs=1e-5)
    patient = Training(cases.build_line, epochs=5, patience=1)
    measured = patient(seed=0, data=cases.lines(2.0, 1.0, -1.0))
    assert (measured["epoch"], measured["epochs"]) == (2, 3)
    assert measured["test_mae"] == pytest.approx(w[2] + 1, abs=1e-5)


def test_sample_weights_count():
    (x, y), *others = cases.lines(2.0, 1.0, 1.5)
    half = np.full(len(x), 0.5, "float32")
    train = Training(cases.build_line, epochs=1)
    measured = train(seed=0, data=((x, y, half), *others))
    # Half the step: w = 0.15 * 2.
    assert measured["test_mae"] == pytest.approx(1.5 - 0.3, abs=1e-5)


def test_draws_of_another_thread_do_not_change_the_start(monkeypatch):
    train = Training(spied, epochs=1)
    alone, seen = steps(train, 0, rate=0.5)
    disturbances = [1, 2, 0, 0]

    def disturbed(**variant):
        for _ in range(disturbances.pop(0)):
            random.random()
        return spied(**variant)

    monkeypatch.setattr(threading, "active_count", lambda: 2)
    train = Training(disturbed, epochs=1)
    beside, seen_too = steps(train, 0, rate=0.5)
    assert disturbances == [] and beside == alone
    assert all(map(np.array_equal, seen[0][1], seen_too[0][1]))
    disturbances = list(range(1, 20))
    with pytest.raises(RuntimeError, match="another thread"):
        train(seed=0, data=cases.parts(), rate=0.5)


def test_a_model_that_was_trained_is_refused():
    model = cases.build(0.0)
    train = Training(lambda: model, epochs=1)
    train(seed=0, data=cases.parts())
    with pytest.raises(ValueError, match="Received: a model after 1 steps"):
        train(seed=0, data=cases.parts())


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": 2.0},
        {"epochs": 1, "batch_size": -1},
        {"epochs": 1, "patience": 0},
        {"epochs": 1, "monitor": "loss"},
    ],
)
def test_impossible_trainings_are_refused(wrong):
    with pytest.raises(ValueError, match="Received: "):
        Training(cases.build, **wrong)


# Executors


def assert_close(results, others):
    for one, other in zip(results.rows, others.rows, strict=True):
        assert list(one) == list(other)
        for name in one.keys() - {"seconds"}:
            if isinstance(one[name], float):
                # Sums of 16 terms in another order, in two steps.
                one[name] = pytest.approx(one[name], rel=64 * 2**-23)
            assert other[name] == one[name], name


def test_a_process_trains_what_this_one_trains_and_may_die(tmp_path):
    arguments = (
        Training(cases.build, epochs=2),
        {"shallow": {"rate": 0.5}, "deep": {"rate": 0.5, "layers": 2}},
        {"parts": cases.parts},
        range(2),
    )
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = run(*arguments, executor=pool, store=tmp_path)
        with pytest.warns(UserWarning, match="BrokenProcessPool"):
            killed = draws(cases.die_at_half, executor=pool, seeds=[0])
    assert killed.failures[-1]["variant"] == "half"
    here = run(*arguments)
    assert len(there.rows) == 4
    assert_close(there, here)
    assert dk.experiment.load(tmp_path).rows == there.rows


def test_threads_take_turns_so_that_seeds_do_not_mix():
    with ThreadPoolExecutor(4) as pool:
        threads = draws(executor=pool)
    assert measured(threads) == measured(draws())
    assert not work._one_at_a_time.locked()


def test_dask_s_executor_spreads_the_runs():
    distributed = pytest.importorskip("distributed")
    arguments = (
        Training(cases.build, epochs=1),
        {"shallow": {"rate": 0.5}, "deep": {"rate": 0.5, "layers": 2}},
        {"parts": cases.parts()},
        range(3),
    )
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor() as executor,
    ):
        there = run(*arguments, executor=executor)
    assert len(there.rows) == 6
    assert_close(there, run(*arguments))


# Progress


def test_progress_prints_a_line_a_run_into_a_file(capfd):
    train = flaky({(0.5, 1)})
    with pytest.warns(UserWarning):
        dk.experiment.run(train, cases.VARIANTS, cases.DATA, range(2))
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "[1/4] none, pair, seed 0",
        "[2/4] half, pair, seed 0",
        "[3/4] none, pair, seed 1",
        "[4/4] half, pair, seed 1 failed: RuntimeError: no luck with 1",
    ]


def test_progress_counts_what_was_stored(capfd, tmp_path):
    draws(store=tmp_path, seeds=[0])
    draws(store=tmp_path, seeds=[0, 1], progress=True)
    assert capfd.readouterr().err.splitlines()[0].startswith("[3/4] none")


def test_progress_in_a_terminal_is_a_bar(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    draws(progress=True)
    assert "6/6" in capfd.readouterr().err


def test_no_progress_is_silence(capfd):
    draws()
    assert capfd.readouterr() == ("", "")


# Reading the seeds


def test_the_interval_is_the_paired_t_interval():
    rng = np.random.default_rng(0)
    base = rng.normal(size=9)
    other = base + rng.normal(0.1, 0.3, size=9)
    results = constant({"base": base, "other": other})
    for confidence in (0.95, 0.8):
        comparison = results.compare("loss", "base", confidence=confidence)
        (row,) = comparison.rows
        expected = stats.ttest_rel(other, base).confidence_interval(confidence)
        assert (row.low, row.high) == pytest.approx(tuple(expected))
    assert row.difference == pytest.approx(np.mean(other - base))
    assert row.mean == pytest.approx(other.mean())
    assert row.values == pytest.approx(tuple(other - base))


def test_intervals_cover_the_mean_as_often_as_they_say():
    n = 20_000
    samples = np.random.default_rng(1).normal(3.0, 2.0, size=(5, n))
    low, high = dk.experiment.interval(samples, 0.9)
    covered = np.mean((low < 3) & (3 < high))
    assert abs(covered - 0.9) < 5 * np.sqrt(0.9 * 0.1 / n)


@pytest.mark.parametrize(
    "values, reading",
    [
        ([1.0, 2.0, 3.0], "no difference seen"),  # equal to the baseline
        ([0.9, 2.1, 3.0], "no difference seen"),
        ([0.0, 1.1, 1.9], "lower"),
        ([2.0, 3.1, 3.9], "higher"),
        ([2.0, 3.0, 4.0], "higher"),  # an interval of width 0
        ([2.0, np.nan, 4.0], "not finite"),
        ([2.0, np.inf, 4.0], "not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_readings(values, reading):
    results = constant({"base": [1.0, 2.0, 3.0], "other": values})
    comparison = results.compare("loss", "base")
    assert comparison.rows[0].reading == reading
    assert comparison.finding == f"loss against base: 1 {reading}"
    assert reading in comparison.alt and reading in comparison.summary()


def test_one_seed_has_no_interval():
    comparison = constant({"base": [1.0], "other": [2.0]}).compare(
        "loss", "base"
    )
    assert comparison.rows[0].reading == "too few seeds"
    assert "nan" not in comparison.summary()


def test_the_summary_is_a_table():
    values = {"base": [1, 2, 3], "up": [2, 3.1, 3.9], "eq": [1, 2, 3]}
    results = constant(values)
    comparison = results.compare("loss", "base")
    assert repr(comparison) == comparison.summary()
    assert comparison.summary() == (
        "loss on d, paired by seed\n"
        "variant  pairs  mean  difference  95 % t interval  reading\n"
        "base         3     2                               baseline\n"
        "up           3     3          +1  +0.752 to +1.25  higher\n"
        "eq           3     2          +0  +0 to +0         "
        "no difference seen\n"
        "intervals: each for itself, not for all 2 together"
    )


def test_runs_of_different_versions_are_named(tmp_path):
    draws(store=tmp_path)
    path = next(tmp_path.iterdir())
    record = json.loads(path.read_text("utf-8"))
    record["versions"]["keras"] = "2.0"
    path.write_text(json.dumps(record), "utf-8")
    (note,) = dk.experiment.load(tmp_path).compare("loss", "none").notes
    assert note == f"different versions of keras: 2.0, {keras.__version__}"


def test_the_figure_shows_the_comparison():
    names = [f"variant {k}" for k in range(40)]
    values = {"base": [1.0, 2.0, 3.0]} | dict.fromkeys(names, [2.0, 3.1, 3.9])
    comparison = constant(values).compare("loss", "base")
    figure = comparison.plot()
    (ax,) = figure.axes
    assert [t.get_text() for t in ax.get_yticklabels()] == names
    assert figure.get_suptitle() == "loss against base: 40 higher"
    assert comparison.plot("A title").get_suptitle() == "A title"
    assert len(comparison.alt) <= 300 and "higher: 40" in comparison.alt


def test_several_data_sets_are_compared_one_at_a_time():
    results = draws(data={"one": (1.0,), "two": (2.0,)})
    with pytest.raises(ValueError, match="one of.*Received: data=None"):
        results.compare("loss", "none")
    assert results.values("loss", "two")["none"] == [2.5] * 3
    row = results.compare("loss", "none", "two").rows[0]
    assert row.difference == 0.5


@pytest.mark.parametrize(
    "arguments", [("lost", "none"), ("loss", "nobody"), ("loss", "none", "d")]
)
def test_unknown_names_are_refused(arguments):
    with pytest.raises(ValueError, match="Received: "):
        draws().compare(*arguments)


@pytest.mark.parametrize("values, confidence", [([1], 0.95), ([1, 2], 1)])
def test_impossible_intervals_are_refused(values, confidence):
    with pytest.raises(ValueError, match="Received: "):
        dk.experiment.interval(values, confidence)
