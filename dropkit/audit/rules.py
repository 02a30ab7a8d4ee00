"""The table of rules: one row for each fault.

A rule follows measurements of the installed Keras, never a version number.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator

from dropkit.audit import draws, order, recurrence
from dropkit.audit.evidence import Evidence
from dropkit.audit.fault import Fault
from dropkit.audit.report import Advice


@dataclasses.dataclass(frozen=True)
class Rule:
    """A row of the table of rules.

    Args:
        name: The rule's name.
        find: Function of the evidence; yields faults.
        page: The page in ``book/`` to read, without its ending.
    """

    name: str
    find: Callable[[Evidence], Iterator[Fault]]
    page: str

    @property
    def chapter(self) -> str:
        """The page as the advice names it."""
        return f"book/{self.page}"


RULES = (
    Rule("fused-path", recurrence.loses_fused_path, "fast"),
    Rule("before-masking", order.before_masking, "standard"),
    Rule("rate-one", recurrence.rate_of_one_is_ignored, "folklore"),
    Rule("fixed-batch", order.fixed_batch, "noise_shape"),
    Rule(
        "untied-input",
        recurrence.input_mask_is_untied,
        "input_recurrent",
    ),
    Rule("same-seed", draws.same_seed, "standard"),
    Rule("time-distributed", order.redrawn_per_step, "spatial"),
    Rule("training-true", order.training_true_is_ignored, "standard"),
    Rule("replicas", draws.replicas_share_masks, "standard"),
    Rule("batch-normalization", order.before_batch_normalization, "folklore"),
    Rule("unbounded", recurrence.unbounded_recurrence, "lstm"),
    Rule("mixed-precision", draws.loses_mixed_precision, "spatial"),
    Rule("half-rate", draws.rate_is_rounded, "standard"),
)


def advise(evidence: Evidence) -> tuple[Advice, ...]:
    """Returns the advice of all rules; equal advice is given once."""
    advice = []
    for rule in RULES:
        faults = list(rule.find(evidence))
        texts = dict.fromkeys((f.reason, f.change) for f in faults)
        for text in texts:
            layers = itertools.chain.from_iterable(
                f.layers for f in faults if (f.reason, f.change) == text
            )
            advice.append(Advice(rule.name, tuple(layers), *text, rule.chapter))
    return tuple(advice)
