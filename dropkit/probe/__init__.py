"""The probe: measures what a layer multiplies by noise, and where.

It trusts no docstring and no attribute. It runs a copy of the layer, sets the
copy's weights so that multipliers can be computed back from outputs or
slopes, and asks of each site which entries share one draw and what the draws
are. See ``probe`` and ``Report``.

Every report has, as plain values: ``layer``, ``kind``, ``method``,
``nearest``, ``differences``, ``findings`` (each with ``site``, ``noise``,
``sharing``, ``inference``), ``fresh``, ``inference``, ``seed_in_inference``,
``modes``, ``undetermined``, ``error``, ``specification``; and ``table``,
``rows()``, ``site(name)``, ``to_dict()``, ``plot()``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras

from dropkit.probe.finding import Finding
from dropkit.probe.measure import report as _report
from dropkit.probe.report import Report
from dropkit.probe.subject import MODES, restored, untouched_randomness
from dropkit.probe.verdict import Noise

__all__ = ["Finding", "Noise", "Report", "probe"]


def probe(
    layer: keras.layers.Layer | Callable,
    inputs=None,
    *,
    in_place: bool = False,
    calls: int = 2,
    modes: Sequence[str] = ("eager",),
) -> Report:
    """Measures where a layer applies noise, how it is shared, and what it is.

    A copy of the layer is rewired and called; the layer, its weights and
    seeds, and the random states of Python, NumPy and Keras stay as they are.
    For recurrent layers (``LSTM``, ``GRU``, ``SimpleRNN``, ``RNN`` of their
    cells, ``Bidirectional``, ``ConvLSTM``) each site and gate is read; for
    any other layer or callable, inputs, outputs and weights. Copies of
    recurrent layers compute in float32, because half precision rounds away
    what is read; the report says so.

    A category is stated only if chance would give the same picture less than
    once in a million times; otherwise it is ``"undetermined: why"``. Rates
    come with 95 % intervals.

    Args:
        layer: A Keras layer, built or not, or a function of a tensor. A
            function needs a ``training`` argument, unless it returns its
            input's shape and is the identity without noise.
        inputs: An array or a tuple of arrays to call the layer with. Default:
            small arrays of 3, 2, 4 or 5 axes, whichever it accepts. Recurrent
            layers are read with inputs of their own.
        in_place: Whether to rewire the layer itself, where it cannot be
            copied. Weights, seeds and states are restored.
        calls: Number of training calls to read, at least 2.
        modes: Which of ``"eager"``, ``"graph"`` and ``"xla"`` to compare.
            XLA takes some seconds.
    Returns:
        A ``Report``.
    Raises:
        TypeError: if ``layer`` is no layer and no callable.
        ValueError: if it cannot be copied, does not accept the inputs, or
            ``calls`` or ``modes`` are out of range.
    Example:
        >>> report = probe(keras.layers.SpatialDropout1D(0.5))
        >>> report.method
        'SpatialDropout1D (locked dropout)'
        >>> round(report.site("input").noise.rate, 4)
        0.5
    """
    if not callable(layer) or isinstance(layer, type):
        raise TypeError(
            "probe() needs a layer or a function of a tensor. "
            f"Received: layer={layer!r}"
        )
    if not isinstance(calls, int) or calls < 2:
        raise ValueError(
            "Invalid value received for argument `calls`. Expected an int of "
            f"at least 2. Received: calls={calls!r}"
        )
    if isinstance(modes, str) or not set(modes) <= set(MODES):
        raise ValueError(
            "Invalid value received for argument `modes`. Expected a sequence "
            f"of {MODES}. Received: modes={modes!r}"
        )
    with untouched_randomness():
        if in_place and isinstance(layer, keras.layers.Layer):
            if not layer.built:
                raise ValueError(
                    "in_place=True needs a built layer: call it once. "
                    f"Received: layer={layer!r}"
                )
            with restored(layer):
                return _report(layer, inputs, True, calls, modes)
        return _report(layer, inputs, False, calls, modes)
