"""The definitions of a database as a pg_dump archive, streamed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from shared.errors import PostgresError, RightsMissing, TableLocked, TableRewritten
from shared.postgres.programs import find_program
from shared.settings import PostgresSettings

_CHUNK_BYTES: Final = 64 * 1024
_ERROR_BYTES: Final = 2000
_GONE: Final = ("does not exist", "could not open relation with OID", "cache lookup failed for")
"""What the server says of an object that a snapshot shows, and that is dropped."""

Sink = Callable[[bytes], Coroutine[Any, Any, None]]


async def dump_definitions(
    postgres: PostgresSettings,
    *,
    database: str,
    snapshot_id: str | None,
    server_version: int,
    lock_timeout_seconds: float,
    has_large_objects: bool,
    sink: Sink,
) -> None:
    """Write definitions, and large objects if wanted, to the sink; our own schema and subscriptions stay out.

    At an exported snapshot, or as they are now.

    Raises ProgramMissing, TableLocked, RightsMissing, TableRewritten where something went since the snapshot was taken,
    PostgresError with the program's own words.
    """
    program = await find_program(
        "pg_dump",
        bin_dir=postgres.bin_dir,
        dsn=postgres.dsn.get_secret_value(),
        database=database,
        server_version=server_version,
    )
    process = await asyncio.create_subprocess_exec(
        *program.arguments,
        "--format=custom",
        "--compress=0",
        # --schema-only leaves out the large objects
        *(("--exclude-table-data=*.*", "--blobs") if has_large_objects else ("--schema-only",)),
        "--no-subscriptions",
        "--exclude-schema=warmstandby",
        *(() if snapshot_id is None else (f"--snapshot={snapshot_id}",)),
        f"--lock-wait-timeout={int(lock_timeout_seconds * 1000)}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=program.environment,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.TaskGroup() as group:
            errors = group.create_task(process.stderr.read())
            while chunk := await process.stdout.read(_CHUNK_BYTES):
                await sink(chunk)
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        text = errors.result().decode(errors="replace")[-_ERROR_BYTES:].strip()
        if "lock timeout" in text or "could not obtain lock" in text:
            raise TableLocked(f"pg_dump of database {database}: {text}")
        if "permission denied" in text:
            raise RightsMissing(f"pg_dump of database {database}: {text}")
        if snapshot_id is not None and any(words in text for words in _GONE):
            raise TableRewritten(f"pg_dump of database {database}: {text}")
        raise PostgresError(f"pg_dump of database {database} failed: {text}")
