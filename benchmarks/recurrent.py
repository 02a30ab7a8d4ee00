"""The speed of recurrent dropout.

    python benchmarks/recurrent.py                      measures everything
    python benchmarks/recurrent.py --only "training/*"  measures a part
    python benchmarks/recurrent.py --table              writes README.md and
                                                        the package's copy

Each task is a process of its own. It compares every row with its reference,
then times all rows in interleaved rounds, A to Z and Z to A. Results go to
one JSON file in ``benchmarks/results``; a part replaces its own entries.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Batch, time, features, units.
SHAPES = {
    "A": (32, 100, 64, 128),
    "B": (64, 35, 200, 200),
    "C": (128, 50, 32, 64),
    "D": (32, 500, 16, 32),
    "E": (20, 35, 650, 650),
}
TINY = dict.fromkeys(SHAPES, (4, 5, 3, 4))
MEMORY_ROWS = ("keras", "plain", "tied", "untied", "tied_loop_1")
MEMORY_STEPS = (100, 500)
TASKS = [
    *(f"training/{shape}" for shape in SHAPES),
    *(f"parts/{shape}" for shape in SHAPES),
    *(f"cells/{kind}" for kind in ("GRU", "SimpleRNN")),
    *(f"inference/{shape}" for shape in SHAPES),
    *(f"fit/{shape}" for shape in ("A", "C")),
    "ragged/A",
    *(f"memory/{row}/{steps}" for row in MEMORY_ROWS for steps in MEMORY_STEPS),
]


def parse(arguments=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--table", action="store_true", help="write README.md from the results")
    add("--only", default="*", help="pattern of the tasks to run")
    add("--rounds", type=int, default=11)
    add("--burst", type=float, default=0.12, help="seconds a row and round")
    add("--threads", type=int, default=2)
    add("--device", choices=("cpu", "gpu"), default="cpu")
    add("--tiny", action="store_true", help="tiny shapes: does it run?")
    add("--output", type=pathlib.Path, help="JSON file")
    add("--task", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.output is None:
        name = "gpu" if options.device == "gpu" else "cpu"
        name = f"{name}-{options.threads}-threads.json"
        options.output = HERE / "results" / name
    return options


def run_task(options) -> dict:
    """Runs one task in this process."""
    import tasks
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    return tasks.run(options, TINY if options.tiny else SHAPES)


def start_task(options, task) -> dict:
    """Runs one task in a new process."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Idle threads of torch would keep the cores from the others.
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "OMP_NUM_THREADS": str(options.threads),
    }
    if options.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    if task.startswith("memory/"):
        # glibc returns large blocks at once, so that its slack is not measured:
        # that differs from run to run.
        environment["MALLOC_MMAP_THRESHOLD_"] = str(2**18)
    command = [sys.executable, str(HERE / "recurrent.py"), "--task", task]
    command += ["--rounds", str(options.rounds), "--burst", str(options.burst)]
    command += ["--threads", str(options.threads), "--device", options.device]
    command += ["--tiny"] * options.tiny
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, check=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments=None) -> None:
    options = parse(arguments)
    if options.table:
        import report

        report.write()
        return
    if options.task:
        print(json.dumps(run_task(options)))
        return
    selected = fnmatch.filter(TASKS, options.only)
    if not selected:
        sys.exit(f"No task matches {options.only!r}. There are: {TASKS}")
    results = {}
    if options.output.exists():
        results = json.loads(options.output.read_text("utf-8"))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    for number, task in enumerate(selected, 1):
        print(f"[{number}/{len(selected)}] {task}", file=sys.stderr, flush=True)
        results[task] = start_task(options, task)
        options.output.write_text(
            json.dumps(results, indent=1) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
