"""The list that pg_hba.conf names, and which rules before it let somebody in."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from shared.errors import FenceListUnwritable
from shared.fencing.apply_role import role_of
from shared.fencing.hba import NO_DATABASE, Rule, is_listable, judge_rules, render_list, write_list
from shared.fencing.model import FenceStrength

OURS = ("warmstandby", "warmstandby_apply", "reports")


def rule(
    kind: str, databases: str, roles: str, method: str, address: str | None = None, error: str | None = None
) -> Rule:
    """Return a rule as the server shows it; names parted by commas."""
    return Rule(1, kind, tuple(databases.split(",")), tuple(roles.split(",")), address, method, error)


LISTED = f"{NO_DATABASE},mdm"
REJECTS = [rule("local", LISTED, "all", "reject"), rule("host", LISTED, "all", "reject", "all")]
LET_IN = [
    rule("local", "all", "warmstandby,warmstandby_apply", "md5"),
    rule("host", "all", "reports", "md5", "samehost"),
]
DEFAULT = [rule("local", "all", "all", "peer"), rule("host", "all", "all", "md5", "all")]


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ([*LET_IN, *REJECTS, *DEFAULT], None),
        ([*REJECTS, *DEFAULT], None),
        ([rule("local", "replication", "all", "peer"), *REJECTS], None),
        ([rule("host", "other", "all", "md5", "all"), *REJECTS], None),
        ([rule("host", "all", "all", "reject", "10.0.0.0/8"), *REJECTS], None),
        ([rule("hostssl", "mdm", "app", "md5", "all"), *REJECTS], "lets app in before"),
        ([rule("hostnossl", "all", "app,warmstandby", "md5", "all"), *REJECTS], "lets app in before"),
        ([rule("local", "sameuser", "all", "peer"), *REJECTS], "lets all in before"),
        ([rule("local", "all", "+staff", "peer"), *REJECTS], "lets \\+staff in before"),
        ([rule("host", "/^m", "app", "md5", "all"), *REJECTS], "lets app in before"),
        ([*DEFAULT, *REJECTS], "lets all in before"),
        (REJECTS[:1], "no host line that rejects"),
        (REJECTS[1:], "no local line that rejects"),
        ([REJECTS[0], rule("host", LISTED, "all", "reject", "10.0.0.0/8")], "no host line that rejects"),
        ([REJECTS[0], rule("hostssl", LISTED, "all", "reject", "all")], "no host line that rejects"),
        ([REJECTS[0], rule("host", LISTED, "app", "reject", "all")], "no host line that rejects"),
        ([REJECTS[0], rule("host", "mdm", "all", "reject", "all")], "no host line that rejects"),
        ([Rule(3, None, (), (), None, None, "no such file"), *REJECTS], "line 3 of pg_hba.conf is wrong: no such file"),
        ([], "no local line that rejects"),
    ],
)
def test_rules_are_judged(rules: list[Rule], problem: str | None) -> None:
    """The first line that may match counts, as it does for the server."""
    judged = judge_rules(rules, ["mdm"], OURS)
    if problem is None:
        assert (judged.problem, judged.strength, judged.names) == (None, FenceStrength.HBA, frozenset({"mdm"}))
    else:
        assert judged.problem is not None
        assert problem.replace("\\", "") in judged.problem
        assert (judged.strength, judged.names) == (FenceStrength.LIMIT, frozenset())


def test_both_lines_must_name_a_database() -> None:
    """Two files, one of which is another one's."""
    rules = [REJECTS[0], rule("host", f"{NO_DATABASE},other", "all", "reject", "all")]
    assert judge_rules(rules, ["mdm"], OURS).names == frozenset()


def test_names_are_quoted() -> None:
    """A name that means something to pg_hba.conf means itself; one that cannot be written is left out."""
    lines = render_list(["all", 'say "hello"', "with space", "/pattern", "two\nlines"]).splitlines()
    assert lines[1:] == [f'"{NO_DATABASE}"', '"all"', '"say ""hello"""', '"with space"']
    assert [is_listable(name) for name in ("mdm", "/pattern", "two\nlines")] == [True, False, False]


def test_the_file_is_there_for_the_server(tmp_path: Path) -> None:
    """Whatever mask the process has; it is not touched when it says so already."""
    path = tmp_path / "closed"
    write_list(path, ["mdm"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    before = path.stat().st_ino
    write_list(path, ["mdm"])
    assert path.stat().st_ino == before
    write_list(path, [])
    assert path.stat().st_ino != before
    with pytest.raises(FenceListUnwritable, match="No such file or directory"):
        write_list(tmp_path / "nowhere" / "closed", [])


@pytest.mark.parametrize(
    ("dsn", "role"),
    [
        ("postgresql://warmstandby:secret@host:5432/db", "warmstandby"),
        ("postgresql://with%20space@host/db", "with space"),
        ("postgresql://host/db?user=named&x=1", "named"),
    ],
)
def test_the_role_of_a_url(dsn: str, role: str) -> None:
    """The role is stopped by name."""
    assert role_of(dsn) == role
