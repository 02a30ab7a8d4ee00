"""The data sets are the sources' values, and their cards tell the truth."""

import csv
import hashlib
from importlib import resources

import numpy as np
import pytest

from dropkit import data

FILES = {
    "seattle_weather/seattle_weather.csv": "62f0609f78715812",
    "macrodata/macrodata.csv": "dcd853ee811fb5a2",
    "fashion/fashion.npz": "046241c4bea8cda9",
    "japanese_vowels/japanese_vowels.npz": "a02f8d56ff635a52",
    "austen/northanger_abbey.txt": "51f91bbe0517db8e",
}
LOADERS = (
    data.seattle_weather,
    data.macrodata,
    data.fashion,
    data.japanese_vowels,
)
# What a license file must say, if it isn't "public domain".
SAID = {
    "fashion": (
        "Copyright: 2017, Zalando SE",
        "Permission is hereby granted, free of charge",
        'THE SOFTWARE IS PROVIDED "AS IS"',
    ),
    "japanese_vowels": (
        "Kudo",
        "10.24432/C5NS47",
        "Copyright (c) The aeon developers.",
        "THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS",
        "not\n          seen: UCI's own terms",
    ),
    "austen": (
        "public domain",
        "Copyright: 2016-2017 Julia Silge",
        'THE SOFTWARE IS PROVIDED "AS IS"',
    ),
}


@pytest.mark.parametrize("path", FILES)
def test_file_is_the_one_that_was_checked(path):
    content = (resources.files(data) / path).read_bytes()
    assert hashlib.sha256(content).hexdigest()[:16] == FILES[path]


@pytest.mark.parametrize("path", FILES)
def test_license_stands_beside_the_file(path):
    folder = path.split("/")[0]
    text = (resources.files(data) / folder / "LICENSE.txt").read_text("utf-8")
    assert "Source: " in text and "License: " in text
    for words in SAID.get(folder, ("public domain",)):
        assert words in text


@pytest.mark.parametrize("load", LOADERS)
def test_values_are_finite_and_float32(load):
    dataset = load()
    assert dataset.x.dtype == np.float32
    assert np.isfinite(dataset.x).all()


@pytest.mark.parametrize("load", LOADERS)
def test_card_shows_shapes_source_and_license(load):
    dataset = load()
    card = str(dataset)
    assert card.startswith(dataset.name)
    for part in (dataset.x.shape, dataset.source, dataset.license):
        assert str(part) in card
    # A notebook stores the card as text: no address, no object id.
    assert "0x" not in card and len(card) < 500


def test_shapes_and_names():
    weather, macro = data.seattle_weather(), data.macrodata()
    images = data.fashion()
    assert weather.x.shape == (1461, 11) == (1461, len(weather.columns))
    assert macro.x.shape == (203, 14) == (203, len(macro.columns))
    assert images.x.shape == (1500, 28, 28) and images.y.shape == (1500,)
    assert images.x.min() == 0 and images.x.max() == 1
    assert images.y.dtype == np.int64
    assert set(images.y) == set(range(len(images.classes)))
    assert images.columns == () and macro.y is None


def test_vowels_are_padded_at_the_end_with_zeros_only():
    vowels = data.japanese_vowels()
    assert vowels.x.shape == (640, 29, 12) == (640, 29, len(vowels.columns))
    assert np.bincount(vowels.y[~vowels.in_test]).tolist() == [30] * 9
    # The source counts its test file so.
    counts = [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert np.bincount(vowels.y[vowels.in_test]).tolist() == counts
    steps = (vowels.x != 0).any(axis=-1)
    real = np.arange(29) < vowels.lengths[:, None]
    np.testing.assert_array_equal(steps, real)
    assert set(vowels.lengths) <= set(range(7, 30))
    # The first line of the source's training file.
    np.testing.assert_array_equal(
        vowels.x[0, 0, :3], np.float32([1.860936, -0.207383, 0.261557])
    )


@pytest.mark.parametrize("per_speaker", [1, 8, 29])
def test_parts_of_vowels_are_disjoint_and_standardized(per_speaker):
    vowels = data.japanese_vowels()
    parts = vowels.parts(per_speaker)
    sizes = [9 * per_speaker, 9 * (30 - per_speaker), 370]
    assert [len(y) for _, y in parts] == sizes
    assert [x.dtype for x, _ in parts] == [np.float32] * 3
    assert np.bincount(parts.training[1]).tolist() == [per_speaker] * 9
    utterances = np.concatenate([x.reshape(len(x), -1) for x, _ in parts])
    assert len(np.unique(utterances, axis=0)) == 640
    x, _ = parts.training
    steps = x[(x != 0).any(axis=-1)]
    np.testing.assert_allclose(steps.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(steps.std(axis=0), 1, rtol=1e-5)
    # Masking finds the same steps as before.
    x, _ = parts.test
    found = (x != 0).any(axis=-1).sum(axis=1)
    np.testing.assert_array_equal(found, vowels.lengths[vowels.in_test])


def test_text_card_and_its_windows():
    novel = data.austen()
    card = str(novel)
    for part in (novel.name, novel.source, novel.license, "433411", "75"):
        assert part in card
    parts = novel.parts(training=101, validation=52, test=51, length=10)
    assert [x.shape for x, _ in parts] == [(10, 10), (5, 10), (5, 10)]
    characters = np.array(sorted(set(novel.text)))
    start = 0
    for (x, y), size in zip(parts, (101, 52, 51), strict=True):
        assert x.dtype == y.dtype == np.int64
        text = "".join(characters[x.ravel()])
        assert text == novel.text[start : start + x.size]
        text = "".join(characters[y.ravel()])
        assert text == novel.text[start + 1 : start + 1 + x.size]
        start += size


@pytest.mark.parametrize(
    "sizes",
    [
        {"length": 0},
        {"training": 30},
        {"validation": 2.0},
        {"test": True},
        {"training": 433_411},
    ],
)
def test_bad_text_parts_are_refused(sizes):
    with pytest.raises(ValueError, match=r"Received: training="):
        data.austen().parts(**sizes)


@pytest.mark.parametrize("per_speaker", [0, 30, 8.0, True, None])
def test_bad_number_of_utterances_is_refused(per_speaker):
    with pytest.raises(ValueError, match=r"Received: per_speaker="):
        data.japanese_vowels().parts(per_speaker)


def test_parts_of_the_weather_are_its_windows_by_year():
    weather = data.seattle_weather()
    windows, parts = weather.windows(10), weather.parts(10)
    np.testing.assert_array_equal(parts.training[0], windows.x_train)
    np.testing.assert_array_equal(parts.training[1], windows.y_train)
    # 2014 and 2015 have 365 days each.
    for (x, y), start in ((parts.validation, 0), (parts.test, 365)):
        np.testing.assert_array_equal(x, windows.x_held_out[start:][:355])
        np.testing.assert_array_equal(y, windows.y_held_out[start:][:355])
    with pytest.raises(ValueError, match="from 1 to 364. Received: length=365"):
        weather.parts(365)


def test_every_load_gives_fresh_arrays():
    data.fashion().x[:] = 0
    assert data.fashion().x.max() == 1


def test_weather_columns_are_the_file_s():
    weather = data.seattle_weather()
    assert (np.diff(weather.dates) == np.timedelta64(1, "D")).all()
    column = dict(zip(weather.columns, weather.x.T, strict=True))
    kinds = ["drizzle", "fog", "rain", "snow", "sun"]
    np.testing.assert_array_equal(sum(column[k] for k in kinds), 1)
    # The file's second line: 2012/01/02,10.9,10.6,2.8,4.5,rain
    assert column["sqrt_precipitation"][1] == np.float32(10.9**0.5)
    assert column["temp_max"][1] == np.float32(10.6)
    assert column["rain"][1] == 1
    circle = column["sin_day"] ** 2 + column["cos_day"] ** 2
    np.testing.assert_allclose(circle, 1, rtol=1e-6)


@pytest.mark.parametrize("length", [1, 7, 10])
def test_windows_are_recomputed_from_the_file_and_never_cross_the_split(length):
    path = resources.files(data) / "seattle_weather" / "seattle_weather.csv"
    rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    level = np.array([float(row["temp_max"]) for row in rows])
    year = np.array([int(row["date"][:4]) for row in rows])
    level = (level - level[year < 2014].mean()) / level[year < 2014].std()
    windows = data.seattle_weather().windows(length)
    parts = {
        "train": (windows.x_train, windows.y_train, year < 2014),
        "held out": (windows.x_held_out, windows.y_held_out, year >= 2014),
    }
    for x, y, inside in parts.values():
        expected_x, expected_y = [], []
        for start in range(len(level) - length):
            if inside[start] and inside[start + length]:
                last = start + length - 1
                expected_x.append(level[start : start + length])
                expected_y.append(level[last + 1] - level[last])
        assert x.dtype == y.dtype == np.float32
        assert x.shape[1:] == (length, 11)
        np.testing.assert_allclose(x[:, :, 1], expected_x, atol=1e-5)
        np.testing.assert_allclose(y, expected_y, atol=1e-5)
    assert windows.persistence == pytest.approx(np.mean(windows.y_held_out**2))


def test_windows_are_standardized_by_the_training_years():
    windows = data.seattle_weather().windows(1)
    # One training day of 731, the last, starts no window.
    np.testing.assert_allclose(windows.x_train.mean((0, 1)), 0, atol=0.01)
    np.testing.assert_allclose(windows.x_train.std((0, 1)), 1, atol=0.01)
    assert np.abs(windows.x_held_out.mean((0, 1))).max() > 0.02


@pytest.mark.parametrize("length", [0, -1, 2.0, 731, True, None])
def test_bad_length_is_refused(length):
    with pytest.raises(ValueError, match=r"Received: length="):
        data.seattle_weather().windows(length)
