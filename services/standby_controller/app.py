"""The composition root: the parts, how data is copied, the API and the loops, run as siblings."""

from __future__ import annotations

from typing import Any, Final

from services.standby_controller.api import new_app
from services.standby_controller.api.parts import give_parts
from services.standby_controller.apply.component import clear_orphans, sync_component
from services.standby_controller.apply.returning import ReturnView, find_divergence
from services.standby_controller.assembly import assemble
from services.standby_controller.files.file_set import FileSetSync, clear_file_sets
from services.standby_controller.links import Links, open_links
from services.standby_controller.outcome import ComponentOutcome
from services.standby_controller.policy.guards import Guards
from services.standby_controller.progress import Progress
from services.standby_controller.roles.desk import Agents
from services.standby_controller.running_sync import CopyComponent
from services.standby_controller.source import Source
from services.standby_controller.verify.model import Wish
from shared.clock import SystemClock
from shared.http.server import tcp_server
from shared.lifecycle import Sibling, run_siblings
from shared.node.model import Envelope
from shared.settings import AnyComponent, FileSetSettings, Settings

_BEYOND_FENCE_SECONDS: Final = 10.0  # a peer that closes its node looks around, waits for the lock and proves it


async def serve(settings: Settings) -> None:
    """Run the controller until it is told to stop; raise ConfigurationError for what cannot work."""
    clock = SystemClock()

    async def clear() -> None:
        await clear_orphans(settings)
        await clear_file_sets(settings)

    async with (
        open_links(settings, clock) as links,
        assemble(
            settings,
            clock,
            sources=links.heartbeats,
            controllers=links.controllers,
            copy_component=_copy_from(settings, links),
            clear_orphans=clear,
            speaker=links.voice,
            records={client.node_id: client for client in links.heartbeats},
            agents=_agents_of(settings, links),
            journal=links.heartbeats[0],
        ) as controller,
    ):
        links.voice.listen_to(lambda: controller.parts.monitor.own)
        app = new_app(docs=settings.controller.docs)
        give_parts(app, controller.parts)
        server = tcp_server(app, settings.controller, "controller")
        feed = Sibling("event feed", controller.parts.feed.run)  # ends first: those who follow would hold the API up
        await run_siblings([*controller.loops, Sibling("api", server.run), feed])


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    return new_app(docs=True).openapi()


def _agents_of(settings: Settings, links: Links) -> Agents:
    async def find_all(source: Source) -> tuple[ReturnView, ...]:
        client, names = links.exports[source.node_id], [component.name for component in settings.components]
        return tuple([await find_divergence(name, client=client, own=links.own) for name in names])

    async def is_clean(source: Source) -> bool:
        return all(view.is_clean for view in await find_all(source))

    seconds = settings.fencing.deadline_seconds + _BEYOND_FENCE_SECONDS
    return Agents(links.own, links.agents, is_clean, find_all, links.controllers, seconds)


def _copy_from(settings: Settings, links: Links) -> CopyComponent:
    async def copy_component(
        component: AnyComponent,
        source: Source,
        envelope: Envelope,
        progress: Progress,
        guards: Guards,
        wish: Wish | None = None,
    ) -> ComponentOutcome:
        if isinstance(component, FileSetSettings):
            return await FileSetSync(
                component, settings, links.exports[source.node_id], source.term, envelope, progress, guards, wish
            ).run()
        return await sync_component(
            component,
            settings=settings,
            client=links.exports[source.node_id],
            term=source.term,
            envelope=envelope,
            progress=progress,
            guards=guards,
            own=links.own,
            wish=wish,
        )

    return copy_component
