"""Statements that take back what an entry of an archive says, where pg_dump itself knows no statement for it. Pure."""

from __future__ import annotations

import re
from typing import Final

from services.standby_controller.definitions.archive import Entry

_GIVES: Final = re.compile(
    r"(?P<head>(?:ALTER DEFAULT PRIVILEGES [^;]*? )?)(?P<verb>GRANT|REVOKE) (?P<what>[^;]+) "
    r"(?:TO|FROM) (?P<whom>[^;]+?)(?: WITH GRANT OPTION)?;"
)
_ATTACHED: Final = re.compile(r"(?P<root>ALTER TABLE ONLY .+) ATTACH PARTITION (?P<leaf>.+) (?:FOR VALUES |DEFAULT;)")
_SAID: Final = re.compile(r"(?P<head>(?:COMMENT ON|SECURITY LABEL) .+?) IS E?'", re.DOTALL)


def take_back(entry: Entry) -> str | None:
    """Return SQL after which the entry might be made; empty where nothing is needed, None where there is none."""
    if entry.drop:
        return entry.drop
    match entry.kind:
        case "ACL" | "DEFAULT ACL":
            return _take_rights_back(entry.definition)
        case "COMMENT" | "SECURITY LABEL":
            said = _SAID.match(entry.definition)
            return None if said is None else f"{said['head']} IS NULL;"
        case "TABLE ATTACH":
            attached = _ATTACHED.search(entry.definition)
            return None if attached is None else f"{attached['root']} DETACH PARTITION {attached['leaf']};"
        case "INDEX ATTACH":
            return ""  # it goes with the partition, or with either index
        case "ROW SECURITY":
            return entry.definition.replace(" ENABLE ROW LEVEL SECURITY", " DISABLE ROW LEVEL SECURITY")
        case "SEQUENCE OWNED BY":
            return f"{entry.definition.partition(' OWNED BY ')[0]} OWNED BY NONE;"
        case _:
            return None


def _take_rights_back(definition: str) -> str | None:
    """Return the opposite of each statement, the last first: what pg_dump writes leads from the built-in rights."""
    lines = [line for line in definition.splitlines() if line.strip()]
    found: list[str] = []
    for line in lines:
        given = _GIVES.fullmatch(line)
        if given is None:
            return None
        if given["verb"] == "GRANT":
            found.append(f"{given['head']}REVOKE {given['what']} FROM {given['whom']};")
        else:
            found.append(f"{given['head']}GRANT {given['what']} TO {given['whom']};")
    return "\n".join(reversed(found))
