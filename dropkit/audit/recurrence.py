"""Rules on recurrent layers: fused paths, rates, gates, activations."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np

from dropkit.audit.evidence import Evidence
from dropkit.audit.fault import Fault, of
from dropkit.audit.walk import SITES, cells
from dropkit.probe import probe
from dropkit.probe.layouts import directions, is_recurrent
from dropkit.probe.subject import clone
from dropkit.recurrent import GRU, LSTM, SimpleRNN


def loses_fused_path(evidence: Evidence) -> Iterator[Fault]:
    """Inference without cuDNN, though inference is the plain layer."""
    for source in evidence.noisy:
        paths = evidence.paths(source)
        if paths is None or not paths.possible or paths.xla:
            continue
        if not source.findings:
            continue
        if source.report.inference == "identity" and not paths.cudnn[1]:
            yield of(
                source,
                "Its recurrent dropout costs it cuDNN, in inference too, and "
                "the model is not compiled by XLA either.",
                'dropkit.convert(model, to="dropkit") keeps the weights, '
                "brings cuDNN back in inference and trains in a faster loop; "
                "use_cudnn=False brings back XLA alone.",
            )


def rate_of_one_is_ignored(evidence: Evidence) -> Iterator[Fault]:
    """A rate of 1 that leaves no trace."""
    for source in evidence.probed:
        if not source.is_recurrent or source.report is None:
            continue
        if source.report.undetermined or source.report.error:
            continue
        for argument, site in SITES.items():
            rates = [_stated(part, argument) for part in _stating(source)]
            if 1.0 in rates and source.site(site) is None:
                yield of(
                    source,
                    f"{argument}=1.0 does nothing: the probe finds no noise "
                    f"at the {site}.",
                    "Choose a rate below 1.",
                )


def input_mask_is_untied(evidence: Evidence) -> Iterator[Fault]:
    """Input masks that are untied only because of ``recurrent_dropout``."""
    for source in evidence.noisy:
        given, state = source.site("input"), source.site("state")
        if given is None or state is None or _states_its_gates(source.layer):
            continue
        if given.sharing.get("gates") != "own":
            continue
        if evidence.measure(_is_tied_alone, source):
            yield of(
                source,
                "With recurrent_dropout, dropout= draws one input mask for "
                "each gate; without it, one for all gates. A change of the "
                "recurrent rate changes the input noise too.",
                "Compare such models with this in mind, or choose: "
                'dropkit.Gal(rate, gates="tied") or "untied".',
            )


def unbounded_recurrence(evidence: Evidence) -> Iterator[Fault]:
    """Recurrent layers whose activation has no upper bound."""
    for place in evidence.places:
        if not is_recurrent(place.layer):
            continue
        names = {
            getattr(cell.activation, "__name__", "its activation")
            for cell in cells(place.layer)
            if callable(getattr(cell, "activation", None))
            and _is_unbounded(cell.activation)
        }
        for name in sorted(names):
            yield Fault(
                (place.path,),
                f"activation={name} has no upper bound: the state can grow "
                "with every step until it overflows, with or without "
                "dropout.",
                "Use tanh.",
            )


def _stating(source):
    """The objects whose arguments state a recurrent layer's rates."""
    for part in directions(source.layer):
        if hasattr(part, "recurrent_dropout"):
            yield part
        else:
            yield from cells(part)


def _stated(owner, argument):
    rate = getattr(owner, argument, None)
    return rate if isinstance(rate, (int, float)) else None


def _states_its_gates(layer):
    """Whether an argument of the layer says tied or untied."""
    return isinstance(directions(layer)[0], (LSTM, GRU, SimpleRNN))


def _is_tied_alone(layer):
    """Whether the same layer without recurrent dropout ties its input mask."""

    def without(config):
        for value in config.values():
            if isinstance(value, dict):
                without(value)
        if "recurrent_dropout" in config:
            config["recurrent_dropout"] = 0.0

    found = probe(clone(layer, without)).site("input")
    return found is not None and found.sharing.get("gates") == "shared"


def _is_unbounded(activation):
    large = keras.ops.convert_to_tensor([[1e4]], "float32")
    return float(np.max(keras.ops.convert_to_numpy(activation(large)))) > 100
