"""The audit's report: sources of noise, advice, and what was not seen."""

from __future__ import annotations

import dataclasses
import html

import keras

HEAD = ("where", "layer", "what", "rate", "fused path on a GPU")


@dataclasses.dataclass(frozen=True)
class Advice:
    """One thing to change, or to know.

    Args:
        rule: Name of the rule.
        layers: Paths of the layers it is about.
        reason: What was found and why it matters.
        change: What to do.
        chapter: The page of the book to read.
    """

    rule: str
    layers: tuple[str, ...]
    reason: str
    change: str
    chapter: str

    def __str__(self):
        return (
            f"[{self.rule}] {', '.join(self.layers)}: {self.reason} "
            f"{self.change} Read: {self.chapter}."
        )


@dataclasses.dataclass(frozen=True)
class Row:
    """One source of noise.

    Args:
        where: Path of the layer.
        layer: Name of its class.
        what: The method that the probe measured, or why it could not.
        rate: The measured rate of each site, in words.
        path: Which fused path it allows on a GPU, in words.
    """

    where: str
    layer: str
    what: str
    rate: str
    path: str


@dataclasses.dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        model: Name of the model.
        sources: One ``Row`` for each source of noise.
        advice: One ``Advice`` for each fault; empty if there is none.
        hidden: What could not be seen, in words.
        keras_version: The Keras that was measured.
    """

    model: str
    sources: tuple[Row, ...] = ()
    advice: tuple[Advice, ...] = ()
    hidden: tuple[str, ...] = ()
    keras_version: str = keras.__version__

    @property
    def table(self) -> str:
        """The sources of noise as a text table."""
        if not self.sources:
            return "No source of noise."
        rows = [HEAD, *map(dataclasses.astuple, self.sources)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width)
                for cell, width in zip(row, widths, strict=True)
            ).rstrip()
            for row in rows
        ]
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])

    def __str__(self):
        parts = [f"Audit of {self.model}", "", self.table, ""]
        parts += [f"{n}. {item}" for n, item in enumerate(self.advice, 1)]
        if not self.advice:
            parts.append("No advice.")
        parts += [f"Not seen: {why}." for why in self.hidden]
        return "\n".join(parts)

    def __repr__(self):
        return (
            f"<Audit of {self.model}: {len(self.sources)} sources of noise, "
            f"{len(self.advice)} advice>"
        )

    def _repr_html_(self) -> str:
        rows = [dataclasses.astuple(row) for row in self.sources]
        table = "No source of noise."
        if rows:
            head = _html_row(HEAD, "th")
            body = "".join(_html_row(row, "td") for row in rows)
            table = f"<thead>{head}</thead><tbody>{body}</tbody>"
            table = f"<table>{table}</table>"
        items = "".join(f"<li>{html.escape(str(a))}</li>" for a in self.advice)
        items = f"<ol>{items}</ol>" if items else "<p>No advice.</p>"
        hidden = "".join(
            f"<p>Not seen: {html.escape(why)}.</p>" for why in self.hidden
        )
        return f"<div>{table}{items}{hidden}</div>"

    def to_dict(self) -> dict:
        """Returns everything as plain strings, lists and dicts."""
        return {
            "model": self.model,
            "keras": self.keras_version,
            "sources": [dataclasses.asdict(row) for row in self.sources],
            "advice": [
                {**dataclasses.asdict(a), "layers": list(a.layers)}
                for a in self.advice
            ],
            "hidden": list(self.hidden),
        }


def _html_row(cells, tag):
    cells = "".join(
        f"<{tag} style='text-align:left'>{html.escape(cell)}</{tag}>"
        for cell in cells
    )
    return f"<tr>{cells}</tr>"
