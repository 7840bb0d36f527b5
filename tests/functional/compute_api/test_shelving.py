"""Shelving servers, as far as the API decides; the rest: ``tests/functional/workflows/test_shelving.py``."""

import itertools
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.cells import shelving
from nova_lite.db.api_tables import AggregateHostRow, AggregateRow, ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow, InstanceRow
from nova_lite.db.repositories import build_requests, instances, mappings
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState, VmState
from nova_lite.model.workflow import Status
from tests.functional.compute_api.cloud import CELL1, CELL2, IMAGE_ID, Client, Cloud

NODE = "11110000-0000-4000-8000-000000000001"
SHELVE, OFFLOAD, UNSHELVE = {"shelve": None}, {"shelveOffload": None}, {"unshelve": None}
COPIED = {VmState.ACTIVE, VmState.STOPPED, VmState.PAUSED, VmState.SUSPENDED}
#: What may be asked → the states from which it begins.
STARTS: dict[str, tuple[dict[str, Any], set[VmState]]] = {
    "shelve": (SHELVE, COPIED),
    "shelveOffload": (OFFLOAD, {VmState.SHELVED}),
    "unshelve": (UNSHELVE, {VmState.SHELVED, VmState.SHELVED_OFFLOADED}),
}


def add_server(cloud: Cloud, vm_state: VmState = VmState.ACTIVE, **values: Any) -> Instance:
    """Add a server that is on a host unless it is offloaded, and has an image if it is shelved."""
    if vm_state in (VmState.SHELVED, VmState.SHELVED_OFFLOADED):
        values = {"shelved_image": IMAGE_ID, **values}
    if vm_state is not VmState.SHELVED_OFFLOADED:
        values = {"host": "h1", "node": NODE, "node_name": "h1.lan", **values}
    return cloud.add_server(CELL1, vm_state=vm_state, **values)


def act(client: Client, server: Instance, body: dict[str, Any]) -> Any:
    return client.post(f"/servers/{server.uuid}/action", body)


def said(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    (fault,) = answer.json.values()
    return str(fault["message"])


def led(cloud: Cloud) -> list[Any]:
    return cloud.rows(cloud.api_db, ApiWorkflowRow)


def in_cell(cloud: Cloud) -> list[Any]:
    return cloud.rows(cloud.cells.get(CELL1).db, CellWorkflowRow)


def shelved_images(cloud: Cloud) -> list[Any]:
    return [image for image in cloud.images.images.values() if image.name.endswith("-shelved")]


@pytest.mark.parametrize("vm_state", sorted(COPIED))
def test_an_image_waits_for_the_disk(cloud: Cloud, client: Client, vm_state: VmState) -> None:
    server = add_server(cloud, vm_state, display_name="db", image_properties={"hw_disk_bus": "scsi"})
    answer = act(client, server, SHELVE)
    assert (answer.status_code, answer.text) == (202, "")
    (image,) = shelved_images(cloud)
    assert (image.name, image.status, image.properties["hw_disk_bus"]) == ("db-shelved", "queued", "scsi")
    assert (image.properties["image_type"], image.properties["instance_uuid"]) == ("snapshot", server.uuid)
    (above,), (part,) = led(cloud), in_cell(cloud)
    assert (above.kind, above.inputs["image"]) == ("shelve", image.id)
    assert (part.kind, part.inputs) == ("shelve", {"image": image.id})
    shown = client.get(f"/servers/{server.uuid}").json["server"]
    assert shown["OS-EXT-STS:task_state"] == "shelving"
    (action,) = client.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
    assert (action["action"], action["user_id"]) == ("shelve", "alice")


def test_what_is_shelved_is_offloaded(cloud: Cloud, admin: Client) -> None:
    server = add_server(cloud, VmState.SHELVED)
    assert act(admin, server, OFFLOAD).status_code == 202
    assert cloud.instance(server.uuid).task_state is TaskState.SHELVING_OFFLOADING
    (part,) = in_cell(cloud)
    assert part.kind == "shelve-offload"
    (action,) = admin.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
    assert action["action"] == "shelveOffload"


@pytest.mark.parametrize("vm_state", [VmState.SHELVED, VmState.SHELVED_OFFLOADED])
def test_what_is_shelved_comes_back(cloud: Cloud, client: Client, vm_state: VmState) -> None:
    server = add_server(cloud, vm_state)
    assert act(client, server, UNSHELVE).status_code == 202
    assert cloud.instance(server.uuid).task_state is TaskState.UNSHELVING
    (above,) = led(cloud)
    assert above.inputs == {"cell_uuid": CELL1, "pin": None, "host": None}
    assert in_cell(cloud) == []  # its host is chosen first


@pytest.mark.parametrize("action", STARTS)
def test_every_wrong_state_refuses(cloud: Cloud, admin: Client, action: str) -> None:
    body, starts = STARTS[action]
    rest = [(vm_state, None) for vm_state in VmState if vm_state not in (VmState.DELETED, *starts)]
    busy = [(min(starts), task_state) for task_state in TaskState]
    for vm_state, task_state in itertools.chain(rest, busy):
        server = add_server(cloud, vm_state, task_state=task_state)
        attribute = f"vm_state {vm_state}" if task_state is None else f"task_state {task_state}"
        assert said(act(admin, server, body), 409) == (
            f"Cannot '{action}' instance {server.uuid} while it is in {attribute}"
        )
    assert (led(cloud), shelved_images(cloud)) == ([], [])


@pytest.mark.parametrize(
    "body",
    [{"os-start": None}, {"os-stop": None}, {"pause": None}, {"reboot": {"type": "HARD"}}, {"rescue": None},
     {"resize": {"flavorRef": "2"}}, {"migrate": None}, {"createImage": {"name": "x"}}, {"suspend": None}],
    ids=lambda body: str(next(iter(body))),
)  # fmt: skip
@pytest.mark.parametrize("vm_state", [VmState.SHELVED, VmState.SHELVED_OFFLOADED])
def test_nothing_else_is_done_to_what_is_shelved(
    cloud: Cloud, admin: Client, vm_state: VmState, body: dict[str, Any]
) -> None:
    server = add_server(cloud, vm_state)
    assert f"vm_state {vm_state}" in said(act(admin, server, body), 409)


@pytest.mark.parametrize("action", STARTS)
def test_a_locked_server_stays(cloud: Cloud, client: Client, admin: Client, action: str) -> None:
    body, starts = STARTS[action]
    server = add_server(cloud, min(starts), is_locked=True)
    if action != "shelveOffload":
        assert said(act(client, server, body), 409) == f"Instance {server.uuid} is locked"
        assert shelved_images(cloud) == []
    assert act(admin, server, body).status_code == 202


def test_only_administrators_offload(cloud: Cloud, client: Client) -> None:
    said(act(client, add_server(cloud, VmState.SHELVED), OFFLOAD), 403)


@pytest.mark.parametrize("action", ["shelve", "shelveOffload"])
def test_a_server_on_no_host_cannot_be_shelved(cloud: Cloud, admin: Client, action: str) -> None:
    body, starts = STARTS[action]
    server = cloud.add_server(CELL1, vm_state=min(starts))
    assert "not ready" in said(act(admin, server, body), 409)


@pytest.mark.parametrize(
    ("version", "value", "status"),
    [
        ("2.76", {"availability_zone": "nova", "more": 1}, 202),  # anything may stand there, and means nothing
        ("2.77", {}, 400),
        ("2.77", {"availability_zone": ""}, 400),
        ("2.77", {"availability_zone": None}, 400),
        ("2.77", {"availability_zone": "nova"}, 202),
        ("2.90", {"host": "h1"}, 400),
        ("2.91", {"availability_zone": None}, 202),
        ("2.91", {"availability_zone": 1}, 400),
        ("2.91", {"host": None}, 400),
        ("2.91", {"host": "h1", "node": "h1"}, 400),
        ("2.91", {}, 202),
        ("2.91", "h1", 400),
    ],
    ids=str,
)
def test_bodies_by_version(cloud: Cloud, version: str, value: object, status: int) -> None:
    server = add_server(cloud, VmState.SHELVED_OFFLOADED)
    answer = act(cloud.client("admin:admins", version), server, {"unshelve": value})
    assert answer.status_code == status, answer.text


class TestPlace:
    """Where a server is to come back to."""

    @pytest.fixture(autouse=True)
    def places(self, cloud: Cloud) -> None:
        """Let h1 be in zone a, h2 in the default zone, h3 in another cell."""
        with cloud.api_db.writer() as session:
            for host, cell in (("h1", CELL1), ("h2", CELL1), ("h3", CELL2)):
                mappings.add_host(session, host, cell)
            row = AggregateRow(uuid="a" * 36, name="a", extra={"availability_zone": "a"})
            session.add(row)
            session.flush()
            session.add(AggregateHostRow(aggregate_id=row.id, host="h1"))

    def unshelve(self, client: Client, server: Instance, **asked: object) -> Any:
        return act(client, server, {"unshelve": asked})

    def test_a_zone_is_a_pin(self, cloud: Cloud, client: Client) -> None:
        server = add_server(cloud, VmState.SHELVED_OFFLOADED)
        assert self.unshelve(client, server, availability_zone="a").status_code == 202
        (above,) = led(cloud)
        assert (above.inputs["pin"], above.inputs["host"]) == ({"zone": "a"}, None)

    def test_no_zone_unpins(self, cloud: Cloud, client: Client) -> None:
        server = add_server(cloud, VmState.SHELVED_OFFLOADED, requested_zone="a")
        assert self.unshelve(client, server, availability_zone=None).status_code == 202
        (above,) = led(cloud)
        assert above.inputs["pin"] == {"zone": None}

    def test_a_zone_must_be_there(self, cloud: Cloud, client: Client) -> None:
        server = add_server(cloud, VmState.SHELVED_OFFLOADED)
        assert "is not available" in said(self.unshelve(client, server, availability_zone="moon"), 400)
        assert led(cloud) == []

    @pytest.mark.parametrize(
        "asked", [{"availability_zone": "a"}, {"availability_zone": None}, {"host": "h1"}], ids=str
    )
    def test_a_server_on_its_host_stays_there(self, cloud: Cloud, admin: Client, asked: dict[str, object]) -> None:
        server = add_server(cloud, VmState.SHELVED)
        assert "must be SHELVED_OFFLOADED" in said(self.unshelve(admin, server, **asked), 409)

    def test_a_host_is_asked_for_by_administrators(self, cloud: Cloud, client: Client, admin: Client) -> None:
        server = add_server(cloud, VmState.SHELVED_OFFLOADED)
        said(self.unshelve(client, server, host="h2"), 403)
        assert self.unshelve(admin, server, host="h2").status_code == 202
        (above,) = led(cloud)
        assert (above.inputs["pin"], above.inputs["host"]) == (None, "h2")

    @pytest.mark.parametrize(
        ("asked", "status", "message"),
        [
            pytest.param({"host": "h9"}, 400, "could not be found", id="unknown"),
            pytest.param({"host": "h3"}, 400, "is in another cell", id="of another cell"),
            pytest.param({"host": "h2", "availability_zone": "a"}, 409, "not in the availability zone", id="elsewhere"),
        ],
    )
    def test_a_host_must_fit(
        self, cloud: Cloud, admin: Client, asked: dict[str, str], status: int, message: str
    ) -> None:
        server = add_server(cloud, VmState.SHELVED_OFFLOADED)
        assert message in said(self.unshelve(admin, server, **asked), status)
        assert led(cloud) == []

    def test_a_host_must_be_where_the_server_is_pinned(self, cloud: Cloud, admin: Client) -> None:
        server = add_server(cloud, VmState.SHELVED_OFFLOADED)
        with cloud.api_db.writer() as session:
            build_requests.pin(session, server.uuid, "a")
        assert "not in the availability zone" in said(self.unshelve(admin, server, host="h2"), 409)
        assert self.unshelve(admin, server, host="h2", availability_zone=None).status_code == 202


class TestRaces:
    """What the cell says counts, and what was made before goes again."""

    def test_the_loser_removes_its_image(self, cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        server = add_server(cloud)
        create = cloud.images.create

        def overtaken(*args: Any) -> Any:
            with cloud.cells.get(CELL1).db.writer() as session:
                instances.change(session, server.uuid, task_state=TaskState.POWERING_OFF)
            return create(*args)

        monkeypatch.setattr(cloud.images, "create", overtaken)
        assert "task_state powering-off" in said(act(client, server, SHELVE), 409)
        assert shelved_images(cloud) == []
        assert [workflow.status for workflow in led(cloud)] == [Status.SUPERSEDED]

    @pytest.mark.parametrize("begin", ["begin", "begin_unshelving"])
    def test_a_cell_that_falls_silent_is_told_later(
        self, cloud: Cloud, client: Client, begin: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def silent(*args: object, **kwargs: object) -> None:
            raise errors.Unavailable("Not now.")

        monkeypatch.setattr(shelving, begin, silent)
        server = add_server(cloud, VmState.ACTIVE if begin == "begin" else VmState.SHELVED_OFFLOADED)
        assert act(client, server, SHELVE if begin == "begin" else UNSHELVE).status_code == 202
        (above,) = led(cloud)
        assert above.status == Status.PENDING

    def test_unshelving_begins_once(self, cloud: Cloud, client: Client) -> None:
        server = add_server(cloud, VmState.SHELVED_OFFLOADED)
        assert act(client, server, UNSHELVE).status_code == 202
        assert "task_state unshelving" in said(act(client, server, UNSHELVE), 409)


@pytest.mark.parametrize(
    ("error", "status"), [(errors.Forbidden("Over your limit."), 403), (errors.Unavailable("Nobody answers."), 503)]
)
def test_what_the_image_service_says_is_told(
    cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    server = add_server(cloud)

    def refuse(*args: object) -> None:
        raise error

    monkeypatch.setattr(cloud.images, "create", refuse)
    said(act(client, server, SHELVE), status)
    assert cloud.instance(server.uuid).task_state is None


class TestHand:
    """States set by hand, and deletes."""

    def test_a_shelved_server_is_reset(self, cloud: Cloud, admin: Client) -> None:
        server = add_server(cloud, VmState.SHELVED)
        assert act(admin, server, {"os-resetState": {"state": "active"}}).status_code == 202
        assert cloud.instance(server.uuid).vm_state is VmState.ACTIVE

    def test_one_on_no_host_can_only_be_in_error(self, cloud: Cloud, admin: Client) -> None:
        server = add_server(cloud, VmState.SHELVED_OFFLOADED)
        said(act(admin, server, {"os-resetState": {"state": "active"}}), 409)
        assert act(admin, server, {"os-resetState": {"state": "error"}}).status_code == 202
        assert cloud.instance(server.uuid).shelved_image == IMAGE_ID  # goes with the server

    def test_one_that_is_being_placed_is_reset_afterwards(self, cloud: Cloud, client: Client, admin: Client) -> None:
        server = add_server(cloud, VmState.SHELVED_OFFLOADED)
        assert act(client, server, UNSHELVE).status_code == 202
        assert act(admin, server, {"os-resetState": {"state": "error"}}).status_code == 202
        assert cloud.instance(server.uuid).vm_state is VmState.SHELVED_OFFLOADED
        assert [row.kind for row in cloud.rows(cloud.api_db, ApiWorkflowRow)] == ["unshelve", "reset-state"]

    @pytest.mark.parametrize("vm_state", [VmState.SHELVED, VmState.SHELVED_OFFLOADED])
    def test_a_delete_takes_the_image_along(self, cloud: Cloud, client: Client, vm_state: VmState) -> None:
        server = add_server(cloud, vm_state)
        assert client.delete(f"/servers/{server.uuid}").status_code == 204
        (part,) = in_cell(cloud)
        assert (part.kind, part.inputs["shelved_images"]) == ("delete", [IMAGE_ID])

    @pytest.mark.parametrize("vm_state", [VmState.SHELVED, VmState.SHELVED_OFFLOADED])
    def test_only_one_on_a_host_can_come_back(self, cloud: Cloud, client: Client, vm_state: VmState) -> None:
        cloud.conf.set_override("reclaim_instance_interval", 3600)
        server = add_server(cloud, vm_state)
        with cloud.cells.get(CELL1).db.writer() as session:
            session.execute(sa.update(InstanceRow).values(launched_at=InstanceRow.created_at))
        assert client.delete(f"/servers/{server.uuid}").status_code == 204
        (part,) = in_cell(cloud)
        assert part.kind == ("delete-softly" if vm_state is VmState.SHELVED else "delete")
