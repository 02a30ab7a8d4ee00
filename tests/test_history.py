"""The stored history of Keras's dropout arguments is what Keras does."""

import functools
import json
import shutil

import history
import history_probe
import keras
import pytest
from packaging.version import Version

import dropkit as dk

ROWS = dk.data.keras_history()
MEASURED = [row for row in ROWS if row.not_measured is None]


def nearest(version):
    """The row of a Keras 3 release, or of the last stored one before it."""
    rows = [r for r in MEASURED if Version(r.version).major == 3]
    before = [r for r in rows if Version(r.version) <= Version(version)]
    return (before or rows)[-1]


ROW = nearest(keras.__version__)
# The id says which row stands in for a release that has none.
AGAINST = f"keras-{keras.__version__}-against-{ROW.version}"


def categories(found):
    """What a case says but for estimates."""
    sites = {
        site: (said["noise"], said["sharing"])
        for site, said in found["sites"].items()
    }
    kept = ("method", "fresh", "inference", "seed_in_inference", "error")
    return sites, {key: found[key] for key in kept}


@functools.cache
def installed(*case):
    return history_probe.measure(dk.probe, *case)


CASES = [
    ("LSTM", "dropout", "eager"),
    ("LSTM", "recurrent_dropout", "eager"),
    ("LSTM", "both", "eager"),
    ("LSTM", "both", "fit"),
    ("GRU", "both", "graph"),
    ("SimpleRNN", "both", "eager"),
    ("TimeDistributed(Dropout)", "rate", "eager"),
]


@pytest.mark.parametrize("case", CASES, ids="-".join)
@pytest.mark.parametrize("row", [ROW], ids=[AGAINST])
def test_installed_keras_does_what_is_stored(row, case):
    now, stored = installed(*case), row.case(*case)
    assert categories(now) == categories(stored)
    for site, said in stored["sites"].items():
        # Both rates come from the scale, each read to 2e-3.
        rate = now["sites"][site]["rate"]
        assert abs(rate - said["rate"]) <= 4e-3, site
        low, high = now["sites"][site]["zeros"][1:]
        assert 0 < low < high < 1


def test_another_meaning_would_be_noticed():
    case = ("LSTM", "both", "eager")
    meanings = {
        json.dumps(categories(row.case(*case)), sort_keys=True)
        for row in MEASURED
    }
    assert len(meanings) > 2
    now = json.dumps(categories(installed(*case)), sort_keys=True)
    assert now in meanings


def test_every_release_has_its_row_and_every_row_its_cases():
    names = [(row.package, row.version) for row in ROWS]
    assert names == list(history.RELEASES)
    for row in MEASURED:
        found = [(c["layer"], c["arguments"], c["run"]) for c in row.cases]
        assert found == history_probe.cases()
        assert not [c for c in row.cases if c["error"] or "unread" in c]


def test_every_row_says_what_measured_it():
    assert len({row.probe for row in MEASURED}) == 1
    for row in ROWS:
        assert len(row.probe) == 12 and row.date > "2026"
        if row.not_measured is not None:
            assert row.not_measured and not row.cases
            continue
        assert set(row.versions) == {"keras", "tensorflow", "numpy", "python"}
        assert row.versions["keras"] == row.version


def test_a_mask_in_words():
    def site(time, gates=None):
        sharing = {"time": time} | ({"gates": gates} if gates else {})
        return {"sharing": sharing, "rate": 0.25}

    case = {"layer": "LSTM", "arguments": "both", "run": "fit"}
    sites = {"input": site("own", "own"), "state": site("shared", "shared")}
    rnn = {**case, "layer": "SimpleRNN", "sites": {"input": site("shared")}}
    gru = {**case, "layer": "GRU", "sites": {"carry": site("own")}}
    cases = [{**case, "sites": sites}, rnn, {**gru, "run": "graph"}]
    row = dk.data.KerasRelease("keras", "3.0", "2026-01-01", "", cases)
    assert row.mask("input", "both") == "step untied 0.25"
    assert row.mask("state", "both") == "fixed tied 0.25"
    assert row.mask("input", "both", layer="SimpleRNN") == "fixed 0.25"
    assert row.mask("state", "both", layer="SimpleRNN") == "none"
    assert row.mask("carry", "both", "graph", "GRU") == "step 0.25"
    with pytest.raises(ValueError, match="no such case. Received: layer='GRU'"):
        row.case("GRU", "both", "fit")


def test_storing_again_changes_no_byte(tmp_path, monkeypatch):
    before = history.STORE.read_bytes()
    rows = history.load()
    monkeypatch.setattr(history, "STORE", tmp_path / "new/history.json")
    history.save(rows[::-1])
    assert history.STORE.read_bytes() == before


def test_measured_releases_are_skipped_and_failures_are_tried_again(
    tmp_path, monkeypatch, capsys
):
    store = tmp_path / "history.json"
    done = {"package": "keras", "version": "3.8.0", "cases": []}
    done["probe"] = history.probe_version()
    failed = done | {"version": "3.9.2", "not_measured": "why"}
    monkeypatch.setattr(history, "STORE", store)
    monkeypatch.setattr(
        history, "RELEASES", (("keras", "3.8.0"), ("keras", "3.9.2"))
    )
    history.save([done, failed])
    asked = []

    def measure(package, version):
        asked.append(version)
        return done | {"version": version}

    monkeypatch.setattr(history, "measure", measure)
    assert history.main([]) == 0 and asked == ["3.9.2"]
    assert history.main([]) == 0 and asked == ["3.9.2"]
    assert history.main(["--only", "3.8.0"]) == 0 and asked[-1] == "3.8.0"
    assert history.main(["--force"]) == 0 and len(asked) == 4
    with pytest.raises(SystemExit):
        history.main(["--only", "3.8"])
    assert "--only must be one of 3.8.0, 3.9.2" in capsys.readouterr().err


def test_a_release_that_cannot_be_measured_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(history, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(history, "find_uv", lambda: ["false"])
    row = history.measure("keras", "0.0")
    assert "cannot be installed" in row["not_measured"] and not row["cases"]
    (tmp_path / "keras-0.1/bin").mkdir(parents=True)
    (tmp_path / "keras-0.1/bin/python").symlink_to(shutil.which("false"))
    (tmp_path / "keras-0.1/complete").touch()
    row = history.measure("keras", "0.1")
    assert row["not_measured"] == "the probe's status is 1"


class AsKeras2(keras.layers.LSTM):
    """An LSTM whose input is dropped anew at each step, as in Keras 2."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.noise = keras.layers.Dropout(0.25)

    def call(self, x, initial_state=None, mask=None, training=False):
        x = self.noise(x, training=training)
        return super().call(x, initial_state, mask, training)


def test_an_input_dropped_at_each_step_is_not_taken_for_zoneout():
    keras.utils.set_random_seed(0)
    for _ in range(3):
        report = dk.probe(AsKeras2(4))
        assert report.method == "Zaremba (input, per step)"
        assert [f.site for f in report.findings] == ["input"]
