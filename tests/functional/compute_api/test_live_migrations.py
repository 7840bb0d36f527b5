"""Migrating servers live, as far as the API decides; the rest: ``workflows/test_live_migrations.py`` beside here."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.cells import moves
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import MigrationRow
from nova_lite.db.repositories import actions, mappings, migrations
from nova_lite.model.instance import Instance
from nova_lite.model.migration import MigrationKind
from nova_lite.model.states import TaskState, VmState
from tests.functional.compute_api.cloud import CELL1, CELL2, Client, Cloud
from tests.integration.stack.processes import wait_until

NODE = "11110000-0000-4000-8000-000000000001"
LIVE = {"os-migrateLive": {"host": None, "block_migration": "auto"}}
#: What was asked before the checks were made in the background.
OLD: dict[str, dict[str, object]] = {
    "2.1": {"host": None, "block_migration": True, "disk_over_commit": "no"},
    "2.25": {"host": None, "block_migration": "auto"},
    "2.33": {"host": None, "block_migration": "auto", "force": False},
}
MANAGER = {"X-Roles": "manager,member,reader"}


@pytest.fixture
def server(cloud: Cloud) -> Instance:
    return add_server(cloud)


def add_server(cloud: Cloud, **values: Any) -> Instance:
    return cloud.add_server(CELL1, host="h1", node=NODE, node_name="h1.lan", **values)


def act(client: Client, server: Instance, body: dict[str, Any]) -> Any:
    return client.post(f"/servers/{server.uuid}/action", body)


def said(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    (fault,) = answer.json.values()
    return str(fault["message"])


def asked(cloud: Cloud) -> dict[str, Any]:
    (workflow,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
    assert workflow.kind == moves.LIVE
    found: dict[str, Any] = workflow.inputs
    return found


def test_it_is_written_down_at_once(cloud: Cloud, admin: Client, server: Instance) -> None:
    answer = act(admin, server, LIVE)
    assert (answer.status_code, answer.text) == (202, "")
    shown = admin.get(f"/servers/{server.uuid}").json["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("MIGRATING", "migrating")
    found = admin.get("/servers?all_tenants=1&status=MIGRATING").json["servers"]
    assert [one["id"] for one in found] == [server.uuid]
    (migration,) = cloud.rows(cloud.cells.get(CELL1).db, MigrationRow)
    (workflow,) = cloud.rows(cloud.api_db, ApiWorkflowRow)
    assert workflow.uuid == migration.uuid
    assert (migration.kind, migration.status, migration.source_host) == ("live-migration", "accepted", "h1")
    (action,) = admin.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
    assert action["action"] == "live-migration"
    assert asked(cloud)["copies_disks"] is None
    assert "task_state migrating" in said(act(admin, server, LIVE), 409)


def test_every_wrong_state_refuses(cloud: Cloud, admin: Client) -> None:
    starts = {VmState.ACTIVE, VmState.PAUSED}
    rest = [(vm_state, None) for vm_state in VmState if vm_state not in (VmState.DELETED, *starts)]
    busy = [(VmState.ACTIVE, task_state) for task_state in TaskState]
    for vm_state, task_state in itertools.chain(rest, busy):
        server = add_server(cloud, vm_state=vm_state, task_state=task_state)
        attribute = f"vm_state {vm_state}" if task_state is None else f"task_state {task_state}"
        assert said(act(admin, server, LIVE), 409) == (
            f"Cannot 'os-migrateLive' instance {server.uuid} while it is in {attribute}"
        )
    assert cloud.rows(cloud.api_db, ApiWorkflowRow) == []


def test_a_server_on_no_host_stays(cloud: Cloud, admin: Client) -> None:
    assert "not ready" in said(act(admin, cloud.add_server(CELL1), LIVE), 409)


@pytest.mark.parametrize(
    ("version", "body"),
    [
        ("2.24", {"host": None, "block_migration": "auto", "disk_over_commit": False}),
        ("2.24", {"host": None, "block_migration": False}),
        ("2.24", {"block_migration": False, "disk_over_commit": False}),
        ("2.25", {"host": None, "block_migration": False, "disk_over_commit": False}),
        ("2.29", {"host": None, "block_migration": "auto", "force": False}),
        ("2.30", {"host": None, "block_migration": "auto", "force": "perhaps"}),
        ("2.67", {"host": None, "block_migration": "auto", "force": True}),
        ("2.68", {"host": "h2", "block_migration": "auto", "force": True}),
        ("2.96", {"host": "", "block_migration": "auto"}),
        ("2.96", {"host": None}),
        ("2.96", None),
    ],
)
def test_bad_bodies(cloud: Cloud, server: Instance, version: str, body: object) -> None:
    said(act(cloud.client("admin:admins", version), server, {"os-migrateLive": body}), 400)
    assert cloud.instance(server.uuid).task_state is None


class TestHost:
    """The host that an administrator names."""

    @pytest.fixture(autouse=True)
    def hosts(self, cloud: Cloud) -> None:
        with cloud.api_db.writer() as session:
            for host, cell in (("h1", CELL1), ("h2", CELL1), ("h3", CELL2)):
                mappings.add_host(session, host, cell)

    @pytest.mark.parametrize(
        ("version", "more", "is_forced"),
        [
            ("2.34", {}, False),
            ("2.34", {"force": True}, True),
            ("2.67", {"force": "False"}, False),
            ("2.68", {}, False),
        ],
    )
    def test_it_is_looked_at_by_the_scheduler_unless_forced(
        self, cloud: Cloud, server: Instance, version: str, more: dict[str, object], is_forced: bool
    ) -> None:
        body = {"os-migrateLive": {"host": "h2", "block_migration": False, **more}}
        assert act(cloud.client("admin:admins", version), server, body).status_code == 202
        inputs = asked(cloud)
        assert (inputs["host"], inputs["skips_filters"], inputs["copies_disks"]) == ("h2", is_forced, False)

    @pytest.mark.parametrize(("host", "message"), [("h9", "could not be found"), ("h3", "is in another cell")])
    def test_it_must_be_one_of_the_servers_cell(
        self, cloud: Cloud, admin: Client, server: Instance, host: str, message: str
    ) -> None:
        body = {"os-migrateLive": {"host": host, "block_migration": "auto"}}
        assert message in said(act(admin, server, body), 400)
        assert cloud.rows(cloud.api_db, ApiWorkflowRow) == []

    def test_the_servers_own_is_never_forced(self, cloud: Cloud, server: Instance) -> None:
        body = {"os-migrateLive": {"host": "h1", "block_migration": "auto", "force": True}}
        assert act(cloud.client("admin:admins", "2.34"), server, body).status_code == 202
        assert asked(cloud)["skips_filters"] is False


class TestOldVersions:
    """Before 2.34 the caller waits for the checks, and hears what they find."""

    @pytest.fixture
    def meanwhile(self, cloud: Cloud) -> Iterator[Callable[[Callable[[], None]], None]]:
        """Return what has something done once the migration is written down, while the caller waits."""
        threads = []

        def is_asked() -> bool:
            return bool(
                cloud.rows(cloud.api_db, ApiWorkflowRow) and cloud.rows(cloud.cells.get(CELL1).db, MigrationRow)
            )

        def plan(deed: Callable[[], None]) -> None:
            def wait_and_do() -> None:
                wait_until(is_asked, "a migration", timeout_s=480)
                deed()

            threads.append(threading.Thread(target=wait_and_do))
            threads[-1].start()

        yield plan
        for thread in threads:
            thread.join()

    @pytest.mark.parametrize("version", OLD)
    def test_what_fails_is_told(
        self, cloud: Cloud, server: Instance, version: str, meanwhile: Callable[[Callable[[], None]], None]
    ) -> None:
        def fail() -> None:
            with cloud.cells.get(CELL1).db.writer() as session:
                (row,) = session.scalars(sa.select(MigrationRow))
                (action,) = actions.of_instance(session, server.uuid)
                actions.finish(
                    session, instance_uuid=server.uuid, request_id=action.request_id, error="No room.", host="h1"
                )
                migrations.bring_to(session, row.uuid, "error")

        meanwhile(fail)
        answer = act(cloud.client("admin:admins", version), server, {"os-migrateLive": OLD[version]})
        assert said(answer, 400) == "No room."

    @pytest.mark.parametrize("version", OLD)
    def test_what_passes_is_accepted(
        self, cloud: Cloud, server: Instance, version: str, meanwhile: Callable[[Callable[[], None]], None]
    ) -> None:
        def check() -> None:
            with cloud.cells.get(CELL1).db.writer() as session:
                session.execute(sa.update(MigrationRow).values(status="queued"))

        meanwhile(check)
        answer = act(cloud.client("admin:admins", version), server, {"os-migrateLive": OLD[version]})
        assert answer.status_code == 202, answer.text
        assert asked(cloud)["copies_disks"] is (True if version == "2.1" else None)


class TestWishes:
    """Aborting and hurrying what is under way."""

    URL = "/servers/{}/migrations/{}"

    def migrating(self, cloud: Cloud, status: str = "running", **values: Any) -> tuple[Instance, int]:
        server = add_server(cloud, task_state=TaskState.MIGRATING, **values)
        made = cloud.add_migration(server, status=status)
        assert made.number is not None
        return server, made.number

    def abort(self, client: Client, server: Instance, number: object) -> Any:
        return client.delete(self.URL.format(server.uuid, number))

    def hurry(self, client: Client, server: Instance, number: object) -> Any:
        return client.post(f"{self.URL.format(server.uuid, number)}/action", {"force_complete": None})

    def test_they_are_written_down(self, cloud: Cloud, admin: Client) -> None:
        server, number = self.migrating(cloud)
        assert self.hurry(admin, server, number).status_code == 202
        assert self.abort(admin, server, number).status_code == 202
        assert self.abort(admin, server, number).status_code == 202
        (row,) = cloud.rows(cloud.cells.get(CELL1).db, MigrationRow)
        assert sorted(row.asked) == ["abort", "hurry"]
        assert None not in row.asked.values()
        found = admin.get(f"/servers/{server.uuid}/os-instance-actions").json["instanceActions"]
        assert {action["action"] for action in found} == {"live_migration_cancel", "live_migration_force_complete"}

    @pytest.mark.parametrize("status", ["accepted", "queued", "preparing", "running", "post-migrating", "completed"])
    def test_when(self, cloud: Cloud, admin: Client, status: str) -> None:
        server, number = self.migrating(cloud, status)
        waits = status in ("queued", "preparing")
        old = cloud.client("admin:admins", "2.64")
        if status != "running":
            assert f"is {status}. Cannot force complete" in said(self.hurry(admin, server, number), 400)
            assert f"is {status}. Cannot abort" in said(self.abort(old, server, number), 400)
        assert self.abort(admin, server, number).status_code == (202 if waits or status == "running" else 400)

    def test_only_of_servers_that_are_migrated(self, cloud: Cloud, admin: Client, server: Instance) -> None:
        number = cloud.add_migration(server).number
        assert "task_state None" in said(self.abort(admin, server, number), 409)
        assert "'force_complete'" in said(self.hurry(admin, server, number), 409)
        paused, number = self.migrating(cloud, vm_state=VmState.PAUSED)
        assert "vm_state paused" in said(self.hurry(admin, paused, number), 409)
        assert self.abort(admin, paused, number).status_code == 202

    def test_only_of_migrations_that_are_there(self, cloud: Cloud, admin: Client) -> None:
        server, _ = self.migrating(cloud)
        other, foreign = self.migrating(cloud)
        cold = cloud.add_migration(server, kind=MigrationKind.COLD, status="running").number
        for number in (foreign, 99, "x", "9" * 30):
            said(self.abort(admin, server, number), 404)
            said(self.hurry(admin, server, number), 400)
        said(self.abort(admin, server, cold), 400)
        said(self.abort(admin, cloud.add_server(None, task_state=TaskState.MIGRATING), 1), 409)
        assert self.abort(cloud.client("mallory:elsewhere"), other, foreign).status_code == 404

    def test_versions_and_bodies(self, cloud: Cloud) -> None:
        server, number = self.migrating(cloud)
        url = self.URL.format(server.uuid, number)
        assert cloud.client("admin:admins", "2.23").delete(url).status_code == 404
        assert cloud.client("admin:admins", "2.21").post(f"{url}/action", {"force_complete": None}).status_code == 404
        newer = cloud.client("admin:admins", "2.22")
        bodies: list[dict[str, object]] = [
            {"force_complete": {}},
            {},
            {"other": None},
            {"force_complete": None, "x": 1},
        ]
        for body in bodies:
            assert newer.post(f"{url}/action", body).status_code == 400, body


def test_who_may(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path, names_roles=True)
    with cloud.api_db.writer() as session:
        mappings.add_host(session, "h2", CELL1)
    server, locked = add_server(cloud), add_server(cloud, is_locked=True)
    held = f"/servers/{locked.uuid}/action"
    assert cloud.client().request("POST", held, json=LIVE, headers=MANAGER).status_code == 409
    url = f"/servers/{server.uuid}/action"
    named = {"os-migrateLive": {"host": "h2", "block_migration": "auto"}}
    assert cloud.client().post(url, LIVE).status_code == 403
    assert cloud.client().request("POST", url, json=named, headers=MANAGER).status_code == 403
    assert cloud.client().request("POST", url, json=LIVE, headers=MANAGER).status_code == 202
    with cloud.cells.get(CELL1).db.writer() as session:
        session.execute(sa.update(MigrationRow).values(status="running"))
        number = session.scalar(sa.select(MigrationRow.id))
    wish = f"/servers/{server.uuid}/migrations/{number}"
    assert cloud.client().delete(wish).status_code == 403
    assert cloud.client().request("DELETE", wish, headers=MANAGER).status_code == 202
    hurry = {"force_complete": None}
    assert cloud.client().request("POST", f"{wish}/action", json=hurry).status_code == 403
    assert cloud.client().request("POST", f"{wish}/action", json=hurry, headers=MANAGER).status_code == 202
    cloud.close()
