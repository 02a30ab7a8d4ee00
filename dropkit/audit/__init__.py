"""The audit: every source of noise in a model, and what to change.

It walks the model, lets ``dropkit.probe`` measure each layer that can
draw, and applies a table of rules. See ``audit`` and ``Audit``.
"""

from __future__ import annotations

import keras

from dropkit.audit.evidence import Evidence, Source
from dropkit.audit.report import Advice, Audit, Row
from dropkit.audit.rules import advise
from dropkit.probe import Finding
from dropkit.probe.subject import untouched_randomness

__all__ = ["Advice", "Audit", "Row", "audit"]


def audit(model: keras.Model) -> Audit:
    """Lists every source of noise in a model, measured, and gives advice.

    Copies of the layers are probed; the model, its weights and seeds, and the
    random states of Python, NumPy and Keras stay as they are. Advice follows
    what the installed Keras does, not its version.

    Of a subclassed model the layers are found, but not their order, nor noise
    that its own code draws; the report says so under "Not seen". Rules about
    the order of layers cannot apply there.

    Args:
        model: A Keras model: ``Sequential``, functional or subclassed, with
            models inside or not.
    Returns:
        An ``Audit``: ``sources``, ``advice``, ``hidden``,
        ``table``, ``to_dict()``.
    Raises:
        TypeError: if ``model`` is no Keras model.
    Example:
        >>> model = keras.Sequential([
        ...     keras.Input((None, 4)),
        ...     keras.layers.TimeDistributed(
        ...         keras.layers.Dropout(0.5, name="drop"), name="steps"),
        ... ])
        >>> found = audit(model)
        >>> [(row.where, row.what, row.rate) for row in found.sources]
        [('steps/drop', 'standard dropout', '0.5')]
        >>> [advice.rule for advice in found.advice]
        ['time-distributed']
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Invalid value received for argument `model`. Expected a Keras "
            f"model; dropkit.probe measures a layer. Received: model={model!r}"
        )
    with untouched_randomness():
        evidence = Evidence(model)
        advice = advise(evidence)
        rows = tuple(_row(evidence, source) for source in evidence.noisy)
    return Audit(model.name, rows, advice, tuple(evidence.hidden))


def _row(evidence: Evidence, source: Source) -> Row:
    what = f"undetermined: {source.why}"
    if source.report is not None:
        what = source.report.method
        if source.report.nearest and what == "none known":
            what = f"none known, nearest: {source.report.nearest}"
    return Row(
        where=source.place.path,
        layer=type(source.layer).__name__,
        what=what,
        rate=", ".join(_rate(f, source.is_recurrent) for f in source.findings),
        path=str(evidence.paths(source) or "undetermined"),
    )


def _rate(found: Finding, says_site: bool) -> str:
    noise = found.noise
    site = f"{found.site.replace('_', ' ')} " if says_site else ""
    if noise.rate is None:
        return f"{site}none"
    if not isinstance(noise.rate, float):
        return site + " ".join(f"{rate:.3g}" for rate in noise.rate)
    # An inverted scale gives the rate away; otherwise zeros are counted.
    about = "" if noise.scale == "inverted" else "about "
    return f"{site}{about}{noise.rate:.3g}"
