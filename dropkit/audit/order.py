"""Rules on the order of layers, and on how a model calls them."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np

from dropkit.audit import experiments
from dropkit.audit.evidence import Evidence, built_shape, features
from dropkit.audit.fault import Fault, direct, of
from dropkit.audit.walk import is_known
from dropkit.probe.layouts import is_recurrent

# A real step taken for padding less often than this harms nobody.
RARE_STEP = 1e-4
NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.UnitNormalization,
)
ATTENTIONS = (
    keras.layers.AdditiveAttention,
    keras.layers.Attention,
    keras.layers.GroupQueryAttention,
    keras.layers.MultiHeadAttention,
)


def before_masking(evidence: Evidence) -> Iterator[Fault]:
    """Zeroed steps look like padding; scaled padding does not."""

    passing = {id(source.place.node) for source in direct(evidence)}

    def through(layer):
        is_input = isinstance(layer, keras.layers.InputLayer)
        return is_input or id(layer) in passing

    change = "Put Masking first: dropout passes its mask on."
    for source in direct(evidence):
        for masking in evidence.graph.reached(source.place.node, through):
            if not isinstance(masking, keras.layers.Masking):
                continue
            if np.any(np.asarray(masking.mask_value) != 0):
                yield of(
                    source,
                    f"It multiplies the padding before {masking.name} looks "
                    f"for {masking.mask_value}: padded steps are no longer "
                    "recognized.",
                    change,
                )
            elif _share_of_zero_steps(source) > RARE_STEP:
                share = _share_of_zero_steps(source)
                yield of(
                    source,
                    f"It zeroes {share:.2g} of the real steps entirely, and "
                    f"{masking.name} takes them for padding.",
                    change,
                )


def before_batch_normalization(evidence: Evidence) -> Iterator[Fault]:
    """Noise whose variance the moving statistics learn."""
    stops = (*NORMALIZATIONS, *ATTENTIONS, keras.layers.Embedding)

    def through(layer):
        return not isinstance(layer, stops) and not (
            is_recurrent(layer)
            or (isinstance(layer, keras.layers.Layer) and not is_known(layer))
        )

    for source in direct(evidence):
        reached = [
            layer.name
            for layer in evidence.graph.reached(source.place.node, through)
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        if reached:
            yield of(
                source,
                f"Its noise reaches {', '.join(reached)}: the moving variance "
                "is learned with noise and used without it in inference.",
                "Put dropout behind the last batch normalization.",
            )


def training_true_is_ignored(evidence: Evidence) -> Iterator[Fault]:
    """``training=True`` at construction, which ``predict`` overrides."""
    forced = {id(operation) for operation in evidence.graph.forced}
    for source in evidence.noisy:
        chain = (source.layer, *source.place.owners)
        if not source.findings or not any(id(each) in forced for each in chain):
            continue
        if evidence.measure(
            experiments.training_is_ignored, source, source.inputs
        ):
            yield of(
                source,
                "The model was built with training=True for it, but predict "
                "and model(x, training=False) switch its noise off.",
                "For Monte Carlo dropout call model(x, training=True).",
            )


def redrawn_per_step(evidence: Evidence) -> Iterator[Fault]:
    """Dropout inside ``TimeDistributed``: another mask for each step."""
    for source in direct(evidence, inside=True):
        if source.place.repeated and evidence.measure(
            experiments.redraws_per_step, source, source.inputs
        ):
            yield of(
                source,
                "TimeDistributed calls it once for each time step, and each "
                "step gets another mask.",
                "For one mask over time, put SpatialDropout1D or "
                'dropkit.Dropout(rate, "time") outside; for one for each '
                "step, a plain Dropout outside does the same.",
            )


def fixed_batch(evidence: Evidence) -> Iterator[Fault]:
    """A batch size in ``noise_shape``: the last, smaller batch fails."""
    for source in direct(evidence):
        noise_shape = getattr(source.layer, "noise_shape", None)
        size = noise_shape[0] if noise_shape else None
        if size in (None, 1) or (built_shape(source) or (None,))[0] == size:
            continue
        x = source.inputs
        if evidence.measure(experiments.fails_with_another_batch, source, x):
            yield of(
                source,
                f"noise_shape={tuple(noise_shape)} holds the batch size: a "
                "batch of another size, as the last one of an epoch, fails.",
                f"Write {(None, *noise_shape[1:])}.",
            )


def _share_of_zero_steps(source):
    """How many steps have nothing left, by the measured rate."""
    width = features(source)
    (found, *others), share = source.findings, 0.0
    if others or found.noise.kind != "bernoulli" or found.noise.rate is None:
        return 0.0
    rates = np.atleast_1d(found.noise.rate)
    if found.sharing.get("features") == "shared":
        share = float(rates[0])
    elif len(rates) > 1:
        share = float(np.prod(rates))
    elif width is not None:
        share = float(rates[0] ** width)
    return share
