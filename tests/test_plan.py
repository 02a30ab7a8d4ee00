"""Each reason for each plan."""

import os

import pytest
import tensorflow as tf

from dropkit import plan


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [])
    monkeypatch.setattr(tf, "executing_eagerly", lambda: False)


LARGE = {"time": 100, "batch": 32, "units": 128, "compiled_before": 0}


@pytest.mark.parametrize(
    "sizes, parts, compiled, why",
    [
        ({}, 2, True, "two halves"),
        ({"batch": 33}, 2, True, "two halves"),
        ({"batch": 14, "time": 300}, 1, True, "the whole batch"),
        ({"batch": None}, 2, True, "two halves"),
        ({"units": 512}, 1, True, "fill all cores"),
        ({"hand_written": False}, 1, False, "gradient is automatic"),
        ({"time": None}, 1, False, "steps is not fixed"),
        ({"time": 2}, 1, False, "too small"),
        ({"compiled_before": 8}, 1, False, "too many shapes"),
        ({"compiled_before": 7}, 2, True, "two halves"),
    ],
)
def test_sizes_decide(sizes, parts, compiled, why):
    chosen = plan.choose(**{**LARGE, **sizes})
    assert (chosen.parts, chosen.compiled) == (parts, compiled)
    assert why in chosen.why


@pytest.mark.parametrize("cores", [1, None])
def test_one_core_runs_one_loop(monkeypatch, cores):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert plan.choose(**LARGE).parts == 1


def test_eager_mode_compiles_nothing(monkeypatch):
    monkeypatch.setattr(tf, "executing_eagerly", lambda: True)
    chosen = plan.choose(**LARGE)
    assert chosen == plan.Plan(1, False, "plain loop: not inside a tf.function")


def test_a_gpu_compiles_the_whole_batch(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["GPU"])
    chosen = plan.choose(**LARGE)
    assert (chosen.parts, chosen.compiled) == (1, True)
    assert "GPU" in chosen.why


def test_what_is_compiled_around_it_is_known():
    """Compiled once more inside, a step would take seconds at each call."""
    seen = []

    def function(x):
        seen.append(plan.in_xla())
        inner = tf.function(lambda y: seen.append(plan.in_xla()) or y + 1)
        return inner(x)

    tf.function(function)(tf.zeros(1))
    assert seen == [False, False]
    seen.clear()
    tf.function(function, jit_compile=True)(tf.zeros(1))
    assert seen == [True, True]
    assert not plan.in_xla()


def test_a_compiled_step_is_not_compiled_again(monkeypatch):
    monkeypatch.setattr(plan, "in_xla", lambda: True)
    for sizes in ({}, {"time": None}, {"units": 512}, {"compiled_before": 8}):
        chosen = plan.choose(**{**LARGE, **sizes})
        assert (chosen.parts, chosen.compiled) == (1, False)
        assert "the whole step" in chosen.why
