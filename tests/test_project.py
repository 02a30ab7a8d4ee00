"""The project's files agree with each other, and its address is one setting."""

import json
import re
import shutil
import subprocess
import sys

import address
import project
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = project.ROOT
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))[
    "project"
]
EXTRAS = METADATA["optional-dependencies"]


def pins(name):
    """Returns the requirements of a lock file, without their hashes."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    return [
        line.rstrip(" \\")
        for line in lines
        if line and not line.startswith((" ", "#"))
    ]


def pinned_version(package, python):
    for pin in map(Requirement, pins("requirements.lock.txt")):
        environment = {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "sys_platform": "linux",
        }
        here = not pin.marker or pin.marker.evaluate(environment)
        if pin.name.lower() == package.lower() and here:
            return next(iter(pin.specifier)).version
    return None


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_satisfies_every_requirement(python):
    wanted = [*METADATA["dependencies"], *sum(EXTRAS.values(), [])]
    for requirement in map(Requirement, wanted):
        if requirement.name == "dropkit":
            continue
        version = pinned_version(requirement.name, python)
        assert version, f"{requirement.name} is not in the lock: run make lock"
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{requirement} is locked at {version}: run make lock"
        )


def test_constraints_are_the_lock_without_hashes():
    assert pins("constraints.txt") == pins("requirements.lock.txt"), (
        "run make lock"
    )


def test_lock_has_hashes_and_no_address():
    text = (ROOT / "requirements.lock.txt").read_text("utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    assert [e for e in entries if "--hash=sha256:" not in e] == []
    for name in ("requirements.lock.txt", "constraints.txt"):
        text = (ROOT / name).read_text("utf-8")
        assert not re.findall(r"\S*://\S*|\S+\.(?:org|com|io|net|dev)\b", text)


def test_run_time_dependencies_have_lower_bounds_only():
    for requirement in map(Requirement, METADATA["dependencies"]):
        operators = [s.operator for s in requirement.specifier]
        assert operators == [">="], f"{requirement} would replace Colab's"


def test_environment_yml_installs_the_constrained_extras():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    python, pip, from_pip = environment["dependencies"]
    assert pip == "pip"
    assert from_pip == {"pip": ["-c constraints.txt", "-e .[dev]"]}
    version = python.removeprefix("python=")
    assert version in PYTHONS
    assert SpecifierSet(METADATA["requires-python"]).contains(version + ".0")


def test_python_versions_agree():
    inside = SpecifierSet(METADATA["requires-python"])
    assert all(inside.contains(version + ".1") for version in PYTHONS)
    assert not inside.contains("3.9.1") and not inside.contains("3.14.0")
    workflow = (ROOT / ".github/workflows/tests.yml").read_text("utf-8")
    job = yaml.safe_load(workflow)["jobs"]["tests"]
    assert tuple(job["strategy"]["matrix"]["python"]) == PYTHONS
    assert "(3, 10) <= v <= (3, 13)" in (ROOT / "Makefile").read_text("utf-8")


@pytest.mark.parametrize(
    "schema, pattern, count",
    [
        ("github-workflows", ".github/workflows/*.yml", 3),
        ("citation-file-format", "CITATION.cff", 1),
    ],
)
def test_file_follows_its_public_schema(schema, pattern, count):
    files = sorted(map(str, ROOT.glob(pattern)))
    assert len(files) == count
    command = [sys.executable, "-m", "check_jsonschema"]
    done = subprocess.run(
        [*command, "--builtin-schema", f"vendor.{schema}", *files],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ci_runs_the_commands_of_the_readme():
    script = ROOT / ".ci/run"
    commands = script.read_text("utf-8").splitlines()
    assert commands.index("make test") < commands.index("make book")
    assert script.stat().st_mode & 0o111, "not executable"
    readme = (ROOT / "README.md").read_text("utf-8")
    assert "make book" in readme and "make test" in readme


def test_licenses_are_there():
    assert METADATA["license"] == "BSD-3-Clause"
    first_line = (ROOT / "LICENSE").read_text("utf-8").splitlines()[0]
    assert first_line == "BSD 3-Clause License"
    assert "CC BY 4.0" in (ROOT / "LICENSE-TEXT").read_text("utf-8")
    folders = [p.parent for p in (ROOT / "dropkit/data").glob("*/*.*")]
    for folder in set(folders):
        if folder.name != "__pycache__":
            assert (folder / "LICENSE.txt").exists(), f"{folder.name}: none"


def test_changelog_names_the_version():
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    version = project.version()
    assert Version(version)
    assert "## [Unreleased]" in changelog or f"## [{version}]" in changelog


def test_every_place_has_the_address():
    assert address.disagreements() == [], "run: python tools/address.py"


@pytest.fixture
def copy(tmp_path):
    for name in ("dropkit/_version.py", "_toc.yml", *address.TEXTS):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, target)
    (tmp_path / "book").mkdir()
    for path in (ROOT / "book").glob("*.*"):
        shutil.copy(path, tmp_path / "book")
    return tmp_path


def test_stamp_changes_every_place_and_no_output(copy):
    new = ("https://github.com/some-one/drop-book", "https://drop.example/")
    outputs = [
        [cell.get("outputs") for cell in json.loads(p.read_text())["cells"]]
        for p in project.notebooks(copy)
    ]
    address.stamp(copy, new)
    assert project.address(copy) == new
    assert address.disagreements(copy) == []
    for path in (*address.texts(copy), *project.notebooks(copy)):
        text = path.read_text("utf-8")
        assert project.PLACEHOLDER + "/" not in text, path.name
    assert outputs == [
        [cell.get("outputs") for cell in json.loads(p.read_text())["cells"]]
        for p in project.notebooks(copy)
    ]
    # Stamping again with the same address changes nothing.
    before = {p: p.read_bytes() for p in copy.rglob("*.*") if p.is_file()}
    address.stamp(copy)
    assert before == {p: p.read_bytes() for p in before}


@pytest.mark.parametrize(
    "name, text",
    [
        ("README.md", "git+https://github.com/somebody-else/dropkit"),
        ("book/index.md", "https://mybinder.org/v2/gh/somebody/dropkit/main"),
        ("_config.yml", "  baseurl: https://elsewhere.example/"),
    ],
)
def test_another_address_is_found(copy, name, text):
    address.stamp(copy)
    with open(copy / name, "a", encoding="utf-8") as file:
        file.write(f"\n{text}\n")
    found = address.disagreements(copy)
    assert len(found) == 1 and found[0].startswith(name)


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/owner/dropkit.git",
        "https://github.com/-owner/dropkit",
        "https://github.com/own--er/dropkit",
        "https://github.com/owner.invalid/dropkit",
        "https://github.com/" + 40 * "a" + "/dropkit",
        "https://github.com/owner",
        "https://github.com/owner/dropkit/",
        "https://github.com/owner/..",
        "https://elsewhere.example/owner/dropkit",
        "git@github.com:owner/dropkit",
    ],
)
def test_address_refuses_what_is_no_repository(text):
    with pytest.raises(ValueError, match="Received: "):
        address.parse(text)
