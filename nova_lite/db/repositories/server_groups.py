"""Server groups and the servers in them, in the API database."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.api_tables import InstanceMappingRow, ServerGroupMemberRow, ServerGroupRow
from nova_lite.errors import NotFound
from nova_lite.model.server_group import AFFINITY, Building, Company, ServerGroup, Settlement
from nova_lite.storage import Handle

#: Made once, for each look at limits runs one of them.
_COUNTED = sa.select(sa.func.count(ServerGroupRow.id)).where(ServerGroupRow.project_id == sa.bindparam("project"))
_COUNTED_OF_USER = _COUNTED.where(ServerGroupRow.user_id == sa.bindparam("user"))


def get(session: Session, uuid: str, *, visible_to: str | None = None) -> ServerGroup:
    """Return a group; raises NotFound, also for one of another project than ``visible_to`` (None: whoever's)."""
    row = session.scalar(sa.select(ServerGroupRow).filter_by(uuid=uuid))
    if row is None or visible_to not in (None, row.project_id):
        raise _missing(uuid)
    return _group(row, _living_members(session, [row.id]).get(row.id, ()))


def page(session: Session, project_id: str | None, *, offset: int, limit: int) -> list[ServerGroup]:
    """Return groups of a project, or of all, oldest first; two statements however many there are."""
    statement = sa.select(ServerGroupRow).order_by(ServerGroupRow.id).offset(offset).limit(limit)
    if project_id is not None:
        statement = statement.where(ServerGroupRow.project_id == project_id)
    rows = session.scalars(statement).all()
    members = _living_members(session, [row.id for row in rows])
    return [_group(row, members.get(row.id, ())) for row in rows]


def add(session: Session, new: ServerGroup) -> None:
    """Record a new group, which has no members."""
    session.add(
        ServerGroupRow(
            uuid=new.uuid,
            project_id=new.project_id,
            user_id=new.user_id,
            name=new.name,
            policy=new.policy,
            rules=dict(new.rules),
            created_at=new.created_at,
        )
    )
    session.flush()


def remove(session: Session, uuid: str) -> None:
    """Forget a group; its servers live on. Raises NotFound."""
    group_id = session.scalar(sa.select(ServerGroupRow.id).filter_by(uuid=uuid).with_for_update())
    if group_id is None:
        raise _missing(uuid)
    session.execute(sa.delete(ServerGroupMemberRow).where(ServerGroupMemberRow.group_id == group_id))
    session.execute(sa.delete(ServerGroupRow).where(ServerGroupRow.id == group_id))


def count(handle: Handle, project_id: str, user_id: str | None = None) -> int:
    """Return how many groups a project, or a user in it, has."""
    statement = _COUNTED if user_id is None else _COUNTED_OF_USER
    return handle.scalar(statement, {"project": project_id, "user": user_id}) or 0


def count_members(handle: Handle, uuid: str, user_id: str) -> int:
    """Return how many living servers of a user are in a group: what ``server_group_members`` limits."""
    statement = (
        sa.select(sa.func.count())
        .select_from(ServerGroupMemberRow)
        .join(ServerGroupRow, ServerGroupRow.id == ServerGroupMemberRow.group_id)
        .join(InstanceMappingRow, InstanceMappingRow.instance_uuid == ServerGroupMemberRow.instance_uuid)
        .where(
            ServerGroupRow.uuid == uuid,
            InstanceMappingRow.user_id == user_id,
            InstanceMappingRow.queued_for_delete.is_(False),
        )
    )
    return handle.scalar(statement) or 0


def lock(handle: Handle, uuid: str) -> None:
    """Hold a group until the transaction ends: one counts its members and adds to them at a time. Raises NotFound."""
    if handle.scalar(sa.select(ServerGroupRow.id).filter_by(uuid=uuid).with_for_update()) is None:
        raise _missing(uuid)


def add_members(handle: Handle, uuid: str, instance_uuids: Sequence[str]) -> None:
    """Put new servers, which have no place yet, into a group; the caller holds its lock. Raises NotFound."""
    group_id = handle.scalar(sa.select(ServerGroupRow.id).filter_by(uuid=uuid))
    if group_id is None:
        raise _missing(uuid)
    rows = [{"group_id": group_id, "instance_uuid": instance_uuid} for instance_uuid in instance_uuids]
    handle.execute(sa.insert(ServerGroupMemberRow), rows)


def company(session: Session, uuid: str, *, besides: Sequence[str] = ()) -> Company | None:
    """Return a group as it is placed, but for the servers ``besides``; None when it is gone."""
    row = session.scalar(sa.select(ServerGroupRow).filter_by(uuid=uuid))
    return None if row is None else _company(session, row, besides)


def settle(session: Session, uuid: str, places: Mapping[str, Sequence[str]], *, is_forced: bool = False) -> Settlement:
    """Note the place of each new server, unless the group's policy forbids one of them by now.

    ``places`` names for each the host, then hosts to which it might be moved while it is built: those are granted as
    far as no outcome of all builds breaks the policy. One at a time in a group. A group that is gone forbids nothing,
    and nothing is forbidden to who ``is_forced``.
    """
    row = _locked(session, ServerGroupRow.uuid == uuid)
    if row is None:
        return Settlement(True, {each: tuple(hosts[1:]) for each, hosts in places.items()})
    found, unsafe = _company(session, row, list(places)), set()
    for host in (hosts[0] for hosts in places.values()):
        if not is_forced and found.refusal(host) is not None:
            return Settlement(False)
        if not is_forced and found.is_contested(host):
            unsafe.add(host)
        found = found.joined_by(host)
    if unsafe:
        contested = _contested(session, row, list(places), unsafe)
        if any(building.cell_uuid is not None for building, _ in contested):
            return Settlement(False, contested=contested)
        for each, spares in contested:  # nobody else knows of them yet
            give_up(session, each, spares)
        found = replace(found, spares=_company(session, row, list(places)).spares)
    granted = _granted(found, places)
    for instance_uuid, hosts in places.items():
        session.execute(
            sa.update(ServerGroupMemberRow)
            .filter_by(group_id=row.id, instance_uuid=instance_uuid)
            .values(host=hosts[0], spares=list(granted[instance_uuid]))
        )
    return Settlement(True, granted)


def keep_way_back(session: Session, instance_uuid: str, host: str) -> None:
    """Note that ``host`` stays a place of a server of a group, wherever that is settled next."""
    session.execute(sa.update(ServerGroupMemberRow).filter_by(instance_uuid=instance_uuid).values(way_back=host))


def settled_on(session: Session, instance_uuid: str, host: str, way_back: str | None = None) -> None:
    """Note where a server of a group has come to be, or is moving to; from there its cell will not move it.

    To ``way_back`` it goes back should its move be reverted.
    """
    session.execute(
        sa.update(ServerGroupMemberRow)
        .filter_by(instance_uuid=instance_uuid)
        .values(host=host, spares=None, way_back=way_back)
    )


def unsettle(session: Session, instance_uuids: Sequence[str]) -> None:
    """Forget the places of servers: they have none."""
    session.execute(
        sa.update(ServerGroupMemberRow)
        .where(ServerGroupMemberRow.instance_uuid.in_(instance_uuids))
        .values(host=None, spares=None)
    )


def hand_over(session: Session, instance_uuids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the spares of servers, of those in a group, which is held until the transaction ends.

    By then they must point at their cells: what they were granted is the cell's to give up from there on.
    """
    of_them = sa.select(ServerGroupMemberRow.group_id).where(ServerGroupMemberRow.instance_uuid.in_(instance_uuids))
    if _locked(session, ServerGroupRow.id.in_(of_them)) is None:
        return {}
    rows = session.execute(
        sa.select(ServerGroupMemberRow.instance_uuid, ServerGroupMemberRow.spares).where(
            ServerGroupMemberRow.instance_uuid.in_(instance_uuids)
        )
    )
    return {uuid: tuple(spares or ()) for uuid, spares in rows}


def building(session: Session, uuid: str) -> list[Building]:
    """Return the servers of a group that were being built in their cells when last seen."""
    group = sa.select(ServerGroupRow.id).filter_by(uuid=uuid).scalar_subquery()
    return [each for each in _building(session, ServerGroupMemberRow.group_id == group) if each.cell_uuid is not None]


def give_up(session: Session, known: Building, hosts: Sequence[str]) -> None:
    """Note that a server that is being built will not be moved to ``hosts``."""
    note(session, known, known.host, [host for host in known.spares if host not in hosts])


def note(session: Session, known: Building, host: str | None, spares: Sequence[str] | None) -> None:
    """Note where a server is that was ``known`` to be built, and where it may yet be moved; None once that is over.

    Nothing, when somebody else has noted another host meanwhile, or that it is over.
    """
    session.execute(
        sa.update(ServerGroupMemberRow)
        .where(
            ServerGroupMemberRow.instance_uuid == known.instance_uuid,
            ServerGroupMemberRow.host == known.host,
            ServerGroupMemberRow.spares.is_not(None),
        )
        .values(host=host, spares=None if spares is None else list(spares))
    )


def _locked(session: Session, which: sa.ColumnElement[bool]) -> ServerGroupRow | None:
    """Return a group, held until the transaction ends."""
    return session.scalar(sa.select(ServerGroupRow).where(which).with_for_update())


def _company(session: Session, row: ServerGroupRow, besides: Sequence[str]) -> Company:
    statement = (
        sa.select(ServerGroupMemberRow.host, ServerGroupMemberRow.way_back, sa.func.count())
        .join(InstanceMappingRow, InstanceMappingRow.instance_uuid == ServerGroupMemberRow.instance_uuid)
        .where(
            ServerGroupMemberRow.group_id == row.id,
            ServerGroupMemberRow.host.is_not(None),
            ServerGroupMemberRow.instance_uuid.not_in(besides),
            InstanceMappingRow.queued_for_delete.is_(False),
        )
        .group_by(ServerGroupMemberRow.host, ServerGroupMemberRow.way_back)
    )
    hosts: Counter[str] = Counter()
    ways_back: set[str] = set()
    for host, way_back, count in session.execute(statement):
        hosts[str(host)] += count
        if way_back not in (None, host):
            hosts[way_back] += count
            ways_back.add(way_back)
    spares: Counter[str] = Counter()
    for each in _building(session, ServerGroupMemberRow.group_id == row.id):
        if each.instance_uuid not in besides:
            spares.update(each.spares)
    return Company(row.policy, int(row.rules.get("max_server_per_host", 1)), hosts, spares, frozenset(ways_back))


def _building(session: Session, which: sa.ColumnElement[bool]) -> list[Building]:
    statement = (
        sa.select(
            ServerGroupMemberRow.instance_uuid,
            InstanceMappingRow.cell_uuid,
            ServerGroupMemberRow.host,
            ServerGroupMemberRow.spares,
        )
        .join(InstanceMappingRow, InstanceMappingRow.instance_uuid == ServerGroupMemberRow.instance_uuid)
        .where(
            which,
            ServerGroupMemberRow.spares.is_not(None),
            InstanceMappingRow.queued_for_delete.is_(False),
        )
        .order_by(ServerGroupMemberRow.instance_uuid)
    )
    return [
        Building(uuid, cell_uuid, host, tuple(spares))
        for uuid, cell_uuid, host, spares in session.execute(statement)
        if host is not None and spares is not None
    ]


def _contested(
    session: Session, row: ServerGroupRow, besides: Sequence[str], unsafe: Collection[str]
) -> tuple[tuple[Building, tuple[str, ...]], ...]:
    """Return who has spares on the ``unsafe`` hosts, and which; of a group to be kept together, on any."""
    found = []
    for each in _building(session, ServerGroupMemberRow.group_id == row.id):
        spares = tuple(host for host in each.spares if row.policy == AFFINITY or host in unsafe)
        if spares and each.instance_uuid not in besides:
            found.append((each, spares))
    return tuple(found)


def _granted(found: Company, places: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return for each server the spares it may have, given out in turns."""
    granted: dict[str, tuple[str, ...]] = dict.fromkeys(places, ())
    for turn in range(1, max(map(len, places.values()), default=0)):
        for uuid, hosts in places.items():
            if turn < len(hosts) and found.may_spare(hosts[turn]):
                found = found.with_spare(hosts[turn])
                granted[uuid] = (*granted[uuid], hosts[turn])
    return granted


def _living_members(session: Session, group_ids: Sequence[int]) -> Mapping[int, tuple[str, ...]]:
    """Return the servers in groups that are not being deleted, in the order they came to be."""
    if not group_ids:
        return {}
    rows = session.execute(
        sa.select(ServerGroupMemberRow.group_id, ServerGroupMemberRow.instance_uuid)
        .join(InstanceMappingRow, InstanceMappingRow.instance_uuid == ServerGroupMemberRow.instance_uuid)
        .where(ServerGroupMemberRow.group_id.in_(group_ids), InstanceMappingRow.queued_for_delete.is_(False))
        .order_by(InstanceMappingRow.created_at, InstanceMappingRow.instance_uuid)
    )
    found: dict[int, tuple[str, ...]] = {}
    for group_id, instance_uuid in rows:
        found[group_id] = (*found.get(group_id, ()), instance_uuid)
    return found


def _missing(uuid: str) -> NotFound:
    return NotFound(f"Instance group {uuid[:255]} could not be found.")


def _group(row: ServerGroupRow, members: tuple[str, ...]) -> ServerGroup:
    return ServerGroup(row.uuid, row.project_id, row.user_id, row.name, row.policy, row.rules, row.created_at, members)
