"""The wheel: it holds all that runs on a node and nothing else, and it runs where the tree is not."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from lab.binaries import TREE
from services.cli import DOCUMENTS
from shared.version import VERSION

PACKAGES = ("services", "shared")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it as the image does, without the network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an installation without dependencies lays down."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(site: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the program that the wheel names, from a folder that is not the tree."""
    scripts = configparser.ConfigParser()
    scripts.read(next(site.glob("*.dist-info")) / "entry_points.txt")
    module, function = scripts["console_scripts"]["warmstandby"].split(":")
    program = (
        f"import sys, {module}\nassert {module}.__file__.startswith({str(site)!r})\nsys.exit({module}.{function}())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WARMSTANDBY_")}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def name_of(requirement: str) -> str:
    """Return the package's name of a line such as `httpx>=0.28.1,<0.29`."""
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return found[0]


def test_it_holds_the_two_packages_and_nothing_else(wheel: Path) -> None:
    """SQL, migrations and the mark of typed packages too; no test, no lab, nothing left by a tool."""
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    tree = {
        str(path.relative_to(TREE))
        for package in PACKAGES
        for path in (TREE / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == tree
    kinds = {Path(name).suffix for name in inside}
    assert kinds == {".py", ".sql", ".typed"}
    assert {f"{package}/py.typed" for package in PACKAGES} <= inside
    assert sum("/migrations/" in name and name.endswith(".sql") for name in inside) >= 2


def test_it_says_what_the_project_says(site: Path) -> None:
    """Version, licence and the dependencies of pyproject.toml; no PostgreSQL of the demo among them."""
    (info,) = site.glob("*.dist-info")
    metadata = Parser().parsestr((info / "METADATA").read_text(encoding="utf-8"))
    project = tomllib.loads((TREE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["Version"] == project["version"] == VERSION
    assert metadata["License-Expression"] == "Apache-2.0"
    assert (info / "licenses" / "LICENSE").read_bytes() == (TREE / "LICENSE").read_bytes()
    required = {name_of(line) for line in metadata.get_all("Requires-Dist", [])}
    assert required == {name_of(line) for line in project["dependencies"]}
    assert not any("postgres" in name for name in required)


def test_its_program_runs_without_the_tree(site: Path, tmp_path: Path) -> None:
    """Help, a configuration that is not there; and both services can be put together from what it holds."""
    helped = run(site, "--help", cwd=tmp_path)
    assert helped.returncode == 0, helped.stderr
    assert {"agent", "controller", "status", "sync", "token"} <= set(helped.stdout.split())
    refused = run(site, "agent", "--config", "nowhere.toml", cwd=tmp_path)
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (
        2,
        "nowhere.toml: cannot be read: No such file or directory",
    )
    written = run(site, "openapi", "--folder", str(tmp_path / "openapi"), cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert {path.name for path in (tmp_path / "openapi").iterdir()} == set(DOCUMENTS)
