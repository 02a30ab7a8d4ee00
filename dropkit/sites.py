"""What a recurrent method multiplies: sites and their multipliers."""

from __future__ import annotations

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Multiplier:
    """A multiplier of one site.

    Args:
        value: Tensor that broadcasts to ``(B, U)``; with ``gates``, to
            ``(G, B, U)``; with ``steps``, one more axis in front for time.
        steps: Whether there is one for each step.
        gates: Whether there is one for each gate (untied).
    """

    value: tf.Tensor
    steps: bool = False
    gates: bool = False

    def over_time(self) -> tf.Tensor:
        """The value with a time axis, of size 1 if it is constant."""
        return self.value if self.steps else self.value[None]


@dataclasses.dataclass(frozen=True)
class Sites:
    """What is multiplied in a loop; None where nothing is.

    Args:
        input: Multiplier of ``x_t``, the same for all steps.
        state: Multiplier of ``h_{t-1}`` on its way into the recurrent kernel.
        candidate: Multiplier of the candidate ``g_t``.
        cell: Multiplier of the new cell ``c_t`` (LSTM).
        keep_state: Fraction of the old ``h`` that is kept (zoneout, padding).
        keep_cell: Fraction of the old ``c`` that is kept.
    """

    input: Multiplier | None = None
    state: Multiplier | None = None
    candidate: Multiplier | None = None
    cell: Multiplier | None = None
    keep_state: Multiplier | None = None
    keep_cell: Multiplier | None = None

    def tensors(self) -> list[tf.Tensor]:
        """The tensors of the sites that are there, in the fields' order."""
        return [m.value for m in self._present().values()]

    def with_tensors(self, tensors: list[tf.Tensor]) -> Sites:
        """The same sites with other tensors."""
        present = self._present()
        return dataclasses.replace(
            self,
            **{
                name: dataclasses.replace(m, value=tensor)
                for (name, m), tensor in zip(
                    present.items(), tensors, strict=True
                )
            },
        )

    def _present(self):
        fields = [f.name for f in dataclasses.fields(self)]
        values = {name: getattr(self, name) for name in fields}
        return {name: m for name, m in values.items() if m is not None}

    def folded_into(self, kernel: tf.Tensor) -> tf.Tensor:
        """The recurrent kernel with a state multiplier that all samples share.

        ``(m * h) U = h (diag(m) U)``
        """
        m = self.state
        if m is None:
            return kernel
        units = kernel.shape[0]
        gates = m.value.shape[0] if m.gates else 1
        rows = tf.reshape(m.value, [gates, units])
        blocks = tf.reshape(kernel, [units, gates, -1])
        return tf.reshape(blocks * tf.transpose(rows)[..., None], kernel.shape)
