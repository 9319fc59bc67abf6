"""An export, a sync or a cursor cannot go on."""

from __future__ import annotations

from shared.errors.base import WarmstandbyError


class ReplicationError(WarmstandbyError):
    """The sync cannot go on."""

    code = "sync_failed"
    status = 409
    default_hint = "The standby keeps the data of its last successful sync. Look at GET /v1/syncs."


class SyncRunning(ReplicationError):
    """A sync is running already; syncs never overlap."""

    code = "sync_running"
    default_hint = "Wait for it, or cancel it with POST /v1/syncs/{id}/cancel."


class SyncNotRunning(ReplicationError):
    """The sync has ended already."""

    code = "sync_not_running"
    default_hint = "GET /v1/syncs/{id} shows how it ended."


class ClockSkew(ReplicationError):
    """The clocks of the two nodes differ by more than the limit, and syncs are held."""

    code = "clock_skew"
    default_hint = (
        "Set the wrong clock right (GET /v1/status names it), or let syncs run: monitor.clock_skew_policy = warn with "
        "PATCH /v1/config. A takeover does not wait for it."
    )


class CursorUnknown(ReplicationError):
    """The active node does not know the sync point that the standby stands at."""

    code = "cursor_unknown"
    default_hint = "The next sync copies everything again (seed) by itself."


class CursorTrimmed(ReplicationError):
    """The active node no longer keeps the changes since the standby's sync point."""

    code = "cursor_trimmed"
    default_hint = "The next sync copies everything again (seed) by itself."


class SchemaChanged(ReplicationError):
    """Tables of the component were created, dropped or altered since the standby's sync point."""

    code = "schema_changed"
    default_hint = "The next sync copies everything again (seed) by itself."


class CaptureNotReady(ReplicationError):
    """The active node cannot capture changes yet."""

    code = "capture_not_ready"
    status = 503
    default_hint = "Transactions that were open when capture started must end first; the detail names them."
    retry_after_seconds = 2.0


class CaptureDamaged(ReplicationError):
    """Somebody took a table or function of the capture away."""

    code = "capture_damaged"
    status = 503
    default_hint = "It is made again by itself; where changes were lost with it, the next sync copies everything again."
    retry_after_seconds = 1.0


class TableRewritten(ReplicationError):
    """A table was truncated or rewritten while it was being exported."""

    code = "table_rewritten"
    default_hint = "The sync starts again with a fresh export by itself."


class TableLocked(ReplicationError):
    """A statement of the application holds a table longer than the lock timeout."""

    code = "table_locked"
    status = 503
    default_hint = "The sync is tried again. Look for long ALTER TABLE or LOCK statements on the named table."
    retry_after_seconds = 5.0


class ExportGone(ReplicationError):
    """The export was closed or has expired."""

    code = "export_gone"
    status = 404
    default_hint = "Open a new export."


class TransferIncomplete(ReplicationError):
    """Fewer rows arrived than were sent."""

    code = "transfer_incomplete"
    default_hint = "Nothing was changed on the standby; the next sync starts again."


class ListingRefused(ReplicationError):
    """The active node's list of a file set names what no folder can hold; nothing was changed."""

    code = "listing_refused"
    default_hint = "Look at the active node: what answers there is broken, or is not what it says it is."


class FileSetMissing(ReplicationError):
    """The folder of a file set is not there."""

    code = "file_set_missing"
    status = 503
    default_hint = "Make the folder, or mount its file system, on the node that the detail names."
    retry_after_seconds = 30.0


class FileSetUnusable(ReplicationError):
    """The folder of a file set cannot be read or written as a sync has to."""

    code = "file_set_unusable"
    status = 503
    default_hint = (
        "The user of the services needs all rights in the folder and in the one around it, and both must lie on one "
        "file system: name a folder below a mounted file system, not the mounted one itself."
    )
    retry_after_seconds = 30.0


class CursorMoved(ReplicationError):
    """The copy does not stand where the sync began."""

    code = "cursor_moved"
    default_hint = "Another sync, or a restored backup, came between. The next sync sorts it out by itself."


class Divergence(ReplicationError):
    """The standby's data cannot take the changes: it was written to by somebody else."""

    code = "divergence"
    default_hint = "Find out who writes to the standby; the next sync copies everything again (seed)."


class NothingToRepair(ReplicationError):
    """Of what this verification found, nothing stands that could be repaired."""

    code = "nothing_to_repair"
    status = 409
    default_hint = "Look at GET /v1/verifications for a newer one; definitions that differ are mended by a full copy."


class SeedRefused(ReplicationError):
    """The standby cannot take a full copy."""

    code = "seed_refused"


class GuardRefused(ReplicationError):
    """A guard stopped the sync; nothing was applied."""

    code = "guard_refused"


class SourceShrank(GuardRefused):
    """The active node's database or file set lost so much that it is not believed; nothing was applied."""

    code = "source_shrank"
    default_hint = (
        "Look at the active node's database, or folder. If it is as it should be, say so for one sync: `warmstandby "
        "sync --accept source_shrank` (POST /v1/syncs, or POST /v1/resync of a fenced node, with "
        '{"accept": ["source_shrank"]}). If not, the standby has what was lost: restore it from there or fail over. '
        "`guards` in /v1/config are the limits."
    )


class SourceChanged(GuardRefused):
    """The active node's database is another one than before; nothing was applied."""

    code = "source_changed"
    default_hint = (
        "If it was made anew on purpose (a dump restored, a major upgrade), say so for one sync: `warmstandby sync "
        '--accept source_changed` (POST /v1/syncs with {"accept": ["source_changed"]}). If not, the standby still has '
        "the old one."
    )


class DiskShort(GuardRefused):
    """The disk has no room for a full copy; nothing was begun."""

    code = "disk_short"
    default_hint = (
        "Free space on this node's disk or enlarge it. If the figure is too high, as for a source with much bloat, "
        '`warmstandby sync --accept disk_short` (POST /v1/syncs with {"accept": ["disk_short"]}) tries it once.'
    )


class SyncCancelled(ReplicationError):
    """The sync was cancelled."""

    code = "cancelled"
    default_hint = "Nothing was changed on the standby. Start it again with POST /v1/syncs."


class RescueUnwritable(ReplicationError):
    """What only this node has cannot be saved, so nothing is overwritten."""

    code = "rescue_unwritable"
    status = 503
    default_hint = "Look at space, rights and health of the disk that holds [node] state_dir."
