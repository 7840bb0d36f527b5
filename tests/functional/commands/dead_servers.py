"""Servers with a history, dead and alive, and a look at what is left of them: for stories about archiving."""

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from nova_lite.db.api_tables import ApiBase, ApiWorkflowRow, ServerGroupMemberRow, ServerGroupRow
from nova_lite.db.cell_tables import SHADOWS, CellBase, CellWorkflowRow, InstanceRow
from nova_lite.db.columns import utcnow
from nova_lite.db.repositories import actions, build_requests, instances, mappings, workflows
from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.request_spec import RequestSpec
from nova_lite.model.states import VmState
from nova_lite.model.workflow import Status, Workflow
from nova_lite.storage import Database

FLAVOR = Flavor("1", "tiny", vcpus=2, ram_mib=512, root_gib=1)
#: Rows in a cell about a server with a history: itself, 2 actions, 2 events, 2 workflows.
ROWS_IN_CELL = Counter({"instances": 1, "instance_actions": 2, "instance_action_events": 2, "workflows": 2})
#: Rows in the API database about it.
ROWS_IN_API = Counter({"instance_mappings": 1, "request_specs": 1, "server_group_members": 1, "workflows": 1})


def add_server(api_db: Database, cell_db: Database, cell_uuid: str | None, uuid: str) -> None:
    """Add a live server with a history, in a server group, mapped to a cell."""
    now = utcnow()
    instance = Instance(
        uuid=uuid,
        project_id="p",
        user_id="u",
        display_name="vm",
        hostname="vm",
        vm_state=VmState.ACTIVE,
        task_state=None,
        flavor=FLAVOR,
        image_id="",
        host="alpha",
        created_at=now,
        updated_at=now,
    )
    with cell_db.writer() as session:
        instances.add(session, instance)
        for number in (1, 2):
            request = {"instance_uuid": uuid, "request_id": f"req-{number}"}
            actions.begin(session, action="reboot", user_id="u", project_id="p", event="e", **request)
            actions.finish(session, error=None, host="alpha", **request)
            workflows.add(session, CellWorkflowRow, _workflow(uuid, f"{number}{uuid[1:]}"), timeout_s=1)
        session.execute(sa.update(CellWorkflowRow).where(CellWorkflowRow.subject == uuid).values(status=Status.DONE))
    with api_db.writer() as session:
        mappings.add_instance(session, uuid, project_id="p", user_id="u", vcpus=2, ram_mib=512)
        build_requests.add(session, [instance], RequestSpec("p", "u", FLAVOR, ""))
        if cell_uuid is not None:
            session.flush()
            mappings.settle(session, uuid, cell_uuid)
        workflows.add(session, ApiWorkflowRow, _workflow(uuid, uuid), timeout_s=1)
        session.execute(sa.update(ApiWorkflowRow).where(ApiWorkflowRow.subject == uuid).values(status=Status.DONE))
        if session.get(ServerGroupRow, 1) is None:
            session.add(ServerGroupRow(id=1, uuid="g" * 36, project_id="p", user_id="u", name="g", policy="affinity"))
            session.flush()
        session.add(ServerGroupMemberRow(group_id=1, instance_uuid=uuid))


def bury(
    api_db: Database, cell_db: Database, cell_uuid: str | None, uuid: str, *, deleted_at: datetime | None = None
) -> None:
    """Add a server with a history, and delete it."""
    add_server(api_db, cell_db, cell_uuid, uuid)
    with cell_db.writer() as session:
        instances.mark_deleted(session, uuid)
        if deleted_at is not None:
            session.execute(sa.update(InstanceRow).where(InstanceRow.uuid == uuid).values(deleted_at=deleted_at))
    with api_db.writer() as session:
        mappings.queue_for_delete(session, uuid)


def rows(database: Database, base: type[ApiBase] | type[CellBase]) -> Counter[str]:
    """Return table → rows about servers, of a database's tables in use."""
    names: Collection[str] = (
        {row.__tablename__ for row in SHADOWS}
        if base is CellBase
        else {table.name for table in base.metadata.sorted_tables if "instance_uuid" in table.columns} | {"workflows"}
    )
    return _count(database, {name: base.metadata.tables[name] for name in names})


def archived_rows(cell_db: Database) -> Counter[str]:
    """Return table → rows that were archived of it."""
    return _count(cell_db, {row.__tablename__: shadow for row, shadow in SHADOWS.items()})


def times(number: int, counted: Counter[str]) -> Counter[str]:
    """Return as many rows of ``number`` servers."""
    return +Counter({name: number * rows for name, rows in counted.items()})


def _count(database: Database, tables: dict[str, sa.Table]) -> Counter[str]:
    with database.reader() as session:
        counted = {
            name: session.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for name, table in tables.items()
        }
    return +Counter(counted)


def _workflow(subject: str, uuid: str) -> Workflow:
    return Workflow(
        uuid=uuid,
        kind="reboot",
        subject=subject,
        project_id="p",
        user_id="u",
        request_id="req-1",
        inputs={},
        deadline=0.0,
    )


def bury_many(api_db: Database, cell_db: Database, cell_uuid: str, uuids: Sequence[str], *, is_dead: bool) -> None:
    """Add servers with histories, all like the first, in few statements."""
    (bury if is_dead else add_server)(api_db, cell_db, cell_uuid, uuids[0])
    _copy(api_db, {name: ApiBase.metadata.tables[name] for name in ROWS_IN_API}, uuids)
    tables = {name: CellBase.metadata.tables[name] for name in ROWS_IN_CELL}
    events = tables.pop("instance_action_events")
    _copy(cell_db, tables, uuids)
    made = tables["instance_actions"]
    with cell_db.writer() as session:
        first = session.scalar(sa.select(made.c.id).where(made.c.instance_uuid == uuids[0]))
        event = session.execute(sa.select(events).where(events.c.action_id == first)).mappings().one()
        ids = session.scalars(sa.select(made.c.id).where(made.c.instance_uuid.in_(uuids[1:])))
        rows = [{**event, "action_id": number} for number in ids]
        session.execute(sa.insert(events), [{name: row[name] for name in row if name != "id"} for row in rows])


def _copy(database: Database, tables: dict[str, sa.Table], uuids: Sequence[str]) -> None:
    """Give all servers the rows that the first has."""
    with database.writer() as session:
        for table in tables.values():
            key = next(table.c[name] for name in ("instance_uuid", "subject", "uuid") if name in table.columns)
            for number, row in enumerate(session.execute(sa.select(table).where(key == uuids[0])).mappings().all()):
                plain = {name: value for name, value in row.items() if name != "id"}
                copies = [{**plain, key.name: uuid} for uuid in uuids[1:]]
                if key.name == "subject":
                    copies = [{**copy, "uuid": f"{number}{copy['subject'][1:]}"} for copy in copies]
                session.execute(sa.insert(table), copies)
