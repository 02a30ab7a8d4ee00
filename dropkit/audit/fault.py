"""What a rule yields, and the layers that rules look at."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import keras

from dropkit.audit.evidence import Evidence, Source

KINDS = ("additive", "alpha", "bernoulli", "gaussian")


@dataclasses.dataclass(frozen=True)
class Fault:
    """What a rule found.

    Args:
        layers: Paths of the layers.
        reason: What was found and why it matters.
        change: What to do.
    """

    layers: tuple[str, ...]
    reason: str
    change: str


def of(source: Source, reason: str, change: str) -> Fault:
    """Returns a fault of one layer."""
    return Fault((source.place.path,), reason, change)


def direct(evidence: Evidence, inside: bool = False) -> Iterator[Source]:
    """Yields noisy layers, not recurrent, that multiply what flows by.

    Args:
        evidence: The evidence.
        inside: Whether to yield those that another layer holds, too.
    """
    for source in evidence.noisy:
        if source.is_recurrent or _is_augmentation(source.layer):
            continue
        if not any(f.noise.kind in KINDS for f in source.findings):
            continue
        wrapper = keras.layers.TimeDistributed
        held = [o for o in source.place.holders if not isinstance(o, wrapper)]
        if inside or not held:
            yield source


def _is_augmentation(layer):
    """Whether it is one of Keras's preprocessing layers."""
    return ".preprocessing." in type(layer).__module__
