"""What is done to a server by writing it down in its cell, with no work to follow: its lock, what its host did at once.

Each is recorded among the server's actions. Who locked a server is told by the record of that, too.
"""

from sqlalchemy.orm import Session

from nova_lite.cells.operations import Requester
from nova_lite.db.repositories import actions, instances
from nova_lite.model.instance import Instance


def lock(session: Session, uuid: str, requester: Requester, reason: str | None) -> None:
    """Lock a server; its owner locks but an unlocked one, an administrator of elsewhere takes the lock over."""
    instance = instances.lock(session, uuid)
    if instance.is_locked and instance.project_id == requester.project_id:
        return
    # A reason once given stays, as long as no other one is.
    instances.change(session, uuid, locked=True, locked_reason=reason or instance.locked_reason)
    _record(session, instance, "lock", requester, event="api_lock")


def unlock(session: Session, uuid: str, requester: Requester) -> None:
    """Unlock a server, whoever locked it."""
    instance = instances.lock(session, uuid)
    instances.change(session, uuid, locked=False, locked_reason=None)
    _record(session, instance, "unlock", requester, event="api_unlock")


def is_locked_by_others(session: Session, instance: Instance, project_id: str) -> bool:
    """Return whether ``instance`` is locked, and not by the side that asks: its own project, or all others."""
    if not instance.is_locked:
        return False
    locked = actions.last(session, instance.uuid, "lock")
    by_owner = locked is None or locked.project_id == instance.project_id
    return by_owner != (instance.project_id == project_id)


def note(session: Session, uuid: str, action: str, requester: Requester, *, event: str, error: str | None) -> None:
    """Record what was done at a server's host with nothing to write down but that, and how it ended."""
    instance = instances.get(session, uuid)
    _record(session, instance, action, requester, event=event, error=error)


def _record(
    session: Session,
    instance: Instance,
    action: str,
    requester: Requester,
    *,
    event: str | None,
    error: str | None = None,
) -> None:
    actions.begin(
        session,
        instance_uuid=instance.uuid,
        action=action,
        request_id=requester.request_id,
        user_id=requester.user_id,
        project_id=requester.project_id,
        event=event,
    )
    actions.finish(
        session, instance_uuid=instance.uuid, request_id=requester.request_id, error=error, host=instance.host
    )
