"""Real data sets that load offline, with their source and license.

Each set is a folder of this package: the data file and its `LICENSE.txt`.
Three more are our own measurements: of Keras's releases, of speed, and of the
methods.
"""

import csv
import dataclasses
import io
from importlib import resources

import numpy as np

from dropkit.data.dataset import Dataset
from dropkit.data.experiments import MethodRuns, method_runs
from dropkit.data.releases import KerasRelease, keras_history
from dropkit.data.sequences import (
    Parts,
    Text,
    Utterances,
    austen,
    japanese_vowels,
)
from dropkit.data.speed import Benchmark, Ratio, benchmark

__all__ = [
    "Benchmark",
    "Dataset",
    "KerasRelease",
    "MethodRuns",
    "Parts",
    "Ratio",
    "Text",
    "Utterances",
    "WeatherDataset",
    "Windows",
    "austen",
    "benchmark",
    "fashion",
    "japanese_vowels",
    "keras_history",
    "macrodata",
    "method_runs",
    "seattle_weather",
]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Windows:
    """Windows of a series, split by date into training and held-out parts.

    Args:
        x_train: Float32 array `(windows, length, features)`.
        y_train: Float32 array `(windows,)`.
        x_held_out: As `x_train`, later in time.
        y_held_out: As `y_train`, later in time.
        persistence: Mean squared error on the held-out part of the forecast
            "no change". A model that doesn't beat it has learned nothing.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_held_out: np.ndarray
    y_held_out: np.ndarray
    persistence: float

    def __repr__(self) -> str:
        return (
            f"Windows(x_train {self.x_train.shape}, "
            f"x_held_out {self.x_held_out.shape}, "
            f"persistence {self.persistence:.3f})"
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class WeatherDataset(Dataset):
    """A daily weather series: a `Dataset` with `dates` and `windows`.

    Args:
        dates: `datetime64[D]` array, one date a row of `x`.
    """

    dates: np.ndarray

    def windows(self, length: int = 10) -> Windows:
        """Cuts windows that predict tomorrow's change of `temp_max`.

        The years 2012-13 train, 2014-15 are held out, and no window crosses
        that line. All columns are standardized by the mean and the standard
        deviation of the training years. The target is the next day's
        standardized `temp_max` minus the last day's in the window, because
        the level itself is no test: "tomorrow is like today" predicts it as
        well as a trained network.

        Args:
            length: Int, the number of days in a window.
        Returns:
            A `Windows`.
        Raises:
            ValueError: if `length` isn't a positive integer shorter than the
                training years.
        Example:
            >>> from dropkit import data
            >>> data.seattle_weather().windows(length=10)
            Windows(x_train (721, 10, 11), x_held_out (720, 10, 11), \
persistence 0.162)
        """
        train = self.dates < np.datetime64("2014-01-01")
        limit = min(train.sum(), (~train).sum())
        _check_length(length, limit)
        x_train, y_train = self._cut(train, length)
        x_held_out, y_held_out = self._cut(~train, length)
        persistence = float(np.mean(np.square(y_held_out)))
        return Windows(x_train, y_train, x_held_out, y_held_out, persistence)

    def parts(self, length: int = 10) -> Parts:
        """Cuts the windows of `windows`, for an experiment in three parts.

        The years 2012-13 train, 2014 validates, 2015 tests; no window crosses
        a line between them.

        Args:
            length: Int, the number of days in a window.
        Returns:
            `Parts`.
        Raises:
            ValueError: if `length` isn't a positive integer shorter than a
                year.
        Example:
            >>> from dropkit import data
            >>> data.seattle_weather().parts(length=10)
            Parts(training (721, 10, 11), validation (355, 10, 11), \
test (355, 10, 11))
        """
        years = self.dates.astype("datetime64[Y]").astype(int) + 1970
        masks = years < 2014, years == 2014, years == 2015
        limit = min(mask.sum() for mask in masks)
        _check_length(length, limit)
        return Parts(*(self._cut(mask, length) for mask in masks))

    def _cut(
        self, part: np.ndarray, length: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """All windows of some days, standardized by the training years."""
        train = self.x[self.dates < np.datetime64("2014-01-01")]
        x = (self.x[part] - train.mean(axis=0)) / train.std(axis=0)
        level = x[:, self.columns.index("temp_max")]
        # One start fewer than windows fit: each needs its next day.
        starts = np.arange(len(x) - length)
        days = starts[:, None] + np.arange(length)
        return x[days], level[starts + length] - level[days[:, -1]]


def seattle_weather() -> WeatherDataset:
    """Loads the daily weather of Seattle, 2012 to 2015.

    Returns:
        A `WeatherDataset`: `x` is `(1461, 11)`, in the file's units (mm,
        degrees Celsius, m/s), `y` is `None` (see `windows`).
    Example:
        >>> from dropkit import data
        >>> weather = data.seattle_weather()
        >>> print(weather)
        Daily weather in Seattle, 2012 to 2015
          x: float32 (1461, 11)
          columns: sqrt_precipitation, temp_max, temp_min, wind, drizzle, \
fog, rain, snow, sun, sin_day, cos_day
          source: NOAA, by way of vega_datasets 0.9.0
          license: public domain
        >>> print(weather.dates[0], weather.dates[-1])
        2012-01-01 2015-12-31
    """
    rows = _table("seattle_weather")
    dates = np.array(
        [row["date"].replace("/", "-") for row in rows], "datetime64[D]"
    )
    day = (dates - dates.astype("datetime64[Y]")).astype(float)
    angle = 2 * np.pi * day / 365.25
    kinds = ("drizzle", "fog", "rain", "snow", "sun")
    columns = {
        "sqrt_precipitation": np.sqrt(_column(rows, "precipitation")),
        "temp_max": _column(rows, "temp_max"),
        "temp_min": _column(rows, "temp_min"),
        "wind": _column(rows, "wind"),
    }
    columns |= {k: [row["weather"] == k for row in rows] for k in kinds}
    columns |= {"sin_day": np.sin(angle), "cos_day": np.cos(angle)}
    return WeatherDataset(
        name="Daily weather in Seattle, 2012 to 2015",
        x=np.stack([*columns.values()], axis=1).astype("float32"),
        columns=tuple(columns),
        source="NOAA, by way of vega_datasets 0.9.0",
        license="public domain",
        dates=dates,
    )


def macrodata() -> Dataset:
    """Loads the quarterly economy of the United States, 1959 to 2009.

    Returns:
        A `Dataset`: `x` is `(203, 14)`, in the file's units; `y` is `None`.
    Example:
        >>> from dropkit import data
        >>> data.macrodata().columns[:4]
        ('year', 'quarter', 'realgdp', 'realcons')
    """
    rows = _table("macrodata")
    columns = tuple(rows[0])
    return Dataset(
        name="Economy of the United States, quarterly, 1959 to 2009",
        x=np.stack([_column(rows, c) for c in columns], axis=1).astype(
            "float32"
        ),
        columns=columns,
        source="FRED and the Bureau of Labor Statistics, by way of "
        "statsmodels 0.15.0",
        license="public domain",
    )


def fashion() -> Dataset:
    """Loads the first 1500 test images of Fashion-MNIST.

    Returns:
        A `Dataset`: `x` is `(1500, 28, 28)` in `[0, 1]`, `y` is int64 with
        the class of each image; `classes` has the 10 names.
    Example:
        >>> from dropkit import data
        >>> images = data.fashion()
        >>> images.x.shape, images.classes[images.y[0]]
        ((1500, 28, 28), 'ankle boot')
    """
    path = resources.files(__name__) / "fashion" / "fashion.npz"
    with np.load(io.BytesIO(path.read_bytes())) as arrays:
        x, y = arrays["x"], arrays["y"]
    return Dataset(
        name="Fashion-MNIST, the first 1500 test images",
        x=x.astype("float32") / 255,
        y=y.astype("int64"),
        classes=(
            "T-shirt",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        source="Zalando Research, by way of Debian's dataset-fashion-mnist "
        "0.0~git20200523.55506a9-1",
        license="MIT, copyright 2017 Zalando SE",
    )


def _check_length(length: int, limit: int) -> None:
    if type(length) is not int or not 0 < length < limit:
        raise ValueError(
            "Invalid value received for argument `length`. Expected an "
            f"integer from 1 to {limit - 1}. Received: length={length!r}"
        )


def _table(name: str) -> list[dict[str, str]]:
    path = resources.files(__name__) / name / f"{name}.csv"
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def _column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])
