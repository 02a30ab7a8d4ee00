"""Variants x seeds x data in one call, compared by pairs of equal seeds.

`run` trains every variant with every seed on every data set, and keeps what
is finished. `Training` says how: early stopping on the validation part, one
look at the test part. `Results.compare` reads the difference to a baseline,
with its interval.
"""

from dropkit.experiment.comparison import Comparison, Difference, interval
from dropkit.experiment.results import Results
from dropkit.experiment.runs import load, run
from dropkit.experiment.training import Training

__all__ = [
    "Comparison",
    "Difference",
    "Results",
    "Training",
    "interval",
    "load",
    "run",
]
