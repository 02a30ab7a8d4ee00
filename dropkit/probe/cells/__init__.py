"""Cells: how weights isolate one site, and how it is computed back.

One class for each weight layout. They know shapes, the order of the gates and
the cell's equations, and nothing about dropout. The units of a probed layer
are readers: all but one of a unit's gates are held open (1) or closed (0) by
its biases, so that its output is an invertible function of one multiplier.

Outputs have the time axis first and the units last. All experiments of a cell
are calls of the same layer with other weights; where they share their draws,
what acts inside the units can be corrected for.
"""

from dropkit.probe.cells.base import INSIDE, TOLERANCE, Cell
from dropkit.probe.cells.gru import GRU, GRUResetBefore
from dropkit.probe.cells.inside import Inside
from dropkit.probe.cells.lstm import LSTM
from dropkit.probe.cells.simple_rnn import SimpleRNN

__all__ = [
    "Cell",
    "GRU",
    "GRUResetBefore",
    "INSIDE",
    "Inside",
    "LSTM",
    "SimpleRNN",
    "TOLERANCE",
]
