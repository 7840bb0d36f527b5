"""Reads who holds what."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from nova_lite.placement.model import Holding
from nova_lite.placement.tables import ALLOCATIONS, CLASSES, CONSUMERS, PROVIDERS
from nova_lite.storage import Handle

_C, _P, _A = CONSUMERS.c, PROVIDERS.c, ALLOCATIONS.c
_PROJECT, _USER = (sa.bindparam("project", type_=sa.String), sa.bindparam("user", type_=sa.String))

_HOLDINGS = (
    sa.select(
        *(_C.uuid, _C.generation, _C.project_id, _C.user_id, _C.consumer_type),
        *(_P.uuid, CLASSES.c.name, _A.used, _A.updated_at),
    )
    .select_from(ALLOCATIONS)
    .join(CONSUMERS, _C.id == _A.consumer_id)
    .join(PROVIDERS, _P.id == _A.provider_id)
    .join(CLASSES, CLASSES.c.id == _A.class_id)
    .order_by(_A.consumer_id, _A.provider_id, _A.class_id)
)
_OF_CONSUMER = _HOLDINGS.where(_C.uuid == sa.bindparam("for_uuid", type_=sa.String))
_OF_PROVIDER = _HOLDINGS.where(_A.provider_id == sa.bindparam("for_id", type_=sa.BigInteger))

_COUNTS = sa.select(_C.consumer_type, sa.func.count().label("consumers")).group_by(_C.consumer_type)
_SUMS = (
    sa.select(_C.consumer_type, CLASSES.c.name, sa.func.sum(_A.used))
    .select_from(ALLOCATIONS)
    .join(CONSUMERS, _C.id == _A.consumer_id)
    .join(CLASSES, CLASSES.c.id == _A.class_id)
    .group_by(_C.consumer_type, CLASSES.c.name)
)
_OF_PROJECT = (_COUNTS.where(_C.project_id == _PROJECT), _SUMS.where(_C.project_id == _PROJECT))
_OF_USER = tuple(statement.where(_C.user_id == _USER) for statement in _OF_PROJECT)


def holding(handle: Handle, consumer_uuid: str) -> Holding | None:
    """Return what a consumer holds, or None when it holds nothing."""
    found = _holdings(handle, _OF_CONSUMER, {"for_uuid": consumer_uuid})
    return found[0] if found else None


def holders(handle: Handle, provider_id: int) -> list[Holding]:
    """Return who holds something of a provider, each with that part of what it holds."""
    return _holdings(handle, _OF_PROVIDER, {"for_id": provider_id})


def _holdings(handle: Handle, statement: sa.Select[Any], values: Mapping[str, object]) -> list[Holding]:
    owners: dict[str, tuple[int, str, str, str | None]] = {}
    amounts: dict[str, dict[str, dict[str, int]]] = {}
    changed: dict[str, float] = {}
    for uuid, generation, project_id, user_id, consumer_type, provider_uuid, name, used, updated_at in handle.execute(
        statement, values
    ):
        owners[uuid] = (generation, project_id, user_id, consumer_type)
        amounts.setdefault(uuid, {}).setdefault(provider_uuid, {})[name] = used
        changed[uuid] = max(updated_at, changed.get(uuid, 0.0))
    return [Holding(uuid, *owner, amounts[uuid], changed[uuid]) for uuid, owner in owners.items()]


def usages(handle: Handle, project_id: str, user_id: str | None) -> list[tuple[str | None, str, int, int]]:
    """Return (consumer type, class, amount, consumers of that type) held by a project, or by one user in it."""
    values = {"project": project_id} if user_id is None else {"project": project_id, "user": user_id}
    count, total = _OF_PROJECT if user_id is None else _OF_USER
    counts = {row.consumer_type: row.consumers for row in handle.execute(count, values)}
    sums = [(consumer_type, name, int(used)) for consumer_type, name, used in handle.execute(total, values)]
    return [(consumer_type, name, used, counts.get(consumer_type, 0)) for consumer_type, name, used in sums]
