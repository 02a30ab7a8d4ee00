"""The measurement: runs a layer, reads its sites and writes the report."""

from __future__ import annotations

import dataclasses
import re

import keras
import numpy as np
import tensorflow as tf

from dropkit.probe import anylayer
from dropkit.probe.activation import Unreadable
from dropkit.probe.field import Field, sharing
from dropkit.probe.names import Finding, name_of
from dropkit.probe.recurrent import KEPT, Recurrent, is_recurrent
from dropkit.probe.report import Report
from dropkit.probe.subject import MODES, Subject, clone
from dropkit.probe.verdict import Noise, noise

AXES = {
    "call": "calls",
    "sample": "batch",
    "direction": "directions",
    "row": "height",
    "column": "width",
    "gate": "gates",
    "feature": "features",
}
NO_STATE = "undetermined: no random state was found in the layer"


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


def _noisy(fields):
    """The findings of all sites where something acts."""
    return [
        finding(site, field)
        for site, field in fields.items()
        if field.count and not _is_silent(site, field)
    ]


def _in_inference(found: Finding, quiet: dict[str, Finding]) -> Finding:
    """A finding with what inference does at the same site."""
    there = quiet.get(found.site)
    if there is None:
        return dataclasses.replace(found, inference="identity")
    if _is_coarse(there):
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


def _is_coarse(there: Finding) -> bool:
    """Whether a reading of inference is a rounding error, not noise."""
    random = there.sharing.get("calls") == "own"
    return there.noise.kind == "unknown" and not random


def _same(one, other):
    """Whether two lists of findings agree in all categories."""

    def categories(findings):
        return sorted(
            (f.site, f.noise_name, sorted(f.sharing.items())) for f in findings
        )

    return categories(one) == categories(other)


def _same_draws(one, other):
    return one.keys() == other.keys() and all(
        np.array_equal(np.isnan(one[k].values), np.isnan(other[k].values))
        and np.nanmax(np.abs(one[k].values - other[k].values), initial=0)
        <= 10 * one[k].tolerance
        for k in one
    )


class Measurement:
    """How a layer is observed; see the subclasses.

    Attributes:
        kind: The cell's kind, or None.
        subject: What is called.
        why: What could not be determined, in words.
    """

    kind: str | None = None
    subject: Subject
    takes_training = True

    def __init__(self):
        self.why: list[str] = []

    def observe(self, training, seeds=None):
        """Returns what one call shows; all its runs have the same draws."""
        raise NotImplementedError

    def fields(self, observed) -> dict[str, Field]:
        """Returns the multipliers of each site."""
        raise NotImplementedError

    def mode(self, mode):
        """Runs in another mode from now on."""
        self.subject = Subject(self.subject.layer, mode)


class OfRecurrent(Measurement):
    """A recurrent layer with an adapter."""

    def __init__(self, layer, in_place):
        super().__init__()
        self._recurrent = Recurrent(layer, in_place)
        self.kind = self._recurrent.kind
        self.observe = self._recurrent.observe
        self.fields = self._recurrent.fields

    @property
    def subject(self):
        """The layer that is called."""
        return self._recurrent.subject

    def mode(self, mode):
        self._recurrent.set_mode(mode)


class OfAny(Measurement):
    """Any layer or callable.

    Args:
        layer: The layer or callable.
        inputs: Arrays, or None to look for some that fit.
        in_place: Whether to call that layer itself.
    """

    def __init__(self, layer, inputs, in_place):
        super().__init__()
        self.takes_training = anylayer.takes_training(layer)
        subject = layer
        if isinstance(layer, keras.layers.Layer) and not in_place:
            subject = clone(layer)
        self.subject = Subject(subject)
        self.inputs = self._fitting(layer, inputs)
        if subject is not layer and layer.built and layer.weights:
            _copy_weights(layer, subject)
        self._channels_first = (
            getattr(layer, "data_format", None) == "channels_first"
        )
        self._plain = None

    def _training(self, training):
        return training if self.takes_training else None

    def _fitting(self, layer, inputs):
        if inputs is not None:
            inputs = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
            candidates = [tuple(np.asarray(x) for x in inputs)]
        else:
            candidates = anylayer.default_inputs(layer)
        error = None
        for candidate in candidates:
            try:
                self.subject(
                    *map(tf.convert_to_tensor, candidate),
                    training=self._training(False),
                )
                return candidate
            except Exception as caught:
                error = error or caught
        shapes = [tuple(x.shape for x in c) for c in candidates]
        hint = "" if inputs is not None else " Pass `inputs` that it accepts."
        raise ValueError(
            f"The layer does not accept inputs of shape {shapes}: "
            f"{str(error).strip().splitlines()[0]}.{hint} "
            f"Received: layer={layer!r}"
        ) from error

    def observe(self, training, seeds=None):
        if seeds is not None:
            self.subject.replay(seeds)
        return anylayer.Slopes(
            self.subject, self.inputs, self._training(training)
        )

    @property
    def plain(self):
        """A call without noise; the identity where inference is none."""
        if self._plain is None:
            plain = self.observe(False)
            again = self.subject(
                *map(tf.convert_to_tensor, self.inputs),
                training=self._training(False),
            )
            random = not np.array_equal(plain.outputs, anylayer.as_array(again))
            x = np.asarray(self.inputs[0], "float64")
            if random and plain.outputs.shape != x.shape:
                raise Unreadable(
                    "inference is random too, so that there is no call "
                    "without noise to compare with"
                )
            if random or plain.scales_only(x):
                plain.outputs = x
                plain.slopes = anylayer.identity_slopes(x)
            self._plain = plain
        return self._plain

    def fields(self, observed):
        fields, why = anylayer.fields(
            observed, self.plain, self.inputs, self._channels_first
        )
        if why and why not in self.why:
            self.why.append(why)
        return self._by_word(fields)

    def _by_word(self, fields):
        """Renames a site to word types where equal ids share draws."""
        ids = [x for x in self.inputs if x.dtype.kind in "iu"]
        for site, field in fields.items():
            per = anylayer.word_types(field, ids[0]) if ids else None
            if per is None:
                continue
            axes = ("call", "batch", "word", "feature")
            types = np.unique(ids[0])
            values = np.full(
                (len(field.values), len(ids[0]), len(types), 1), np.nan
            )
            for b, row in enumerate(ids[0]):
                place = np.searchsorted(types, row)
                values[:, b, place, 0] = field.values[:, b, :, 0]
            feature = field.is_constant("features")
            if not feature:
                continue
            values = np.repeat(values, field.values.shape[-1], axis=-1)
            renamed = Field(axes, values, field.tolerance)
            return {
                **{k: v for k, v in fields.items() if k != site},
                "word types": renamed,
            }
        return fields


def _copy_weights(layer, copy):
    shapes = [tuple(w.shape) for w in layer.weights]
    if shapes == [tuple(w.shape) for w in copy.weights]:
        copy.set_weights(layer.get_weights())


class OfOutputs(OfAny):
    """A recurrent layer without an adapter: only whether it is random."""

    def observe(self, training, seeds=None):
        if seeds is not None:
            self.subject.replay(seeds)
        y = self.subject(
            *map(tf.convert_to_tensor, self.inputs),
            training=self._training(training),
        )
        y = y[0] if isinstance(y, (list, tuple)) else y
        return np.asarray(keras.ops.cast(y, "float32"), "float64")

    def fields(self, observed):
        plain = self.observe(False)
        values = np.stack(observed) - plain
        if np.abs(values).max() <= 1e-4 * max(1.0, np.abs(plain).max()):
            return {}
        # One number a call: which entries differ says nothing of the site.
        values = values.reshape(len(values), -1)
        return {"undetermined": Field(("call", "entry"), values, 1e-4)}


def report(layer, inputs, in_place, calls, modes) -> Report:
    """Measures a layer; see ``dropkit.probe``."""
    name = type(layer).__name__
    if not isinstance(layer, keras.layers.Layer):
        name = getattr(layer, "__name__", name)
    measurement = _measurement(layer, inputs, in_place)
    try:
        return _measure(measurement, name, calls, modes)
    except Unreadable as why:
        return Report(
            name,
            measurement.kind,
            f"undetermined: {why}",
            undetermined=(str(why),),
        )


def _measurement(layer, inputs, in_place):
    if is_recurrent(layer):
        try:
            return OfRecurrent(layer, in_place)
        except Unreadable as why:
            measurement = OfOutputs(layer, inputs, in_place)
            measurement.why.append(f"site: {why}")
            return measurement
    return OfAny(layer, inputs, in_place)


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
        findings = [_in_inference(f, inference) for f in findings]
    sites = {f.site for f in findings}
    only = [
        f
        for site, f in inference.items()
        if site not in sites and not _is_coarse(f)
    ]
    measurement.why += [f"{f.site}: noise in inference only" for f in only]
    verdicts = dict.fromkeys(MODES, "not checked") | {"eager": "read"}
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
        findings = _noisy(fields)
        if not any(_is_open(f) for f in findings):
            break
    return fields, findings, count


def _is_open(found):
    rare = found.noise.rate is None or found.noise.rate != 1.0
    return rare and any(
        v.startswith("undetermined") for v in found.sharing.values()
    )


def _inference(measurement, quiet):
    """What acts in inference, by site; None if there is no inference."""
    if not measurement.takes_training:
        return None
    if isinstance(measurement, OfRecurrent):
        fields = measurement.fields(quiet)
        if not _noisy(fields):
            return {}
        quiet = [*quiet, measurement.observe(False)]
        return {f.site: f for f in _noisy(measurement.fields(quiet))}
    quiet = [*quiet, measurement.observe(False)]
    fields = measurement.fields(quiet)
    return {f.site: f for f in _noisy(fields)}


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
    if not _same(_noisy(fields), _noisy(there)):
        sites = ", ".join(f.site for f in _noisy(there)) or "none"
        return f"differs: noise at {sites}"
    draws = "same draws" if _same_draws(fields, there) else "other draws"
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
