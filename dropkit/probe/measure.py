"""The measurement: runs a layer, reads its sites and writes the report."""

from __future__ import annotations

import dataclasses
import re

import keras
import numpy as np

from dropkit.probe.activation import Unreadable
from dropkit.probe.finding import (
    in_inference,
    is_coarse,
    noisy,
    same_categories,
    same_draws,
)
from dropkit.probe.measurement import OfOutputs, OfRecurrent, measurement_of
from dropkit.probe.names import name_of
from dropkit.probe.report import Report
from dropkit.probe.subject import MODES

NO_STATE = "undetermined: no random state was found in the layer"


def report(layer, inputs, in_place, calls, modes) -> Report:
    """Measures a layer; see ``dropkit.probe``."""
    name = type(layer).__name__
    if not isinstance(layer, keras.layers.Layer):
        name = getattr(layer, "__name__", name)
    measurement = measurement_of(layer, inputs, in_place)
    try:
        return _measure(measurement, name, calls, modes)
    except Unreadable as why:
        return Report(
            name,
            measurement.kind,
            f"undetermined: {why}",
            undetermined=(str(why),),
        )


def _measure(measurement, name, calls, modes):
    subject = measurement.subject
    before = subject.seeds()
    try:
        quiet = [_call(measurement, False)]
        start = subject.seeds()
        fields, findings, calls = _observed_enough(measurement, calls)
    except Raised as raised:
        return Report(
            name,
            measurement.kind,
            f"undetermined: the layer raises in {raised.when}",
            inference="undetermined: the layer raises",
            error=str(raised),
        )
    seed = NO_STATE
    if subject.has_seeds:
        pairs = zip(before, start, strict=False)
        still = all(np.array_equal(a, b) for a, b in pairs)
        seed = "untouched" if still else "advanced"
    inference = _inference(measurement, quiet)
    if inference is None:
        why = "undetermined: it has no `training` argument"
        inference = {}
        findings = [dataclasses.replace(f, inference=why) for f in findings]
    else:
        findings = [in_inference(f, inference) for f in findings]
    sites = {f.site for f in findings}
    only = [
        f
        for site, f in inference.items()
        if site not in sites and not is_coarse(f)
    ]
    measurement.why += [f"{f.site}: noise in inference only" for f in only]
    verdicts = dict.fromkeys(MODES, "not checked") | {"eager": measurement.read}
    for mode in modes:
        if mode != "eager":
            verdicts[mode] = _in_mode(measurement, mode, start, calls, fields)
    match = name_of(findings, measurement.kind is not None)
    unread = [
        f"{k}: nothing could be read" for k, v in fields.items() if not v.count
    ]
    undetermined = tuple(measurement.why + unread)
    method = match.name
    if undetermined and method == "no dropout":
        method = f"undetermined: {undetermined[0]}"
    if isinstance(measurement, OfOutputs):
        method = (
            "no dropout"
            if not findings
            else f"undetermined: {measurement.why[0]}"
        )
        match = dataclasses.replace(match, nearest=None, differences=())
    return Report(
        layer=name,
        kind=measurement.kind,
        method=method,
        nearest=match.nearest,
        differences=match.differences,
        findings=tuple(findings),
        fresh=_fresh(findings),
        inference=_overall(findings, only),
        seed_in_inference=seed,
        modes=verdicts,
        undetermined=undetermined,
    )


class Raised(Exception):
    """The layer raised; the message is its error's."""

    def __init__(self, error, training):
        # Keras colors its messages, and appends the arguments.
        text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
        text = " ".join(text.partition("Arguments received by")[0].split())
        super().__init__(f"{type(error).__name__}: {text[:300]}")
        self.when = "training" if training else "inference"


def _call(measurement, training):
    """Observes a call, and tells the layer's errors from ours."""
    try:
        return measurement.observe(training)
    except Exception as error:
        raise Raised(error, training) from error


def _observed_enough(measurement, calls):
    """Reads some calls, and more if chance leaves a category open."""
    observed = []
    for count in (calls, 2 * calls, 4 * calls):
        while len(observed) < count:
            observed.append(_call(measurement, True))
        fields = measurement.fields(observed)
        findings = noisy(fields)
        if not any(_is_open(f) for f in findings):
            break
    return fields, findings, count


def _is_open(found):
    if found.noise.rate == 1.0:
        # Few draws at a high rate may all be 0.
        return found.noise.interval[0] < 0.98
    return any(v.startswith("undetermined") for v in found.sharing.values())


def _inference(measurement, quiet):
    """What acts in inference, by site; None if there is no inference."""
    if not measurement.takes_training:
        return None
    if isinstance(measurement, OfRecurrent):
        fields = measurement.fields(quiet)
        if not noisy(fields):
            return {}
        quiet = [*quiet, measurement.observe(False)]
        return {f.site: f for f in noisy(measurement.fields(quiet))}
    quiet = [*quiet, measurement.observe(False)]
    fields = measurement.fields(quiet)
    return {f.site: f for f in noisy(fields)}


def _in_mode(measurement, mode, start, calls, fields):
    measurement.mode(mode)
    try:
        measurement.subject.replay(start)
        observed = [measurement.observe(True) for _ in range(calls)]
    except Exception as error:
        return f"raises {type(error).__name__}"
    finally:
        measurement.mode("eager")
    there = measurement.fields(observed)
    if not same_categories(noisy(fields), noisy(there)):
        sites = ", ".join(f.site for f in noisy(there)) or "none"
        return f"differs: noise at {sites}"
    draws = "same draws" if same_draws(fields, there) else "other draws"
    return f"same findings, {draws} from the same seed"


def _fresh(findings):
    if not findings:
        return "undetermined: no noise"
    verdicts = {f.sharing.get("calls", "undetermined") for f in findings}
    if verdicts == {"own"}:
        return "yes"
    if "shared" in verdicts:
        return "no"
    return sorted(verdicts - {"own"})[0]


def _overall(findings, only):
    kinds = {f.inference for f in findings} | {"active" for _ in only}
    for kind in ("active", "mean"):
        if kind in kinds:
            return kind
    return min(kinds - {"identity"}, default="identity")
