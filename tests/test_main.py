"""The command line: exit status, JSON, and files that cannot be audited."""

import json
import subprocess
import sys
import zipfile

import keras
import pytest

import dropkit as dk
from dropkit.__main__ import main

layers = keras.layers


def save(path, *steps):
    model = keras.Sequential([keras.Input((5, 4)), *steps])
    model.save(path)
    return str(path)


def test_a_clean_model_is_0(tmp_path, capsys):
    file = save(tmp_path / "clean.keras", dk.Dropout(0.5, "time"))
    assert main(["audit", file]) == 0
    printed = capsys.readouterr().out
    assert "SpatialDropout1D (locked dropout)" in printed
    assert "No advice." in printed


def test_advice_is_1_and_json_is_the_report(tmp_path, capsys):
    file = save(
        tmp_path / "faulty.keras", layers.Dropout(0.5), layers.Masking()
    )
    assert main(["audit", "--json", file]) == 1
    data = json.loads(capsys.readouterr().out)
    assert [advice["rule"] for advice in data["advice"]] == ["before-masking"]
    expected = dk.audit(keras.saving.load_model(file)).to_dict()
    assert data == expected


def test_as_a_program(tmp_path):
    file = save(tmp_path / "clean.keras", layers.Dropout(0.5))
    result = subprocess.run(
        [sys.executable, "-m", "dropkit", "audit", file],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "standard dropout" in result.stdout


class Own(layers.Layer):
    """Not registered with Keras."""

    def call(self, x):
        return x


def run(arguments, capsys):
    status = main(["audit", *arguments])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("dropkit audit: ")
    assert f"Received: {arguments[-1]}" in captured.err
    return status, captured.err


def test_custom_objects_are_an_error(tmp_path, capsys):
    file = save(tmp_path / "own.keras", Own())
    status, text = run([file], capsys)
    assert status == 2
    assert "needs custom objects" in text and "Own" in text


def test_nothing_unsafe_is_run(tmp_path, capsys):
    trace = tmp_path / "it_ran"
    where = str(trace)

    def noisy(x):
        open(where, "a").close()
        return x

    file = save(
        tmp_path / "lambda.keras",
        layers.Lambda(lambda x: noisy(x), output_shape=(5, 4)),
    )
    trace.unlink(missing_ok=True)
    status, text = run([file], capsys)
    assert status == 2
    assert "safe mode" in text
    assert not trace.exists()


@pytest.mark.parametrize("kind", ["missing", "text", "hdf5", "zip", "folder"])
def test_what_is_no_model_is_an_error(kind, tmp_path, capsys):
    path = tmp_path / f"model.{kind}"
    if kind == "text":
        path.write_text("no model")
    elif kind == "hdf5":
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    elif kind == "zip":
        path = path.with_suffix(".keras")
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("README", "no model")
    elif kind == "folder":
        path.mkdir()
    status, _ = run([str(path)], capsys)
    assert status == 2


def test_a_layer_is_no_model(tmp_path, capsys):
    path = tmp_path / "model.keras"
    model = keras.Sequential([keras.Input((5, 4)), layers.Dropout(0.5)])
    model.save(path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    config = json.loads(members["config.json"])
    config = config["config"]["layers"][1]
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    status, _ = run([str(path)], capsys)
    assert status == 2


def test_an_error_as_json(tmp_path, capsys):
    assert main(["audit", "--json", str(tmp_path / "no.keras")]) == 2
    assert "no such file" in json.loads(capsys.readouterr().out)["error"]


def test_wrong_arguments_are_2():
    for arguments in ([], ["audit"], ["probe", "x.keras"]):
        with pytest.raises(SystemExit) as exit:
            main(arguments)
        assert exit.value.code == 2
