"""Actions on servers, beside what ``test_servers.py`` tells."""

import uuid as uuids
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from nova_lite.cells import operations
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.errors import Conflict
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.guest import PowerState
from nova_lite.model.instance import Instance
from nova_lite.model.states import ACTIONS, TaskState, VmState, refusal
from nova_lite.model.workflow import Status
from nova_lite.rpc import compute
from nova_lite.rpc.bus import Bus
from tests.functional.compute_api.cloud import BIG_IMAGE_ID, CELL1, IMAGE_ID, Client, Cloud
from tests.functional.compute_api.factories import NOON


class Agent:
    """Answers for one compute host."""

    def console_output(self, instance_uuid: str, lines: int | None) -> str:
        if instance_uuid.startswith("0"):
            raise Conflict("not now")
        return "\n".join(f"line {number}" for number in range(5 if lines is None else lines))


@pytest.mark.parametrize(("body", "lines"), [({}, 5), ({"length": 2}, 2), ({"length": "3"}, 3), ({"length": -1}, 5)])
def test_console_output_comes_from_the_host(cloud: Cloud, client: Client, body: dict[str, Any], lines: int) -> None:
    server = cloud.add_server(CELL1, uuid="1" + "f" * 7 + "-ffff-4fff-8fff-ffffffffffff", host="h1", launched_at=NOON)
    serving = cloud.cells.get(CELL1).bus.serve(compute.TOPIC, "h1", Agent())
    serving.start()
    try:
        answer = client.post(f"/servers/{server.uuid}/action", {"os-getConsoleOutput": body})
    finally:
        serving.stop()
    assert answer.status_code == 200, answer.text
    assert answer.json["output"].count("line") == lines


def test_console_output_of_a_host_that_is_silent(cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bus, "call_timeout_s", 0.3)
    server = cloud.add_server(CELL1, host="h1", launched_at=NOON)
    answer = client.post(f"/servers/{server.uuid}/action", {"os-getConsoleOutput": {}})
    assert answer.status_code == 503
    assert "serviceUnavailable" in answer.json


@pytest.mark.parametrize("place", [None, CELL1], ids=["waiting", "never started"])
def test_a_server_never_started_has_no_console_output(cloud: Cloud, client: Client, place: str | None) -> None:
    server = cloud.add_server(place)
    answer = client.post(f"/servers/{server.uuid}/action", {"os-getConsoleOutput": {}})
    assert answer.status_code == 409


@pytest.mark.parametrize(
    ("body", "states"),
    [
        pytest.param({"os-start": None}, {"vm_state": VmState.ACTIVE}, id="start what runs"),
        pytest.param({"os-stop": None}, {"vm_state": VmState.STOPPED}, id="stop what is stopped"),
        pytest.param({"reboot": {"type": "SOFT"}}, {"vm_state": VmState.STOPPED}, id="soft reboot of a stopped one"),
        pytest.param({"os-stop": None}, {"task_state": TaskState.REBOOTING}, id="stop while rebooting"),
        pytest.param({"os-stop": None}, {"task_state": TaskState.DELETING}, id="stop while deleting"),
        pytest.param({"os-stop": None}, {"vm_state": VmState.BUILDING}, id="stop while building"),
    ],
)
def test_the_wrong_state_refuses(cloud: Cloud, client: Client, body: dict[str, Any], states: dict[str, Any]) -> None:
    server = cloud.add_server(CELL1, host="h1", **states)
    answer = client.post(f"/servers/{server.uuid}/action", body)
    assert answer.status_code == 409
    assert "while it is in" in answer.json["conflictingRequest"]["message"]
    assert cloud.instance(server.uuid).task_state is server.task_state


#: Action of the table of states → the body that asks for it.
BODIES: dict[str, dict[str, Any]] = {
    "start": {"os-start": None},
    "stop": {"os-stop": None},
    "reboot": {"reboot": {"type": "SOFT"}},
    "reboot-hard": {"reboot": {"type": "HARD"}},
    "pause": {"pause": None},
    "unpause": {"unpause": None},
    "suspend": {"suspend": None},
    "resume": {"resume": None},
    "unrescue": {"unrescue": None},
}


@pytest.mark.parametrize("action", BODIES)
def test_every_state_refuses_or_begins_as_the_table_says(cloud: Cloud, client: Client, action: str) -> None:
    shown = operations.shown(action)
    at_rest = [(vm_state, None) for vm_state in VmState if vm_state is not VmState.DELETED]
    busy = [(min(ACTIONS[action].starts_in), task_state) for task_state in TaskState]
    for vm_state, task_state in (*at_rest, *busy):
        server = cloud.add_server(CELL1, host="h1", vm_state=vm_state, task_state=task_state)
        answer = client.post(f"/servers/{server.uuid}/action", BODIES[action])
        refused = refusal(action, vm_state, task_state)
        if refused is None:
            assert (answer.status_code, answer.text) == (202, "")
            assert cloud.instance(server.uuid).task_state is ACTIONS[action].while_busy
            continue
        assert answer.status_code == 409
        assert answer.json["conflictingRequest"]["message"] == (
            f"Cannot '{shown}' instance {server.uuid} while it is in "
            f"{refused} {vm_state if refused == 'vm_state' else task_state}"
        )
        assert cloud.instance(server.uuid).task_state is task_state


@pytest.mark.parametrize("action", BODIES)
def test_locked_servers_obey_administrators_only(cloud: Cloud, client: Client, action: str) -> None:
    vm_state = min(ACTIONS[action].starts_in)
    server = cloud.add_server(CELL1, host="h1", vm_state=vm_state, is_locked=True)
    refused = client.post(f"/servers/{server.uuid}/action", BODIES[action])
    assert refused.status_code == 409
    assert refused.json["conflictingRequest"]["message"] == f"Instance {server.uuid} is locked"
    assert cloud.client("admin:ops").post(f"/servers/{server.uuid}/action", BODIES[action]).status_code == 202


@pytest.mark.parametrize("action", BODIES)
def test_what_begins_is_recorded_under_its_users_name(cloud: Cloud, client: Client, action: str) -> None:
    server = cloud.add_server(CELL1, host="h1", vm_state=min(ACTIONS[action].starts_in))
    answer = client.post(f"/servers/{server.uuid}/action", BODIES[action])
    (recorded,) = client.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
    assert (recorded["action"], recorded["request_id"], recorded["user_id"]) == (
        operations.shown(action),
        answer.headers["x-openstack-request-id"],
        "alice",
    )


class TestLock:
    """Who locks, who unlocks, and what is seen of it."""

    def act(self, client: Client, server: Instance, action: str, details: object = None) -> int:
        return int(client.post(f"/servers/{server.uuid}/action", {action: details}).status_code)

    def shown(self, client: Client, server: Instance) -> tuple[bool, str | None]:
        found = client.get(f"/servers/{server.uuid}").json["server"]
        return found["locked"], found["locked_reason"]

    def test_an_owner_locks_and_unlocks(self, cloud: Cloud, client: Client) -> None:
        server = cloud.add_server(CELL1, host="h1")
        assert self.shown(client, server) == (False, None)
        assert self.act(client, server, "lock", {"locked_reason": "in use"}) == 202
        assert self.shown(client, server) == (True, "in use")
        assert self.act(client, server, "lock", {"locked_reason": "another"}) == 202
        assert self.shown(client, server) == (True, "in use")
        (found,) = client.get("/servers/detail", locked="true").json["servers"]
        assert (found["id"], found["locked_reason"]) == (server.uuid, "in use")
        assert self.act(client, server, "os-stop") == 409
        assert client.delete(f"/servers/{server.uuid}").status_code == 409
        assert self.act(client, server, "unlock") == 202
        assert self.act(client, server, "unlock") == 202
        assert self.shown(client, server) == (False, None)
        done = client.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
        assert [found["action"] for found in done] == ["unlock", "unlock", "lock"]
        assert self.act(client, server, "os-stop") == 202

    def test_what_an_administrator_locked_only_one_unlocks(self, cloud: Cloud, client: Client) -> None:
        server = cloud.add_server(CELL1, host="h1")
        operator = cloud.client("admin:ops")
        assert self.act(operator, server, "lock", {"locked_reason": "evidence"}) == 202
        assert self.act(client, server, "unlock") == 403
        assert self.act(client, server, "lock", {"locked_reason": "mine"}) == 202
        assert self.shown(client, server) == (True, "evidence")
        assert self.act(operator, server, "unlock") == 202
        assert self.act(client, server, "lock") == 202
        assert self.shown(client, server) == (True, None)
        assert self.act(operator, server, "lock", {"locked_reason": "evidence"}) == 202
        assert self.shown(client, server) == (True, "evidence")
        assert self.act(operator, server, "lock") == 202
        assert self.shown(client, server) == (True, "evidence")
        assert self.act(client, server, "unlock") == 403

    def test_an_administrator_unlocks_what_its_owner_locked(self, cloud: Cloud, client: Client) -> None:
        server = cloud.add_server(CELL1, host="h1")
        assert self.act(client, server, "lock") == 202
        assert self.act(cloud.client("admin:ops"), server, "unlock") == 202
        assert self.shown(client, server) == (False, None)

    def test_reasons_are_known_since_2_73(self, cloud: Cloud, client: Client) -> None:
        server = cloud.add_server(CELL1, host="h1")
        old = cloud.client(version="2.72")
        assert self.act(old, server, "lock", {"locked_reason": "old"}) == 202
        assert self.shown(client, server) == (True, None)
        assert self.act(old, server, "lock", ["anything"]) == 202
        shown = old.get(f"/servers/{server.uuid}").json["server"]
        assert (shown["locked"], "locked_reason" in shown) == (True, False)
        for bad in ("x", {"locked_reason": ""}, {"locked_reason": "x" * 256}, {"reason": "x"}, {"locked_reason": None}):
            assert self.act(client, server, "lock", bad) == 400

    def test_a_server_without_cell_cannot_be_locked_yet(self, cloud: Cloud, client: Client) -> None:
        server = cloud.add_server(None)
        assert self.act(client, server, "lock") == 409
        assert self.act(client, server, "unlock") == 409


class TestRescue:
    """What is asked for a rescue; what becomes of it is told in the stories of workflows."""

    def ask(self, client: Client, server: Instance, details: object) -> Any:
        return client.post(f"/servers/{server.uuid}/action", {"rescue": details})

    def inputs(self, cloud: Cloud, server: Instance) -> object:
        with cloud.cells.get(CELL1).db.reader() as session:
            (workflow,) = workflows.about(session, CellWorkflowRow, server.uuid)
        return workflow.inputs

    @pytest.mark.parametrize("vm_state", [VmState.ACTIVE, VmState.STOPPED, VmState.ERROR])
    def test_with_its_own_image_and_a_password_made_up(self, cloud: Cloud, client: Client, vm_state: VmState) -> None:
        server = cloud.add_server(CELL1, host="h1", vm_state=vm_state)
        answer = self.ask(client, server, None)
        assert answer.status_code == 200
        assert len(answer.json["adminPass"]) == 12
        assert cloud.instance(server.uuid).task_state is TaskState.RESCUING
        assert self.inputs(cloud, server) == {"image_id": server.image_id}

    def test_with_another_image_and_a_password(self, cloud: Cloud, client: Client) -> None:
        server = cloud.add_server(CELL1, host="h1")
        answer = self.ask(client, server, {"rescue_image_ref": BIG_IMAGE_ID, "adminPass": "secret"})
        assert (answer.status_code, answer.json) == (200, {"adminPass": "secret"})
        assert self.inputs(cloud, server) == {"image_id": BIG_IMAGE_ID}
        (done,) = client.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
        assert done["action"] == "rescue"

    def test_an_image_says_what_its_disk_is_to_be(self, cloud: Cloud, client: Client) -> None:
        for properties, device in (
            ({"hw_rescue_device": "cdrom"}, {"kind": "cdrom", "bus": None}),
            ({"hw_rescue_bus": "usb"}, {"kind": "disk", "bus": "usb"}),
        ):
            self.give(cloud, properties)
            server = cloud.add_server(CELL1, host="h1")
            assert self.ask(client, server, {"rescue_image_ref": BIG_IMAGE_ID}).status_code == 200
            assert self.inputs(cloud, server) == {"image_id": BIG_IMAGE_ID, "device": device}
        own = cloud.add_server(CELL1, host="h1", image_properties={"hw_rescue_bus": "scsi"})
        assert self.ask(client, own, None).status_code == 200
        assert self.inputs(cloud, own) == {"image_id": own.image_id, "device": {"kind": "disk", "bus": "scsi"}}

    def test_one_that_boots_from_a_volume_wants_a_device_said(self, cloud: Cloud, client: Client) -> None:
        both = {"hw_rescue_device": "disk", "hw_rescue_bus": "virtio"}
        details = {"rescue_image_ref": BIG_IMAGE_ID}
        server = cloud.add_server(CELL1, host="h1", image_id="", volumes=(self.root(),))
        for properties in ({}, {"hw_rescue_device": "disk"}, {"hw_rescue_bus": "virtio"}):
            self.give(cloud, properties)
            assert self.ask(client, server, details).status_code == 400
        self.give(cloud, both)
        assert self.ask(cloud.client(version="2.86"), server, details).status_code == 400
        assert cloud.instance(server.uuid).task_state is None
        assert self.ask(cloud.client(version="2.87"), server, details).status_code == 200
        assert self.inputs(cloud, server) == {"image_id": BIG_IMAGE_ID, "device": {"kind": "disk", "bus": "virtio"}}
        # Made of such an image, but the image is not known any more: there is nothing to boot.
        nameless = cloud.add_server(CELL1, host="h1", image_id="", image_properties=both, volumes=(self.root(),))
        assert self.ask(client, nameless, None).status_code == 400

    def test_an_image_of_snapshots_is_refused(self, cloud: Cloud, client: Client) -> None:
        self.give(cloud, {"block_device_mapping": "[]"})
        answer = self.ask(client, cloud.add_server(CELL1, host="h1"), {"rescue_image_ref": BIG_IMAGE_ID})
        assert answer.status_code == 400
        assert "not supported" in answer.json["badRequest"]["message"]

    def give(self, cloud: Cloud, properties: dict[str, str]) -> None:
        cloud.images.images[BIG_IMAGE_ID] = replace(cloud.images.show(BIG_IMAGE_ID), properties=properties)

    def root(self) -> BlockDevice:
        return BlockDevice(str(uuids.uuid4()), str(uuids.uuid4()), "/dev/vda", boot_index=0)

    def test_what_is_refused(self, cloud: Cloud, client: Client) -> None:
        server = cloud.add_server(CELL1, host="h1")
        nowhere = "99999999-9999-4999-8999-999999999999"
        answer = self.ask(client, server, {"rescue_image_ref": nowhere})
        assert answer.status_code == 400
        assert answer.json["badRequest"]["message"] == f"Requested rescue image '{nowhere}' is not supported"
        for bad in ("x", {"rescue_image_ref": "x"}, {"adminPass": 1}, {"image": IMAGE_ID}):
            assert self.ask(client, server, bad).status_code == 400
        root = BlockDevice("d", IMAGE_ID, "/dev/vda", boot_index=0)
        from_volume = cloud.add_server(CELL1, host="h1", image_id="", volumes=(root,))
        for details in (None, {"rescue_image_ref": BIG_IMAGE_ID}):
            assert self.ask(client, from_volume, details).status_code == 400
        for wrong in ({"vm_state": VmState.PAUSED}, {"vm_state": VmState.RESCUED}, {"is_locked": True}):
            assert self.ask(client, cloud.add_server(CELL1, host="h1", **wrong), None).status_code == 409
        assert cloud.instance(server.uuid).task_state is None


class TestResetState:
    """An administrator sets a server's state by hand."""

    BODY: ClassVar[dict[str, Any]] = {"os-resetState": {"state": "active"}}

    def test_to_error_and_back(self, cloud: Cloud, client: Client) -> None:
        operator = cloud.client("admin:ops")
        server = cloud.add_server(CELL1, host="h1", power_state=PowerState.RUNNING)
        answer = operator.post(f"/servers/{server.uuid}/action", {"os-resetState": {"state": "error"}})
        assert answer.status_code == 202
        shown = client.get(f"/servers/{server.uuid}").json["server"]
        assert (shown["status"], shown["fault"]["message"]) == (
            "ERROR",
            "An administrator set the state of the server.",
        )
        assert operator.post(f"/servers/{server.uuid}/action", self.BODY).status_code == 202
        shown = client.get(f"/servers/{server.uuid}").json["server"]
        assert (shown["status"], "fault" in shown) == ("ACTIVE", False)
        assert cloud.instance(server.uuid).fault is None
        assert cloud.instance(server.uuid).power_state is PowerState.NOSTATE  # so that the next report tells the truth
        done = operator.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
        assert [(found["action"], found["user_id"]) for found in done] == [("resetState", "admin")] * 2
        one = operator.get(f"/servers/{server.uuid}/os-instance-actions/{done[0]['request_id']}").json
        assert one["instanceAction"]["events"] == []

    @pytest.mark.parametrize("action", ["stop", "reboot", "pause", "suspend"])
    def test_it_ends_what_is_being_done(self, cloud: Cloud, client: Client, action: str) -> None:
        server = cloud.add_server(CELL1, host="h1")
        assert client.post(f"/servers/{server.uuid}/action", BODIES[action]).status_code == 202
        assert cloud.client("admin:ops").post(f"/servers/{server.uuid}/action", self.BODY).status_code == 202
        found = cloud.instance(server.uuid)
        assert (found.vm_state, found.task_state) == (VmState.ACTIVE, None)
        with cloud.cells.get(CELL1).db.reader() as session:
            (workflow,) = workflows.about(session, CellWorkflowRow, server.uuid)
        assert workflow.status is Status.SUPERSEDED

    def test_a_delete_is_not_taken_back(self, cloud: Cloud) -> None:
        server = cloud.add_server(CELL1, host="h1")
        with cloud.cells.get(CELL1).db.writer() as session:
            requester = operations.Requester("alice", "demo", "req-1")
            operations.begin_delete(session, server.uuid, requester, timeout_s=60)
        answer = cloud.client("admin:ops").post(f"/servers/{server.uuid}/action", self.BODY)
        assert answer.status_code == 409
        assert "while it is in task_state deleting" in answer.json["conflictingRequest"]["message"]
        assert cloud.instance(server.uuid).task_state is TaskState.DELETING
        (above,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
        assert above.status == Status.SUPERSEDED

    def test_what_holds_more_than_a_guest_is_ended_first(self, cloud: Cloud, client: Client) -> None:
        server = cloud.add_server(CELL1, host="h1")
        assert client.post(f"/servers/{server.uuid}/action", {"rescue": None}).status_code == 200
        operator = cloud.client("admin:ops")
        assert operator.post(f"/servers/{server.uuid}/action", self.BODY).status_code == 202
        assert cloud.instance(server.uuid).task_state is TaskState.RESCUING
        (led,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
        assert (led.kind, led.subject, led.inputs) == (
            "reset-state",
            server.uuid,
            {"cell_uuid": CELL1, "state": "active"},
        )
        newest = operator.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"][0]
        assert (newest["action"], newest["message"]) == ("resetState", None)
        (operation, _) = operator.get(f"/servers/{server.uuid}/operations").json["operations"]
        assert (operation["action"], operation["state"]) == ("resetState", "pending")

    @pytest.mark.parametrize("state", ["active", "error"])
    def test_a_move_that_waits_is_ended_first(self, cloud: Cloud, state: str) -> None:
        server = cloud.add_server(CELL1, host="h1", vm_state=VmState.RESIZED)
        cloud.add_migration(server, status="finished")
        answer = cloud.client("admin:ops").post(f"/servers/{server.uuid}/action", {"os-resetState": {"state": state}})
        assert answer.status_code == 202
        (led,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
        assert (led.kind, led.inputs["state"]) == ("reset-state", state)

    def test_a_task_that_nobody_works_at_is_ended(self, cloud: Cloud) -> None:
        server = cloud.add_server(CELL1, host="h1", vm_state=VmState.BUILDING, task_state=TaskState.SPAWNING)
        assert cloud.client("admin:ops").post(f"/servers/{server.uuid}/action", self.BODY).status_code == 202
        assert cloud.instance(server.uuid).task_state is None

    def test_what_is_on_no_host_is_not_active(self, cloud: Cloud) -> None:
        server = cloud.add_server(CELL1, vm_state=VmState.ERROR)
        assert cloud.client("admin:ops").post(f"/servers/{server.uuid}/action", self.BODY).status_code == 409

    def test_it_is_not_for_users(self, cloud: Cloud, client: Client) -> None:
        server = cloud.add_server(CELL1, host="h1")
        assert client.post(f"/servers/{server.uuid}/action", self.BODY).status_code == 403
        for bad in (None, {}, {"state": "stopped"}, {"state": "active", "why": "x"}):
            answer = cloud.client("admin:ops").post(f"/servers/{server.uuid}/action", {"os-resetState": bad})
            assert answer.status_code == 400


def test_networks_are_told_to_nobody(cloud: Cloud, client: Client) -> None:
    server = cloud.add_server(CELL1, host="h1", is_locked=True)
    body = {"injectNetworkInfo": None}
    assert client.post(f"/servers/{server.uuid}/action", body).status_code == 403
    assert cloud.client("admin:ops").post(f"/servers/{server.uuid}/action", body).status_code == 202
    gone = client.post(f"/servers/{server.uuid}/action", {"resetNetwork": None})
    assert (gone.status_code, gone.json["computeFault"]["code"]) == (410, 410)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"os-start": None, "os-stop": None}, id="two at once"),
        pytest.param({"levitate": None}, id="unknown action"),
        pytest.param({"reboot": {}}, id="no type"),
        pytest.param({"reboot": {"type": "WARM"}}, id="unknown type"),
        pytest.param({"reboot": None}, id="no arguments"),
        pytest.param({"os-getConsoleOutput": {"length": "many"}}, id="length is no number"),
        pytest.param({"os-getConsoleOutput": {"lines": 1}}, id="unknown argument"),
        pytest.param(["os-start"], id="no object"),
    ],
)
def test_bad_bodies_are_refused(cloud: Cloud, client: Client, body: object) -> None:
    server = cloud.add_server(CELL1, host="h1", launched_at=NOON - timedelta(days=1))
    answer = client.post(f"/servers/{server.uuid}/action", body)
    assert answer.status_code == 400
    assert cloud.instance(server.uuid).task_state is None


def test_an_unknown_server_is_not_found(client: Client) -> None:
    for uuid in ("nobody", "99999999-9999-4999-8999-999999999999"):
        answer = client.post(f"/servers/{uuid}/action", {"os-stop": None})
        assert answer.status_code == 404


@pytest.mark.parametrize("version", ["2.1", "latest"])
def test_an_action_that_is_to_be_rehearsed_is_not_done(cloud: Cloud, client: Client, version: str) -> None:
    server = cloud.add_server(CELL1, host="h1", launched_at=NOON)
    headers = {"OpenStack-API-Version": f"compute {version}"}

    def lock(dry_run: str) -> Any:
        path = f"/servers/{server.uuid}/action?dry_run={dry_run}"
        return client.request("POST", path, headers=headers, json={"lock": None})

    refused = lock("1")
    assert refused.status_code == 400
    assert "rehearsed" in refused.json["badRequest"]["message"]
    assert client.get(f"/servers/{server.uuid}").json["server"]["locked"] is False
    assert lock("0").status_code == 202
    assert client.get(f"/servers/{server.uuid}").json["server"]["locked"] is True
