"""Names: which method a measurement equals.

One table for all layers: site, sharing and noise in, a name out. Where nothing
fits, the nearest entry and what differs from it.
"""

from __future__ import annotations

import dataclasses

from dropkit.probe.finding import Finding

INVERTED, RAW = "bernoulli inverted", "bernoulli raw"
GAUSSIAN, ZONEOUT = "gaussian", "zoneout"


@dataclasses.dataclass(frozen=True)
class Rule:
    """One method: where, shared how, which noise.

    Args:
        name: The method's name.
        sites: Its sites; the finding's must be among them.
        shared: Axes that share a draw; all others must not.
        free: Axes that may do either.
        noises: The noises that it may have.
        inference: What it does in inference.
        recurrent: Whether it is for recurrent layers.
    """

    name: str
    sites: frozenset[str]
    shared: frozenset[str] = frozenset()
    free: frozenset[str] = frozenset()
    noises: tuple[str, ...] = (INVERTED, GAUSSIAN)
    inference: tuple[str, ...] = ("identity",)
    recurrent: bool = False


def _rule(name, sites, shared="", free="", **options):
    return Rule(
        name,
        frozenset(sites.split("|")),
        frozenset(shared.split()),
        frozenset(free.split()) | {"directions"},
        **options,
    )


def _recurrent(name, sites, shared="", free="batch", **options):
    return _rule(name, sites, shared, free, recurrent=True, **options)


_MOON = dict(noises=(RAW,), inference=("identity", "mean"))
_CLASSIC = dict(noises=(RAW,), inference=("mean",))
_BERNOULLI = dict(noises=(INVERTED,))
RULES = (
    _recurrent("Gal (tied)", "state", "time gates"),
    _recurrent("Gal (untied)", "state", "time"),
    _recurrent("Gal per step, tied (naive)", "state", "gates"),
    _recurrent("Gal per step, untied (naive)", "state"),
    _recurrent("Semeniuta per step", "candidate"),
    _recurrent("Semeniuta per sequence", "candidate", "time"),
    _recurrent("Semeniuta per step, classic scale", "candidate", **_CLASSIC),
    _recurrent(
        "Semeniuta per sequence, classic scale", "candidate", "time", **_CLASSIC
    ),
    _recurrent("Moon (RNNDrop)", "cell", "time", **_MOON),
    _recurrent("Moon per step (naive)", "cell", **_MOON),
    _recurrent(
        "Zoneout",
        "keep_state|keep_cell",
        noises=(ZONEOUT,),
        inference=("mean",),
    ),
    _recurrent(
        "WeightDrop", "recurrent weights", "time batch", "", **_BERNOULLI
    ),
    _recurrent("DropConnect", "recurrent weights", "time", "", **_BERNOULLI),
    _recurrent("locked dropout of the output", "output", "time"),
    _recurrent("Zaremba (output, per step)", "output"),
    _recurrent("naive dropout of the new state, per step", "hidden"),
    _recurrent("naive dropout of the new state", "hidden", "time"),
    _recurrent("locked dropout of the input (tied)", "input", "time gates"),
    _recurrent("locked dropout of the input (untied)", "input", "time"),
    _recurrent("Zaremba (input, per step)", "input", "gates"),
    _recurrent("input dropout per step, untied", "input"),
    _rule("standard dropout", "input|output", noises=(INVERTED,)),
    _rule("Gaussian dropout", "input|output", noises=(GAUSSIAN,)),
    _rule("SpatialDropout1D (locked dropout)", "input|output", "time"),
    _rule("SpatialDropout2D", "input|output", "height width"),
    _rule("SpatialDropout3D", "input|output", "depth height width"),
    _rule("token dropout", "input|output", "features", **_BERNOULLI),
    _rule("dropout, one mask for the batch", "input|output", "batch"),
    _rule(
        "dropout of features, one mask for the batch",
        "input|output",
        "batch time",
    ),
    _rule(
        "DropPath (stochastic depth per sample)",
        "input|output",
        "time height width depth features",
        "batch",
    ),
    _rule(
        "dropout of time steps, one mask for the batch",
        "input|output",
        "batch features",
    ),
    _rule("embedding dropout, per sample", "word types", "features"),
    _rule("embedding dropout, per batch", "word types", "features batch"),
    _rule("AlphaDropout", "input", noises=("alpha",)),
    _rule("Gaussian noise (additive)", "input", noises=("additive",)),
    _rule("DropConnect", "weights", **_BERNOULLI),
    _rule("DropConnect, one mask for the batch", "weights", "batch"),
)


@dataclasses.dataclass(frozen=True)
class Match:
    """The table's answer.

    Args:
        name: The method, ``"no dropout"``, ``"none known"`` or
            ``"undetermined: why"``.
        nearest: The nearest method where it is none of the table.
        differences: What differs from the nearest.
    """

    name: str
    nearest: str | None = None
    differences: tuple[str, ...] = ()


def name_of(findings: list[Finding], recurrent: bool) -> Match:
    """Returns the method that some findings equal.

    Args:
        findings: What was found, one for each site with noise.
        recurrent: Whether the layer is recurrent.
    Returns:
        A ``Match``.
    Example:
        >>> from dropkit.probe.finding import Noise
        >>> spatial = Finding(
        ...     "input", Noise("bernoulli", "inverted", 2.0, 0.5),
        ...     {"calls": "own", "batch": "own", "time": "shared",
        ...      "features": "own"})
        >>> name_of([spatial], recurrent=False).name
        'SpatialDropout1D (locked dropout)'
    """
    if not findings:
        return Match("no dropout")
    everything = [f.site for f in findings if f.noise.rate == 1.0]
    if everything:
        return Match(f"rate 1: everything is dropped at {everything[0]}")
    inputs = [f for f in findings if recurrent and f.site == "input"]
    main = [f for f in findings if f not in inputs] or inputs
    matched = _match(main, recurrent)
    if main is inputs or not inputs:
        return matched
    if matched.name == "none known" or matched.name.startswith("undet"):
        return matched
    of_input = _match(inputs, recurrent)
    if of_input.differences:
        return Match(
            "none known",
            f"{matched.name} with {of_input.nearest}",
            of_input.differences,
        )
    gates = inputs[0].sharing.get("gates")
    kind = {"shared": " (tied)", "own": " (untied)"}.get(gates, "")
    if inputs[0].sharing.get("time") == "own":
        kind += " per step"
    return Match(f"{matched.name} with input dropout{kind}")


def _match(findings, recurrent):
    candidates = []
    for rule in RULES:
        if rule.recurrent == recurrent:
            wrong_sites, differences = _differences(findings, rule)
            # Another site is another method: it weighs most.
            score = 3 * wrong_sites + len(differences)
            candidates.append((score, rule, differences))
    score, rule, differences = min(candidates, key=lambda entry: entry[0])
    name = _variant(rule, findings)
    if score:
        return Match("none known", name, differences)
    for finding in findings:
        for axis, verdict in finding.sharing.items():
            if verdict.startswith("undetermined") and axis not in rule.free:
                why = verdict.partition(": ")[2]
                return Match(
                    f"undetermined: {finding.site} over {axis}: {why}", name
                )
    return Match(name)


def _variant(rule, findings):
    """The rule's name with what it leaves free."""
    # The one that the name speaks of.
    finding = next((f for f in findings if f.site in rule.sites), findings[0])
    name = rule.name
    if "gates" not in finding.sharing:
        for word in (" (tied)", " (untied)", ", tied", ", untied"):
            name = name.replace(word, "")
    if rule.recurrent and "batch" in rule.free:
        if finding.sharing.get("batch") == "shared":
            name += ", one draw for the batch"
    if len(rule.noises) > 1 and finding.noise.kind == "gaussian":
        name += ", Gaussian"
    if "mean" in rule.inference and "identity" in rule.inference:
        if finding.inference == "mean":
            name += ", the paper's inference"
    return name


def _differences(findings, rule):
    """Number of wrong sites, and all differences in words."""
    wrong_sites, found = 0, []
    for finding in findings:
        if finding.site not in rule.sites:
            wrong_sites += 1
            found.append(f"site: {finding.site}")
        for axis, verdict in finding.sharing.items():
            if verdict.startswith("undetermined") or axis in rule.free:
                continue
            expected = "shared" if axis in rule.shared else "own"
            if verdict != expected:
                found.append(f"{axis}: {verdict}, not {expected}")
        if finding.noise_name not in rule.noises:
            found.append(f"noise: {finding.noise_name}")
        known = not finding.inference.startswith("undetermined")
        if known and finding.inference not in rule.inference:
            found.append(f"inference: {finding.inference}")
    return wrong_sites, tuple(found)
