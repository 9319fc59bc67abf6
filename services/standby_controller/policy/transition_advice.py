"""What to do after a transition, in a sentence or two for people. Pure."""

from __future__ import annotations

from services.standby_controller.policy.transition_story import (
    FAILBACK,
    Topic,
    Transition,
    TransitionResult,
)


def advise_after(transition: Transition) -> str:
    """Return what an administrator should do now."""
    if transition.result is TransitionResult.RUNNING:
        return "It is not over: look at GET /v1/status, and again here."
    if transition.result is TransitionResult.ABANDONED:
        failed = next((phase for phase in transition.phases if phase.outcome == "failed"), None)
        at = f" at {failed.step}" if failed else ""
        return f"Nothing was changed: it was given up{at} before the point of no return. Mend what stopped it."
    match transition.kind:
        case "failover" | "force":
            rescued = transition.known(Topic.LOSS, "rows")
            rows = f" Look through the {rescued} rescued rows (GET /v1/rescues)." if rescued else ""
            return (
                "Find out why the other server failed and start it: it comes back fenced and is synced from this one."
                f"{rows} To return to it afterwards, ask for a switchover; to keep this one, do nothing."
            )
        case "switchover" | "handover":
            return "Nothing, when GET /v1/status says that the pair is protected."
        case _ if transition.kind == FAILBACK:
            return "Nothing, when GET /v1/status says that the pair is protected."
        case "fence":
            return "The node does not serve. It follows the active node once it is synced from it."
        case _:
            return "Nothing."
