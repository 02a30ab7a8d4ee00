"""The table of an experiment."""

import csv
import os
from collections.abc import Iterable

from dropkit.experiment.comparison import Comparison, compare


class Results:
    """The runs of an experiment; printing them counts them.

    `pandas.DataFrame(results.rows)` is the table in pandas.

    Attributes:
        records: List of dicts, all that is known of each run.
        rows: List of dicts, one a finished run: `variant`, `data`, `seed`,
            `seconds` and the metrics.
        failures: List of dicts, one a failed run: `variant`, `data`, `seed`,
            `error` and `traceback`.
    """

    def __init__(self, records: Iterable[dict]):
        self.records = sorted(
            records, key=lambda r: (r["order"][::-1], r["seed"])
        )

    @property
    def rows(self) -> list[dict]:
        names = ("variant", "data", "seed", "seconds")
        return [
            {name: record[name] for name in names} | record["metrics"]
            for record in self.records
            if record["status"] == "done"
        ]

    @property
    def failures(self) -> list[dict]:
        names = ("variant", "data", "seed", "error", "traceback")
        return [
            {name: record[name] for name in names}
            for record in self.records
            if record["status"] == "failed"
        ]

    def values(
        self, metric: str, data: str | None = None
    ) -> dict[str, list[float]]:
        """Returns a metric by variant, one value a seed, in the seeds' order.

        Only seeds that all variants finished count, so that the values can be
        paired, as `dropkit.plot.paired` does.

        Args:
            metric: String, the metric's name.
            data: Name of the data set; may be left out if there is one.
        Returns:
            Dict from a variant's name to its values.
        Raises:
            ValueError: if the metric or the data set isn't there; the message
                ends `Received: ...`.
        """
        table = self.by_seed(metric, data)
        common = set.intersection(*(set(values) for values in table.values()))
        return {
            variant: [values[seed] for seed in sorted(common)]
            for variant, values in table.items()
        }

    def compare(
        self,
        metric: str,
        baseline: str,
        data: str | None = None,
        confidence: float = 0.95,
    ) -> Comparison:
        """Compares each variant with a baseline over the same seeds.

        The interval is Student's, for the mean of the differences of equal
        seeds. It is right for one comparison: with k of them, a `confidence`
        of `1 - 0.05 / k` keeps 95 % for all together.

        Args:
            metric: String, the metric's name.
            baseline: Name of the variant that the others are compared with.
            data: Name of the data set; may be left out if there is one.
            confidence: Float between 0 and 1.
        Returns:
            A `Comparison`.
        Raises:
            ValueError: if the metric, the baseline or the data set isn't
                there; the message ends `Received: ...`.
        """
        table = self.by_seed(metric, data)
        if not table.get(baseline):
            raise ValueError(
                "Invalid value received for argument `baseline`. Expected a "
                f"variant with finished runs: {[v for v in table if table[v]]}."
                f" Received: baseline={baseline!r}"
            )
        name = self._data(data)
        records = [r for r in self.records if r["data"] == name]
        return compare(table, records, metric, baseline, name, confidence)

    def by_seed(
        self, metric: str, data: str | None = None
    ) -> dict[str, dict[int, float]]:
        """Returns a metric of all finished runs, by variant and seed.

        Args:
            metric: String, the metric's name.
            data: Name of the data set; may be left out if there is one.
        Returns:
            Dict from a variant's name to its values by seed; variants that
            finished no run are empty.
        Raises:
            ValueError: if the metric or the data set isn't there; the message
                ends `Received: ...`.
        """
        name = self._data(data)
        records = [r for r in self.records if r["data"] == name]
        table: dict = {record["variant"]: {} for record in records}
        for record in records:
            if record["status"] != "done":
                continue
            if metric not in record["metrics"]:
                raise ValueError(
                    "Invalid value received for argument `metric`. Expected "
                    f"one of {list(record['metrics'])}. "
                    f"Received: metric={metric!r}"
                )
            table[record["variant"]][record["seed"]] = record["metrics"][metric]
        return table

    def to_csv(self, path: str | os.PathLike) -> None:
        """Writes `rows` to a file of comma-separated values.

        Args:
            path: The file's path.
        """
        rows = self.rows
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with open(path, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    def _data(self, name: str | None) -> str:
        names = list(dict.fromkeys(record["data"] for record in self.records))
        if name is None and len(names) == 1:
            return names[0]
        if name not in names:
            raise ValueError(
                "Invalid value received for argument `data`. Expected one of "
                f"{names}. Received: data={name!r}"
            )
        return name

    def __repr__(self) -> str:
        rows = self.rows
        metrics = dict.fromkeys(
            name
            for record in self.records
            for name in record.get("metrics", {})
        )
        return (
            f"Results({len(rows)} of {len(self.records)} runs done; "
            f"metrics: {', '.join(metrics)})"
        )
