"""The stored times: quotients of medians, and what was disturbed."""

import pytest

from dropkit import data
from dropkit.data.speed import LOAD_LIMIT

WHERE = dict.fromkeys(
    ["date", "device", "cores", "threads", "rounds", "python"]
    + ["tensorflow", "keras", "numpy", "torch"],
    "1",
)


def row(median, load=0.0):
    return {"label": "a row", "median": median, "load": load}


@pytest.fixture
def measured():
    rows = {"keras": row(30.0), "ours": row(10.0), "other": row(20.0)}
    rows["busy"] = row(5.0, load=LOAD_LIMIT + 0.1)
    task = {"shape": [1, 2, 3, 4], "rows": rows, "where": WHERE}
    longer = {**task, "where": {**WHERE, "rounds": "2"}}
    later = {**task, "where": {**WHERE, "torch": None}}
    return data.Benchmark(
        "here", {"training/A": task, "training/B": longer, "fit/A": later}
    )


def test_a_ratio_divides_by_the_fastest(measured):
    assert measured.ratio("training/A", "keras", "ours").value == 3.0
    assert measured.ratio("training/A", "keras", "ours", "other").value == 3.0
    assert str(measured.ratio("training/A", "keras", "other")) == "1.50"


def test_a_ratio_with_a_disturbed_row_says_so(measured):
    assert str(measured.ratio("training/A", "keras", "busy")) == "6.00†"
    assert measured.ratio("training/A", "busy", "keras").is_disturbed
    assert not measured.ratio("training/A", "keras", "ours").is_disturbed
    # The fastest counts, and the busy row was the fastest.
    assert measured.ratio("training/A", "keras", "ours", "busy").is_disturbed


def test_what_was_not_measured_has_no_ratio(measured):
    assert measured.ratio("training/C", "keras", "ours") is None
    assert measured.ratio("training/A", "torch", "ours") is None
    assert measured.ratio("training/A", "keras", "torch") is None
    assert measured.section("memory") == {}


def test_sections_and_machines(measured):
    assert list(measured.section("training")) == ["A", "B"]
    with_torch, without = measured.machine
    assert "1 or 2 rounds" in with_torch and "1 rounds" in without
    assert with_torch.endswith("torch 1") and without.endswith("torch absent")


def test_the_stored_rows_say_what_measured_them():
    for measured in data.benchmark():
        assert measured.section("training") and measured.machine
        assert str(len(measured.tasks)) in repr(measured)
        for task in measured.tasks.values():
            assert len(task["shape"]) == 4 and task["rows"]
            assert set(WHERE) == set(task["where"])
            assert all(row["label"] for row in task["rows"].values())
