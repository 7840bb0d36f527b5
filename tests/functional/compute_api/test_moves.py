"""Resizing and migrating servers, as far as the API decides; the rest: ``tests/functional/workflows/test_moves.py``."""

import itertools
import uuid as uuids
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.cells import accounting, moves
from nova_lite.cells.operations import Requester
from nova_lite.db.api_tables import ApiWorkflowRow, FlavorRow, InstanceMappingRow, QuotaLimitRow
from nova_lite.db.cell_tables import CellWorkflowRow, MigrationRow
from nova_lite.db.repositories import mappings, migrations, workflows
from nova_lite.model.flavor import Flavor
from nova_lite.model.instance import Instance
from nova_lite.model.request_spec import Selection
from nova_lite.model.states import TaskState, VmState
from nova_lite.model.workflow import Status, Workflow
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud

NODE = "11110000-0000-4000-8000-000000000001"
RESIZE = {"resize": {"flavorRef": "2"}}
#: What may be asked → the states from which it begins.
STARTS: dict[str, tuple[dict[str, Any], set[VmState]]] = {
    "resize": (RESIZE, {VmState.ACTIVE, VmState.STOPPED}),
    "migrate": ({"migrate": None}, {VmState.ACTIVE, VmState.STOPPED}),
    "confirmResize": ({"confirmResize": None}, {VmState.RESIZED}),
    "revertResize": ({"revertResize": None}, {VmState.RESIZED}),
}


@pytest.fixture
def server(cloud: Cloud) -> Instance:
    return add_server(cloud)


def add_server(cloud: Cloud, **values: Any) -> Instance:
    return cloud.add_server(CELL1, host="h1", node=NODE, node_name="h1.lan", **values)


def add_moved(cloud: Cloud) -> Instance:
    """Add a server whose move waits to be confirmed."""
    server = add_server(cloud)
    workflow = Workflow(
        uuid=str(uuids.uuid4()),
        kind=moves.MOVE,
        subject=server.uuid,
        project_id="demo",
        user_id="alice",
        request_id="req-1",
        inputs={"flavor": {}},
        deadline=0.0,
    )
    with cloud.cells.get(CELL1).db.writer() as session:
        moves.begin(
            session, server.uuid, workflow.uuid, Requester("alice", "demo", "req-1"), server.flavor, is_resize=True
        )
        chosen = Selection("h2", NODE, "h2.lan", CELL1, "nova")
        uuid = moves.hand_over(session, workflow, [chosen], {}, timeout_s=60)
        session.execute(sa.update(CellWorkflowRow).where(CellWorkflowRow.uuid == uuid).values(status=Status.DONE))
        migrations.bring_to(session, workflow.uuid, "finished")
        session.execute(
            sa.text("UPDATE instances SET vm_state = 'resized', task_state = NULL WHERE uuid = :uuid"),
            {"uuid": server.uuid},
        )
    return server


def act(client: Client, server: Instance, body: dict[str, Any]) -> Any:
    return client.post(f"/servers/{server.uuid}/action", body)


def said(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    (fault,) = answer.json.values()
    return str(fault["message"])


def counted(cloud: Cloud, server: Instance) -> tuple[int, int]:
    with cloud.api_db.reader() as session:
        row = session.get(InstanceMappingRow, server.uuid)
        assert row is not None
        return row.vcpus, row.ram_mib


def test_a_resize_is_written_down_and_counted_at_once(cloud: Cloud, client: Client, server: Instance) -> None:
    answer = act(client, server, RESIZE)
    assert (answer.status_code, answer.text) == (202, "")
    shown = client.get(f"/servers/{server.uuid}").json["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("RESIZE", "resize_prep")
    assert counted(cloud, server) == (2, 2048)
    (workflow,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
    (migration,) = cloud.rows(cloud.cells.get(CELL1).db, MigrationRow)
    assert workflow.uuid == migration.uuid
    assert (migration.kind, migration.status) == ("resize", "pre-migrating")
    assert (migration.old_flavor_number, migration.new_flavor_number) == (1, 2)
    (action,) = client.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
    assert (action["action"], action["user_id"]) == ("resize", "alice")


def test_a_resize_says_what_becomes_of_the_disk(cloud: Cloud, client: Client, server: Instance) -> None:
    for status, asked in ((202, "AUTO"), (409, "MANUAL")):
        answer = act(client, server, {"resize": {**RESIZE["resize"], "OS-DCF:diskConfig": asked}})
        assert answer.status_code == status
        assert client.get(f"/servers/{server.uuid}").json["server"]["OS-DCF:diskConfig"] == "AUTO"
    (workflow,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
    assert workflow.inputs["disk_config"] == "AUTO"


def test_a_migration_changes_no_count(cloud: Cloud, admin: Client, server: Instance) -> None:
    assert act(admin, server, {"migrate": None}).status_code == 202
    assert counted(cloud, server) == (1, 512)
    (migration,) = cloud.rows(cloud.cells.get(CELL1).db, MigrationRow)
    assert migration.kind == "migration"


@pytest.mark.parametrize("action", STARTS)
def test_every_wrong_state_refuses(cloud: Cloud, admin: Client, action: str) -> None:
    body, starts = STARTS[action]
    rest = [(vm_state, None) for vm_state in VmState if vm_state not in (VmState.DELETED, *starts)]
    busy = [(min(starts), task_state) for task_state in TaskState]
    for vm_state, task_state in itertools.chain(rest, busy):
        server = add_server(cloud, vm_state=vm_state, task_state=task_state)
        attribute = f"vm_state {vm_state}" if task_state is None else f"task_state {task_state}"
        assert said(act(admin, server, body), 409) == (
            f"Cannot '{action}' instance {server.uuid} while it is in {attribute}"
        )
        assert counted(cloud, server) == (1, 512)
    assert cloud.rows(cloud.api_db, ApiWorkflowRow) == []


@pytest.mark.parametrize("action", STARTS)
def test_a_locked_server_stays(cloud: Cloud, action: str) -> None:
    body, starts = STARTS[action]
    server = add_server(cloud, vm_state=min(starts), is_locked=True)
    if action != "migrate":
        assert said(act(cloud.client(), server, body), 409) == f"Instance {server.uuid} is locked"


@pytest.mark.parametrize("action", STARTS)
def test_a_server_on_no_host_cannot_move(cloud: Cloud, admin: Client, action: str) -> None:
    body, starts = STARTS[action]
    server = cloud.add_server(CELL1, vm_state=min(starts))
    assert "not ready" in said(act(admin, server, body), 409)


@pytest.mark.parametrize(
    ("flavor", "message"),
    [
        ("1", "When resizing, instances must change flavor!"),
        ("0", "Resize to zero disk flavor is not allowed."),
        ("small", "Unable to resize disk down."),
        ("scratchless", "Unable to resize disk down."),
        ("77", "Flavor 77 could not be found."),
        ("9", "Flavor 9 could not be found."),
        ("off", "Flavor off could not be found."),
    ],
    ids=["same", "no disk", "smaller disk", "smaller scratch disk", "missing", "not public", "disabled"],
)
def test_flavors_that_cannot_be(cloud: Cloud, client: Client, server: Instance, flavor: str, message: str) -> None:
    with cloud.api_db.writer() as session:
        session.add(FlavorRow(flavorid="off", name="off", vcpus=1, memory_mb=64, root_gb=1, disabled=True))
        session.add(FlavorRow(flavorid="small", name="small", vcpus=1, memory_mb=64, root_gb=1, ephemeral_gb=9))
        session.add(FlavorRow(flavorid="scratchless", name="scratchless", vcpus=1, memory_mb=64, root_gb=2))
    if message == "Unable to resize disk down.":
        server = add_server(cloud, flavor=Flavor("55", "large", 1, 64, 2, ephemeral_gib=1))
    assert said(act(client, server, {"resize": {"flavorRef": flavor}}), 400) == message
    assert cloud.instance(server.uuid).task_state is None


@pytest.mark.parametrize(
    "body",
    [
        {"resize": None},
        {"resize": {}},
        {"resize": {"flavorRef": ""}},
        {"resize": {"flavorRef": None}},
        {"resize": {"flavorRef": "2", "host": "h2"}},
        {"resize": {"flavorRef": "2", "OS-DCF:diskConfig": "SOME"}},
        {"migrate": "h2"},
        {"migrate": {"host": ""}},
        {"migrate": {"host": "h 2"}},
        {"migrate": {"node": "h2"}},
    ],
    ids=str,
)
def test_bad_bodies(admin: Client, server: Instance, body: dict[str, Any]) -> None:
    said(act(admin, server, body), 400)


def test_a_flavor_may_be_named_by_its_link(client: Client, server: Instance) -> None:
    assert act(client, server, {"resize": {"flavorRef": "http://compute/v2.1/flavors/2"}}).status_code == 202


class TestHost:
    """The host that an administrator names."""

    @pytest.fixture(autouse=True)
    def hosts(self, cloud: Cloud) -> None:
        with cloud.api_db.writer() as session:
            for host, cell in (("h1", CELL1), ("h2", CELL1), ("h3", CELL2)):
                mappings.add_host(session, host, cell)

    def test_it_is_asked_for(self, cloud: Cloud, admin: Client, server: Instance) -> None:
        assert act(admin, server, {"migrate": {"host": "h2"}}).status_code == 202
        (workflow,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
        assert workflow.inputs["host"] == "h2"

    def test_before_it_could_be_named_it_means_nothing(self, cloud: Cloud, server: Instance) -> None:
        assert act(cloud.client("admin:admins", "2.55"), server, {"migrate": {"host": "h2"}}).status_code == 202
        (workflow,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
        assert workflow.inputs["host"] is None

    @pytest.mark.parametrize(
        ("host", "message"),
        [("h1", "is on host h1 already"), ("h9", "could not be found"), ("h3", "is in another cell")],
    )
    def test_it_must_be_another_of_the_servers_cell(
        self, admin: Client, server: Instance, host: str, message: str
    ) -> None:
        assert message in said(act(admin, server, {"migrate": {"host": host}}), 400)


class TestQuota:
    """A server that grows needs room for what it grows by."""

    def limit(self, cloud: Cloud, resource: str, number: int, user: str = "") -> None:
        with cloud.api_db.writer() as session:
            session.add(QuotaLimitRow(project_id="demo", user_id=user, resource=resource, hard_limit=number))

    @pytest.mark.parametrize(("resource", "least"), [("cores", 2), ("ram", 2048)])
    @pytest.mark.parametrize("user", ["", "alice"])
    def test_just_enough(
        self, cloud: Cloud, client: Client, server: Instance, resource: str, least: int, user: str
    ) -> None:
        self.limit(cloud, resource, least - 1, user)
        assert resource in said(act(client, server, RESIZE), 403)
        assert counted(cloud, server) == (1, 512)
        assert cloud.instance(server.uuid).task_state is None
        with cloud.api_db.writer() as session:
            session.execute(sa.update(QuotaLimitRow).values(hard_limit=least))
        assert act(client, server, RESIZE).status_code == 202

    def test_one_that_shrinks_needs_nothing(self, cloud: Cloud, client: Client) -> None:
        server = add_server(cloud, flavor=Flavor("2", "m1.small", 2, 2048, 1))
        self.limit(cloud, "cores", 0)
        assert act(client, server, {"resize": {"flavorRef": "1"}}).status_code == 202
        assert counted(cloud, server) == (2, 2048)


class TestRaces:
    """What the cell says counts, and what was written above it goes again."""

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["move first", "confirm first"])
    def test_a_move_and_its_confirming_settle_at_once(
        self, cloud: Cloud, client: Client, server: Instance, order: tuple[int, int]
    ) -> None:
        """Each sees the other still at it: neither may leave it to the other."""
        assert act(client, server, RESIZE).status_code == 202
        (move,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
        cell_db = cloud.cells.get(CELL1).db
        with cell_db.writer() as session:
            migrations.bring_to(session, move.uuid, "confirmed")
        confirm = Workflow(
            uuid=str(uuids.uuid4()),
            kind=moves.CONFIRM,
            subject=server.uuid,
            project_id="demo",
            user_id="alice",
            request_id="req-2",
            inputs={"cell_uuid": CELL1},
            deadline=0.0,
        )
        with cloud.api_db.writer() as session:
            workflows.add(session, ApiWorkflowRow, confirm, timeout_s=600)
        assert counted(cloud, server) == (2, 2048)
        for index in order:
            accounting.settle(cloud.api_db, cell_db, server.uuid, (move.uuid, confirm.uuid)[index])
        assert counted(cloud, server) == (1, 512)

    def test_what_is_asked_for_next_counts(self, cloud: Cloud, client: Client, server: Instance) -> None:
        assert act(client, server, RESIZE).status_code == 202
        accounting.settle(cloud.api_db, cloud.cells.get(CELL1).db, server.uuid, "of one that is over")
        assert counted(cloud, server) == (2, 2048)

    def test_of_two_resizes_one_is_refused(
        self, cloud: Cloud, client: Client, server: Instance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert act(client, server, RESIZE).status_code == 202
        monkeypatch.setattr(moves, "refuse_if_wrong_state", _only_in_cell())
        assert "task_state resize_prep" in said(act(client, server, RESIZE), 409)
        statuses = [workflow.status for workflow in cloud.rows(cloud.api_db, ApiWorkflowRow)]
        assert statuses == [Status.PENDING, Status.SUPERSEDED]
        assert counted(cloud, server) == (2, 2048)

    def test_a_resize_that_comes_too_late_counts_for_nothing(
        self, cloud: Cloud, client: Client, server: Instance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with cloud.cells.get(CELL1).db.writer() as session:
            session.execute(sa.text("UPDATE instances SET task_state = 'rebooting'"))
        monkeypatch.setattr(moves, "refuse_if_wrong_state", _only_in_cell())
        said(act(client, server, RESIZE), 409)
        assert counted(cloud, server) == (1, 512)

    def test_a_cell_that_falls_silent_is_told_later(
        self, cloud: Cloud, client: Client, server: Instance, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def silent(*args: object, **kwargs: object) -> None:
            raise errors.Unavailable("Not now.")

        monkeypatch.setattr(moves, "begin", silent)
        assert act(client, server, RESIZE).status_code == 202
        (workflow,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
        assert workflow.status == Status.PENDING


@pytest.mark.parametrize(("action", "status"), [("confirmResize", 204), ("revertResize", 202)])
def test_a_move_is_confirmed_or_reverted_once(cloud: Cloud, client: Client, action: str, status: int) -> None:
    server = add_moved(cloud)
    assert act(client, server, {action: None}).status_code == status
    said(act(client, server, {action: None}), 409)
    with cloud.cells.get(CELL1).db.reader() as session:
        newest, moved = workflows.about(session, CellWorkflowRow, server.uuid)
    assert newest.inputs["before"] == moved.inputs["before"]
    before: Any = moved.inputs["before"]
    assert before["host"] == "h1"


@pytest.mark.parametrize("action", ["confirmResize", "revertResize"])
def test_what_is_resized_without_a_move_waits_for_nothing(cloud: Cloud, client: Client, action: str) -> None:
    server = add_server(cloud, vm_state=VmState.RESIZED)
    assert "no migration of it" in said(act(client, server, {action: None}), 409)
    assert [workflow.status for workflow in cloud.rows(cloud.api_db, ApiWorkflowRow)] == [Status.SUPERSEDED]


def _only_in_cell() -> Any:
    """Return the check of states, which lets the first question pass: the state was another one then."""
    real, asked = moves.refuse_if_wrong_state, itertools.count()

    def check(*args: Any) -> None:
        if next(asked):
            real(*args)

    return check
