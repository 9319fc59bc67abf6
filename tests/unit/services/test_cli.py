"""The command line: exit codes that tell, and OpenAPI documents that are those of the code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.cli import main
from services.commands import COMMANDS

TREE = Path(__file__).resolve().parents[3]
METHODS = {"get", "put", "post", "patch", "delete", "head", "options"}


def test_the_openapi_documents_are_those_of_the_code(capsys: pytest.CaptureFixture[str]) -> None:
    """`warmstandby openapi` writes them anew."""
    assert main(["openapi", "--check", "--folder", str(TREE / "openapi")]) == 0, capsys.readouterr().err


def test_a_stale_document_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi", "--folder", str(tmp_path)]) == 0
    (tmp_path / "primary_agent.json").write_text("{}", encoding="utf-8")
    assert main(["openapi", "--check", "--folder", str(tmp_path)]) == 1
    assert "primary_agent.json is stale" in capsys.readouterr().err
    assert (tmp_path / "primary_agent.json").read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize("path", sorted((TREE / "openapi").glob("*.json")), ids=lambda path: path.stem)
def test_every_operation_is_documented(path: Path) -> None:
    """An id, a summary, a tag, a text for each parameter, and a model for each error."""
    document = json.loads(path.read_text(encoding="utf-8"))
    tags = {tag["name"] for tag in document["tags"]}
    missing = []
    for route, operations in document["paths"].items():
        for method, operation in operations.items():
            assert method in METHODS
            name = f"{method.upper()} {route}"
            missing += [
                f"{name}: no {key}" for key in ("operationId", "summary", "description") if not operation.get(key)
            ]
            missing += [f"{name}: tag {tag} unknown" for tag in operation.get("tags", [None]) if tag not in tags]
            missing += [
                f"{name}: parameter {parameter['name']} is not described"
                for parameter in operation.get("parameters", [])
                if not parameter.get("description")
            ]
            missing += [
                f"{name}: {status} has no model"
                for status, response in operation["responses"].items()
                if status.startswith(("4", "5")) and not response.get("content")
            ]
    assert missing == []


@pytest.mark.parametrize("command", ["agent", "controller"])
def test_a_bad_configuration_ends_with_two(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--config", "/nowhere/node.toml"]) == 2
    assert capsys.readouterr().err.startswith("/nowhere/node.toml: cannot be read: No such file or directory\n")


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["agnet"])
    assert caught.value.code == 2
    assert "agent" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_where_it_is_said_to_be(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Only its module is read when it is named first."""
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"warmstandby {name}" in capsys.readouterr().out
