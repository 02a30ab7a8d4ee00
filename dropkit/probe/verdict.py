"""Verdicts on noise: from draws to distribution, rate, scale and interval."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from dropkit.probe.field import CHANCE, Field

# Estimates come with intervals that hold the truth 19 times out of 20.
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Noise:
    """What the multipliers of one site are.

    Args:
        kind: ``"none"``, ``"constant"``, ``"bernoulli"``, ``"gaussian"``,
            ``"zoneout"``, ``"additive"``, ``"alpha"`` or ``"unknown"``.
        scale: ``"inverted"`` or ``"raw"`` (Bernoulli), None otherwise.
        kept: Multiplier of kept entries (Bernoulli).
        rate: Estimate of the rate; a tuple for one rate a feature; None where
            there is none.
        interval: Where the rate lies with 95 % confidence. An inverted scale
            gives it away: then the ends agree to the reading's precision.
        counted: The fraction of zeros with its own interval, (rate, low, high).
        mean: Mean of the multipliers that were read.
        variance: Their variance.
        draws: Number of independent draws that were read.
        evidence: The same in words.
    """

    kind: str
    scale: str | None = None
    kept: float | None = None
    rate: float | tuple[float, ...] | None = None
    interval: tuple[float, float] | None = None
    counted: tuple[float, float, float] | None = None
    mean: float = 1.0
    variance: float = 0.0
    draws: int = 0
    evidence: str = ""


def binomial_interval(
    hits: int, draws: int, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Returns the exact (Clopper-Pearson) interval of a probability.

    Args:
        hits: Number of hits.
        draws: Number of draws.
        confidence: Float in ``(0, 1)``.
    Returns:
        Lower and upper end.
    Example:
        >>> low, high = binomial_interval(357, 720)
        >>> round(low, 3), round(high, 3)
        (0.459, 0.533)
    """
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else _beta(hits, draws - hits + 1, tail)
    high = 1.0 if hits == draws else _beta(hits + 1, draws - hits, 1 - tail)
    return low, high


def _beta(a, b, probability):
    """Quantile of a beta distribution, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        below = tf.math.betainc(
            *(tf.constant(float(v), tf.float64) for v in (a, b, middle))
        )
        low, high = (middle, high) if below < probability else (low, middle)
    return (low + high) / 2


def noise(field: Field, keep: bool = False) -> Noise:
    """Returns what the noise of some draws is.

    Args:
        field: The independent draws, from :func:`~dropkit.probe.field.sharing`.
        keep: Whether the values are fractions of an old value (zoneout).
    Returns:
        A :class:`Noise`.
    Example:
        >>> mask = np.random.default_rng(0).integers(0, 2, (2, 500)) * 2.0
        >>> found = noise(Field(("call", "feature"), mask))
        >>> found.kind, found.scale, round(found.rate, 6)
        ('bernoulli', 'inverted', 0.5)
    """
    values = field.values[np.isfinite(field.values)]
    if not values.size:
        return Noise("unknown", evidence="nothing could be read")
    moments = {
        "mean": float(values.mean()),
        "variance": float(values.var()),
        "draws": int(values.size),
    }
    if keep:
        return _zoneout(field, values, moments)
    if field.equal(values, 1.0).all():
        evidence = f"{_multipliers(values.size)}, all 1"
        return Noise("none", evidence=evidence, **moments)
    dropped = np.abs(values) <= field.tolerance
    if dropped.all():
        return Noise(
            "bernoulli",
            rate=1.0,
            interval=binomial_interval(values.size, values.size),
            counted=(1.0, *binomial_interval(values.size, values.size)),
            evidence=f"{_multipliers(values.size)}, all 0",
            **moments,
        )
    kept = values[~dropped]
    if field.equal(kept.min(), kept.max()):
        return _bernoulli(field, values, dropped, moments)
    rates = _rates_by_feature(field)
    if rates is not None:
        return Noise(
            "bernoulli",
            scale="inverted",
            rate=rates,
            evidence=f"{_multipliers(values.size)}: each feature has its own "
            "rate, read from its scale",
            **moments,
        )
    return _continuous(values, moments)


def _multipliers(count):
    return f"{count} multiplier" + "s" * (count != 1)


def _bernoulli(field, values, dropped, moments):
    kept = float(np.median(values[~dropped]))
    zeros, draws = int(dropped.sum()), values.size
    if not zeros and kept < 1:
        return Noise(
            "constant",
            kept=kept,
            rate=1 - kept,
            evidence=f"{_multipliers(draws)}, all {kept:.4g}",
            **moments,
        )
    low, high = binomial_interval(zeros, draws)
    evidence = (
        f"{_multipliers(draws)}, 0 or {kept:.4g}; {zeros} zeros: rate "
        f"{zeros / draws:.3f} ({low:.3f} to {high:.3f})"
    )
    counted = (zeros / draws, low, high)
    scale, rate, interval = None, zeros / draws, (low, high)
    widest = binomial_interval(zeros, draws, 1 - CHANCE)
    if field.equal(kept, 1.0):
        scale = "raw"
    elif kept > 1 and widest[0] <= 1 - 1 / kept <= widest[1]:
        scale, rate = "inverted", 1 - 1 / kept
        error = field.tolerance / kept
        interval = (rate - error, rate + error)
        evidence += f"; the scale says {rate:.4g}"
    return Noise(
        "bernoulli",
        scale=scale,
        kept=kept,
        rate=rate,
        interval=interval,
        counted=counted,
        evidence=evidence,
        **moments,
    )


def _zoneout(field, values, moments):
    draws = values.size
    old = field.equal(values, 1.0)
    new = np.abs(values) <= field.tolerance
    if new.all():
        return Noise("none", evidence=f"{draws} steps, all new", **moments)
    if (old | new).all():
        hits = int(old.sum())
        low, high = binomial_interval(hits, draws)
        return Noise(
            "zoneout",
            rate=hits / draws,
            interval=(low, high),
            counted=(hits / draws, low, high),
            evidence=f"{draws} entries, old or new; {hits} old: rate "
            f"{hits / draws:.3f} ({low:.3f} to {high:.3f})",
            **moments,
        )
    if field.equal(values.min(), values.max()):
        rate = float(np.median(values))
        error = field.tolerance
        return Noise(
            "constant",
            kept=rate,
            rate=rate,
            interval=(rate - error, rate + error),
            evidence=f"{draws} entries, each {rate:.4g} of the old value",
            **moments,
        )
    return Noise("unknown", evidence=f"{draws} mixtures", **moments)


def _rates_by_feature(field):
    """One rate a feature, from each feature's scale; None if there is none."""
    if field.axes[-1] not in ("feature", "features"):
        return None
    rates = []
    for column in field.values.reshape(-1, field.values.shape[-1]).T:
        column = column[np.isfinite(column)]
        kept = column[np.abs(column) > field.tolerance]
        if not kept.size or not field.equal(kept.min(), kept.max()):
            return None
        scale = float(np.median(kept))
        zeros = column.size - kept.size
        low, high = binomial_interval(zeros, column.size, 1 - CHANCE)
        if scale < 1 - field.tolerance or not (
            low - field.tolerance <= 1 - 1 / scale <= high
        ):
            return None
        rates.append(max(0.0, round(1 - 1 / scale, 4)))
    return tuple(rates)


def _continuous(values, moments):
    variance, draws = moments["variance"], values.size
    distance = _distance_from_normal(values)
    # Kolmogorov's bound; fitting mean and variance only lowers the distance.
    limit = math.sqrt(math.log(2 / CHANCE) / (2 * draws))
    error = math.sqrt(variance / draws)
    shifted = abs(moments["mean"] - 1) > 5 * error
    if distance > limit or shifted or _is_flat(values):
        return Noise(
            "unknown",
            evidence=f"{_multipliers(draws)} from {values.min():.3g} to "
            f"{values.max():.3g}, not normal around 1",
            **moments,
        )
    spread = 1.96 * math.sqrt(2 / max(1, draws - 1))
    low, high = variance * math.exp(-spread), variance * math.exp(spread)
    rate, low_rate, high_rate = (v / (1 + v) for v in (variance, low, high))
    return Noise(
        "gaussian",
        rate=rate,
        interval=(low_rate, high_rate),
        evidence=f"{_multipliers(draws)}, normal; mean {moments['mean']:.3f}, "
        f"variance {variance:.3f}: rate {rate:.3f} ({low_rate:.3f} to "
        f"{high_rate:.3f})",
        **moments,
    )


def _is_flat(values):
    """Whether the tails are too short for a normal distribution."""
    scores = (values - values.mean()) / values.std()
    return (scores**4).mean() - 3 < -5 * math.sqrt(24 / len(values))


def _distance_from_normal(values):
    """Largest distance between the draws' distribution and a normal one."""
    ordered = np.sort((values - values.mean()) / values.std())
    normal = 0.5 * (
        1 + np.asarray(tf.math.erf(tf.constant(ordered / math.sqrt(2))))
    )
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return max(
        np.abs(normal - steps[1:]).max(), np.abs(normal - steps[:-1]).max()
    )
