"""The benchmark's tables, from the JSON files in ``benchmarks/results``."""

from __future__ import annotations

import json
import pathlib
import shutil

from dropkit.data.speed import FLAG, LOAD_LIMIT, Benchmark, is_disturbed

HERE = pathlib.Path(__file__).resolve().parent
README = HERE / "README.md"
RESULTS = HERE / "results"
# The book reads the results from the package.
COPY = HERE.parent / "dropkit/data/benchmark"
BEGIN, END = "<!-- begin: generated -->", "<!-- end: generated -->"


def mark(row: dict) -> str:
    return FLAG * is_disturbed(row)


def table(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def time(row: dict) -> str:
    """Median and quartiles of a row."""
    values = (row[key] for key in ("median", "q25", "q75"))
    return "{:.1f} ({:.1f}–{:.1f})".format(*values) + mark(row)


def heading(name: str, task: dict) -> str:
    return f"{name} ({', '.join(map(str, task['shape']))})"


def times(tasks: dict) -> str:
    """Rows of several tasks side by side."""
    labels = {
        name: row["label"]
        for task in tasks.values()
        for name, row in task["rows"].items()
    }
    body = []
    for name, label in labels.items():
        rows = [task["rows"].get(name) for task in tasks.values()]
        body.append([label, *("–" if r is None else time(r) for r in rows)])
    return table(["ms", *(heading(*item) for item in tasks.items())], body)


FASTER = [
    ("tied: times faster than Keras", "keras", "tied"),
    ("untied: times faster than Keras", "keras", "untied"),
    ("tied: times faster than Keras, `jit_compile`", "keras_jit", "tied"),
    ("untied: times faster than Keras, `jit_compile`", "keras_jit", "untied"),
]
COSTS = [
    (
        "tied: cost / fastest TensorFlow LSTM without dropout",
        "tied",
        "plain",
        "plain_jit",
        "block",
    ),
    ("tied: cost / `torch.nn.LSTM` without dropout", "tied", "torch"),
    ("tied: cost / matrix products alone", "tied", "products"),
    ('`per="batch"`: cost / per sample', "per_batch", "tied"),
    ("WeightDrop: cost / tied", "weight_drop", "tied"),
]
METHODS = [
    (f"{label}: times faster than Keras", "keras", name)
    for label, name in (
        ('`over="step"`', "per_step"),
        ("WeightDrop", "weight_drop"),
        ("Semeniuta", "semeniuta"),
        ("Moon", "moon"),
        ("Zoneout", "zoneout"),
    )
]
INFERENCE = [
    ("tied: cost / Keras without dropout", "tied", "plain"),
    ("untied: cost / Keras without dropout", "untied", "plain"),
    ("Keras with dropout: cost / without", "keras", "plain"),
]
FIT = [
    *FASTER[:2],
    ("tied, fixed batch size: times faster", "keras", "tied_fixed"),
    ("untied, fixed batch size: times faster", "keras", "untied_fixed"),
    ("tied, both `jit_compile`: times faster", "keras_jit", "tied_jit"),
    ("untied, both `jit_compile`: times faster", "keras_jit", "untied_jit"),
    ("tied: cost / Keras without dropout", "tied", "plain"),
]


def ratios(tasks: dict, lines: list[tuple]) -> str:
    of = Benchmark("", tasks).ratio
    body = [
        [label, *(str(of(task, *names) or "–") for task in tasks)]
        for label, *names in lines
    ]
    body = [line for line in body if set(line[1:]) != {"–"}]
    return table(["ratio", *(heading(*item) for item in tasks.items())], body)


def memory(tasks: dict) -> str:
    """Growth of the peak for each time step, from two lengths."""
    peaks = {}
    for task in tasks.values():
        for name, row in task["rows"].items():
            peaks.setdefault((name, row["label"]), []).append(
                (task["shape"][1], row["peak"])
            )
    growth = {}
    for name, points in peaks.items():
        (short, low), (long, high) = min(points), max(points)
        if long > short:
            growth[name] = 1024 * (high - low) / (long - short)
    stock = next((g for (n, _), g in growth.items() if n == "keras"), None)
    body = [
        [label, f"{value:.0f}", f"{value / stock:.2f}" if stock else "–"]
        for (_, label), value in growth.items()
    ]
    return table(["growth of the peak", "KB / step", "/ Keras"], body)


def first_calls(tasks: dict) -> str:
    body = []
    for name in ("keras", "keras_jit", "plain", "plain_jit", "tied", "untied"):
        rows = [task["rows"].get(name) for task in tasks.values()]
        labels = [row["label"] for row in rows if row]
        if labels:
            seconds = (f"{r['first_call']:.1f}" if r else "–" for r in rows)
            body.append([labels[0], *seconds])
    return table(["s", *tasks], body)


def ragged(tasks: dict) -> str:
    parts = []
    for task in tasks.values():
        parts.append(
            f"24 batches of {task['lengths']} different lengths up to "
            f"{task['shape'][1]}, seconds an epoch:\n"
        )
        body = [
            [
                row["label"],
                f"{row['first_epoch']:.1f}",
                f"{row['median']:.2f}{mark(row)}",
            ]
            for row in task["rows"].values()
        ]
        parts.append(table(["s", "first epoch", "later epochs"], body))
    return "\n".join(parts)


def engines(tasks: dict) -> str:
    """What the layers themselves say about their loops."""
    body = [
        [name, *(task["rows"][row]["engine"] for row in ("tied", "untied"))]
        for name, task in tasks.items()
    ]
    return table(["`layer.engine`", "tied", "untied"], body)


SECTIONS = [
    ("training", "Training step", [times]),
    ("training", "Ratios", [lambda t: ratios(t, FASTER + COSTS + METHODS)]),
    ("training", "What ran", [engines]),
    ("training", "First call, with tracing and compiling", [first_calls]),
    ("parts", "Where the time of a training step goes", [times]),
    (
        "cells",
        "GRU and SimpleRNN, training step",
        [
            times,
            lambda t: ratios(t, FASTER + COSTS[3:] + METHODS),
        ],
    ),
    (
        "inference",
        "Inference of a layer with dropout",
        [times, lambda t: ratios(t, INFERENCE)],
    ),
    (
        "fit",
        "`model.fit`, one step with optimizer and Dense layer",
        [times, lambda t: ratios(t, FIT)],
    ),
    ("ragged", "Ragged lengths under `model.fit`", [ragged]),
    ("memory", "Memory of a training step", [memory]),
]


def describe(results: dict) -> str:
    """All tables of one JSON file."""
    measured = Benchmark("", results)
    parts = ["\n".join("- " + line for line in measured.machine) + "\n"]
    rows = [row for task in results.values() for row in task["rows"].values()]
    loads = [row["load"] for row in rows if "load" in row]
    disturbed = sum(map(is_disturbed, rows))
    if loads:
        parts.append(
            f"Other processes used {max(loads):.2f} cores at most beside a "
            f"row; {disturbed} of {len(loads)} rows are flagged ({FLAG}: more "
            f"than {LOAD_LIMIT}) and show nothing.\n"
        )
    for section, title, makers in SECTIONS:
        tasks = measured.section(section)
        if tasks:
            parts += [f"### {title}\n", *(make(tasks) for make in makers)]
    return "\n".join(parts)


def generated(folder: pathlib.Path = RESULTS) -> str:
    """Everything between the markers."""
    files = {path.stem: path for path in sorted(folder.glob("*.json"))}
    parts = [
        f"## {name}\n\n" + describe(json.loads(path.read_text("utf-8")))
        for name, path in files.items()
    ]
    if not any(name.startswith("gpu") for name in files):
        parts.append("## GPU\n\nNot measured.\n")
    return f"{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}"


def write() -> None:
    """Writes the tables into README.md and the results into the package."""
    text = README.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(before + generated() + after, encoding="utf-8")
    for path in RESULTS.glob("*.json"):
        shutil.copyfile(path, COPY / path.name)
