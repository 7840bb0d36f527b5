"""What a cell's repositories promise, on any database. Subclass and give it a fixture ``cell_db``."""

from dataclasses import fields, replace

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db.cell_tables import CellWorkflowRow, ComputeNodeRow
from nova_lite.db.repositories import actions, build_failures, host_loads, hosts, instances, workflows
from nova_lite.model.block_device import BlockDevice, Phase
from nova_lite.model.conductor import HostReport
from nova_lite.model.flavor import Flavor
from nova_lite.model.guest import PowerState
from nova_lite.model.host import AgentState, Load
from nova_lite.model.instance import Fault, InjectedFile, Instance
from nova_lite.model.states import TaskState, VmState
from nova_lite.storage import Database, epoch_now
from tests.contract.db.factories import NOON, make_instance, make_resources, make_workflow, new_uuid

#: Every field differs from its default, so that none can be mixed up with another.
WHOLE = Instance(
    uuid="5b0f8a1e-0000-4000-8000-000000000001",
    project_id="project",
    user_id="user",
    display_name="name",
    hostname="hostname",
    vm_state=VmState.ERROR,
    task_state=TaskState.DELETING,
    flavor=Flavor("id", "small", 1, 512, 10, extra_specs={"a": "b"}),
    image_id="image",
    created_at=NOON,
    updated_at=NOON.replace(second=12),
    power_state=PowerState.CRASHED,
    host="host",
    node="5b0f8a1e-0000-4000-8000-000000000002",
    node_name="node",
    epoch=3,
    metadata={"m": "1"},
    image_properties={"i": "2"},
    description="description",
    key_name="key",
    key_data="ssh-rsa",
    user_data="data",
    has_config_drive=True,
    availability_zone="zone",
    requested_zone="wanted",
    launch_index=4,
    reservation_id="r-1",
    root_device_name="/dev/sda",
    access_ip_v4="1.2.3.4",
    access_ip_v6="::1",
    disk_config="AUTO",
    is_locked=True,
    locked_reason="reason",
    tags=("t", "u"),
    scheduling={"s": 1},
    launched_at=NOON.replace(second=13),
    terminated_at=NOON.replace(second=14),
    deleted_at=NOON.replace(second=15),
    fault=Fault(500, "message", NOON.replace(second=16), "details"),
    shelved_image="shelved-image",
    personality=(InjectedFile("/etc/motd", "aGk="),),
    boot_roles="member",
    volumes=(
        BlockDevice("b", "v", "/dev/vdb", "a", Phase.DETACHING, "w", 0, True, True, "t", "scsi", "disk", 5, "fast"),
    ),
)
AT_REST = {"vm_state": VmState.ACTIVE, "task_state": None, "power_state": PowerState.RUNNING}


class InstanceSuite:
    """Instances: what is written comes back, races are decided."""

    def test_one_added_comes_back_and_is_added_once(self, cell_db: Database) -> None:
        instance = self._add(cell_db, metadata={"a": "ä🙂"}, tags=("x", "y"), fault=Fault(500, "why", NOON, "details"))
        with cell_db.writer() as session:
            instances.add(session, replace(instance, display_name="another"))
        assert self._get(cell_db, instance) == instance

    def test_every_field_comes_back_on_whatever_it_is_read(self, cell_db: Database) -> None:
        defaults = Instance("", "", "", "", "", VmState.ACTIVE, None, WHOLE.flavor, "", NOON, NOON)
        alike = [each.name for each in fields(Instance) if getattr(WHOLE, each.name) == getattr(defaults, each.name)]
        assert alike == ["flavor", "created_at"]
        with cell_db.writer() as session:
            instances.add(session, WHOLE)
            assert instances.lock(session, WHOLE.uuid) == WHOLE
        with cell_db.reader() as session:
            assert instances.get(session, WHOLE.uuid) == WHOLE
        with cell_db.reading() as connection:
            assert instances.get(connection, WHOLE.uuid) == WHOLE

    def test_what_is_not_there_is_not_found(self, cell_db: Database) -> None:
        with cell_db.writer() as session:
            with pytest.raises(errors.NotFound):
                instances.get(session, new_uuid())
            with pytest.raises(errors.NotFound):
                instances.lock(session, new_uuid())
            with pytest.raises(errors.Conflict):
                instances.change(session, new_uuid(), task_state=None)

    @pytest.mark.parametrize("task", [None, TaskState.SPAWNING])
    def test_a_change_names_the_task_it_expects(self, cell_db: Database, task: TaskState | None) -> None:
        instance = self._add(cell_db, task_state=task)
        other = TaskState.SPAWNING if task is None else None
        with pytest.raises(errors.Conflict), cell_db.writer() as session:
            instances.change(session, instance.uuid, expect_task=other, display_name="wrong")
        with cell_db.writer() as session:
            instances.change(session, instance.uuid, expect_task=task, display_name="right")
            instances.change(session, instance.uuid, description="whatever its task")
        changed = self._get(cell_db, instance)
        assert (changed.display_name, changed.description) == ("right", "whatever its task")
        assert changed.updated_at > instance.updated_at

    def test_a_deleted_one_is_only_found_when_asked_for(self, cell_db: Database) -> None:
        instance = self._add(cell_db, **AT_REST)
        with cell_db.writer() as session:
            assert instances.mark_deleted(session, instance.uuid)
            assert not instances.mark_deleted(session, instance.uuid)
        with cell_db.reader() as session:
            with pytest.raises(errors.NotFound):
                instances.get(session, instance.uuid)
            found = instances.get(session, instance.uuid, with_deleted=True)
        assert (found.vm_state, found.task_state, found.is_deleted) == (VmState.DELETED, None, True)
        assert found.deleted_at is not None
        with pytest.raises(errors.Conflict), cell_db.writer() as session:
            instances.change(session, instance.uuid, display_name="ghost")

    def test_a_fault_is_kept_with_what_goes_with_it(self, cell_db: Database) -> None:
        instance = self._add(cell_db)
        fault = Fault(500, "No valid host.", NOON, "details")
        with cell_db.writer() as session:
            instances.set_fault(session, instance.uuid, fault, vm_state=VmState.ERROR, task_state=None, host=None)
        found = self._get(cell_db, instance)
        assert (found.fault, found.vm_state, found.host) == (fault, VmState.ERROR, None)

    @pytest.mark.parametrize(
        ("values", "is_noted"),
        [
            pytest.param({}, True, id="at rest"),
            pytest.param({"task_state": TaskState.POWERING_ON}, False, id="busy"),
            pytest.param({"host": "host2"}, False, id="elsewhere"),
            pytest.param({"vm_state": VmState.DELETED}, False, id="deleted"),
        ],
    )
    def test_a_power_report_counts_for_servers_at_rest(
        self, cell_db: Database, values: dict[str, object], is_noted: bool
    ) -> None:
        instance = self._add(cell_db, **{**AT_REST, **values})
        with cell_db.writer() as session:
            instances.note_power(session, instance.uuid, "host1", PowerState.SHUTDOWN)
        with cell_db.reader() as session:
            found = instances.get(session, instance.uuid, with_deleted=True)
        if is_noted:
            assert (found.vm_state, found.power_state) == (VmState.STOPPED, PowerState.SHUTDOWN)
        else:
            assert found == instance

    def test_whether_one_lives(self, cell_db: Database) -> None:
        alive, dead = self._add(cell_db), self._add(cell_db, vm_state=VmState.DELETED)
        with cell_db.reader() as session:
            found = [instances.lives(session, uuid) for uuid in (alive.uuid, dead.uuid, new_uuid())]
        assert found == [True, False, False]

    def test_what_is_expected_on_a_host(self, cell_db: Database) -> None:
        host = new_uuid()
        running = self._add(cell_db, host=host, **AT_REST)
        stopped = self._add(cell_db, host=host, vm_state=VmState.STOPPED, task_state=None)
        failed = self._add(cell_db, host=host, vm_state=VmState.ERROR, task_state=None)
        busy = self._add(cell_db, host=host)
        at_work = self._add(cell_db, host=host, **AT_REST)
        with cell_db.writer() as session:
            workflows.add(session, CellWorkflowRow, make_workflow(subject=at_work.uuid), timeout_s=60)
        self._add(cell_db, **AT_REST)
        self._add(cell_db, host=host, vm_state=VmState.DELETED)
        with cell_db.reader() as session:
            found = {one.uuid: one for one in instances.expected_on(session, host)}
        told = {uuid: (one.should_run, one.must_be_off, one.is_settled) for uuid, one in found.items()}
        assert told == {
            running.uuid: (True, False, True),
            stopped.uuid: (False, True, True),
            failed.uuid: (False, False, True),
            busy.uuid: (False, False, False),
            at_work.uuid: (True, False, False),
        }

    @pytest.mark.parametrize(
        ("values", "host", "epoch", "task"),
        [
            pytest.param({}, "host1", 1, TaskState.SPAWNING, id="here"),
            pytest.param({}, "host2", 1, None, id="another host"),
            pytest.param({}, "host1", 0, None, id="an older epoch"),
            pytest.param({"task_state": None}, "host1", 1, None, id="at rest"),
            pytest.param({"vm_state": VmState.DELETED}, "host1", 1, None, id="deleted"),
        ],
    )
    def test_what_is_being_done_on_a_host(
        self, cell_db: Database, values: dict[str, object], host: str, epoch: int, task: TaskState | None
    ) -> None:
        instance = self._add(cell_db, **values)
        with cell_db.reader() as session:
            assert instances.task_on(session, instance.uuid, host, epoch) is task
            assert instances.task_on(session, new_uuid(), host, epoch) is None

    def test_one_taken_back_was_never_there(self, cell_db: Database) -> None:
        instance = self._add(cell_db)
        with cell_db.writer() as session:
            instances.remove(session, instance.uuid)
            instances.remove(session, instance.uuid)
        with cell_db.reader() as session, pytest.raises(errors.NotFound):
            instances.get(session, instance.uuid, with_deleted=True)

    def _add(self, db: Database, **values: object) -> Instance:
        instance = make_instance(**values)
        with db.writer() as session:
            instances.add(session, instance)
        return instance

    def _get(self, db: Database, instance: Instance) -> Instance:
        with db.reader() as session:
            return instances.get(session, instance.uuid)


class ActionSuite:
    """What was done to an instance."""

    def test_an_action_begins_once_and_ends_once(self, cell_db: Database) -> None:
        uuid = new_uuid()
        for _ in range(2):
            self._begin(cell_db, uuid, "req-1", "create")
        with cell_db.writer() as session:
            actions.finish(session, instance_uuid=uuid, request_id="req-1", error="No room.", host="host1")
        with cell_db.writer() as session:
            actions.finish(session, instance_uuid=uuid, request_id="req-1", error=None, host="host2")
        with cell_db.reader() as session:
            found = actions.of_request(session, uuid, "req-1")
            assert len(actions.of_instance(session, uuid)) == 1
        assert found is not None
        assert (found.action, found.message, found.finish_time is not None) == ("create", "Error", True)
        (event,) = found.events
        assert (event.result, event.details, event.host) == ("Error", "No room.", "host1")

    def test_nothing_ends_before_it_began(self, cell_db: Database) -> None:
        uuid = new_uuid()
        with cell_db.writer() as session:
            actions.begin(
                session,
                instance_uuid=uuid,
                action="create",
                request_id="req-1",
                user_id="user",
                project_id="project",
                event="event",
            )
            actions.finish(session, instance_uuid=uuid, request_id="req-1", error="No room.", host=None)
        with cell_db.reader() as session:
            found = actions.of_request(session, uuid, "req-1")
        assert found is not None
        (event,) = found.events
        assert event.finish_time is not None
        assert found.finish_time is not None
        assert found.start_time == event.start_time <= event.finish_time == found.finish_time

    def test_attempts_are_events_of_one_action(self, cell_db: Database) -> None:
        uuid = new_uuid()
        self._begin(cell_db, uuid, "req-1", "create")
        with cell_db.writer() as session:
            actions.fail_event(
                session, instance_uuid=uuid, request_id="req-1", error="Broken.", host="host1", traceback="there"
            )
        with cell_db.writer() as session:
            actions.begin_again(session, instance_uuid=uuid, request_id="req-1", event="event")
        with cell_db.reader() as session:
            found = actions.of_request(session, uuid, "req-1")
        assert found is not None
        assert (found.finish_time, found.message) == (None, None)
        with cell_db.writer() as session:
            actions.finish(session, instance_uuid=uuid, request_id="req-1", error=None, host="host2", traceback="there")
        with cell_db.reader() as session:
            found = actions.of_request(session, uuid, "req-1")
        assert found is not None
        assert (found.finish_time is not None, found.message) == (True, None)
        told = [(event.result, event.details, event.host, event.traceback) for event in found.events]
        assert told == [("Error", "Broken.", "host1", "there"), ("Success", None, "host2", None)]

    def test_no_attempt_is_added_to_what_is_over(self, cell_db: Database) -> None:
        uuid = new_uuid()
        self._begin(cell_db, uuid, "req-1", "create")
        with cell_db.writer() as session:
            actions.interrupt(session, uuid, by="delete")
            actions.fail_event(
                session, instance_uuid=uuid, request_id="req-1", error="Broken.", host="host1", traceback=None
            )
            actions.begin_again(session, instance_uuid=uuid, request_id="req-1", event="event")
        with cell_db.reader() as session:
            found = actions.of_request(session, uuid, "req-1")
        assert found is not None
        assert [event.details for event in found.events] == ["Interrupted by delete."]

    def test_the_newest_comes_first(self, cell_db: Database) -> None:
        uuid = new_uuid()
        for number, action in enumerate(("create", "stop", "start")):
            self._begin(cell_db, uuid, f"req-{number}", action)
        self._begin(cell_db, new_uuid(), "req-1", "create")
        with cell_db.reader() as session:
            assert [one.action for one in actions.of_instance(session, uuid)] == ["start", "stop", "create"]
            assert actions.of_request(session, uuid, "req-9") is None

    def test_the_end_of_nothing_is_no_error(self, cell_db: Database) -> None:
        with cell_db.writer() as session:
            actions.finish(session, instance_uuid=new_uuid(), request_id="req-1", error=None, host=None)

    def _begin(self, db: Database, uuid: str, request_id: str, action: str) -> None:
        with db.writer() as session:
            actions.begin(
                session,
                instance_uuid=uuid,
                action=action,
                request_id=request_id,
                user_id="alice",
                project_id="demo",
                event="event",
            )


class HostSuite:
    """Services and hypervisors of a cell."""

    def test_a_service_is_up_while_it_reports(self, cell_db: Database) -> None:
        for _ in range(2):
            with cell_db.writer() as session:
                hosts.beat(session, "controller", "nova-conductor")
        with cell_db.reader() as session:
            (fresh,) = hosts.services(session, down_after_s=60)
            (stale,) = hosts.services(session, down_after_s=-1)
            assert hosts.services(session, down_after_s=60, host="other") == []
            assert hosts.services(session, down_after_s=60, binary="other") == []
        assert (fresh.host, fresh.binary, fresh.is_up) == ("controller", "nova-conductor", True)
        assert not stale.is_up

    def test_a_service_forced_down_is_down(self, cell_db: Database) -> None:
        with cell_db.writer() as session:
            hosts.beat(session, "host1", hosts.AGENT)
            (service,) = hosts.services(session, down_after_s=60)
            hosts.change_service(session, service.uuid, forced_down=True)
            with pytest.raises(errors.NotFound):
                hosts.change_service(session, new_uuid(), forced_down=True)
        with cell_db.reader() as session:
            (service,) = hosts.services(session, down_after_s=60)
        assert (service.is_forced_down, service.is_up) == (True, False)

    def test_the_agent_of_a_host_is_found_on_a_plain_connection(self, cell_db: Database) -> None:
        with cell_db.writer() as session:
            hosts.beat(session, "host1", hosts.AGENT)
            hosts.beat(session, "host1", hosts.CONDUCTOR)
        with cell_db.reading() as connection:
            found = hosts.agent(connection, "host1", down_after_s=60)
            assert found in hosts.services(connection, down_after_s=60)
            assert found is not None
            assert (found.binary, found.is_up) == (hosts.AGENT, True)
            silent = hosts.agent(connection, "host1", down_after_s=-1)
            assert silent is not None
            assert not silent.is_up
            assert hosts.agent(connection, "host2", down_after_s=60) is None

    def test_an_instance_comes_with_the_agent_of_its_host(self, cell_db: Database) -> None:
        with cell_db.writer() as session:
            hosts.beat(session, "host1", hosts.AGENT)
            hosts.beat(session, "host1", hosts.CONDUCTOR)
            at_host1, nowhere = (make_instance(host=host) for host in ("host1", None))
            instances.add(session, at_host1)
            instances.add(session, nowhere)
        with cell_db.reading() as connection:
            for down_after_s, is_up in ((60, True), (-1, False)):
                found = hosts.instance_with_agent(connection, at_host1.uuid, down_after_s=down_after_s)
                assert found == (instances.get(connection, at_host1.uuid), AgentState(False, False, is_up))
            assert hosts.instance_with_agent(connection, nowhere.uuid, down_after_s=60)[1] is None
            with pytest.raises(errors.NotFound):
                hosts.instance_with_agent(connection, "nobody", down_after_s=60)

    def test_a_host_registers_and_changes(self, cell_db: Database) -> None:
        node = new_uuid()
        for vcpus in (8, 16):
            with cell_db.writer() as session:
                hosts.register(session, HostReport("host1", node, make_resources(vcpus=vcpus)))
        with cell_db.reader() as session:
            (found,) = hosts.compute_nodes(session)
            (state,) = hosts.states(session, "cell", down_after_s=60)
        assert (found.uuid, found.host, found.vcpus) == (node, "host1", 16)
        assert (state.node, state.cell_id, state.is_up, state.is_disabled) == (node, "cell", True, False)
        assert (state.hypervisor.kind, state.hypervisor.vcpus, state.hypervisor.runs) == ("fake", 16, None)

    def test_what_a_host_runs_is_known_once_it_told(self, cell_db: Database) -> None:
        told = (("x86_64", "kvm", "hvm"), ("x86_64", "qemu", "hvm"))
        resources = make_resources(runs=told, cpu_info={"arch": "x86_64"})
        with cell_db.writer() as session:
            hosts.register(session, HostReport("host1", new_uuid(), resources))
        with cell_db.reader() as session:
            (state,) = hosts.states(session, "cell", down_after_s=60)
        assert (state.hypervisor.runs, state.hypervisor.cpu_info) == (told, {"arch": "x86_64"})

    def test_loads_are_what_is_there_and_what_is_under_way(self, cell_db: Database) -> None:
        """A server counts once, however much is under way, and only while its disks are at stake."""
        building = make_instance(host="busy", vm_state=VmState.BUILDING)
        stopping = make_instance(host="busy", vm_state=VmState.ACTIVE, task_state=TaskState.POWERING_OFF)
        settled = make_instance(host="quiet", vm_state=VmState.ACTIVE, task_state=None)
        gone = make_instance(host="empty", vm_state=VmState.BUILDING)
        with cell_db.writer() as session:
            for instance in (building, stopping, settled, gone):
                instances.add(session, instance)
            for subject in (building, building, stopping, gone):
                workflows.add(session, CellWorkflowRow, make_workflow(subject=subject.uuid), timeout_s=60)
            instances.mark_deleted(session, gone.uuid)
        everywhere = ["busy", "quiet", "empty", *(f"host{number}" for number in range(1000))]
        for named in (everywhere[:3], everywhere):
            with cell_db.reader() as session:
                assert host_loads.loads(session, named, with_servers=False) == {"busy": Load(busy=1)}
                assert host_loads.loads(session, named, with_servers=True) == {"busy": Load(2, 1), "quiet": Load(1, 0)}
        with cell_db.writer() as session:
            workflows.supersede(session, CellWorkflowRow, building.uuid)
        with cell_db.reader() as session:
            assert host_loads.loads(session, ["busy"], with_servers=False) == {}
            assert host_loads.loads(session, ["quiet"], with_servers=True) == {"quiet": Load(1, 0)}

    def test_properties_of_images_are_counted_by_server(self, cell_db: Database) -> None:
        linux, windows = {"os_type": "linux", "os_distro": "debian"}, {"os_type": "windows"}
        servers = (("one", "a", linux), ("one", "a", linux), ("one", "b", windows), ("other", "a", linux))
        with cell_db.writer() as session:
            for host, image, properties in servers:
                instances.add(session, make_instance(host=host, image_id=image, image_properties=properties))
        with cell_db.reader() as session:
            assert host_loads.image_properties(session) == {
                "one": {("os_type", "linux"): 2, ("os_distro", "debian"): 2, ("os_type", "windows"): 1},
                "other": {("os_type", "linux"): 1, ("os_distro", "debian"): 1},
            }

    def test_failed_builds_add_up_to_a_limit_until_one_works(self, cell_db: Database) -> None:
        node, other = new_uuid(), new_uuid()
        with cell_db.writer() as session:
            hosts.register(session, HostReport("host1", node, make_resources()))
            hosts.register(session, HostReport("host2", other, make_resources(hypervisor_hostname="other")))
        counts = []
        for _ in range(4):
            with cell_db.writer() as session:
                build_failures.add(session, node, at_most=3)
            counts.append(self._failed(cell_db))
        assert counts == [{node: count, other: 0} for count in (1, 2, 3, 3)]
        with cell_db.writer() as session:
            build_failures.forget(session, node)
            build_failures.forget(session, other)
        assert self._failed(cell_db) == {node: 0, other: 0}

    def test_failed_builds_are_forgotten_after_a_while(self, cell_db: Database) -> None:
        node = new_uuid()
        with cell_db.writer() as session:
            hosts.register(session, HostReport("host1", node, make_resources()))
            for _ in range(2):
                build_failures.add(session, node, at_most=3)
            long_ago = epoch_now() - build_failures.FORGOTTEN_AFTER_S - 1
            session.execute(sa.update(ComputeNodeRow).values(last_failed_build=long_ago))
        assert self._failed(cell_db) == {node: 0}
        with cell_db.writer() as session:
            build_failures.add(session, node, at_most=3)
        assert self._failed(cell_db) == {node: 1}

    def _failed(self, db: Database) -> dict[str, int]:
        with db.reader() as session:
            return {state.node: state.failed_builds for state in hosts.states(session, "cell", down_after_s=60)}

    def test_what_servers_use_is_added_up(self, cell_db: Database) -> None:
        node = new_uuid()
        with cell_db.writer() as session:
            hosts.register(session, HostReport("host1", node, make_resources()))
            for values in ({}, {"task_state": None}, {"vm_state": VmState.DELETED}, {"node": new_uuid()}):
                instances.add(session, make_instance(**{"node": node, **values}))
        with cell_db.reader() as session:
            (found,) = hosts.compute_nodes(session)
        assert (found.running_vms, found.vcpus_used, found.ram_mib_used, found.disk_gib_used) == (2, 4, 1024, 14)

    def test_a_host_with_servers_is_not_removed(self, cell_db: Database) -> None:
        instance = make_instance()
        with cell_db.writer() as session:
            hosts.register(session, HostReport("host1", new_uuid(), make_resources()))
            instances.add(session, instance)
            (service,) = hosts.services(session, down_after_s=60)
        with pytest.raises(errors.Conflict), cell_db.writer() as session:
            hosts.remove_service(session, service)
        with cell_db.writer() as session:
            instances.mark_deleted(session, instance.uuid)
            hosts.remove_service(session, service)
            assert (hosts.services(session, down_after_s=60), hosts.compute_nodes(session)) == ([], [])
