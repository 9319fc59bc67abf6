"""`warmstandby uninstall`: the application's database is afterwards what it was before we came."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.cluster import Cluster
from lab.database import Database
from lab.node_toml import Document, write_node_toml
from services.cli import main
from tests.replication.captured import capture_of

TABLES = """
CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE u (id int PRIMARY KEY, v int);
INSERT INTO t VALUES (1, 1); INSERT INTO u VALUES (1, 1);
"""


def dump(database: Database) -> str:
    """Return all definitions and rows of a database."""
    program = str(database.cluster.bin_dir / "pg_dump")
    done = subprocess.run([program, "-d", database.dsn], capture_output=True, text=True, check=True)
    return re.sub(r"^\\(un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)


def configure(folder: Path, application: Database, node: Database, user: str) -> Path:
    """Write the node's configuration."""
    dsn = node.cluster.dsn(node.name, user)
    document: Document = {
        "node": {"id": "n", "mode": "primary", "pair_id": "p", "key": "k" * 30, "state_dir": folder},
        "postgres": {"dsn": dsn, "apply_dsn": dsn},
        "components": [{"name": application.name, "database": application.name}],
    }
    write_node_toml(folder / "node.toml", document)
    return folder / "node.toml"


def leftovers(application: Database) -> str:
    """Return what of ours the cluster still holds outside of the database's own definitions."""
    return application.psql("""
        SELECT slot_name::text FROM pg_replication_slots WHERE database = current_database()
        UNION ALL SELECT evtname::text FROM pg_event_trigger UNION ALL SELECT pubname::text FROM pg_publication
        UNION ALL SELECT roname FROM pg_replication_origin WHERE roname LIKE '%' || current_database()
    """)


@pytest.mark.parametrize("is_superuser", [True, False], ids=["superuser", "documented rights"])
def test_nothing_of_ours_is_left(
    cluster: Cluster,
    database: Callable[..., Database],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    is_superuser: bool,
) -> None:
    """Not even an identity that the guard lent, the origin of applied syncs, or the spool."""
    role = "uninstaller" if is_superuser else "uninstaller_plain"
    if not cluster.psql(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
        cluster.psql(f"CREATE ROLE {role} LOGIN REPLICATION {'SUPERUSER' if is_superuser else 'NOSUPERUSER'}")
    application, node = database(cluster), database(cluster, options=f"OWNER {role}")
    application.psql(f"GRANT CREATE ON DATABASE {application.name} TO {role}; {TABLES}")
    if not is_superuser:
        application.psql(f"ALTER TABLE t OWNER TO {role}; ALTER TABLE u OWNER TO {role}")
    before = dump(application)
    config = configure(tmp_path, application, node, role)
    with capture_of(cluster, application.name, node.name, tmp_path, user=role, is_running=False) as agent:
        agent.call(agent.capture.tick)
        assert main(["uninstall", "--all", "--config", str(config)]) == 1
        assert "an agent captures component" in capsys.readouterr().err
        if is_superuser:
            application.psql("BEGIN; ALTER PUBLICATION warmstandby DROP TABLE u; PREPARE TRANSACTION 'other migration'")
            application.psql("ALTER TABLE t REPLICA IDENTITY NOTHING; ALTER TABLE t REPLICA IDENTITY DEFAULT")
            application.psql("ALTER TABLE t DROP CONSTRAINT t_pkey")  # given back is what the application chose last
            assert application.psql("SELECT relreplident FROM pg_class WHERE relname = 't'") == "f"
            application.psql("ALTER TABLE t ADD PRIMARY KEY (id); ROLLBACK PREPARED 'other migration'")
            application.psql(f"SELECT pg_replication_origin_create('warmstandby_{application.name}')")
    assert leftovers(application)
    assert main(["uninstall", "--component", application.name, "--config", str(config)]) == 0
    told = capsys.readouterr().out
    for thing in ("publication warmstandby", "schema warmstandby", f"replication slot warmstandby_{application.name}"):
        assert thing in told
    assert leftovers(application) == ""
    assert dump(application) == before
    assert node.psql("SELECT count(*) FROM agent.captures") == "0"
    assert main(["uninstall", "--all", "--config", str(config)]) == 0
    assert "nothing of ours was there" in capsys.readouterr().out


def test_a_component_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With those that are."""
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    document: Document = {
        "node": {"id": "n", "mode": "primary", "pair_id": "p", "key": "k" * 30, "state_dir": tmp_path},
        "postgres": {"dsn": nowhere, "apply_dsn": nowhere},
        "components": [{"name": "mdm", "database": "mdm"}],
    }
    write_node_toml(tmp_path / "node.toml", document)
    assert main(["uninstall", "--component", "mmd", "--config", str(tmp_path / "node.toml")]) == 1
    assert "The components are: mdm." in capsys.readouterr().err
    assert main(["uninstall", "--all", "--config", str(tmp_path / "node.toml")]) == 1
    assert "connecting to" in capsys.readouterr().err
