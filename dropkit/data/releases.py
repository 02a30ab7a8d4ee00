"""What each release of Keras did with its dropout arguments, measured."""

import dataclasses
import json
from importlib import resources

OVER_TIME = {"shared": "fixed", "own": "step"}
OVER_GATES = {"shared": "tied", "own": "untied"}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class KerasRelease:
    """A row of the history.

    Args:
        package: `"keras"`, or `"tf_keras"` for Keras 2.
        version: The release.
        date: Day of the measurement.
        probe: Digest of the probe's code.
        cases: One dict a case: its `layer`, `arguments` and `run` (`"eager"`,
            `"graph"` or `"fit"`), and what the report says: `method`,
            `sites`, `fresh`, `inference`, `seed_in_inference`, `error`.
        versions: Of what it ran on.
        not_measured: Why there are no cases, else `None`.
    """

    package: str
    version: str
    date: str
    probe: str
    cases: list[dict]
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    not_measured: str | None = None

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self.cases)} cases>"

    @property
    def name(self) -> str:
        """Package and version."""
        return f"{self.package} {self.version}"

    def case(self, layer: str, arguments: str, run: str) -> dict:
        """Returns what was read of one layer.

        Args:
            layer: Name of the layer, as `"LSTM"`.
            arguments: `"dropout"`, `"recurrent_dropout"` or `"both"` for a
                recurrent layer, `"rate"` for others.
            run: `"eager"`, `"graph"` or `"fit"`.
        Returns:
            The case.
        Raises:
            ValueError: if there is none; the message ends `Received: ...`.
        """
        wanted = layer, arguments, run
        for found in self.cases:
            if (found["layer"], found["arguments"], found["run"]) == wanted:
                return found
        raise ValueError(
            f"{self.name} has no such case. Received: layer={layer!r}, "
            f"arguments={arguments!r}, run={run!r}"
        )

    def mask(
        self, site: str, arguments: str, run: str = "fit", layer: str = "LSTM"
    ) -> str:
        """Returns a mask in words: over time, over gates, its rate.

        Args:
            site: `"input"`, `"state"`, or `"carry"`: what the update gate of a
                GRU carries over.
            arguments: As in `case`.
            run: As in `case`.
            layer: As in `case`.
        Returns:
            For example `"fixed tied 0.25"`: one mask for all steps and gates;
            `"none"` where nothing is dropped.
        Raises:
            ValueError: as `case`.
        Example:
            >>> from dropkit import data
            >>> data.keras_history()[-1].mask("input", "dropout")
            'fixed tied 0.25'
        """
        found = self.case(layer, arguments, run)["sites"].get(site)
        if found is None:
            return "none"
        words = [OVER_TIME[found["sharing"]["time"]]]
        if "gates" in found["sharing"]:
            words.append(OVER_GATES[found["sharing"]["gates"]])
        return " ".join([*words, f"{found['rate']:.2f}"])


def keras_history() -> list[KerasRelease]:
    """Loads what `dropout=` and `recurrent_dropout=` did, release by release.

    `tools/history.py` ran the probe in an environment of each release and
    stored what it read.

    Returns:
        One `KerasRelease` each, Keras 2 first.
    Example:
        >>> from dropkit import data
        >>> case = data.keras_history()[-1].cases[0]
        >>> case["layer"], case["arguments"], case["run"]
        ('LSTM', 'dropout', 'eager')
        >>> case["sites"]["input"]["sharing"]["time"]
        'shared'
    """
    folder = resources.files(__package__) / "keras_history"
    rows = json.loads((folder / "keras_history.json").read_text("utf-8"))
    return [KerasRelease(**row) for row in rows["releases"]]
