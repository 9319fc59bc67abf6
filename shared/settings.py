"""What `node.toml` and the environment say: the one configuration file that both services of a node read.

Values are frozen, grouped as in the file, and carry their unit in the name. What is changed while the node runs is not
here but in the pair's configuration (control database).
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from shared.addresses import host_of, is_loopback
from shared.files.patterns import check_pattern
from shared.files.places import is_within, staging_folder
from shared.setting_values import Address, Dsn, Key, Name, Section, Url
from shared.surroundings import ApplicationSettings, HooksSettings, ProbesSettings


class Mode(StrEnum):
    """A node's fixed name."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


class Promotion(StrEnum):
    """Whether a standby may promote itself."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"


class NodeSettings(Section):
    """[node]: who this node is."""

    id: Name = Field(description="This node's name; unique in the pair.")
    mode: Mode = Field(description="This node's fixed name: primary or secondary.")
    pair_id: Name = Field(description="The pair's name; equal on both nodes.")
    key: Key = Field(description="This node's own key, sent to its peers.")
    number: int | None = Field(
        None, ge=1, le=15, description="Class of this node's epochs; by default 1 for the primary, 2 for the secondary."
    )
    site: Name = Field("main", description="Where the node stands.")
    promotion: Promotion = Field(
        Promotion.AUTOMATIC, description="Whether this node may promote itself; equal in [[peers]] of the other node."
    )
    state_dir: Path = Field(description="Folder for the node's record and its unix socket.")

    @property
    def epoch_class(self) -> int:
        """Return this node's number; its epochs are congruent to it modulo 16."""
        if self.number is not None:
            return self.number
        return 1 if self.mode is Mode.PRIMARY else 2


_LISTEN = "Address and port, as host:port; 0.0.0.0 or [::] is all addresses of the machine."


class ListenSettings(Section):
    """What both services say about how they listen."""

    listen: Address = Field(description=_LISTEN)
    tls_certificate: Path | None = Field(None, description="PEM file with the certificate chain.")
    tls_key: Path | None = Field(None, description="PEM file with the certificate's private key.")
    allow_plaintext: bool = Field(False, description="Listen beyond loopback without TLS.")
    docs: bool = Field(True, description="Serve the API's documentation at /docs and /openapi.json.")

    @property
    def host(self) -> str:
        """Return the host to listen on."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Return the port to listen on; 0 asks for a free one."""
        return int(self.listen.rpartition(":")[2])

    @property
    def has_tls(self) -> bool:
        """Say whether the service speaks TLS."""
        return self.tls_certificate is not None

    @property
    def is_loopback(self) -> bool:
        """Say whether only this machine can reach the service."""
        return is_loopback(self.host)

    @model_validator(mode="after")
    def check_tls_pair(self) -> Self:
        """Ask for certificate and key together."""
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self


class AgentSettings(ListenSettings):
    """[agent]: the service that owns the node."""

    listen: Address = Field("127.0.0.1:8440", description=_LISTEN)
    socket: Path | None = Field(
        None, description="Unix socket for this node's own commands; default <state_dir>/agent.sock."
    )
    heartbeat_seconds: float = Field(
        5.0, gt=0, le=300, description="How often the agent looks at its databases and its peers."
    )
    boot_grace_seconds: float = Field(30.0, ge=0, description="How long a booted node waits for silent peers.")
    disk_floor_bytes: int = Field(256 * 2**20, ge=0, description="With less disk space left this node is not promoted.")
    export_idle_seconds: float = Field(
        120.0, gt=0, description="An export whose reader is silent is closed after this."
    )


class CaptureSettings(Section):
    """[capture]: how changes are collected on the active node."""

    interval_seconds: float = Field(5.0, gt=0, le=3600, description="Pause between two background drains.")
    chunk_bytes: int = Field(256 * 2**20, ge=2**20, description="WAL read by one drain at most.")
    budget_bytes: int = Field(
        8 * 2**30,
        ge=64 * 2**20,
        description="WAL kept and spool together; past it capture is dropped and the next sync seeds.",
    )
    subscriber_days: int = Field(
        35,
        ge=1,
        le=3650,
        description="Changes are kept for a standby that was not seen for so long, and no longer; its next sync seeds. "
        "More than the longest interval between syncs, 31 days.",
    )
    guard: Literal["auto", "off"] = Field("auto", description="Install the DDL guard where rights allow.")
    lock_timeout_seconds: float = Field(
        3.0,
        gt=0,
        description="Longest wait for a lock on a table of the application; more than the server's deadlock_timeout, "
        "after which autovacuum gives way.",
    )


class TransferCompression(StrEnum):
    """How what a sync reads is packed on its way."""

    OFF = "off"
    GZIP = "gzip"


class ControllerSettings(ListenSettings):
    """[controller]: the service that follows the other node."""

    listen: Address = Field("127.0.0.1:8441", description=_LISTEN)
    heartbeat_seconds: float = Field(5.0, gt=0, le=300, description="How often the peers' heartbeats are read.")
    heartbeat_timeout_seconds: float = Field(
        3.0, gt=0, le=60, description="How long an answer to a heartbeat is waited for."
    )
    reference_targets: tuple[Address, ...] = Field(
        (),
        description="Addresses (host:port) that take a connection whenever this node's network works, as a gateway or "
        "a name server does; a standby that reaches none of them never promotes itself.",
    )
    parallel_copies: int = Field(2, ge=1, le=16, description="Tables copied at a time by a seed.")
    transfer_compression: TransferCompression = Field(
        TransferCompression.OFF,
        description="`gzip` packs what this node reads from the other, for which that one needs a processor: "
        "for lines of less than about 500 Mbit/s.",
    )
    lock_timeout_seconds: float = Field(10.0, gt=0, description="Longest wait for a lock on a table of the standby.")
    compare_from_bytes: int = Field(
        2**30,
        ge=0,
        description="Where the active node no longer knows what a copy lacks, a copy of this size or more is compared "
        "with it, so that only what differs travels; a smaller one is copied again.",
    )


class PostgresSettings(Section):
    """[postgres]: the PostgreSQL server that holds the components and Warmstandby's own database."""

    dsn: Dsn = Field(
        description="This node's own database, as postgresql://warmstandby:password@host:port/warmstandby."
    )
    apply_dsn: Dsn = Field(description="The same database as role warmstandby_apply, which applies, seeds and swaps.")
    data_dir: Path | None = Field(
        None, description="The server's data folder, to watch its disk space; by default only that of state_dir is."
    )
    bin_dir: Path | None = Field(None, description="Folder of pg_dump and pg_restore; PATH by default.")
    connect_timeout_seconds: float = Field(5.0, gt=0, description="How long the server may take to answer.")


class Keyless(StrEnum):
    """When tables whose changes no key tells of are compared with the standby's."""

    EVERY_SYNC = "every_sync"
    WHEN_COUNTERS_MOVED = "when_counters_moved"


class ComponentSettings(Section):
    """[[components]]: one replicated database."""

    name: Name = Field(description="The component's name; equal on both nodes.")
    database: str = Field(min_length=1, max_length=63, description="The database of that component on this node.")
    required: bool = Field(True, description="Without a sync of it in the present term the node is not promoted.")
    keyless: Keyless = Field(
        Keyless.EVERY_SYNC,
        description="When tables without a key are compared with the active node's: in every_sync, or only "
        "when_counters_moved, that is, when the active server's statistics say that rows were written since. That "
        "spares reading large tables; rows changed by hand on the standby then stay until a verification, a change "
        "of the last seconds before a sync may come with the next one, and what a session writes that switches "
        "track_counts off for itself is not seen. Counts on the standby.",
    )


class FileSetSettings(Section):
    """[[file_sets]]: one replicated folder, with all that lies below it."""

    name: Name = Field(description="The file set's name; equal on both nodes, and no component's.")
    path: Path = Field(
        description="The folder on this node, absolute; it must be there, and the folder around it must be writable: "
        "what a sync brings is gathered beside it, in `.NAME.warmstandby`, before it takes its place."
    )
    exclude: tuple[str, ...] = Field(
        (),
        description="What is left alone on both nodes: names as in *.tmp at any depth, or paths relative to the folder "
        "as in cache/** (with `*`, `?`, `[…]`, and `**` for any number of folders; a `/` at the end: folders only).",
    )
    required: bool = Field(True, description="Without a sync of it in the present term the node is not promoted.")

    @field_validator("path")
    @classmethod
    def check_path(cls, value: Path) -> Path:
        """Allow an absolute path that says where it leads."""
        if not value.is_absolute() or ".." in value.parts or value == Path("/"):
            raise ValueError("allowed is an absolute path of a folder, without '..', and not / itself")
        return value

    @field_validator("exclude")
    @classmethod
    def check_exclude(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Allow patterns that can match something."""
        for pattern in value:
            check_pattern(pattern)
        return value


AnyComponent = ComponentSettings | FileSetSettings
"""What one sync after the other brings to a standby."""


class PeerSettings(Section):
    """[[peers]]: another node of the pair."""

    node_id: Name = Field(description="[node] id of that node.")
    mode: Mode = Field(description="[node] mode of that node.")
    site: Name = Field("main", description="[node] site of that node.")
    agent_url: Url = Field(description="Where its agent is, as https://host:8440 or http://host:8440.")
    controller_url: Url = Field(description="Where its controller is, as https://host:8441 or http://host:8441.")
    key: Key = Field(description="The peer's own key: who calls with it is this peer.")
    database: Address | None = Field(
        None, description="Its PostgreSQL server (host:port), looked at when its agent is silent; by default it is not."
    )
    promotion: Promotion = Field(Promotion.AUTOMATIC, description="Whether it may promote itself.")

    @property
    def hosts(self) -> frozenset[str]:
        """Return the hosts at which it is looked for."""
        places = [self.agent_url, self.controller_url, *([] if self.database is None else [self.database])]
        return frozenset(host_of(place) for place in places)


class FencingSettings(Section):
    """[fencing]: how the databases of a node that does not serve are closed to applications."""

    hba_list: Path | None = Field(
        None,
        description="File that pg_hba.conf names as @FILE in lines that reject: the databases closed now. "
        "Without it the fence is weaker (README.md, section Fencing).",
    )
    probe_dsn: Dsn | None = Field(
        None,
        description="This node's own database as role warmstandby_probe, which tries to enter closed databases.",
    )
    reader_roles: tuple[str, ...] = Field(
        (), description="Roles that may enter closed databases (monitoring, reports, backups); see that they only read."
    )
    deadline_seconds: float = Field(
        20.0, gt=0, description="How long sessions may take to end before the fence counts as incomplete."
    )


class TlsSettings(Section):
    """[tls]: how this node checks its peers."""

    ca_file: Path | None = Field(
        None, description="PEM file of the CA that signed the peers' certificates; the system's by default."
    )


class LogSettings(Section):
    """[log]: what the services write to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lines below it are left out.")
    format: Literal["text", "json"] = Field("text", description="Lines for people, or one JSON object for each.")


class Settings(Section):
    """All of node.toml."""

    node: NodeSettings
    postgres: PostgresSettings
    components: tuple[ComponentSettings, ...] = Field(min_length=1)
    file_sets: tuple[FileSetSettings, ...] = ()
    peers: tuple[PeerSettings, ...] = ()
    agent: AgentSettings = AgentSettings()
    controller: ControllerSettings = ControllerSettings()
    capture: CaptureSettings = CaptureSettings()
    hooks: HooksSettings = HooksSettings()
    application: ApplicationSettings = ApplicationSettings()
    probes: ProbesSettings = ProbesSettings()
    fencing: FencingSettings = FencingSettings()
    tls: TlsSettings = TlsSettings()
    log: LogSettings = LogSettings()

    @property
    def agent_socket(self) -> Path:
        """Return the unix socket of this node's agent."""
        return self.agent.socket or self.node.state_dir / "agent.sock"

    @model_validator(mode="after")
    def check_each_other(self) -> Self:
        """Refuse a pair that cannot work: names twice, a peer that is this node, keys twice."""
        unique = {
            "components and file_sets: name": [component.name for component in self.all_components],
            "components: database": [component.database for component in self.components],
            "peers: node_id": [peer.node_id for peer in self.peers],
        }
        keys = [self.node.key.get_secret_value(), *(peer.key.get_secret_value() for peer in self.peers)]
        for what, values in unique.items():
            if len(set(values)) != len(values):
                raise ValueError(f"{what} must be unique")
        self._check_folders()
        if self.node.id in unique["peers: node_id"]:
            raise ValueError("peers: node_id must differ from [node] id")
        if len(set(keys)) != len(keys):
            raise ValueError("every node needs a key of its own")
        for target in self.controller.reference_targets:
            for peer in self.peers:
                if host_of(target) in peer.hosts and not is_loopback(host_of(target)):
                    raise ValueError(
                        f"controller: reference_targets: {target} is the peer {peer.node_id} itself: "
                        "when that is down, this node would take itself for cut off"
                    )
        promotions = [self.node.promotion, *(peer.promotion for peer in self.peers)]
        if promotions.count(Promotion.AUTOMATIC) > 2:
            raise ValueError("only two nodes may have promotion automatic: without a referee no more can be told apart")
        if sum(peer.mode is Mode.PRIMARY for peer in self.peers) + (self.node.mode is Mode.PRIMARY) > 1:
            raise ValueError("only one node may have mode primary")
        return self

    def _check_folders(self) -> None:
        """Refuse folders of file sets that hold one another, or what this node itself writes."""
        own = [("[node] state_dir", self.node.state_dir)]
        own += [] if self.postgres.data_dir is None else [("[postgres] data_dir", self.postgres.data_dir)]
        for place, one in enumerate(self.file_sets):
            others = [(f"file set {other.name}", other.path) for other in self.file_sets[place + 1 :]]
            others += [(f"what a sync of {other.name} gathers", staging_folder(other.path)) for other in self.file_sets]
            for what, folder in (*own, *others):
                if is_within(folder, one.path) or is_within(one.path, folder):
                    raise ValueError(
                        f"file_sets: {one.name}: {one.path} and {folder} ({what}) lie within one another: each file "
                        "belongs to one of them"
                    )

    @property
    def all_components(self) -> tuple[AnyComponent, ...]:
        """Return the components of both kinds in the order of their syncs: databases, then file sets."""
        return (*self.components, *self.file_sets)

    def file_set(self, name: str) -> FileSetSettings | None:
        """Return the file set of that name."""
        return next((one for one in self.file_sets if one.name == name), None)

    def component(self, name: str) -> ComponentSettings | None:
        """Return the component of that name."""
        return next((component for component in self.components if component.name == name), None)
