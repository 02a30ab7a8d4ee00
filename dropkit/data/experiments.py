"""Every recurrent method on three tasks: runs that were made once and kept."""

import dataclasses
import json
from importlib import resources

from dropkit.experiment import Results


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class MethodRuns:
    """The stored runs, with what they were made by.

    Args:
        plan: Dict: the `seeds`, the `variants` with the method and the rate
            of each, and the settings of each of the `tasks`.
        provenance: Dict: `dates`, `machine`, `versions`, and digests of the
            `data` and the `code`.
        results: A `dropkit.experiment.Results` with one run of each variant,
            task and seed.
    """

    plan: dict
    provenance: dict
    results: Results

    def __repr__(self) -> str:
        plan = self.plan
        return (
            f"MethodRuns({len(self.results.rows)} runs: "
            f"{len(plan['variants'])} variants x {len(plan['tasks'])} tasks x "
            f"{len(plan['seeds'])} seeds)"
        )


def method_runs() -> MethodRuns:
    """Loads the runs of every recurrent method on three tasks.

    `tools/experiments.py` trained them, by a plan fixed before, and stored
    all of them: the file is what chapter "which" reads.

    Returns:
        A `MethodRuns`.
    Example:
        >>> from dropkit import data
        >>> runs = data.method_runs()
        >>> list(runs.plan["tasks"])
        ['weather', 'vowels', 'text']
    """
    folder = resources.files(__package__) / "method_runs"
    stored = json.loads((folder / "method_runs.json").read_text("utf-8"))
    tasks, variants = (
        list(stored["plan"][name]) for name in ("tasks", "variants")
    )
    records = [
        {
            "variant": variant,
            "data": task,
            "seed": seed,
            "order": [variants.index(variant), tasks.index(task)],
            "status": "done",
            "seconds": seconds,
            "versions": stored["provenance"]["versions"],
            "metrics": dict(zip(stored["metrics"], values, strict=True)),
        }
        for task, variant, seed, seconds, *values in stored["runs"]
    ]
    return MethodRuns(stored["plan"], stored["provenance"], Results(records))
