"""How fast recurrent dropout is, as `benchmarks/recurrent.py` measured it."""

import dataclasses
import json
from importlib import resources

# Cores that other processes may use before a row is disturbed.
LOAD_LIMIT = 0.2
# What marks a disturbed row in tables.
FLAG = "†"


def is_disturbed(row: dict) -> bool:
    """Whether other processes kept the machine busy while a row ran."""
    return row.get("load", 0.0) > LOAD_LIMIT


@dataclasses.dataclass(frozen=True)
class Ratio:
    """How many times one row took as long as another.

    Args:
        value: The quotient of the medians.
        is_disturbed: Whether either row was; then it shows nothing.
    """

    value: float
    is_disturbed: bool

    def __str__(self) -> str:
        return f"{self.value:.2f}" + FLAG * self.is_disturbed


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Benchmark:
    """What was measured on one machine.

    Args:
        name: The device and the number of threads, as `"cpu-2-threads"`.
        tasks: Dict from a task, as `"training/A"`, to its `shape` (batch,
            time, features, units), its `rows` and `where` it ran. A row has
            its `label`, and in ms its `median`, `q25` and `q75`.
    """

    name: str
    tasks: dict[str, dict]

    def __repr__(self) -> str:
        return f"<Benchmark {self.name}: {len(self.tasks)} tasks>"

    @property
    def machine(self) -> list[str]:
        """Date, device, threads and versions; one line a different answer."""
        rounds = {}
        for task in self.tasks.values():
            where = {**task["where"]}
            where["torch"] = where["torch"] or "absent"
            line = (
                "{date}: {device}, {cores} cores; {threads} threads, {{}} "
                "rounds; Python {python}, TensorFlow {tensorflow}, Keras "
                "{keras}, NumPy {numpy}, torch {torch}".format(**where)
            )
            rounds.setdefault(line, set()).add(where["rounds"])
        return [
            line.format(" or ".join(map(str, sorted(numbers))))
            for line, numbers in rounds.items()
        ]

    def section(self, name: str) -> dict[str, dict]:
        """Returns the tasks of a section.

        Args:
            name: As `"training"`.
        Returns:
            Dict from what follows the section's name, as `"A"`, to the task;
            empty if it was not measured.
        """
        return {
            task.partition("/")[2]: result
            for task, result in self.tasks.items()
            if task.startswith(name + "/")
        }

    def ratio(self, task: str, over: str, *under: str) -> Ratio | None:
        """Returns how many times `over` took as long as the fastest `under`.

        Args:
            task: As `"training/A"`.
            over: Name of a row, as `"keras"`.
            *under: Names of rows.
        Returns:
            A `Ratio`; None if the rows were not measured.
        Example:
            >>> from dropkit import data
            >>> cpu = data.benchmark()[0]
            >>> cpu.ratio("training/A", "keras", "tied").value > 1
            True
        """
        rows = self.tasks.get(task, {}).get("rows", {})
        present = [rows[name] for name in under if name in rows]
        if over not in rows or not present:
            return None
        fastest = min(present, key=lambda row: row["median"])
        return Ratio(
            rows[over]["median"] / fastest["median"],
            is_disturbed(rows[over]) or is_disturbed(fastest),
        )


def benchmark() -> list[Benchmark]:
    """Loads the measured times of training, inference and memory.

    `benchmarks/README.md` has the protocol and all tables.

    Returns:
        One `Benchmark` for each machine.
    Example:
        >>> from dropkit import data
        >>> data.benchmark()[0].tasks["training/A"]["shape"]
        [32, 100, 64, 128]
    """
    folder = resources.files(__package__) / "benchmark"
    files = sorted(
        (path for path in folder.iterdir() if path.name.endswith(".json")),
        key=lambda path: path.name,
    )
    return [
        Benchmark(
            path.name.removesuffix(".json"), json.loads(path.read_text("utf-8"))
        )
        for path in files
    ]
