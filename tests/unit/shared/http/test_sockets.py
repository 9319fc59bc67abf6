"""Where a service listens, and what it refuses to."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from shared.errors import ConfigurationError, PlaintextRefused
from shared.http.sockets import bind_tcp, bind_unix
from shared.settings import AgentSettings


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "192.0.2.1:8440", "db.example:8440"])
def test_plaintext_beyond_loopback_is_refused(listen: str) -> None:
    with pytest.raises(PlaintextRefused) as caught:
        bind_tcp(AgentSettings(listen=listen), "agent")
    assert f'[agent] listen = "{listen}"' in caught.value.detail
    assert "allow_plaintext" in caught.value.hint


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0"])
def test_plaintext_on_loopback_is_allowed(listen: str) -> None:
    bind_tcp(AgentSettings(listen=listen), "agent").close()


def test_plaintext_beyond_loopback_can_be_allowed() -> None:
    bind_tcp(AgentSettings(listen="0.0.0.0:0", allow_plaintext=True), "agent").close()


def test_a_taken_port_is_a_plain_line() -> None:
    with bind_tcp(AgentSettings(listen="127.0.0.1:0"), "agent") as first:
        listen = f"127.0.0.1:{first.getsockname()[1]}"
        with pytest.raises(ConfigurationError) as caught:
            bind_tcp(AgentSettings(listen=listen), "agent")
    assert caught.value.detail == f'[agent] listen = "{listen}": Address already in use'


def test_only_the_own_user_opens_the_unix_socket(tmp_path: Path) -> None:
    with bind_unix(tmp_path / "agent.sock"):
        assert stat.S_IMODE((tmp_path / "agent.sock").stat().st_mode) == 0o600


def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    bind_unix(path).close()
    assert path.exists()
    with bind_unix(path), socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(path))


def test_a_socket_in_use_is_not_taken_over(tmp_path: Path) -> None:
    with bind_unix(tmp_path / "agent.sock"), pytest.raises(ConfigurationError, match="another process answers"):
        bind_unix(tmp_path / "agent.sock")


def test_a_file_in_the_sockets_place_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "agent.sock").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="no socket is in its place"):
        bind_unix(tmp_path / "agent.sock")
    assert (tmp_path / "agent.sock").read_text(encoding="utf-8") == "mine"


def test_a_path_too_long_for_a_socket_is_a_plain_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at most 107 bytes"):
        bind_unix(tmp_path / ("x" * 120))
