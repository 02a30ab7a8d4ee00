"""Findings: what a field of multipliers says of one site."""

from __future__ import annotations

import dataclasses

import numpy as np

from dropkit.probe.field import Field, sharing
from dropkit.probe.verdict import Noise, noise

# Sites whose values are fractions of an old value.
KEPT = ("keep_state", "keep_cell")
AXES = {
    "call": "calls",
    "sample": "batch",
    "direction": "directions",
    "row": "height",
    "column": "width",
    "gate": "gates",
    "feature": "features",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found at one site.

    Args:
        site: ``"input"``, ``"state"``, ``"carry"`` (what a gate carries over
            from the step before), ``"candidate"``, ``"cell"``, ``"hidden"``,
            ``"output"``, ``"keep_state"``, ``"keep_cell"``,
            ``"input weights"``, ``"recurrent weights"``, ``"weights"``, or
            ``"word types"``.
        noise: The noise in training.
        sharing: For each of ``"calls"``, ``"batch"``, ``"time"``,
            ``"gates"``, ``"features"`` and so on: ``"shared"``, ``"own"`` or
            ``"undetermined: why"``. Axes that the site does not have, or that
            have one entry, are left out.
        inference: ``"identity"``, ``"mean"`` (a constant multiplier: the mean
            of the noise), ``"active"`` or ``"undetermined: why"``.
        detail: The constant of ``"mean"``, in words.
    """

    site: str
    noise: Noise
    sharing: dict[str, str]
    inference: str = "identity"
    detail: str = ""

    @property
    def noise_name(self) -> str:
        """Kind and scale in one word or two."""
        return " ".join(filter(None, (self.noise.kind, self.noise.scale)))

    @property
    def shared(self) -> frozenset[str]:
        """The axes that share a draw."""
        return frozenset(a for a, v in self.sharing.items() if v == "shared")


def finding(site: str, field: Field) -> Finding:
    """Returns what one field says; inference is filled in later."""
    found = sharing(field)
    axes = {AXES.get(axis, axis): v for axis, v in found.axes.items()}
    reader = axes.pop("reader", "shared")
    if reader == "own":
        site = {"input": "input weights", "state": "recurrent weights"}[site]
    elif reader != "shared":
        axes["readers"] = reader
    if site == "additive":
        return Finding("input", _additive(found.draws), axes)
    verdict = noise(found.draws, keep=site in KEPT)
    if site == "alpha":
        zeros = verdict.counted[0] if verdict.counted else None
        verdict = dataclasses.replace(
            verdict,
            kind="alpha",
            scale=None,
            rate=zeros,
            evidence=f"{verdict.evidence}; a dropped entry becomes a constant",
        )
        site = "input"
    return Finding(site, verdict, axes)


def _additive(draws):
    values = draws.values[np.isfinite(draws.values)]
    mean, variance = float(values.mean()), float(values.var())
    return Noise(
        "additive",
        mean=mean,
        variance=variance,
        draws=int(values.size),
        evidence=f"{values.size} numbers are added; their mean is {mean:.3f} "
        f"and their standard deviation {variance**0.5:.3f}",
    )


def _is_silent(site, field):
    """Whether a field shows no noise and no multiplier."""
    if site == "additive":
        return False
    neutral = 0.0 if site in KEPT else 1.0
    values = field.values[np.isfinite(field.values)]
    return bool(field.equal(values, neutral).all())


def noisy(fields: dict[str, Field]) -> list[Finding]:
    """The findings of all sites where something acts."""
    return [
        finding(site, field)
        for site, field in fields.items()
        if field.count and not _is_silent(site, field)
    ]


def in_inference(found: Finding, quiet: dict[str, Finding]) -> Finding:
    """A finding with what inference does at the same site."""
    there = quiet.get(found.site)
    if there is None:
        return dataclasses.replace(found, inference="identity")
    if is_coarse(there):
        why = "undetermined: not noise, but not readable as a constant"
        return dataclasses.replace(found, inference=why)
    if there.noise.kind != "constant":
        return dataclasses.replace(found, inference="active")
    value, rate, interval = (
        there.noise.kept,
        found.noise.rate,
        found.noise.counted or found.noise.interval,
    )
    expected = rate if found.site in KEPT else None
    if isinstance(rate, float) and expected is None:
        expected = 1 - rate
    detail = f"a constant multiplier {value:.4g}"
    if found.site in KEPT:
        detail = f"a constant mixture, {value:.4g} of the old value"
    if expected is None or interval is None:
        return dataclasses.replace(found, inference="active", detail=detail)
    # Four times the interval's half width: wrong once in 10**14.
    width = 4 * (interval[-1] - interval[-2]) / 2 + 2e-3
    kind = "mean" if abs(value - expected) <= width else "active"
    return dataclasses.replace(found, inference=kind, detail=detail)


def is_coarse(there: Finding) -> bool:
    """Whether a reading of inference is a rounding error, not noise."""
    random = there.sharing.get("calls") == "own"
    return there.noise.kind == "unknown" and not random


def same_categories(one: list[Finding], other: list[Finding]) -> bool:
    """Whether two lists of findings agree in all categories."""

    def categories(findings):
        return sorted(
            (f.site, f.noise_name, sorted(f.sharing.items())) for f in findings
        )

    return categories(one) == categories(other)


def same_draws(one: dict[str, Field], other: dict[str, Field]) -> bool:
    """Whether two readings have equal multipliers."""
    return one.keys() == other.keys() and all(
        np.array_equal(np.isnan(one[k].values), np.isnan(other[k].values))
        and np.nanmax(np.abs(one[k].values - other[k].values), initial=0)
        <= 10 * one[k].tolerance
        for k in one
    )
