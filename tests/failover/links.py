"""The network between two nodes: each asks the other over ways that can be cut, in one direction or both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from lab.node import Node
from lab.pair import Pair
from lab.proxy import Passage, Proxy

_NOBODY: Final = 9


@dataclass(frozen=True, slots=True)
class Links:
    """The ways from each node to the other's services, and from each to its reference target."""

    ways: dict[tuple[str, str], tuple[Proxy, ...]]
    reference: Proxy

    async def cut(self, passage: Passage = Passage.DROP, *, from_: Node | None = None) -> None:
        """Cut the link: both directions, or only what a node asks of the other."""
        for (asks, _), proxies in self.ways.items():
            if from_ is None or asks == from_.name:
                await _turn(proxies, passage)

    async def heal(self) -> None:
        """Let everything pass."""
        await _turn(self.reference_and_all(), Passage.PASS)

    def reference_and_all(self) -> Iterable[Proxy]:
        """Return every proxy."""
        return [self.reference, *(proxy for proxies in self.ways.values() for proxy in proxies)]


@asynccontextmanager
async def open_reference() -> AsyncIterator[Proxy]:
    """Open a reference target: it takes connections, which is all that is asked of it."""
    async with Proxy(_NOBODY) as target:
        yield target


async def lay_links(pair: Pair, reference: Proxy, stack: AsyncExitStack) -> Links:
    """Put proxies between the nodes of a pair whose services do not run yet."""
    ways = {}
    for node in pair.nodes:
        text = node.config.read_text()
        for other in pair.nodes:
            if other is node:
                continue
            proxies = []
            for url in (other.agent_url, other.controller_url):
                proxy = await stack.enter_async_context(Proxy(int(url.rpartition(":")[2])))
                assert url in text
                text = text.replace(url, proxy.url)
                proxies.append(proxy)
            ways[node.name, other.name] = tuple(proxies)
        node.config.write_text(text)
    return Links(ways, reference)


async def _turn(proxies: Iterable[Proxy], passage: Passage) -> None:
    for proxy in proxies:
        await proxy.turn(passage)
