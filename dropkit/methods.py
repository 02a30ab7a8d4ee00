"""The recurrent methods: site x sharing x noise, one short class each.

A method turns a layer's sizes and a key into the multipliers of
:class:`dropkit.sites.Sites`. It knows no weights and no loop.
"""

from __future__ import annotations

import dataclasses

import keras
import tensorflow as tf

from dropkit.noise import Bernoulli, Gaussian, Noise, check_rate
from dropkit.sites import Multiplier, Sites
from dropkit.stream import Key


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes of a call, and where its draws are made.

    Args:
        time: Number of steps.
        batch: Number of samples.
        units: Width of the state.
        gates: Number of gates: 4 (LSTM), 3 (GRU), 1 (SimpleRNN).
        dtype: Dtype of the multipliers.
        direction: Part of the key, so that directions differ.
    """

    time: int | tf.Tensor
    batch: int | tf.Tensor
    units: int
    gates: int
    dtype: str
    direction: str


def _choice(name, value, allowed):
    if value not in allowed:
        raise ValueError(
            f"Invalid value received for argument `{name}`. Expected one of "
            f"{allowed}. Received: {name}={value!r}"
        )
    return value


def check_recurrent_rate(rate, name: str = "rate"):
    """Returns a scalar rate in ``[0, 1)``; see :func:`check_rate`.

    Keras's LSTM and GRU accept 1 and ignore it. Here it is an error.

    Args:
        rate: Float in ``[0, 1)``, or a scalar ``keras.Variable``.
        name: The argument's name, for the error.
    Returns:
        The rate.
    Raises:
        TypeError: if ``rate`` is no number.
        ValueError: if it is outside ``[0, 1)`` or a vector.
    Example:
        >>> check_recurrent_rate(0.5)
        0.5
    """
    checked = check_rate(rate, one_allowed=False, name=name)
    if isinstance(checked, tuple):
        raise ValueError(
            f"Invalid value received for argument `{name}`. Expected a scalar; "
            "a dropkit.Dropout in front of the layer takes one rate for each "
            f"feature. Received: {name}={rate!r}"
        )
    return checked


class Method:
    """A recurrent dropout method.

    Attributes:
        layers: Names of the layers for which it is defined.
        gates: ``"tied"`` or ``"untied"``: how ``dropout=`` beside it draws.
        identity_in_inference: Whether inference is the plain layer.
        fits_kernel: Whether all samples and steps share one draw, so that the
            recurrent kernel can hold it.
    """

    layers = ("LSTM", "GRU", "SimpleRNN")
    gates = "tied"
    identity_in_inference = True
    fits_kernel = False

    def check(self, layer: str) -> None:
        """Raises a ValueError if the method is not defined for a layer."""
        if layer not in self.layers:
            raise ValueError(
                f"{type(self).__name__} is not defined for a {layer}, only for "
                f"{' and '.join(self.layers)}; Gal, Zoneout and WeightDrop are "
                f"defined for all layers. Received: recurrent_dropout={self!r}"
            )

    def sites(self, key: Key, sizes: Sizes) -> Sites:
        """Returns the multipliers of one training call."""
        raise NotImplementedError

    def inference_sites(self, sizes: Sizes) -> Sites:
        """Returns the fixed multipliers of inference."""
        return Sites()

    def kernel(self, key: Key, sizes: Sizes, kernel):
        """Returns the recurrent kernel of one training call."""
        return kernel

    def get_config(self) -> dict:
        """Returns the arguments; a variable rate as its present value."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __eq__(self, other):
        return (
            type(self) is type(other)
            and self.get_config() == other.get_config()
        )

    def __hash__(self):
        return hash(type(self))

    def __repr__(self):
        arguments = ", ".join(
            f"{k}={v!r}" for k, v in self.get_config().items()
        )
        return f"{type(self).__name__}({arguments})"


class _OneSite(Method):
    """A method that multiplies one tensor by one noise."""

    def __init__(self, noise: Noise, over: str, per: str):
        self._noise = noise
        self.over = _choice("over", over, ("sequence", "step"))
        self.per = _choice("per", per, ("sample", "batch"))

    @property
    def rate(self):
        """The rate: a float or a variable."""
        return self._noise.rate

    @property
    def is_identity(self) -> bool:
        """Whether the rate is a Python 0."""
        return self._noise.is_identity

    def _draw(self, key: Key, sizes: Sizes, site: str) -> Multiplier:
        untied = self.gates == "untied" and sizes.gates > 1
        shape = [1 if self.per == "batch" else sizes.batch, sizes.units]
        if untied:
            shape.insert(0, sizes.gates)
        if self.over == "step":
            shape.insert(0, sizes.time)
        role = f"{sizes.direction}/{site}"
        value = self._noise.multiplier(key, shape, sizes.dtype, role)
        return Multiplier(value, steps=self.over == "step", gates=untied)

    def get_config(self):
        return {"rate": self._noise.config_rate, "over": self.over}


NOISES = {"bernoulli": Bernoulli, "gaussian": Gaussian}


def _noise(noise, rate):
    _choice("noise", noise, tuple(NOISES))
    return NOISES[noise](check_recurrent_rate(rate))


@keras.saving.register_keras_serializable(package="dropkit")
class Gal(_OneSite):
    r"""Multiplies the state ``h_{t-1}`` on its way into the recurrent kernel.

    .. math:: h_{t-1} U \;\to\; (m \odot h_{t-1}) U

    The cell ``c`` is never touched, nor is a GRU's carry ``z h_{t-1}``.
    ``Gal(rate, gates="untied")`` is what Keras's float ``recurrent_dropout``
    means. Scale: inverted; inference: the identity.

    Args:
        rate: Float in ``[0, 1)``, or a scalar ``keras.Variable``.
        gates: ``"tied"``: one multiplier for all gates; ``"untied"``: one for
            each gate. It also rules the input multiplier of ``dropout=``.
        over: ``"sequence"``: one draw for all steps of a call; ``"step"``: a
            new draw at each step (the naive form, for comparison).
        per: ``"sample"`` or ``"batch"``: who shares a draw.
        noise: ``"bernoulli"`` or ``"gaussian"``.
    Raises:
        TypeError: if the rate is no number.
        ValueError: for a rate outside ``[0, 1)`` or an unknown choice.
    Example:
        >>> Gal(0.25).gates
        'tied'

    Reference:
        Gal and Ghahramani (2016), https://arxiv.org/abs/1512.05287. The paper
        also drops word types (:class:`EmbeddingDropout`) and decays the
        weights; both are left to the model.
    """

    def __init__(
        self,
        rate: float | keras.Variable,
        gates: str = "tied",
        over: str = "sequence",
        per: str = "sample",
        noise: str = "bernoulli",
    ):
        super().__init__(_noise(noise, rate), over, per)
        self.gates = _choice("gates", gates, ("tied", "untied"))
        self.noise = noise

    @property
    def fits_kernel(self):
        return self.per == "batch" and self.over == "sequence"

    def sites(self, key, sizes):
        return Sites(state=self._draw(key, sizes, "state"))

    def get_config(self):
        return {
            **super().get_config(),
            "per": self.per,
            "gates": self.gates,
            "noise": self.noise,
        }


@keras.saving.register_keras_serializable(package="dropkit")
class Semeniuta(_OneSite):
    r"""Multiplies the candidate, the update that is written into the memory.

    .. math::

        \text{LSTM: } c_t = f c_{t-1} + i\,(m \odot g_t) \qquad
        \text{GRU: } h_t = z h_{t-1} + (1 - z)\,(m \odot g_t)

    What is remembered is never dropped. Scale: inverted; inference: the
    identity.

    Args:
        rate: Float in ``[0, 1)``, or a scalar ``keras.Variable``.
        over: ``"step"`` or ``"sequence"``.
        per: ``"sample"`` or ``"batch"``.
        noise: ``"bernoulli"`` or ``"gaussian"``.
    Raises:
        TypeError: if the rate is no number.
        ValueError: for a rate outside ``[0, 1)`` or an unknown choice.
    Example:
        >>> Semeniuta(0.5).over
        'step'

    Reference:
        Semeniuta, Severyn and Barth (2016),
        https://aclanthology.org/C16-1165. The authors' code uses raw masks
        and multiplies the candidate by ``1 - rate`` at test time.
    """

    layers = ("LSTM", "GRU")

    def __init__(
        self,
        rate: float | keras.Variable,
        over: str = "step",
        per: str = "sample",
        noise: str = "bernoulli",
    ):
        super().__init__(_noise(noise, rate), over, per)
        self.noise = noise

    def sites(self, key, sizes):
        return Sites(candidate=self._draw(key, sizes, "candidate"))

    def get_config(self):
        return {**super().get_config(), "per": self.per, "noise": self.noise}


@keras.saving.register_keras_serializable(package="dropkit")
class Moon(_OneSite):
    r"""Multiplies the new cell ``c_t`` (RNNDrop).

    .. math:: c_t = m \odot (f c_{t-1} + i g_t)

    Scale: raw 0 and 1, since an inverted scale would grow as
    ``(1 / (1 - rate))**t``. Inference: the identity by default, because the
    paper's rule multiplies the cell by ``1 - rate`` at *every* step, so that
    a memory decays as ``(1 - rate)**t``.

    Args:
        rate: Float in ``[0, 1)``, or a scalar ``keras.Variable``.
        over: ``"sequence"`` (Moon) or ``"step"`` (the naive form: a unit
            survives ``t`` steps with probability ``(1 - rate)**t``).
        inference: ``"identity"`` or ``"paper"``.
    Raises:
        TypeError: if the rate is no number.
        ValueError: for a rate outside ``[0, 1)`` or an unknown choice.
    Example:
        >>> Moon(0.25).inference
        'identity'

    Reference:
        Moon et al. (2015), ASRU, "RNNDROP: A novel dropout for RNNs in ASR".
    """

    layers = ("LSTM",)

    def __init__(
        self,
        rate: float | keras.Variable,
        over: str = "sequence",
        inference: str = "identity",
    ):
        noise = Bernoulli(check_recurrent_rate(rate), scale="raw")
        super().__init__(noise, over, "sample")
        self.inference = _choice("inference", inference, ("identity", "paper"))
        self.identity_in_inference = inference == "identity"

    def sites(self, key, sizes):
        return Sites(cell=self._draw(key, sizes, "cell"))

    def inference_sites(self, sizes):
        keep = tf.cast(1 - self._noise.rate_tensor, sizes.dtype)
        return Sites(cell=Multiplier(keep))

    def get_config(self):
        return {**super().get_config(), "inference": self.inference}


@keras.saving.register_keras_serializable(package="dropkit")
class Zoneout(Method):
    r"""Keeps old values instead of dropping: no zeros, and no scale.

    .. math::

        c_t &= k_c c_{t-1} + (1 - k_c)\,\tilde c_t \\
        h_t &= k_h h_{t-1} + (1 - k_h)\, o \tanh(\tilde c_t)

    Each ``k`` is 1 with the given probability, drawn anew for each step,
    sample and unit. The output uses the new cell before zoneout, as in the
    paper. Inference: each ``k`` is replaced by its mean.

    Args:
        hidden: Float in ``[0, 1)``, probability of keeping an old ``h``.
        cell: The same for ``c``. Default: 0.5 for an LSTM; GRU and SimpleRNN
            have no cell, and a given value is an error there.
    Raises:
        TypeError: if a rate is no number.
        ValueError: for a rate outside ``[0, 1)``.
    Example:
        >>> Zoneout()
        Zoneout(hidden=0.05, cell=None)

    Reference:
        Krueger et al. (2017), https://arxiv.org/abs/1606.01305.
    """

    identity_in_inference = False

    def __init__(
        self,
        hidden: float | keras.Variable = 0.05,
        cell: float | keras.Variable | None = None,
    ):
        self._hidden = Bernoulli(check_recurrent_rate(hidden, "hidden"), "raw")
        self._cell = None
        if cell is not None:
            self._cell = Bernoulli(check_recurrent_rate(cell, "cell"), "raw")

    def check(self, layer):
        if layer != "LSTM" and self._cell is not None:
            raise ValueError(
                f"A {layer} has no cell: give Zoneout only `hidden`. "
                f"Received: recurrent_dropout={self!r}"
            )

    def _noises(self, sizes):
        """Noise of each kept site that exists in this layer."""
        noises = {"keep_state": self._hidden}
        if sizes.gates == 4:
            noises["keep_cell"] = self._cell or Bernoulli(0.5, "raw")
        return noises

    def sites(self, key, sizes):
        keeps = {}
        for site, noise in self._noises(sizes).items():
            dropped = noise.multiplier(
                key,
                [sizes.time, sizes.batch, sizes.units],
                sizes.dtype,
                f"{sizes.direction}/{site}",
            )
            keeps[site] = Multiplier(1 - dropped, steps=True)
        return Sites(**keeps)

    def inference_sites(self, sizes):
        return Sites(
            **{
                site: Multiplier(tf.cast(noise.rate_tensor, sizes.dtype))
                for site, noise in self._noises(sizes).items()
            }
        )

    def get_config(self):
        cell = None if self._cell is None else self._cell.config_rate
        return {"hidden": self._hidden.config_rate, "cell": cell}


@keras.saving.register_keras_serializable(package="dropkit")
class WeightDrop(Method):
    r"""Drops entries of the recurrent kernel: one draw for the whole call.

    .. math:: h_{t-1} U \;\to\; h_{t-1} (M \odot U)

    All samples and steps share the draw. Scale: inverted; inference: the
    identity.

    Args:
        rate: Float in ``[0, 1)``, or a scalar ``keras.Variable``.
    Raises:
        TypeError: if the rate is no number.
        ValueError: for a rate outside ``[0, 1)``.
    Example:
        >>> WeightDrop(0.5)
        WeightDrop(rate=0.5)

    Reference:
        Merity et al. (2018), https://arxiv.org/abs/1708.02182: DropConnect on
        the hidden-to-hidden matrices, once for each forward pass.
    """

    fits_kernel = True

    def __init__(self, rate: float | keras.Variable):
        self._noise = Bernoulli(check_recurrent_rate(rate))

    @property
    def rate(self):
        """The rate: a float or a variable."""
        return self._noise.rate

    def sites(self, key, sizes):
        return Sites()

    def kernel(self, key, sizes, kernel):
        return self._noise.apply(
            kernel, key, kernel.shape, f"{sizes.direction}/kernel"
        )

    def get_config(self):
        return {"rate": self._noise.config_rate}
