"""Runs a service as a release with another protocol number would: `… NUMBER SERVICE --config FILE`."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

MODEL = "shared.node.model"


def main() -> int:
    """Read the module that has the numbers with others in their place, before anything else is read."""
    spec = importlib.util.find_spec(MODEL)
    assert spec is not None
    assert spec.origin is not None
    text, count = re.subn(
        r"^(PROTOCOL_M\w+) = \d+", rf"\1 = {int(sys.argv[1])}", Path(spec.origin).read_text(), flags=re.MULTILINE
    )
    assert count == 2
    module = sys.modules[MODEL] = importlib.util.module_from_spec(spec)
    exec(compile(text, spec.origin, "exec"), module.__dict__)  # noqa: S102  our own text
    from services.cli import main as run  # noqa: PLC0415

    return run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
