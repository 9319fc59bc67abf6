"""Patterns of what is left alone, and the folders that a file set may have."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from shared.files.entries import read_path, write_path
from shared.files.patterns import check_pattern, leaving
from shared.settings import ComponentSettings, FileSetSettings, Mode, NodeSettings, PostgresSettings, Settings


@pytest.mark.parametrize(
    ("pattern", "path", "is_folder", "is_left"),
    [
        ("*.tmp", "a.tmp", False, True),
        ("*.tmp", "deep/in/a.tmp", False, True),
        ("*.tmp", "a.tmpx", False, False),
        ("cache/", "cache", True, True),
        ("cache/", "in/cache", True, True),
        ("cache/", "cache", False, False),
        ("cache/**", "cache/a/b", False, True),
        ("cache/**", "cache", True, False),
        ("/a", "a", False, True),
        ("/a", "b/a", False, False),
        ("a/*/c", "a/b/c", False, True),
        ("a/*/c", "a/b/b/c", False, False),
        ("a/**/c", "a/c", False, True),
        ("a/**/c", "a/b/b/c", False, True),
        ("a?", "ab", False, True),
        ("a?", "a/b", False, False),
        ("[!a]b", "bb", False, True),
        ("[!a]b", "ab", False, False),
        ("a.b", "axb", False, False),
    ],
)
def test_a_pattern_matches(pattern: str, path: str, is_folder: bool, is_left: bool) -> None:
    assert leaving([pattern])(path.encode(), is_folder) is is_left


@pytest.mark.parametrize("pattern", ["", "/", "..", "a/../b", "a//b", "a\0b", "."])
def test_a_pattern_that_matches_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="allowed are patterns"):
        check_pattern(pattern)


@pytest.mark.parametrize("path", [b"a", b"a b/c", b"\xff\n%", "Käse".encode(), bytes(range(1, 47)), b"a" * 255])
def test_any_name_is_written_in_ascii_and_read_again(path: bytes) -> None:
    assert write_path(path).isascii()
    assert read_path(write_path(path)) == path


def settings(*file_sets: FileSetSettings, state_dir: str = "/var/lib/warmstandby") -> Settings:
    dsn = SecretStr("postgresql://warmstandby@localhost/warmstandby")
    return Settings(
        node=NodeSettings(
            id="one", mode=Mode.PRIMARY, pair_id="pair", key=SecretStr("0" * 24), state_dir=Path(state_dir)
        ),
        postgres=PostgresSettings(dsn=dsn, apply_dsn=dsn),
        components=(ComponentSettings(name="shop", database="shop"),),
        file_sets=file_sets,
    )


def one(path: str, name: str = "papers") -> FileSetSettings:
    return FileSetSettings(name=name, path=Path(path))


def test_file_sets_apart_from_each_other_are_taken() -> None:
    made = settings(one("/srv/papers"), one("/srv/papers-of-old", "old"))
    assert [component.name for component in made.all_components] == ["shop", "papers", "old"]
    assert settings().all_components == settings().components


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ((("/srv/papers", "shop"),), "must be unique"),
        ((("/srv/a", "a"), ("/srv/b", "a")), "must be unique"),
        ((("/srv/a", "a"), ("/srv/a/b", "b")), "lie within one another"),
        ((("/srv/a/b", "a"), ("/srv/a", "b")), "lie within one another"),
        ((("/srv/a", "a"), ("/srv/a", "b")), "lie within one another"),
        ((("/srv/a", "a"), ("/srv/.a.warmstandby", "b")), "lie within one another"),
        ((("/var/lib", "a"),), r"\[node\] state_dir"),
        ((("/var/lib/warmstandby/files", "a"),), r"\[node\] state_dir"),
    ],
)
def test_file_sets_that_hold_each_other_are_refused(sets: tuple[tuple[str, str], ...], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settings(*(one(path, name) for path, name in sets))


@pytest.mark.parametrize("path", ["papers", "/", "/srv/../etc"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="absolute path of a folder"):
        one(path)


def test_a_link_does_not_hide_that_folders_hold_each_other(tmp_path: Path) -> None:
    (tmp_path / "state" / "in").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "state" / "in")
    with pytest.raises(ValidationError, match="state_dir"):
        settings(one(str(tmp_path / "link")), state_dir=str(tmp_path / "state"))
