"""The rules of the house that no linter knows: sizes, names, where SQL lives, what no file may say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
RUN_TIME = ("services", "shared")
PYTHON = (*RUN_TIME, "lab", "sample", "bench", "tests")
TEXT = (".cfg", ".css", ".html", ".in", ".js", ".json", ".md", ".py", ".sh", ".sql", ".toml", ".txt", ".yaml", ".yml")
LONGEST = 400
SHAPELESS = {"utils", "helpers", "common", "manager", "misc", "util", "helper"}

# What would tie the tree to one machine or one package index (in parts: this file must not say it either).
PLACES = re.compile(
    "|".join(["/wor" + "k/", "/roo" + "t/", "/home/" + r"\w", "/tmp/" + "w/", "py" + r"pi\.org", "pythonhost" + "ed"])
)


def _files(*folders: str, suffix: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(path for path in (TREE / folder).rglob(f"*{suffix}") if "__pycache__" not in path.parts)


def _name(path: Path) -> str:
    return str(path.relative_to(TREE))


def test_a_file_says_what_it_is_and_stays_readable() -> None:
    """One sentence first, no more lines than a person reads at a sitting, a name that tells."""
    found = []
    for path in _files(*PYTHON, suffix=".py"):
        text = path.read_text(encoding="utf-8")
        if (length := len(text.splitlines())) > LONGEST:
            found.append(f"{_name(path)} has {length} lines")
        if not ast.get_docstring(ast.parse(text)):
            found.append(f"{_name(path)} does not say what it is")
        if SHAPELESS & set(path.relative_to(TREE).with_suffix("").parts):
            found.append(f"{_name(path)} has a name that says nothing")
    assert not found, "\n" + "\n".join(found)


def test_asyncpg_is_used_only_beside_sql() -> None:
    """SQL lives in .sql files beside its adapter; another importer would write it into Python."""
    importers = [path for path in _files(*RUN_TIME, suffix=".py") if {"asyncpg"} & _imports(path)]
    assert importers
    assert [_name(path) for path in importers if not list(path.parent.glob("*.sql"))] == []


def test_run_time_code_holds_no_sql_in_python() -> None:
    """A statement in a string is a query without a name; one composed of quoted identifiers cannot live in a file."""
    statement = re.compile(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|TRUNCATE|COPY)\s+[\w\"{]+\s")
    found = []
    for path in _files(*RUN_TIME, suffix=".py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        composed = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [
            f"{_name(path)}:{node.lineno}: {node.value.strip()[:60]}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in composed | prose
            if statement.match(node.value)
        ]
    assert not found, "\n" + "\n".join(found)


def test_no_task_without_an_owner() -> None:
    """A task that nobody awaits dies unseen; groups hold them."""
    found = [
        f"{_name(path)}:{node.lineno}"
        for path in _files(*RUN_TIME, suffix=".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "asyncio.create_task"
    ]
    assert not found, "\n" + "\n".join(found)


def test_no_error_leaves_by_a_starred_except() -> None:
    """Python 3.11.2, as Debian 12 has it, wraps what is raised there in a group; later ones raise it as it is."""
    found = [
        f"{_name(path)}:{node.lineno}"
        for path in _files(*RUN_TIME, suffix=".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.TryStar)
    ]
    assert not found, "\n" + "\n".join(found)


def test_no_file_names_a_machine_or_leaves_work_undone() -> None:
    """The tree is read elsewhere, by others, later."""
    undone = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    found = []
    for path in _texts():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if PLACES.search(line) or undone.search(line):
                found.append(f"{_name(path)}:{number}: {line.strip()[:80]}")
    assert not found, "\n" + "\n".join(found)


def test_pins_have_hashes_and_name_no_index() -> None:
    """What is installed is what was tested, from wherever the machine gets its packages."""
    files = sorted((TREE / "requirements").glob("*.txt"))
    assert len(files) == 8
    for path in files:
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert all(re.match(r"[\w.-]+==\S+ |    --hash=sha256:[0-9a-f]{64}", line) for line in lines), path.name


def _imports(path: Path) -> set[str]:
    """Return the packages that a module imports at run time, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def _texts() -> Iterator[Path]:
    """Return the files of the tree that people write; what tools make lies in folders with a dot."""
    for path in sorted(TREE.rglob("*")):
        parts = path.relative_to(TREE).parts
        made = any(part.startswith(".") and part != ".ci" for part in parts[:-1]) or "__pycache__" in parts
        if not made and path.is_file() and (path.suffix in TEXT or path.suffix == ""):
            yield path
