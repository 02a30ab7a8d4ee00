"""Sequences: utterances of unequal length, and a text."""

import dataclasses
import io
from importlib import resources
from typing import NamedTuple

import numpy as np

from dropkit.data.dataset import Dataset


class Parts(NamedTuple):
    """Training, validation and test part, each a pair `(x, y)`.

    It is what `dropkit.experiment.Training` takes as its data.

    Args:
        training: What a model learns from.
        validation: What chooses the epoch.
        test: What is looked at once.
    """

    training: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]

    def __repr__(self) -> str:
        shapes = (f"{k} {v[0].shape}" for k, v in self._asdict().items())
        return f"Parts({', '.join(shapes)})"


@dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Utterances(Dataset):
    """Spoken vowels of unequal length: a `Dataset` with `lengths`, `parts`.

    Args:
        lengths: Int64 array, the steps of each example; behind them `x` is 0.
        in_test: Bool array, whether an example is of the source's test file.
    """

    lengths: np.ndarray
    in_test: np.ndarray

    def parts(self, per_speaker: int = 8) -> Parts:
        """Splits into training, validation and test part.

        The first utterances of each speaker in the source's training file
        train, its others validate, and the source's test file tests. All
        columns are standardized by the training part's real steps; padding
        stays 0, at the end.

        Args:
            per_speaker: Int, training utterances of each speaker.
        Returns:
            `Parts`; `y` is the speaker's number.
        Raises:
            ValueError: if `per_speaker` isn't an integer from 1 to 29.
        Example:
            >>> from dropkit import data
            >>> data.japanese_vowels().parts(per_speaker=8)
            Parts(training (72, 29, 12), validation (198, 29, 12), \
test (370, 29, 12))
        """
        if type(per_speaker) is not int or not 0 < per_speaker < 30:
            raise ValueError(
                "Invalid value received for argument `per_speaker`. Expected "
                f"an integer from 1 to 29. Received: per_speaker={per_speaker}"
            )
        real = np.arange(self.x.shape[1]) < self.lengths[:, None]
        place = np.zeros(len(self.y), int)
        for speaker in range(len(self.classes)):
            own = np.flatnonzero((self.y == speaker) & ~self.in_test)
            place[own] = np.arange(len(own))
        train = ~self.in_test & (place < per_speaker)
        steps = self.x[train][real[train]]
        x = (self.x - steps.mean(axis=0)) / steps.std(axis=0)
        x = np.where(real[..., None], x, 0).astype("float32")
        masks = train, ~self.in_test & ~train, self.in_test
        return Parts(*((x[mask], self.y[mask]) for mask in masks))


@dataclasses.dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Text:
    """A text in memory; printing it shows its card.

    Args:
        name: What the text is, in a few words.
        text: String.
        source: Where the file comes from, with the version.
        license: The license as the source states it; the full text stands
            in `LICENSE.txt` beside the file.
    """

    name: str
    text: str
    source: str
    license: str

    def __repr__(self) -> str:
        return "\n".join(
            [
                self.name,
                f"  text: {len(self.text)} characters, "
                f"{len(set(self.text))} different",
                f"  source: {self.source}",
                f"  license: {self.license}",
            ]
        )

    def parts(
        self,
        training: int = 16_000,
        validation: int = 8_000,
        test: int = 8_000,
        length: int = 30,
    ) -> Parts:
        """Cuts windows for a model that predicts the next character.

        The text's first characters train, those behind them validate, the
        next ones test. Windows follow each other without a gap, and the last
        one that isn't full is left out.

        Args:
            training: Int, number of characters.
            validation: Int, likewise.
            test: Int, likewise.
            length: Int, steps in a window.
        Returns:
            `Parts`: int64 numbers of characters, `y` one character later. A
            number is a character's place in `sorted(set(text))`.
        Raises:
            ValueError: if a number isn't positive, a part has no window, or
                the text is too short; the message ends `Received: ...`.
        Example:
            >>> from dropkit import data
            >>> data.austen().parts(length=30)
            Parts(training (533, 30), validation (266, 30), test (266, 30))
        """
        sizes = training, validation, test
        whole = all(type(n) is int and n > 0 for n in (*sizes, length))
        if not whole or min(sizes) <= length or sum(sizes) > len(self.text):
            raise ValueError(
                "Expected positive integers: parts longer than a window, "
                f"together at most {len(self.text)} characters. "
                f"Received: training={training}, validation={validation}, "
                f"test={test}, length={length}"
            )
        number = {c: n for n, c in enumerate(sorted(set(self.text)))}
        numbers = np.array([number[c] for c in self.text[: sum(sizes)]])

        def cut(part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            windows = (len(part) - 1) // length
            x = part[: windows * length].reshape(windows, length)
            y = part[1 : windows * length + 1].reshape(windows, length)
            return x, y

        return Parts(*map(cut, np.split(numbers, np.cumsum(sizes)[:2])))


def japanese_vowels() -> Utterances:
    """Loads 640 utterances of two vowels by nine speakers.

    Returns:
        An `Utterances`: `x` is `(640, 29, 12)`, padded with 0 at the end; `y`
        is int64 with the speaker's number.
    Example:
        >>> from dropkit import data
        >>> vowels = data.japanese_vowels()
        >>> vowels.x.shape, int(vowels.lengths.min()), int(vowels.lengths.max())
        ((640, 29, 12), 7, 29)
    """
    folder = resources.files(__package__) / "japanese_vowels"
    content = (folder / "japanese_vowels.npz").read_bytes()
    with np.load(io.BytesIO(content)) as arrays:
        steps = (arrays["millionths"] / 1e6).astype("float32")
        lengths = arrays["lengths"].astype("int64")
        speakers = arrays["speakers"].astype("int64")
    x = np.zeros((len(lengths), lengths.max(), steps.shape[1]), "float32")
    x[np.arange(lengths.max()) < lengths[:, None]] = steps
    return Utterances(
        name="Japanese Vowels: two vowels, spoken by nine men",
        x=x,
        y=speakers,
        columns=tuple(f"cepstrum_{k}" for k in range(1, 13)),
        classes=tuple(f"speaker {k}" for k in range(1, 10)),
        source="Kudo, Toyama and Shimbo (1999), UCI, by way of aeon 1.6.0",
        license="BSD 3-Clause, as stated by aeon; UCI's terms: LICENSE.txt",
        lengths=lengths,
        in_test=np.arange(len(lengths)) >= 270,
    )


def austen() -> Text:
    """Loads the novel Northanger Abbey.

    Returns:
        A `Text`.
    Example:
        >>> from dropkit import data
        >>> novel = data.austen()
        >>> novel.text[:16], len(novel.text)
        ('NORTHANGER ABBEY', 433411)
    """
    path = resources.files(__package__) / "austen" / "northanger_abbey.txt"
    return Text(
        name="Northanger Abbey, a novel by Jane Austen",
        text=path.read_text("utf-8"),
        source="Project Gutenberg, by way of Debian's r-cran-janeaustenr "
        "1.0.0-1",
        license="public domain; package: MIT, copyright 2016-2017 Julia Silge",
    )
