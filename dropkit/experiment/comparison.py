"""What the seeds say: differences by pairs, with their intervals."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike


def interval(
    values: ArrayLike, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Student's interval for the mean of independent values.

    Args:
        values: Array, its first axis the runs: two or more.
        confidence: Float between 0 and 1.
    Returns:
        Tuple `(low, high)` of arrays of the other axes' shape.
    Raises:
        ValueError: if there are fewer than two runs, or `confidence` isn't
            between 0 and 1; the message ends `Received: ...`.
    Example:
        >>> from dropkit import experiment
        >>> low, high = experiment.interval([1.0, 2.0, 3.0])
        >>> print(f"{low:.2f} to {high:.2f}")
        -0.48 to 4.48
    """
    # Only intervals need SciPy.
    from scipy import stats

    values = np.asarray(values, dtype=float)
    if values.ndim < 1 or len(values) < 2:
        raise ValueError(
            "Invalid value received for argument `values`. Expected two or "
            f"more runs. Received: shape {values.shape}"
        )
    if not 0 < confidence < 1:
        raise ValueError(
            "Invalid value received for argument `confidence`. Expected a "
            "number between 0 and 1. "
            f"Received: confidence={confidence!r}"
        )
    n, mean = len(values), values.mean(axis=0)
    half = stats.t.ppf((1 + confidence) / 2, n - 1) / math.sqrt(n)
    half = half * values.std(axis=0, ddof=1)
    return mean - half, mean + half


@dataclasses.dataclass(frozen=True)
class Difference:
    """One variant minus the baseline.

    Args:
        variant: Name of the variant.
        mean: Mean of the variant's own values over the pairs.
        values: Tuple with the difference of each seed that both finished.
        low: Lower end of the interval of the mean difference; `nan` below
            two pairs.
        high: Its upper end.
    """

    variant: str
    mean: float
    values: tuple[float, ...]
    low: float
    high: float

    @property
    def difference(self) -> float:
        """The mean difference."""
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def reading(self) -> str:
        """What the interval says; "no difference seen" if it holds 0."""
        if len(self.values) < 2:
            return "too few seeds"
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return "not finite"
        if self.low <= 0 <= self.high:
            return "no difference seen"
        return "lower" if self.high < 0 else "higher"


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison:
    """Variants against a baseline; printing it shows the table.

    Args:
        metric: Name of the metric.
        baseline: Name of the baseline.
        data: Name of the data set.
        confidence: Float, that of the intervals.
        baseline_values: Tuple with the baseline's value of each seed.
        rows: Tuple with a `Difference` for each other variant.
        notes: Tuple of strings, what else a reader must know.
    """

    metric: str
    baseline: str
    data: str
    confidence: float
    baseline_values: tuple[float, ...]
    rows: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    @property
    def finding(self) -> str:
        """One line that says how many variants differ."""
        readings = [row.reading for row in self.rows]
        counts = [f"{readings.count(r)} {r}" for r in dict.fromkeys(readings)]
        return f"{self.metric} against {self.baseline}: {', '.join(counts)}"

    @property
    def alt(self) -> str:
        """The figure in words."""
        groups: dict = {}
        for row in self.rows:
            groups.setdefault(row.reading, []).append(row.variant)
        start = (
            f"Differences of {self.metric} to {self.baseline} on {self.data}, "
            f"each with its {100 * self.confidence:.4g} % interval. "
        )
        named = "; ".join(f"{k}: {', '.join(v)}" for k, v in groups.items())
        # A description for the ear: long lists stay in the table.
        if len(start) + len(named) > 280:
            named = "; ".join(f"{k}: {len(v)}" for k, v in groups.items())
        return f"{start}{named}."

    def summary(self) -> str:
        """Returns the table as text."""
        percent = f"{100 * self.confidence:.4g} %"
        head = (
            "variant",
            "pairs",
            "mean",
            "difference",
            f"{percent} t interval",
            "reading",
        )
        own = np.mean(self.baseline_values)
        table = [
            head,
            (
                self.baseline,
                str(len(self.baseline_values)),
                f"{own:.4g}",
                "",
                "",
                "baseline",
            ),
        ]
        for row in self.rows:
            ends = f"{row.low:+.3g} to {row.high:+.3g}"
            table.append(
                (
                    row.variant,
                    str(len(row.values)),
                    f"{row.mean:.4g}",
                    f"{row.difference:+.3g}",
                    ends if math.isfinite(row.low) else "",
                    row.reading,
                )
            )
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [f"{self.metric} on {self.data}, paired by seed"]
        for cells in table:
            padded = [
                cell.rjust(width) if 0 < k < 4 else cell.ljust(width)
                for k, (cell, width) in enumerate(
                    zip(cells, widths, strict=True)
                )
            ]
            lines.append("  ".join(padded).rstrip())
        return "\n".join([*lines, *self.notes])

    __repr__ = summary

    def plot(self, title: str | None = None, axes=None):
        """Draws the differences, by `dropkit.plot.differences`.

        Args:
            title: String, the finding; default: how many variants differ.
            axes: Matplotlib axes to draw into; default: a new figure.
        Returns:
            The new figure, or `axes` where given. `alt` describes it.
        """
        from dropkit import plot

        return plot.differences(
            {row.variant: row.values for row in self.rows},
            intervals={row.variant: (row.low, row.high) for row in self.rows},
            title=self.finding if title is None else title,
            xlabel=f"difference of {self.metric}",
            baseline=self.baseline,
            interval=f"{100 * self.confidence:.4g} % t-interval",
            axes=axes,
        )


def compare(
    table: Mapping[str, Mapping[int, float]],
    records: Sequence[dict],
    metric: str,
    baseline: str,
    data: str,
    confidence: float,
) -> Comparison:
    """Pairs each variant of a table with the baseline, seed by seed."""
    base = table[baseline]
    rows = []
    for variant, values in table.items():
        if variant == baseline:
            continue
        seeds = [seed for seed in base if seed in values]
        differences = tuple(values[seed] - base[seed] for seed in seeds)
        low, high = math.nan, math.nan
        if len(seeds) > 1:
            low, high = map(float, interval(differences, confidence))
        mean = np.mean([values[s] for s in seeds]) if seeds else math.nan
        rows.append(Difference(variant, float(mean), differences, low, high))
    return Comparison(
        metric,
        baseline,
        data,
        confidence,
        tuple(base.values()),
        tuple(rows),
        tuple(_notes(records, rows)),
    )


def _notes(records: Sequence[dict], rows: Sequence[Difference]):
    done = [r for r in records if r["status"] == "done"]
    if len(rows) > 1:
        yield f"intervals: each for itself, not for all {len(rows)} together"
    for record in records:
        if record["status"] == "failed":
            yield (
                f"failed: {record['variant']}, seed {record['seed']}: "
                f"{record['error']}"
            )
    own = dict.fromkeys(
        r["variant"] for r in done if not r["metrics"].get("shared_start", True)
    )
    if own:
        yield f"own initial weights, not those of the pair: {', '.join(own)}"
    for name in sorted({name for r in done for name in r["versions"]}):
        found = sorted({r["versions"].get(name, "?") for r in done})
        if len(found) > 1:
            yield f"different versions of {name}: {', '.join(found)}"
