"""What the controllers of a pair keep equal: settings and tokens, and the history that each reads from the other."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

from services.standby_controller.api.parts import Parts, PartsOf
from services.standby_controller.routes.caller import Peer
from services.standby_controller.store.history_log import Place
from shared.errors import PostgresError, RequestError
from shared.http.caller import CALLER_ERRORS
from shared.http.problem import problem_responses
from shared.node.pair import HistoryPage, PairBook, PairDocumentView

router: Final = APIRouter(prefix="/pair", tags=["nodes"])


@router.get(
    "/document",
    operation_id="readPairDocument",
    summary="The pair's settings and tokens as this node holds them",
    responses=problem_responses(*CALLER_ERRORS),
)
async def read_pair_document(parts: PartsOf, _: Peer) -> PairDocumentView:
    """Tell settings with their version, and tokens as hashes; answers while the control database is away, too."""
    return PairDocumentView(**_envelope(parts), book=parts.known.book)


@router.put(
    "/document",
    operation_id="offerPairDocument",
    summary="Have this node take what is higher than its own",
    responses=problem_responses(*CALLER_ERRORS, RequestError, PostgresError),
)
async def offer_pair_document(parts: PartsOf, peer: Peer, book: PairBook) -> PairDocumentView:
    """Take the higher settings, new tokens and deletions; the answer is what this node holds then. Repeatable."""
    return PairDocumentView(**_envelope(parts), book=await parts.exchange.take_from(peer, book))


@router.get(
    "/history",
    operation_id="readPairHistory",
    summary="History after a place, the oldest rows first",
    responses=problem_responses(*CALLER_ERRORS, RequestError, PostgresError),
)
async def read_pair_history(
    parts: PartsOf,
    _: Peer,
    *,
    generation: Annotated[str, Query(max_length=100, description="Of the place; of another one all is read.")] = "",
    after: Annotated[int, Query(ge=0, lt=2**63, description="The place's number.")] = 0,
) -> HistoryPage:
    """Tell ended syncs, events, journals and evidence in the order in which this node got them, from all nodes."""
    page = await parts.history_log.read_after(Place(generation, after))
    return HistoryPage(
        **_envelope(parts),
        generation=page.reached.generation,
        items=page.items,
        reached=page.reached.value,
        has_more=page.has_more,
    )


def _envelope(parts: Parts) -> dict[str, Any]:
    speaker = parts.doorkeeper.speaker()
    return {
        "pair_id": speaker.pair_id,
        "node_id": speaker.node_id,
        "boot_id": speaker.boot_id,
        "term": parts.monitor.own.term,
    }
