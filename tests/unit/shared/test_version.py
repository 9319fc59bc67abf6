"""The release is written in two places, which say the same."""

from __future__ import annotations

import tomllib
from pathlib import Path

from shared.version import VERSION

TREE = Path(__file__).resolve().parents[3]


def test_the_package_and_the_code_name_one_release() -> None:
    assert tomllib.loads((TREE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"] == VERSION
