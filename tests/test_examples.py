"""The examples run."""

import runpy
from pathlib import Path

import numpy as np

FORECAST = Path(__file__).parents[1] / "examples" / "forecast.py"


def test_every_method_trains_on_real_data(capsys):
    example = runpy.run_path(str(FORECAST))
    results = example["main"](["--epochs", "1", "--seeds", "1"])
    assert results.keys() == example["METHODS"].keys()
    losses = np.array(list(results.values()))
    assert losses.shape == (len(results), 1, 1)
    assert np.isfinite(losses).all()
    # All start from the same weights: only the methods differ, and all do.
    assert len(np.unique(losses)) == len(results)
    printed = capsys.readouterr().out
    assert f"{len(results)}/{len(results)}" in printed
    for name in results:
        assert name in printed
