"""Every kind of dropout for Keras 3 on TensorFlow.

Every dropout is three choices: the *site* (which tensor is multiplied), the
*sharing* (which entries share one draw) and the *noise* (what the multiplier
is). The layers and the recurrent methods take them as arguments.
"""

import importlib

from dropkit import data, experiment, reference
from dropkit._version import __version__
from dropkit.audit import audit
from dropkit.convert import convert
from dropkit.layers import Dropout, EmbeddingDropout, TokenDropout
from dropkit.methods import Gal, Moon, Semeniuta, WeightDrop, Zoneout
from dropkit.probe import probe
from dropkit.recurrent import GRU, LSTM, SimpleRNN

__all__ = [
    "Dropout",
    "EmbeddingDropout",
    "GRU",
    "Gal",
    "LSTM",
    "Moon",
    "Semeniuta",
    "SimpleRNN",
    "TokenDropout",
    "WeightDrop",
    "Zoneout",
    "__version__",
    "audit",
    "convert",
    "data",
    "experiment",
    "plot",
    "probe",
    "reference",
]


def __getattr__(name: str):
    # matplotlib is imported by the first figure, not by `import dropkit`.
    if name == "plot":
        return importlib.import_module("dropkit.plot")
    raise AttributeError(f"module 'dropkit' has no attribute {name!r}")
