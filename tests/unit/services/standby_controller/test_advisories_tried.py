"""Every advisory that the source can yield is made to appear, and to go away, by a test of its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from lab.binaries import TREE

POLICY = TREE / "services" / "standby_controller" / "policy"
TESTS = Path(__file__).parent
COPIES = {"standby_silent", "peer_silent"}  # one call names both


def codes_of(path: Path) -> Iterator[str]:
    """Yield the codes of the advisories that a file makes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Advisory":
            code = node.args[0]
            if isinstance(code, ast.Constant):
                yield str(code.value)


def test_no_advisory_is_without_a_test() -> None:
    """`test_a_healthy_pair_needs_no_advice` and its kin show that each goes away with its fact."""
    made = {code for path in POLICY.glob("advice*.py") for code in codes_of(path)} | COPIES
    assert {"sync_failing", "syncs_fill_interval", "clock_skew", "no_channel"} <= made
    tried = "".join(path.read_text(encoding="utf-8") for path in TESTS.glob("test_*advice*.py"))
    assert sorted(code for code in made if f'"{code}"' not in tried) == []
