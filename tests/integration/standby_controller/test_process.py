"""The controller as a process: its server away and back, its secrets kept, TLS, and a stop that is quick."""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import trustme

from lab.binaries import TREE
from lab.cluster import Cluster
from lab.service import Service, plain_environment
from tests.integration.standby_controller.process import running_controller

Json = dict[str, object]


def _command(service: Service, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = plain_environment() | ({} if token is None else {"WARMSTANDBY_TOKEN": token})
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments, "--config", str(service.config)],
        capture_output=True,
        text=True,
        cwd=TREE,
        env=environment,
        check=False,
        timeout=60,
    )


def make_token(service: Service) -> str:
    """Make an administrator's token as on the node."""
    made = _command(service, "token", "create", "--name", "test", "--role", "admin")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def _status(service: Service, token: str) -> int:
    return httpx.get(f"{service.url}/v1/status", headers={"Authorization": f"Bearer {token}"}, timeout=15).status_code


def _wait(condition: Callable[[], bool], within_seconds: float = 40.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.1)


def test_the_controller_outlives_its_server(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """Killed twice: the status is seen meanwhile, the rest is 503, and afterwards all is well without a restart."""
    server = new_cluster()
    with running_controller(tmp_path, server.dsn(), {}) as service:
        service.wait_ready(path="/health/live")
        token = make_token(service)
        _wait(lambda: _status(service, token) == 200)
        first, headers = service.pid, {"Authorization": f"Bearer {token}"}
        for _ in range(2):
            server.kill()
            assert _status(service, token) == 200
            answer = httpx.get(f"{service.url}/v1/syncs", headers=headers, timeout=15)
            assert (answer.status_code, answer.json()["code"]) == (503, "database_unreachable")
            assert int(answer.headers["Retry-After"]) > 0
            server.start()
            _wait(lambda: httpx.get(f"{service.url}/v1/syncs", headers=headers, timeout=15).status_code == 200)
        assert service.pid == first
        _wait(lambda: _count(server, "heartbeats") > 0)


def test_the_controller_waits_for_its_database(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """Away, then without the database: it says so once, in words, and goes on when it is there."""
    server = new_cluster()
    server.stop()
    with running_controller(tmp_path, server.dsn("warmstandby"), {}) as service:
        service.wait_ready(path="/health/live")
        _wait(lambda: "database_unreachable" in service.log_text())
        server.start()
        _wait(lambda: "database_missing" in service.log_text())
        time.sleep(2.5)
        assert service.log_text().count("code=database_missing") == 1
        server.psql("CREATE DATABASE warmstandby")
        _wait(lambda: "loop well again" in service.log_text())
        assert _status(service, make_token(service)) == 200


def test_no_secret_is_ever_written(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """Neither passwords nor keys nor tokens, in the log of a controller that has every reason to complain."""
    server = new_cluster()
    server.psql("CREATE ROLE poor LOGIN PASSWORD 'p-w0rd-of-poor'; CREATE DATABASE warmstandby")
    dsn = server.dsn("warmstandby", "poor", "p-w0rd-of-poor")
    with running_controller(tmp_path, dsn, {"log": {"level": "debug"}}) as service:
        service.wait_ready(path="/health/live")
        _wait(lambda: "rights_missing" in service.log_text())
        refused = _command(service, "token", "create", "--name", "test", "--role", "admin")
        assert refused.returncode == 1
        assert "warmstandby" in refused.stderr
        server.psql("GRANT CREATE ON DATABASE warmstandby TO poor")
        _wait(lambda: "loop well again" in service.log_text())
        token = make_token(service)
        assert _status(service, token) == 200
        assert _status(service, token + "x") == 401
        server.kill()
        httpx.get(f"{service.url}/v1/syncs", headers={"Authorization": f"Bearer {token}"}, timeout=15)
        secrets = ("p-w0rd-of-poor", "b" * 24, "a" * 24, token.split("_", 2)[2])
        for text in (service.log_text(), refused.stderr, refused.stdout, _command_lines(service)):
            assert [secret for secret in secrets if secret in text] == []


def test_tls_is_spoken_and_checked(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """The API and the commands: with the CA they work, without it they refuse to talk."""
    server, authority = new_cluster(), trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    pem = tmp_path / "server.pem"
    settings = {
        "controller": {"tls_certificate": pem, "tls_key": pem},
        "tls": {"ca_file": tmp_path / "ca.pem"},
    }
    with running_controller(tmp_path, server.dsn(), settings, scheme="https") as service:
        trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        with httpx.Client(verify=trusting, base_url=service.url) as http:
            _wait(lambda: _answers(http))
        token = make_token(service)
        shown = _command(service, "status", token=token)
        assert (shown.returncode, shown.stdout.splitlines()[0]) == (0, "NOT PROTECTED"), shown.stderr
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{service.url}/health/live")
        (tmp_path / "ca.pem").write_bytes(trustme.CA().cert_pem.bytes())
        refused = _command(service, "status", "--url", service.url, token=token)
        assert (refused.returncode, refused.stdout, bool(refused.stderr)) == (1, "", True)


def test_a_network_without_tls_is_refused(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """Unless the administrator says that it is private."""
    settings = {"controller": {"listen": "0.0.0.0:0"}}
    with running_controller(tmp_path, "postgresql://nobody@127.0.0.1:1/nothing", settings) as service:
        _wait(lambda: service.exit_code is not None)
        assert service.exit_code == 2
        assert "allow_plaintext" in service.log_text()


def test_a_stop_is_quick_also_without_a_server(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """SIGTERM ends the process with exit code 0 while its server is stopped in its tracks."""
    server = new_cluster()
    with running_controller(tmp_path, server.dsn(), {}) as service:
        service.wait_ready(path="/health/live")
        _wait(lambda: _count(server, "heartbeats") > 0)
        server.pause()
        try:
            time.sleep(1.5)
            started = time.monotonic()
            service.stop()
            assert (service.exit_code, time.monotonic() - started < 10) == (0, True)
        finally:
            server.resume()


def test_commands_say_what_is_missing(new_cluster: Callable[..., Cluster], tmp_path: Path) -> None:
    """A token, or the controller itself."""
    server = new_cluster()
    with running_controller(tmp_path, server.dsn(), {}) as service:
        service.wait_ready(path="/health/live")
        assert "warmstandby token create" in _command(service, "status").stderr
        token = make_token(service)
        _wait(lambda: "not read yet" not in _command(service, "sync", token=token).stderr)
        refused = _command(service, "sync", token=token)
        assert (refused.returncode, "own agent does not answer" in refused.stderr) == (1, True), refused.stderr
        service.stop()
        silent = _command(service, "status", token=token)
        assert (silent.returncode, "warmstandby controller" in silent.stderr) == (1, True)


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/health/live").status_code == 200
    except httpx.ConnectError:
        return False


def _count(server: Cluster, table: str) -> int:
    exists = server.psql(f"SELECT to_regclass('control.{table}') IS NOT NULL")
    return int(server.psql(f"SELECT count(*) FROM control.{table}")) if exists == "t" else 0


def _command_lines(service: Service) -> str:
    return Path(f"/proc/{service.pid}/cmdline").read_text()
