"""Rules on the draws: seeds, replicas, precision."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from dropkit.audit import experiments
from dropkit.audit.evidence import Evidence, built_shape
from dropkit.audit.fault import Fault, direct, of
from dropkit.audit.walk import SITES
from dropkit.probe.layouts import HALF, directions
from dropkit.probe.subject import clone

# A rate that half precision rounds by less than this part is near enough.
HALF_ERROR = 0.05


def same_seed(evidence: Evidence) -> Iterator[Fault]:
    """Directions or layers that draw the same masks from one integer seed."""
    change = (
        "Leave seed out and call keras.utils.set_random_seed once, or give "
        "each a seed of its own."
    )
    for source in evidence.noisy:
        shared = {f.sharing.get("directions") for f in source.findings}
        if "shared" in shared:
            yield of(
                source,
                "Both directions draw the same masks, because they have the "
                "same integer seed.",
                change,
            )
    groups: dict = {}
    for source in evidence.noisy:
        shape = built_shape(source)
        if source.seed is not None and source.findings and shape is not None:
            key = (type(source.layer), source.seed, shape[1:])
            groups.setdefault(key, []).append(source)
    for (kind, seed, _), group in groups.items():
        experiment = experiments.seed_gives_the_same_draws
        if len(group) > 1 and evidence.measure(
            experiment, group[0], group[0].inputs, seed
        ):
            yield Fault(
                tuple(source.place.path for source in group),
                f"These {kind.__name__} layers have the seed {seed} and "
                "inputs of one shape: they draw the same numbers, and at equal "
                "rates the same masks.",
                change,
            )


def replicas_share_masks(evidence: Evidence) -> Iterator[Fault]:
    """Replicas of the active strategy that all draw one mask."""
    strategy = getattr(evidence.model, "distribute_strategy", None)
    strategy = strategy or tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync < 2:
        return
    for source in evidence.noisy:
        if source.findings and evidence.measure(
            experiments.replicas_draw_the_same, source, source.inputs, strategy
        ):
            yield of(
                source,
                f"All {strategy.num_replicas_in_sync} replicas draw the same "
                "masks: their gradients average over fewer masks than the "
                "batch has samples.",
                "Use dropkit's layers, whose replicas draw for themselves.",
            )


def loses_mixed_precision(evidence: Evidence) -> Iterator[Fault]:
    """Layers whose config forgets the dtype policy."""
    change = (
        "Use dropkit.Dropout with shared axes, or set dtype again after "
        "loading."
    )
    for source in direct(evidence, inside=True):
        layer = source.layer
        loaded = evidence.measure(experiments.dtype_after_reload, source)
        if loaded not in (None, layer.compute_dtype):
            yield of(
                source,
                f"It computes in {layer.compute_dtype}, but a saved model "
                f"loads it as {loaded}.",
                change,
            )
        elif _lost_already(evidence, source):
            yield of(
                source,
                f"It computes in {layer.compute_dtype} between layers of half "
                "precision: its class loses the policy when a model is "
                "loaded.",
                change,
            )


def rate_is_rounded(evidence: Evidence) -> Iterator[Fault]:
    """Rates that the noise's precision cannot represent."""
    for source in evidence.probed:
        if source.layer.compute_dtype not in HALF:
            continue
        for site, rate in _asked(source):
            share = _share_dropped(evidence, source, site)
            if share is None:
                continue
            draws = np.prod(experiments.DRAWS)
            error = 5 * (rate * (1 - rate) / draws) ** 0.5
            if abs(share - rate) > max(error, HALF_ERROR * rate):
                yield of(
                    source,
                    f"In {source.layer.compute_dtype} it drops {share:.2%} at "
                    f"the {site}, not {rate:.2%}.",
                    "Use dropkit's layers, whose rates are exact in half "
                    'precision, or give this layer dtype="float32".',
                )


def _lost_already(evidence, source):
    """Whether a layer of full precision stands among half ones by a reload."""
    layer = source.layer
    model = source.place.owners[-1]
    around = {
        place.layer.compute_dtype
        for place in evidence.places
        if place.owners[-1] is model and place.layer.weights
    }
    if layer.compute_dtype != "float32" or not around or around - set(HALF):
        return False
    policy = "mixed_" + around.pop()
    return evidence.measure(_forgets, source, policy) is True


def _forgets(layer, policy):
    copy = clone(
        layer, lambda config: config.update(dtype=keras.DTypePolicy(policy))
    )
    return experiments.dtype_after_reload(copy) != copy.compute_dtype


def _asked(source):
    """The sites of Bernoulli noise, and the rates that were asked for."""
    layer = directions(source.layer)[0]
    asked = {"input": getattr(layer, "rate", None)}
    if source.is_recurrent:
        asked = {
            site: getattr(layer, argument, None)
            for argument, site in SITES.items()
        }
    for site, rate in asked.items():
        found = source.site(site)
        if found is not None:
            # A method of dropkit has a rate of its own.
            rate = getattr(rate, "rate", rate)
        is_bernoulli = found is None or found.noise.kind == "bernoulli"
        if is_bernoulli and isinstance(rate, float) and 0 < rate < 1:
            yield site, rate


def _share_dropped(evidence, source, site):
    """The measured share of zeros; None where it is not measured."""
    if source.is_recurrent:
        kind = source.report and source.report.kind
        if kind not in experiments.CANDIDATE:
            return None
        return evidence.measure(
            experiments.share_dropped_inside, source, kind, site
        )
    shared = {axis for found in source.findings for axis in found.shared}
    if source.layer.weights or {"batch", "features"} & shared:
        return None
    return evidence.measure(
        experiments.share_dropped, source, source.inputs.ndim
    )
