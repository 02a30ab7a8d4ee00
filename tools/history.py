"""Measures what `dropout=` and `recurrent_dropout=` did, release by release.

Each release gets an environment of its own under `_build/history` (`make
clean` removes it), with the newest TensorFlow that it accepts, and the probe
runs there. The results go to `dropkit/data/keras_history`. A release that was
measured with the present probe is skipped.

    python tools/history.py                    # what is missing
    python tools/history.py --only 3.13.2      # one release, again
    python tools/history.py --force            # all of them, again

Needs `uv`, on the path or as a module.
"""

import argparse
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STORE = ROOT / "dropkit/data/keras_history/keras_history.json"
ENVIRONMENTS = ROOT / "_build/history"
CHILD = ROOT / "tools/history_probe.py"
# One Python that all of them accept.
PYTHON = "3.11"
LIMIT = 1800  # seconds

# Keras 2 before and after it became tf_keras, and one release of each minor
# version of Keras 3.
RELEASES = (
    ("keras", "2.12.0"),
    ("tf_keras", "2.15.1"),
    ("tf_keras", "2.21.0"),
    ("keras", "3.0.5"),
    ("keras", "3.1.1"),
    ("keras", "3.2.1"),
    ("keras", "3.3.3"),
    ("keras", "3.4.1"),
    ("keras", "3.5.0"),
    ("keras", "3.6.0"),
    ("keras", "3.7.0"),
    ("keras", "3.8.0"),
    ("keras", "3.9.2"),
    ("keras", "3.10.0"),
    ("keras", "3.11.3"),
    ("keras", "3.12.4"),
    ("keras", "3.13.2"),
    ("keras", "3.14.1"),
    ("keras", "3.15.1"),
)


def probe_version() -> str:
    """Returns a digest of the code that measures."""
    digest = hashlib.sha256(CHILD.read_bytes())
    for path in sorted((ROOT / "dropkit/probe").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def load() -> list[dict]:
    """Returns the stored rows."""
    if not STORE.exists():
        return []
    return json.loads(STORE.read_text("utf-8"))["releases"]


def save(rows: list[dict]) -> None:
    """Stores rows in the order of `RELEASES`, one case a line."""
    order = [f"{package} {version}" for package, version in RELEASES]
    rows = [row for row in rows if name_of(row) in order]
    rows.sort(key=lambda row: order.index(name_of(row)))
    lines = []
    for row in rows:
        head = {k: v for k, v in row.items() if k != "cases"}
        cases = ",\n".join(f"  {json.dumps(c)}" for c in row["cases"])
        lines.append(f'{json.dumps(head)[:-1]}, "cases": [\n{cases}\n ]}}')
    STORE.parent.mkdir(exist_ok=True)
    text = ",\n ".join(lines)
    STORE.write_text(f'{{"releases": [\n {text}\n]}}\n', "utf-8")


def name_of(row: dict) -> str:
    return f"{row['package']} {row['version']}"


def find_uv() -> list[str]:
    """Returns the command that runs uv."""
    for command in (["uv"], [sys.executable, "-m", "uv"]):
        if shutil.which(command[0]):
            done = subprocess.run([*command, "--version"], capture_output=True)
            if done.returncode == 0:
                return command
    raise SystemExit("history.py needs uv: pip install uv")


class NotMeasured(Exception):
    """A release that could not be measured; the message says why."""


def environment(package: str, version: str) -> Path:
    """Returns the Python of a release's environment, made if it is missing."""
    folder = ENVIRONMENTS / f"{package}-{version}"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    complete = folder / "complete"
    if complete.exists():
        return python
    uv = find_uv()
    packages = [f"{package}=={version}", "tensorflow"]
    for command in (
        [*uv, "venv", "--quiet", "--clear", "--python", PYTHON, folder],
        [*uv, "pip", "install", "--quiet", "--python", python, *packages],
    ):
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            why = " ".join(done.stderr.split())
            raise NotMeasured(f"it cannot be installed: {why[:300]}")
    complete.touch()
    return python


def measure(package: str, version: str) -> dict:
    """Measures one release in its environment."""
    row = {"package": package, "version": version, "probe": probe_version()}
    row["date"] = datetime.date.today().isoformat()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "out.json")
        environ = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            done = subprocess.run(
                [environment(package, version), CHILD, package, path],
                timeout=LIMIT,
                env=os.environ | environ,
            )
            if done.returncode:
                raise NotMeasured(f"the probe's status is {done.returncode}")
        except (NotMeasured, subprocess.TimeoutExpired) as why:
            return row | {"not_measured": str(why), "cases": []}
        return row | json.loads(path.read_text("utf-8"))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", metavar="VERSION", help="one release, again")
    parser.add_argument("--force", action="store_true", help="all, again")
    options = parser.parse_args(arguments)
    wanted = [r for r in RELEASES if options.only in (None, r[1])]
    if not wanted:
        known = ", ".join(version for _, version in RELEASES)
        parser.error(f"--only must be one of {known}")
    rows = {name_of(row): row for row in load()}
    present, failed = probe_version(), 0
    for number, (package, version) in enumerate(wanted, 1):
        name = f"{package} {version}"
        old = rows.get(name, {})
        is_done = old.get("probe") == present and "not_measured" not in old
        if is_done and not (options.force or options.only):
            continue
        print(f"[{number}/{len(wanted)}] {name}", file=sys.stderr, flush=True)
        row = measure(package, version)
        if "not_measured" in row:
            failed += 1
            print(f"not measured: {row['not_measured']}", file=sys.stderr)
        # Read again: another process may have stored a release.
        save([*(r for r in load() if name_of(r) != name), row])
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
