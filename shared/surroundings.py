"""The sections of node.toml about what stands around a node: its hooks, its application, its load balancers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.setting_values import Command, Page, Section


class HookName(StrEnum):
    """The moments at which a program of the administrator is run."""

    PRE_PROMOTE = "pre_promote"
    FENCE_PEER = "fence_peer"
    START_APPLICATION = "start_application"
    STOP_APPLICATION = "stop_application"
    RESTART_DATABASE = "restart_database"
    POST_PROMOTE = "post_promote"
    ON_FENCED = "on_fenced"
    ON_FENCE_FAILED = "on_fence_failed"
    POST_FAILBACK = "post_failback"


class HooksSettings(Section):
    """[hooks]: programs that the agent runs, each as a list: its absolute path, then its arguments."""

    timeout_seconds: float = Field(60.0, gt=0, le=3600, description="A hook that takes longer is killed.")
    timeouts: dict[HookName, Annotated[float, Field(gt=0, le=3600)]] = Field(
        default_factory=dict, description="Another limit for one hook, as in { fence_peer = 20 }."
    )
    pre_promote: Command | None = Field(None, description="Before a promotion; anything but exit code 0 forbids it.")
    fence_peer: Command | None = Field(
        None, description="Before a promotion without the peer's consent: switch the peer off, or prove that it is."
    )
    start_application: Command | None = Field(None, description="When the node has begun to serve.")
    stop_application: Command | None = Field(None, description="Before the node's databases are closed.")
    restart_database: Command | None = Field(None, description="When the active node's PostgreSQL does not answer.")
    post_promote: Command | None = Field(None, description="When a promotion is done.")
    on_fenced: Command | None = Field(None, description="When the node was closed to applications.")
    on_fence_failed: Command | None = Field(None, description="When the node cannot be closed to applications.")
    post_failback: Command | None = Field(None, description="When the node serves again after a failback.")

    def command(self, name: HookName) -> tuple[str, ...] | None:
        """Return what is run for a hook, None where nothing is."""
        command: tuple[str, ...] | None = getattr(self, name.value)
        return command

    def limit_seconds(self, name: HookName) -> float:
        """Return how long a hook may take."""
        return self.timeouts.get(name, self.timeout_seconds)


class ApplicationSettings(Section):
    """[application]: how the agent of the active node looks whether the application works."""

    health_url: Page | None = Field(None, description="A page that answers 200 to 399 while the application works.")
    health_command: Command | None = Field(
        None, description="A program that ends with exit code 0 while the application works."
    )
    interval_seconds: float = Field(5.0, gt=0, le=3600, description="Pause between two looks.")
    timeout_seconds: float = Field(3.0, gt=0, le=300, description="How long a look may take.")
    failures: int = Field(3, ge=1, le=100, description="Failed looks in a row that mean the application is down.")
    start_seconds: float = Field(
        60.0, ge=0, le=3600, description="How long the application may take to start once its node has begun to serve."
    )

    @model_validator(mode="after")
    def check_one_way(self) -> Self:
        """Ask for one way to look at most."""
        if self.health_url is not None and self.health_command is not None:
            raise ValueError("health_url and health_command exclude each other")
        return self


class ProbesSettings(Section):
    """[probes]: what both services answer to load balancers and monitors."""

    text: str = Field(
        "MOBILEIRON-STATUS: OK", min_length=1, max_length=200, description="First words of the status pages' answer."
    )
    legacy_standby_after_takeover_seconds: float = Field(
        0.0,
        ge=0,
        le=3600,
        description="How long /hastatus.html of a promoted node still says that it is a standby, for old monitors.",
    )
