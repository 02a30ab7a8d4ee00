"""The benchmark runs, checks what it times, and its tables are generated."""

import importlib
import json
import subprocess
import sys
import types

import project
import pytest

FOLDER = project.ROOT / "benchmarks"
# Every kind of row and of reference; compiling the others takes minutes.
ROWS = (
    "plain",
    "block",
    "products",
    "tied",
    "tied_loop_2",
    "untied",
    "per_batch",
    "weight_drop",
    "zoneout",
)


@pytest.fixture
def module(monkeypatch):
    pytest.importorskip("psutil")
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


@pytest.fixture
def problem(module):
    return module("rows").Problem((4, 5, 3, 4))


def test_rows_compute_what_they_are_compared_with(module, problem):
    rows, tasks = module("rows"), module("tasks")
    table = {name: rows.TRAINING[name] for name in ROWS}
    steps, results = tasks.build(table, problem)
    times = tasks.measure(steps, rounds=2, burst=0)
    assert set(steps) == set(results) == set(times) == set(ROWS)
    for name in ROWS:
        assert (table[name].reference is None) == (
            "difference" not in results[name]
        )
        assert times[name]["q25"] <= times[name]["median"]
        assert times[name]["n"] == 2 and times[name]["load"] >= 0
    assert results["tied_loop_2"]["engine"].startswith("training: chosen by")


def test_a_row_that_computes_something_else_stops_the_run(module, problem):
    rows, tasks = module("rows"), module("tasks")
    wrong = rows.Row("wrong", rows.stock(use_bias=True), rows.ours(rows.TIED))
    with pytest.raises(AssertionError, match="wrong computes something else"):
        tasks.build({"wrong": wrong}, problem)


def test_the_command_measures_and_keeps_other_results(tmp_path):
    pytest.importorskip("psutil")
    output = tmp_path / "cpu.json"
    output.write_text('{"other": {}}')
    command = [sys.executable, str(FOLDER / "recurrent.py"), "--tiny"]
    command += ["--rounds", "1", "--burst", "0", "--only", "inference/A"]
    subprocess.run([*command, "--output", str(output)], check=True)
    results = json.loads(output.read_text("utf-8"))
    assert set(results) == {"other", "inference/A"}
    task = results["inference/A"]
    assert {"plain", "tied"} < set(task["rows"])
    assert task["where"]["threads"] == 2


def test_every_other_task_runs(module, problem):
    rows, tasks, recurrent = (
        module("rows"),
        module("tasks"),
        module("recurrent"),
    )
    options = recurrent.parse(["--tiny", "--rounds", "1", "--burst", "0"])
    epochs = tasks.fit_rows(problem)
    chosen = {name: epochs[name] for name in ("tied", "tied_fixed")}
    fitted = tasks.timed(chosen, problem, options, tasks.in_epoch)
    assert set(fitted["rows"]) == set(chosen)
    for name in recurrent.MEMORY_ROWS:
        assert name in rows.TRAINING
    assert set(rows.other_cells("GRU")) > set(rows.other_cells("SimpleRNN"))


def test_a_step_of_fit_leaves_out_the_first_batch(module):
    tasks = module("tasks")

    def step():
        ends = range(100, 100 + 2 * tasks.FIT_STEPS, 2)
        step.epoch = types.SimpleNamespace(times=[0.0, *ends])

    assert tasks.in_epoch(step) == 2000


def row(label, median, load=0.0, **more):
    quartiles = {"q25": median - 1, "q75": median + 1}
    return {"label": label, "median": median, "load": load, **quartiles, **more}


def test_the_report_divides_and_flags(module):
    report = module("report")
    more = {"first_call": 1.0, "engine": "loop"}
    task = {
        "shape": [1, 2, 3, 4],
        "rows": {
            "keras": row("Keras", 30.0, **more),
            "tied": row("tied", 10.0, **more),
            "untied": row("untied", 20.0, load=0.5, **more),
        },
        "where": dict.fromkeys(
            [
                "date",
                "device",
                "cores",
                "threads",
                "rounds",
                "python",
                "tensorflow",
            ]
            + ["keras", "numpy", "torch"]
        ),
    }
    text = report.describe({"training/A": task})
    assert "| tied: times faster than Keras | 3.00 |" in text
    assert "| untied: times faster than Keras | 1.50† |" in text
    assert "| untied | 20.0 (19.0–21.0)† |" in text
    assert "1 of 3 rows are flagged" in text
    assert "torch.nn" not in text


def test_memory_growth_is_the_slope(module):
    report = module("report")
    tasks = {
        f"keras/{steps}": {
            "shape": [1, steps, 3, 4],
            "rows": {"keras": {"label": "Keras", "peak": 100 + steps}},
        }
        for steps in (100, 500)
    }
    assert "| Keras | 1024 | 1.00 |" in report.memory(tasks)


def test_the_tables_in_the_readme_are_generated(module):
    report = module("report")
    text = report.README.read_text("utf-8")
    assert report.generated() in text, (
        "run: python benchmarks/recurrent.py --table"
    )


def test_the_book_reads_these_results(module):
    report = module("report")

    def contents(folder):
        return {path.name: path.read_bytes() for path in folder.glob("*.json")}

    assert contents(report.RESULTS)
    assert contents(report.COPY) == contents(report.RESULTS), (
        "run: python benchmarks/recurrent.py --table"
    )


def test_writing_the_tables_copies_the_results(module, monkeypatch, tmp_path):
    report = module("report")
    readme = tmp_path / "README.md"
    readme.write_text(f"before {report.BEGIN} old {report.END} after", "utf-8")
    monkeypatch.setattr(report, "README", readme)
    monkeypatch.setattr(report, "COPY", tmp_path)
    report.write()
    assert readme.read_text("utf-8") == f"before {report.generated()} after"
    for path in report.RESULTS.glob("*.json"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
