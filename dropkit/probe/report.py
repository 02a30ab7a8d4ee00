"""The report: what was found, with its evidence, for eyes and for programs."""

from __future__ import annotations

import dataclasses
import html

from dropkit.probe.finding import Finding

SITES = {
    "input": "input x_t",
    "state": "state h_{t-1}, on its way into the gates",
    "carry": "old state or cell, on its way through the gate that carries it",
    "candidate": "candidate g_t",
    "cell": "new cell c_t",
    "hidden": "new state h_t, output and memory",
    "output": "output",
    "keep_state": "state h_t: the old one is kept",
    "keep_cell": "cell c_t: the old one is kept",
    "input weights": "entries of the kernel W",
    "recurrent weights": "entries of the recurrent kernel U",
    "weights": "weights",
    "word types": "word types (embedding rows)",
    "undetermined": "undetermined",
}


@dataclasses.dataclass(frozen=True)
class Report:
    """What a probe found.

    Attributes:
        layer: Name of the layer's class.
        kind: The cell that was read (``"LSTM"``, ``"GRU"``, ``"SimpleRNN"``,
            ``"ConvLSTM"``); None for a layer without time steps inside.
        method: Name of the method that the layer equals, ``"no dropout"``,
            ``"none known"`` or ``"undetermined: why"``.
        nearest: The nearest method where ``method`` is none.
        differences: What differs from the nearest, in words.
        findings: One ``Finding`` for each site with
            noise: ``.site``, ``.noise`` (kind, scale, rate, interval, mean,
            variance, evidence), ``.sharing``, ``.inference``.
        fresh: ``"yes"``, ``"no"`` or ``"undetermined: why"``: whether each
            call draws anew.
        inference: ``"identity"``, ``"mean"``, ``"active"`` or
            ``"undetermined: why"``.
        seed_in_inference: ``"untouched"``, ``"advanced"`` or
            ``"undetermined: why"``.
        modes: For eager, graph and XLA: ``"read"``, what was the same, or
            ``"not checked"``.
        undetermined: What could not be determined, and why.
        error: The error of a layer that raises, else None.
    """

    layer: str
    kind: str | None
    method: str
    findings: tuple[Finding, ...] = ()
    nearest: str | None = None
    differences: tuple[str, ...] = ()
    fresh: str = "undetermined: no noise"
    inference: str = "identity"
    seed_in_inference: str = "undetermined: no random state was found"
    modes: dict[str, str] = dataclasses.field(default_factory=dict)
    undetermined: tuple[str, ...] = ()
    error: str | None = None

    @property
    def specification(self) -> dict:
        """What to ask dropkit for, to get the same.

        For a recurrent layer ``{"dropout": rate, "recurrent_dropout":
        {"class_name": "Gal", "config": {...}} or 0.0}``, or an empty dict
        where no method is known. Rates are as in the findings.
        """
        return _specification(self)

    def site(self, name: str) -> Finding | None:
        """Returns the finding at a site, or None."""
        for finding in self.findings:
            if finding.site == name:
                return finding
        return None

    def rows(self) -> list[tuple[str, str]]:
        """Returns the report's lines: a question and its answer."""
        rows = [("layer", self.layer), ("method", self.method)]
        if self.nearest:
            answer = self.nearest
            if self.differences:
                answer += f" (differs: {'; '.join(self.differences)})"
            rows.append(("nearest", answer))
        if self.error:
            rows.append(("error", self.error))
        for finding in self.findings:
            rows.append(("site", SITES.get(finding.site, finding.site)))
            rows.append(("  noise", _noise_line(finding)))
            rows.append(("  shared over", _axes(finding, "shared")))
            rows.append(("  own for each", _axes(finding, "own")))
            for axis, verdict in finding.sharing.items():
                if verdict.startswith("undetermined"):
                    rows.append((f"  {axis}", verdict))
            rows.append(("  inference", finding.detail or finding.inference))
        if self.findings:
            rows.append(("fresh per call", self.fresh))
        rows.append(("inference", self.inference))
        rows.append(("seed in inference", self.seed_in_inference))
        rows.append(
            (
                "modes",
                "; ".join(f"{k}: {v}" for k, v in self.modes.items())
                or "not checked",
            )
        )
        rows += [("undetermined", why) for why in self.undetermined]
        return rows

    @property
    def table(self) -> str:
        """The report as a text table."""
        rows = self.rows()
        width = max(len(question) for question, _ in rows)
        return "\n".join(f"{q.ljust(width)}  {a}" for q, a in rows)

    def __str__(self):
        return self.table

    def __repr__(self):
        return f"<Report of {self.layer}: {self.method}>"

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{_indented(q)}</th>"
            f"<td style='text-align:left'>{html.escape(a)}</td></tr>"
            for q, a in self.rows()
        )
        return f"<table><tbody>{cells}</tbody></table>"

    def to_dict(self) -> dict:
        """Returns everything as plain numbers, strings, lists and dicts."""
        return {
            **_plain(dataclasses.asdict(self)),
            "specification": _plain(self.specification),
        }

    def plot(self):
        """Draws the unrolled network with every arrow where noise acts.

        Returns:
            A Matplotlib figure.
        Raises:
            ValueError: if the layer is not recurrent, or its sites are
                undetermined.
        """
        from dropkit.plot import unrolled

        return unrolled(self)


def _indented(question):
    spaces = len(question) - len(question.lstrip())
    return "&nbsp;" * spaces + html.escape(question.strip())


def _noise_line(finding):
    noise = finding.noise
    moments = f"mean {noise.mean:.3f}, variance {noise.variance:.3f}"
    return f"{finding.noise_name}: {noise.evidence}; {moments}"


def _axes(finding, wanted):
    axes = [a for a, v in finding.sharing.items() if v == wanted]
    return ", ".join(a for a in axes if a != "calls") or "-"


def _plain(value):
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def _specification(report):
    if report.kind is None or report.kind == "ConvLSTM" or report.error:
        return {}
    if report.method.startswith(("none known", "undetermined", "rate 1")):
        return {}
    given = report.site("input")
    specification = {
        "dropout": 0.0 if given is None else given.noise.rate,
        "recurrent_dropout": 0.0,
    }
    main = [f for f in report.findings if f.site != "input"]
    if given is not None and "time" not in given.shared:
        return {}
    if not main:
        return specification
    method = _method(main, report)
    if method is None:
        return {}
    return {**specification, "recurrent_dropout": method}


def _method(main, report):
    first = main[0]
    over = "sequence" if "time" in first.shared else "step"
    per = "batch" if "batch" in first.shared else "sample"
    config = {"rate": first.noise.rate, "over": over}
    draws = {"per": per, "noise": first.noise.kind}
    if first.site == "state":
        tied = "own" != first.sharing.get("gates")
        config |= draws | {"gates": "tied" if tied else "untied"}
        name = "Gal"
    elif first.site == "candidate":
        config |= draws
        name = "Semeniuta"
    elif first.site == "cell":
        rule = "paper" if first.inference == "mean" else "identity"
        config |= {"inference": rule}
        name = "Moon"
    elif first.site in ("keep_state", "keep_cell"):
        rates = {f.site: f.noise.rate for f in main}
        cell = rates.get("keep_cell", 0.0 if report.kind == "LSTM" else None)
        config = {"hidden": rates.get("keep_state", 0.0), "cell": cell}
        name = "Zoneout"
    elif first.site == "recurrent weights" and "batch" in first.shared:
        config = {"rate": first.noise.rate}
        name = "WeightDrop"
    else:
        return None
    return {"class_name": name, "config": config}
