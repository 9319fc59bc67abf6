"""Which statements give a database what another one has."""

from __future__ import annotations

from services.standby_controller.definitions.properties import find_property_changes
from shared.replication.model import DatabaseProperties, DatabaseSetting, Grant


def database(
    *settings: tuple[str | None, str], grants: tuple[Grant, ...] | None = None, comment: str | None = None
) -> DatabaseProperties:
    return DatabaseProperties(
        owner="app",
        collate="C",
        ctype="C",
        locale_provider="c",
        connection_limit=-1,
        comment=comment,
        grants=grants,
        settings=tuple(DatabaseSetting(role=role, assignment=assignment) for role, assignment in settings),
    )


def statements(now: DatabaseProperties, wanted: DatabaseProperties) -> list[str]:
    return [change.statement for change in find_property_changes('a"b', now, wanted)]


def test_what_is_equal_needs_nothing() -> None:
    same = database((None, "work_mem=7MB"), ("bob", "work_mem=8MB"), comment="x")
    assert statements(same, same) == []


def test_what_is_new_changed_and_gone_is_said() -> None:
    now = database((None, "work_mem=7MB"), (None, "jit=off"), comment="x")
    wanted = database((None, "work_mem=8MB"), ("bo b", "search_path=a, b"))
    assert statements(now, wanted) == [
        'COMMENT ON DATABASE "a""b" IS NULL',
        'ALTER DATABASE "a""b" RESET "jit"',
        'ALTER DATABASE "a""b" SET "work_mem" TO \'8MB\'',
        'ALTER ROLE "bo b" IN DATABASE "a""b" SET "search_path" TO a, b',
    ]


def test_what_closing_changes_is_left_alone() -> None:
    now = database(
        (None, "default_transaction_read_only=on"), grants=(Grant(privilege="TEMPORARY", is_grantable=False),)
    )
    assert statements(now, database()) == []


def test_rights_are_given_and_taken() -> None:
    old, new = (Grant(grantee=role, privilege="CREATE", is_grantable=False) for role in ("ann", "bob"))
    own = Grant(grantee="app", privilege="CREATE", is_grantable=False)
    assert statements(database(grants=(old, own)), database(grants=(new,))) == [
        'REVOKE CREATE ON DATABASE "a""b" FROM "ann" CASCADE',
        'GRANT CREATE ON DATABASE "a""b" TO "bob"',
    ]
