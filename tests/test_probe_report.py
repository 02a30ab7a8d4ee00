"""The report: for eyes, for notebooks and for programs."""

import json
import time

import keras
import pytest

import dropkit as dk
from dropkit.probe import Report

layers = keras.layers


@pytest.fixture(scope="module")
def report():
    return dk.probe(layers.LSTM(3, dropout=0.2, recurrent_dropout=0.4))


def test_the_table_names_method_sites_and_evidence(report):
    text = str(report)
    assert text == report.table
    for part in (
        "Gal (untied) with input dropout (untied)",
        "state h_{t-1}",
        "0 or 1.667",
        "zeros: rate 0.",
        " to ",
        "mean ",
        "variance ",
        "the scale says 0.4",
        "eager: read; graph: not checked; xla: not checked",
    ):
        assert part in text
    starts = {len(q.ljust(18)) for q, _ in report.rows()}
    assert starts == {18}


def test_the_html_holds_every_row_and_escapes(report):
    page = report._repr_html_()
    assert page.count("<tr>") == len(report.rows())
    angle = Report("<lambda>", None, "no dropout")
    assert "&lt;lambda&gt;" in angle._repr_html_()


def test_the_dict_is_json_and_complete(report):
    found = json.loads(json.dumps(report.to_dict()))
    assert found["method"] == report.method
    assert found["findings"][1]["noise"]["kind"] == "bernoulli"
    assert found["specification"]["recurrent_dropout"]["class_name"] == "Gal"
    assert set(found) == {
        "layer", "kind", "method", "findings", "nearest", "differences",
        "fresh", "inference", "seed_in_inference", "modes", "undetermined",
        "error", "specification",
    }  # fmt: skip


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dropout(0.5),
        layers.Dropout(1.0),
        layers.AlphaDropout(0.2),
        layers.Dense(3),
        dk.LSTM(3, recurrent_dropout=dk.Zoneout(0.3)),
        layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3)])),
        layers.LSTM(3, activation="gelu", dropout=0.3),
        layers.LSTM(3, dropout=0.3, implementation=1),
    ],
    ids=lambda layer: layer.name,
)
def test_every_report_can_be_printed_and_stored(layer):
    found = dk.probe(layer)
    json.dumps(found.to_dict())
    assert found.method in found.table and "<table>" in found._repr_html_()


def test_site_is_none_where_nothing_acts(report):
    assert report.site("cell") is None
    assert report.site("state").site == "state"


def test_only_recurrent_layers_are_drawn():
    with pytest.raises(ValueError, match="Only a recurrent layer"):
        dk.probe(layers.Dropout(0.5)).plot()
    with pytest.raises(ValueError, match="undetermined"):
        dk.probe(layers.LSTM(3, dropout=0.3, activation="gelu")).plot()


def test_a_probe_of_an_lstm_takes_two_seconds_at_most():
    """Processor time: other processes don't count."""
    spent = []
    for _ in range(3):
        layer = layers.LSTM(3, dropout=0.2, recurrent_dropout=0.4)
        start = time.process_time()
        dk.probe(layer)
        spent.append(time.process_time() - start)
    assert min(spent) < 2
