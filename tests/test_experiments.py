"""The stored runs are the plan's, all of it, and nothing else."""

import math

import experiments
import keras
import numpy as np
import pytest

import dropkit as dk
from dropkit.experiment.identity import describe, digest


@pytest.fixture(scope="module")
def stored():
    return dk.data.method_runs()


def test_the_stored_plan_is_the_scripts(stored):
    assert stored.plan == experiments.plan()


def test_every_run_of_the_plan_is_there_once_and_no_other(stored):
    found = [(r["data"], r["variant"], r["seed"]) for r in stored.results.rows]
    planned = {
        (task, variant, seed)
        for task in experiments.TASKS
        for variant in experiments.VARIANTS
        for seed in experiments.SEEDS
    }
    assert len(found) == len(planned) and set(found) == planned
    assert repr(stored).startswith(f"MethodRuns({len(planned)} runs: ")


def test_every_method_has_two_rates():
    methods = [each["method"] for each in experiments.VARIANTS.values()]
    assert set(methods) == set(experiments.METHODS)
    for method in experiments.METHODS:
        assert methods.count(method) == (1 if method == "none" else 2)


def test_every_number_is_finite_and_validation_chose_the_epoch(stored):
    for row in stored.results.rows:
        epochs = experiments.TASKS[row["data"]]["epochs"]
        assert type(row["epoch"]) is int and 1 <= row["epoch"] <= epochs
        for name in ("val_loss", "test_loss", "final_test_loss"):
            assert math.isfinite(row[name]) and row[name] > 0, row
        if row["epoch"] == epochs:
            assert row["test_loss"] == row["final_test_loss"]


def test_the_data_and_the_code_are_those_of_the_run(stored):
    for task, load in experiments.DATA.items():
        content = digest(describe(load()))
        assert stored.provenance["data"][task] == content, task
    code = experiments.code_digest()
    assert stored.provenance["code"] == code, "run tools/experiments.py again"
    versions = stored.provenance["versions"]
    assert {"dropkit", "keras", "tensorflow", "numpy"} <= set(versions)


def test_writing_the_file_again_changes_no_byte(stored, tmp_path, monkeypatch):
    before = experiments.FILE.read_text("utf-8")
    metrics = ("epoch", "val_loss", "test_loss", "final_test_loss")
    table = {
        "plan": stored.plan,
        "provenance": stored.provenance,
        "metrics": list(metrics),
        "runs": [
            [
                *(row[k] for k in ("data", "variant", "seed", "seconds")),
                *(row[k] for k in metrics),
            ]
            for row in sorted(
                stored.results.rows,
                key=lambda row: (
                    list(experiments.TASKS).index(row["data"]),
                    list(experiments.VARIANTS).index(row["variant"]),
                    row["seed"],
                ),
            )
        ],
    }
    monkeypatch.setattr(experiments, "FILE", tmp_path / "runs.json")
    experiments.save(table)
    assert experiments.FILE.read_text("utf-8") == before


@pytest.fixture(scope="module")
def small():
    """A tiny task, prepared once."""
    with pytest.MonkeyPatch.context() as patch:
        size = {"units": 3, "step": 1e-2, "epochs": 2, "batch": 4}
        patch.setitem(experiments.TASKS, "weather", size)
        experiments._kept.cache_clear()
        (x, y), *_ = experiments.weather()
        data = tuple((x[k : k + 10], y[k : k + 10]) for k in (0, 10, 20))

        def run(method, rate, seed=0):
            variant = {"method": method, "rate": rate}
            return experiments.train("weather", seed=seed, data=data, **variant)

        yield run, data
        experiments._kept.cache_clear()


def test_a_run_depends_on_its_seed_and_rate_and_not_on_earlier_runs(small):
    run, _ = small
    first = run("Gal tied", 0.5)
    others = [run("Gal tied", 0.2), run("Gal tied", 0.5, seed=1)]
    assert run("Gal tied", 0.5) == first and first not in others


def test_without_dropout_a_run_is_keras_own_training(small):
    run, (training, validation, test) = small
    result = run("none", 0.0, seed=3)
    model = experiments.network("weather", "none", 0.0)
    model.set_weights(experiments.initial_weights("weather", 3))
    settings = experiments.TASKS["weather"]
    model.compile(keras.optimizers.Adam(settings["step"]), "mse")
    shuffle, losses = np.random.default_rng(3), []
    for _ in range(settings["epochs"]):
        for rows in shuffle.permutation(10)[:8].reshape(-1, 4):
            model.train_on_batch(training[0][rows], training[1][rows])
        losses.append(
            [model.evaluate(*p, verbose=0) for p in (validation, test)]
        )
    best = int(np.argmin([loss for loss, _ in losses]))
    assert result["epoch"] == best + 1
    expected = [*losses[best], losses[-1][1]]
    found = [result[k] for k in ("val_loss", "test_loss", "final_test_loss")]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
