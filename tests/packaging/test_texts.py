"""The texts beside the code: generated pages are fresh, and what a text names is there."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate import pages
from lab.binaries import TREE
from services import cli
from services.primary_agent.node.hooks import VARIABLES
from services.primary_agent.node.retries import RETRIES
from shared.configuration import load_settings
from shared.errors import ConfigurationError, WarmstandbyError
from shared.node.probes import Probe
from shared.surroundings import HookName

PAGES = (
    "README.md", "CONTRIBUTING.md", "docs/containers.md", "docs/hooks.md", "docs/load_balancers.md", "docs/settings.md",
    "docs/errors.md",
)  # fmt: skip
FOLDERS = ("services", "shared", "lab", "sample", "bench", "tests", "docs", "examples", "openapi", "requirements")
FILLED = {
    "KEY-OF-ONE": "one-0123456789-0123456789",
    "KEY-OF-TWO": "two-0123456789-0123456789",
    "APPLY-PASSWORD": "apply",
    "PROBE-PASSWORD": "probe",
    "PASSWORD": "own",
}


def read(name: str) -> str:
    return (TREE / name).read_text(encoding="utf-8")


def errors_below(error: type[WarmstandbyError]) -> Iterator[type[WarmstandbyError]]:
    for child in error.__subclasses__():
        yield child
        yield from errors_below(child)


@pytest.mark.parametrize("name", ["settings.md", "errors.md"])
def test_a_generated_page_is_that_of_the_code(name: str) -> None:
    """`python -m docs.generate` writes it anew."""
    assert read(f"docs/{name}") == pages()[name]


def test_every_setting_says_what_it_is() -> None:
    """A row without a text is a setting nobody can use."""
    rows = [line for line in read("docs/settings.md").splitlines() if line.startswith("| `")]
    assert len(rows) > 40
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_error_says_what_happened_and_what_to_do() -> None:
    """Two sentences and a code of its own: programs tell errors apart by it."""
    errors = [error for error in errors_below(WarmstandbyError) if error.__module__.startswith("shared.errors")]
    codes = [error.code for error in errors]
    assert len(codes) > 40
    assert sorted(codes) == sorted(set(codes))
    for error in errors:
        assert error.title().endswith("."), error.code
        assert error.default_hint.endswith((".", ";", ")")), error.code
        assert error.default_hint != WarmstandbyError.default_hint, error.code


@pytest.mark.parametrize("name", PAGES)
def test_a_link_leads_somewhere(name: str) -> None:
    """Links to files of the tree; an address elsewhere may be gone tomorrow, so there is none."""
    for target in re.findall(r"\]\(([^)]+)\)", read(name)):
        assert ((TREE / name).parent / target).exists(), target


@pytest.mark.parametrize("name", PAGES)
def test_a_path_that_is_named_is_there(name: str) -> None:
    """Paths in running text; `…` and capitals stand for a name of the reader's."""
    made = {"tests/packaging/", "secrets/"}
    for path in re.findall(r"`((?:\.?[\w.-]+/)+[\w.-]*)`", read(name)):
        if path.split("/")[0] in FOLDERS and "NNNN" not in path and path not in made:
            assert (TREE / path).exists(), path


def test_the_tree_in_contributing_is_the_tree() -> None:
    """Each line of it is there, and each room of the two packages has a line."""
    block = re.search(r"```\n(services/.*?)```", read("CONTRIBUTING.md"), re.DOTALL)
    assert block is not None
    parents: list[str] = []
    named = set()
    for line in block[1].splitlines():
        depth, (entry, _, sentence) = (len(line) - len(line.lstrip())) // 2, line.strip().partition(" ")
        parents[depth:] = [entry]
        path = "".join(parents)
        assert (TREE / path).exists(), path
        assert sentence.strip() or entry.removesuffix("/") in {"unit", "integration"}, path
        named.add(path.rstrip("/"))
    rooms = {
        str(path.parent.relative_to(TREE)) for name in ("services", "shared") for path in (TREE / name).rglob("*.py")
    }
    assert {room for room in rooms if not room.endswith("/migrations")} <= named


def test_a_command_of_a_text_is_one_of_the_program() -> None:
    """`warmstandby NAME`: what a reader types is there."""
    parser = cli._parser()
    commands = next(one.choices for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    for name in ("README.md", "CONTRIBUTING.md", "docs/containers.md"):
        used = re.findall(r"(?:^|[`(]|\) |bin/)warmstandby ([a-z-]+)", read(name), re.MULTILINE)
        assert used, name
        assert set(used) <= set(commands), name


def test_a_route_or_a_code_of_the_readme_is_one_of_the_code() -> None:
    """An administrator who looks for it finds it."""
    routes = {path for name in cli.DOCUMENTS for path in json.loads(read(f"openapi/{name}"))["paths"]}
    named = set(re.findall(r"`(?:GET |POST |PATCH )?(/(?:v1|health|active|standby)[\w/]*)`", read("README.md")))
    assert named >= {"/active", "/standby", "/health/live", "/health/ready", "/v1/syncs"}
    assert named <= routes
    codes = {error.code for error in errors_below(WarmstandbyError)}
    table = read("README.md").partition("| seen | look at |")[2]
    assert set(re.findall(r"`([a-z]+_[a-z_]+)`", table.partition("\n\n")[0])) <= codes


@pytest.mark.parametrize("mode", ["primary", "secondary"])
def test_an_example_is_refused_until_its_capitals_are_replaced(mode: str, tmp_path: Path) -> None:
    """Nobody runs with the keys of a text that everybody can read."""
    example = TREE / "examples" / f"{mode}.toml"
    with pytest.raises(ConfigurationError) as caught:
        load_settings(example)
    assert [line.split(": ", 1)[1] for line in caught.value.detail.splitlines()] == [
        "[node] key: a key has at least 24 characters; make one with `openssl rand -base64 32`",
        "[[peers]] 1: key: a key has at least 24 characters; make one with `openssl rand -base64 32`",
    ]
    text = example.read_text(encoding="utf-8")
    for capitals, value in FILLED.items():
        assert capitals in text
        text = text.replace(capitals, value)
    (tmp_path / "node.toml").write_text(text, encoding="utf-8")
    assert load_settings(tmp_path / "node.toml").node.mode == mode


def test_the_examples_are_a_pair(tmp_path: Path) -> None:
    """Each file names the other node as it names itself."""
    nodes = []
    for mode in ("primary", "secondary"):
        text = read(f"examples/{mode}.toml")
        for capitals, value in FILLED.items():
            text = text.replace(capitals, value)
        (tmp_path / mode).write_text(text, encoding="utf-8")
        nodes.append(load_settings(tmp_path / mode))
    for one, other in (nodes, nodes[::-1]):
        (peer,) = one.peers
        assert (peer.node_id, peer.mode, peer.key) == (other.node.id, other.node.mode, other.node.key)
        assert (one.node.pair_id, one.components) == (other.node.pair_id, other.components)
        host = f"https://{other.node.id}.example"
        assert (peer.agent_url, peer.controller_url) == (
            f"{host}:{other.agent.port}",
            f"{host}:{other.controller.port}",
        )


def test_the_page_of_the_probes_has_them_all() -> None:
    """On both services, by the same paths."""
    paths = set(re.findall(r"^\| `(/[\w./]+)` \|", read("docs/load_balancers.md"), re.MULTILINE))
    assert paths >= set(Probe)
    for name in cli.DOCUMENTS:
        assert paths <= json.loads(read(f"openapi/{name}"))["paths"].keys()


def test_the_page_of_the_hooks_tells_what_they_are_told() -> None:
    """Every variable, every hook, and how often a hook is tried."""
    page = read("docs/hooks.md")
    for name, sentence in VARIABLES.items():
        assert f"| `WARMSTANDBY_{name.upper()}` | {sentence} |" in page
    rows = {row.split("`")[1]: row for row in page.splitlines() if row.startswith("| `") and "WARMSTANDBY" not in row}
    assert set(rows) == set(HookName)
    for name, rule in RETRIES.items():
        assert f"{rule.tries} times in {rule.within_seconds:g} s" in rows[name]
