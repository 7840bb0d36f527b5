"""What a move does in Placement: two consumers change hands at once, or nothing changes.

While a server moves, the move's UUID holds what the server had, and the server what it is to have. Each change names
the generations that were seen, so one that comes late or twice finds others and is refused.
"""

from nova_lite import errors
from nova_lite.clients.placement import Allocations, PlacementClient

#: What Placement says of a stale generation, as opposed to a lack of room.
_STALE = "placement.concurrent_update"


def hand_over(placement: PlacementClient, instance: str, move: str, allocations: Allocations) -> str | None:
    """Give the move what the instance holds, and the instance ``allocations``; return why not, None when it is done.

    Raises Conflict when the instance holds nothing, Unavailable when somebody else changes what it holds.
    """
    held = placement.holding(instance)
    if held is None:
        raise errors.Conflict("What the server holds in Placement is gone.")
    try:
        placement.hold_together(
            {move: (held.allocations, None), instance: (allocations, held.generation)},
            project_id=held.project_id,
            user_id=held.user_id,
        )
    except errors.Invalid:
        return "It is not known to Placement any more."
    except errors.Conflict as exc:
        return _refusal(exc)
    return None


def take_next(placement: PlacementClient, instance: str, allocations: Allocations) -> str | None:
    """Have an instance that moves hold ``allocations``; return why that cannot be, None when it is done.

    Raises Conflict when it holds nothing any more, Unavailable when somebody else changes it just now.
    """
    held = placement.holding(instance)
    if held is None:
        raise errors.Conflict("What the server holds in Placement is gone.")
    if held.allocations == allocations:
        return None
    try:
        placement.hold(instance, allocations, held.generation, project_id=held.project_id, user_id=held.user_id)
    except errors.Invalid:
        return "It is not known to Placement any more."
    except errors.Conflict as exc:
        return _refusal(exc)
    return None


def give_back(placement: PlacementClient, instance: str, move: str) -> None:
    """Give an instance what it had before it moved, if it has moved; one that is gone gets nothing.

    Raises Unavailable when somebody else changes what it holds just now.
    """
    held = placement.holding(move)
    if held is None:
        return
    mine = placement.holding(instance)
    if mine is None:
        placement.release(move)
        return
    try:
        placement.hold_together(
            {move: ({}, held.generation), instance: (held.allocations, mine.generation)},
            project_id=held.project_id,
            user_id=held.user_id,
        )
    except errors.Conflict as exc:
        # Nobody needs room for what is held already: it can only be that somebody else changed it.
        raise errors.Unavailable("Somebody else changes what the server holds.", cause=exc.message) from exc


def _refusal(exc: errors.Conflict) -> str:
    if exc.code == _STALE:
        raise errors.Unavailable("Somebody else changes what the server holds.") from exc
    return "It has no room any more."
