"""What is promised of quotas and what counts for them, on any database.

Subclass and give it fixtures ``api_db`` and ``cell_db``.
"""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db.api_tables import InstanceMappingRow, ServerGroupMemberRow, ServerGroupRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import failed_deletes, instances, mappings, quotas, server_groups, workflows
from nova_lite.db.repositories.quotas import WHOLE_PROJECT, SetLimits
from nova_lite.model.host import Cell
from nova_lite.model.server_group import Building, ServerGroup, Settlement
from nova_lite.model.states import TaskState, VmState
from nova_lite.model.workflow import Status
from nova_lite.storage import Database
from tests.contract.db.factories import NOON, make_instance, make_workflow, new_uuid


class QuotaSuite:
    """Limits, and the lock under which use is counted."""

    def test_limits_set_are_told_by_owner(self, api_db: Database) -> None:
        with api_db.writer() as session:
            quotas.set_limits(session, "demo", WHOLE_PROJECT, {"cores": 5, "ram": -1})
            quotas.set_limits(session, "demo", "alice", {"cores": 3})
            quotas.set_limits(session, "other", "alice", {"cores": 1})
            quotas.set_class_limits(session, quotas.DEFAULT_CLASS, {"instances": 7})
            quotas.set_class_limits(session, "gold", {"instances": 9})
        with api_db.reader() as session:
            both = SetLimits(default={"instances": 7}, project={"cores": 5, "ram": -1}, user={"cores": 3})
            assert quotas.limits(session, "demo", "alice") == both
            assert quotas.limits(session, "demo") == replace(both, user={})
            assert quotas.limits(session, "demo", "bob") == replace(both, user={})
            assert quotas.limits(session, "nobody") == SetLimits({"instances": 7}, {}, {})
            assert quotas.limits_of_users(session, "demo") == {"alice": {"cores": 3}}
            assert quotas.class_limits(session, "gold") == {"instances": 9}
            assert quotas.class_limits(session, "silver") == {}

    def test_limits_are_changed_one_by_one_and_forgotten_together(self, api_db: Database) -> None:
        with api_db.writer() as session:
            for user_id in (WHOLE_PROJECT, "alice", "bob"):
                quotas.set_limits(session, "demo", user_id, {"cores": 5, "ram": 64})
            quotas.set_limits(session, "demo", "alice", {"cores": 2**31 - 1})
            quotas.set_limits(session, "demo", "alice", {})
            quotas.set_class_limits(session, "gold", {"cores": 5, "ram": 64})
            quotas.set_class_limits(session, "gold", {"ram": 0})
            quotas.set_class_limits(session, "gold", {})
            assert quotas.class_limits(session, "gold") == {"cores": 5, "ram": 0}
            assert quotas.limits(session, "demo", "alice").user == {"cores": 2**31 - 1, "ram": 64}
            quotas.remove_limits(session, "demo", "alice")
            assert quotas.limits_of_users(session, "demo").keys() == {"bob"}
            quotas.remove_limits(session, "demo")
            assert quotas.limits(session, "demo", "bob") == SetLimits({}, {}, {})
            quotas.remove_limits(session, "demo")

    def test_a_lock_may_be_taken_again(self, api_db: Database) -> None:
        for _ in range(2):
            with api_db.writer() as session:
                quotas.lock(session, "demo")
                quotas.lock(session, "demo")

    def test_a_lock_may_be_shared(self, api_db: Database) -> None:
        project = new_uuid()
        with api_db.writing() as connection:
            quotas.lock(connection, project, shares=True)
        with api_db.writing() as connection:
            quotas.lock(connection, project, shares=True)
            if not api_db.is_sqlite:  # there one writes at a time
                with api_db.writing() as another:
                    quotas.lock(another, project, shares=True)
        with api_db.writing() as connection:
            quotas.lock(connection, project)


class ServerGroupSuite:
    """Groups, and the servers in them."""

    def test_groups_come_back_oldest_first(self, api_db: Database) -> None:
        project, other = new_uuid(), new_uuid()
        made = [self._add(api_db, project_id=project, name=f"g{n} 🙂") for n in range(3)]
        theirs = self._add(api_db, project_id=other, rules={"max_server_per_host": 2})
        with api_db.reader() as session:
            for viewer in (None, other):
                assert server_groups.get(session, theirs.uuid, visible_to=viewer) == theirs
            with pytest.raises(errors.NotFound):
                server_groups.get(session, theirs.uuid, visible_to=project)
            assert server_groups.page(session, project, offset=0, limit=9) == made
            assert server_groups.page(session, project, offset=1, limit=1) == made[1:2]
            assert server_groups.page(session, project, offset=2**31 - 1, limit=1) == []
            everybodys = server_groups.page(session, None, offset=0, limit=1000)
            assert [group for group in everybodys if group.project_id in (project, other)] == [*made, theirs]

    def test_groups_are_counted_by_project_and_by_user(self, api_db: Database) -> None:
        project = new_uuid()
        for user_id in ("alice", "alice", "bob"):
            self._add(api_db, project_id=project, user_id=user_id)
        with api_db.reader() as session:
            assert server_groups.count(session, project) == 3
            assert server_groups.count(session, project, "alice") == 2
            assert server_groups.count(session, new_uuid()) == 0

    def test_members_are_servers_that_are_not_being_deleted(self, api_db: Database) -> None:
        group = self._add(api_db)
        empty = self._add(api_db, project_id=group.project_id)
        alices, gone = (self._member(api_db, group, "alice") for _ in range(2))
        bobs = self._member(api_db, group, "bob")
        with api_db.writer() as session:
            mappings.queue_for_delete(session, gone)
        with api_db.reader() as session:
            assert set(server_groups.get(session, group.uuid).members) == {alices, bobs}
            [full, still_empty] = server_groups.page(session, group.project_id, offset=0, limit=9)
            assert set(full.members) == {alices, bobs}
            assert still_empty == empty
            assert server_groups.count_members(session, group.uuid, "alice") == 1
            assert server_groups.count_members(session, empty.uuid, "alice") == 0

    def test_a_group_goes_with_its_memberships_and_without_its_servers(self, api_db: Database) -> None:
        group = self._add(api_db)
        member = self._member(api_db, group, "alice")
        with api_db.writer() as session:
            server_groups.remove(session, group.uuid)
        with api_db.writer() as session:
            for missing in (server_groups.get, server_groups.remove):
                with pytest.raises(errors.NotFound, match=group.uuid):
                    missing(session, group.uuid)
            assert session.query(ServerGroupMemberRow).filter_by(instance_uuid=member).all() == []
            assert mappings.instance(session, member).user_id == "alice"

    def _add(self, db: Database, **values: object) -> ServerGroup:
        group = ServerGroup(new_uuid(), new_uuid(), "alice", "g", "anti-affinity", {}, NOON)
        group = replace(group, **values)  # type: ignore[arg-type]
        with db.writer() as session:
            server_groups.add(session, group)
        return group

    def _member(self, db: Database, group: ServerGroup, user_id: str) -> str:
        uuid = new_uuid()
        with db.writer() as session:
            mappings.add_instance(session, uuid, project_id=group.project_id, user_id=user_id, vcpus=1, ram_mib=1)
            row = session.query(ServerGroupRow).filter_by(uuid=group.uuid).one()
            session.add(ServerGroupMemberRow(group_id=row.id, instance_uuid=uuid))
        return uuid


class GroupPlacesSuite:
    """Where the servers of a group are settled, one request at a time."""

    def test_places_are_noted_as_the_policy_allows(self, api_db: Database) -> None:
        group, first, second, third = self._group(api_db, "anti-affinity", 3, max_server_per_host=2)
        assert self._settle(api_db, group, {first: "a", second: "a"})
        assert not self._settle(api_db, group, {third: "a"})
        assert self._settle(api_db, group, {third: "b"})
        with api_db.reader() as session:
            found = server_groups.company(session, group)
            assert found is not None
            assert (found.policy, found.max_per_host, found.hosts) == ("anti-affinity", 2, {"a": 2, "b": 1})
            besides = server_groups.company(session, group, besides=[first, third])
            assert besides is not None
            assert besides.hosts == {"a": 1}

    def test_all_places_of_a_request_are_noted_or_none(self, api_db: Database) -> None:
        group, first, second = self._group(api_db, "anti-affinity", 2)
        assert not self._settle(api_db, group, {first: "a", second: "a"})
        assert self._settle(api_db, group, {first: "a", second: "b"})
        # Asked again, since the answer was lost.
        assert self._settle(api_db, group, {first: "a", second: "b"})

    def test_who_is_forced_is_noted_whatever_the_policy_says(self, api_db: Database) -> None:
        group, first, second = self._group(api_db, "affinity", 2)
        assert self._settle(api_db, group, {first: "a"})
        assert not self._settle(api_db, group, {second: "b"})
        with api_db.writer() as session:
            assert server_groups.settle(session, group, {second: ["b"]}, is_forced=True).is_settled

    def test_a_place_is_given_back(self, api_db: Database) -> None:
        group, first, second = self._group(api_db, "anti-affinity", 2)
        assert self._settle(api_db, group, {first: "a"})
        with api_db.writer() as session:
            server_groups.unsettle(session, [first])
        assert self._settle(api_db, group, {second: "a"})

    def test_a_server_that_is_being_deleted_takes_no_place(self, api_db: Database) -> None:
        group, first, second = self._group(api_db, "anti-affinity", 2)
        assert self._settle(api_db, group, {first: "a"})
        with api_db.writer() as session:
            mappings.queue_for_delete(session, first)
        assert self._settle(api_db, group, {second: "a"})

    def test_a_group_that_is_gone_forbids_nothing(self, api_db: Database) -> None:
        with api_db.reader() as session:
            assert server_groups.company(session, new_uuid()) is None
        assert self._settle(api_db, new_uuid(), {new_uuid(): "a"})
        with api_db.writer() as session, pytest.raises(errors.NotFound):
            server_groups.add_members(session, new_uuid(), [new_uuid()])

    def test_spares_are_granted_as_no_outcome_breaks_the_policy(self, api_db: Database) -> None:
        group, first, second, third = self._group(api_db, "anti-affinity", 3)
        with api_db.writer() as session:
            places = {first: ["a", "b", "c"], second: ["d", "b", "e", "a"]}
            found = server_groups.settle(session, group, places)
        assert found.spares == {first: ("b", "c"), second: ("e",)}
        with api_db.writer() as session:
            # Nobody but the API database knows of those spares yet: one of them is taken away, just like that.
            assert server_groups.settle(session, group, {third: ["c", "f"]}).spares == {third: ("f",)}
        with api_db.writer() as session:
            assert server_groups.hand_over(session, [first, second]) == {first: ("b",), second: ("e",)}

    def test_spares_of_who_is_in_a_cell_must_be_asked_back(self, api_db: Database) -> None:
        group, first, second = self._group(api_db, "anti-affinity", 2)
        with api_db.writer() as session:
            assert server_groups.settle(session, group, {first: ["a", "b", "c"]}).is_settled
            cell_uuid = new_uuid()
            mappings.add_cell(session, Cell(cell_uuid, cell_uuid, "kombu+memory:////", "sqlite://"))
            session.query(InstanceMappingRow).filter_by(instance_uuid=first).update({"cell_uuid": cell_uuid})
        with api_db.writer() as session:
            found = server_groups.settle(session, group, {second: ["b"]})
            building = Building(first, cell_uuid, "a", ("b", "c"))
            assert found == Settlement(False, contested=((building, ("b",)),))
            server_groups.give_up(session, building, ("b",))
            assert server_groups.settle(session, group, {second: ["b"]}).is_settled
            (known,) = [each for each in server_groups.building(session, group) if each.instance_uuid == first]
            assert known.spares == ("c",)
            server_groups.note(session, known, "c", None)
            # It is over: late news of the build change nothing.
            server_groups.note(session, known, "a", ("b",))
            server_groups.note(session, Building(first, cell_uuid, "c", ()), "a", ())
        with api_db.reader() as session:
            company = server_groups.company(session, group)
            assert company is not None
            assert (company.hosts, company.spares) == ({"b": 1, "c": 1}, {})

    def test_a_group_kept_together_is_so_wherever_its_first_server_is_moved(self, api_db: Database) -> None:
        group, first, second = self._group(api_db, "affinity", 2)
        with api_db.writer() as session:
            assert server_groups.settle(session, group, {first: ["a", "b"]}).spares == {first: ("b",)}
            assert server_groups.settle(session, group, {second: ["a", "b"]}).spares == {second: ()}
            assert server_groups.hand_over(session, [first]) == {first: ()}

    def test_a_server_that_may_go_back_has_two_places(self, api_db: Database) -> None:
        group, first, second, third = self._group(api_db, "anti-affinity", 3)
        assert self._settle(api_db, group, {first: "a"})
        with api_db.writer() as session:
            server_groups.keep_way_back(session, first, "a")
        assert self._hosts(api_db, group) == {"a": 1}
        assert self._settle(api_db, group, {first: "b"})
        with api_db.writer() as session:
            server_groups.settled_on(session, first, "b", "a")
        assert self._hosts(api_db, group) == {"a": 1, "b": 1}
        assert not self._settle(api_db, group, {second: "a"})
        with api_db.writer() as session:
            assert server_groups.settle(session, group, {second: ["c", "a", "d"]}).spares == {second: ("d",)}
        assert self._settle(api_db, group, {first: "a"})  # its own places are no hindrance to itself
        with api_db.writer() as session:
            server_groups.settled_on(session, first, "b")
        assert self._settle(api_db, group, {third: "a"})

    def test_servers_that_share_their_hosts_are_counted_on_each(self, api_db: Database) -> None:
        group, first, second, third = self._group(api_db, "anti-affinity", 3, max_server_per_host=2)
        assert self._settle(api_db, group, {first: "a", second: "a"})
        with api_db.writer() as session:
            server_groups.settled_on(session, first, "b", "a")
        assert self._hosts(api_db, group) == {"a": 2, "b": 1}
        assert not self._settle(api_db, group, {third: "a"})
        with api_db.writer() as session:
            mappings.queue_for_delete(session, first)
        assert self._settle(api_db, group, {third: "a"})

    def test_nobody_joins_a_group_kept_together_that_may_go_back(self, api_db: Database) -> None:
        group, first, second = self._group(api_db, "affinity", 2)
        assert self._settle(api_db, group, {first: "a"})
        with api_db.writer() as session:
            server_groups.settled_on(session, first, "b", "a")
        assert not self._settle(api_db, group, {second: "a"})
        assert not self._settle(api_db, group, {second: "b"})
        with api_db.writer() as session:
            server_groups.settled_on(session, first, "b")
        assert self._settle(api_db, group, {second: "b"})

    def _hosts(self, api_db: Database, group: str) -> dict[str, int]:
        with api_db.reader() as session:
            found = server_groups.company(session, group)
        assert found is not None
        return dict(found.hosts)

    def _group(self, api_db: Database, policy: str, members: int, **rules: int) -> list[str]:
        """Return the UUID of a new group and those of its members."""
        group = ServerGroup(new_uuid(), new_uuid(), "alice", "g", policy, rules, NOON)
        uuids = sorted(new_uuid() for _ in range(members))
        with api_db.writer() as session:
            server_groups.add(session, group)
            for uuid in uuids:
                mappings.add_instance(
                    session, uuid, project_id=group.project_id, user_id="alice", vcpus=1, ram_mib=1
                )  # fmt: skip
            session.flush()
            server_groups.add_members(session, group.uuid, uuids)
        with api_db.reader() as session:
            assert mappings.instance(session, uuids[0]).group == group.uuid
        return [group.uuid, *uuids]

    def _settle(self, api_db: Database, group: str, places: dict[str, str]) -> bool:
        with api_db.writer() as session:
            return server_groups.settle(session, group, {uuid: [host] for uuid, host in places.items()}).is_settled


class FailedDeleteSuite:
    """Servers that a failed deletion left in their cell."""

    def test_what_a_failed_deletion_left_is_found(self, cell_db: Database) -> None:
        left = self._server(cell_db)
        for _ in range(2):
            self._ended(cell_db, left, "delete", Status.FAILED)
        at_work = self._server(cell_db, task_state=TaskState.DELETING)
        gone, stopped, deleting = (self._server(cell_db) for _ in range(3))
        self._ended(cell_db, at_work, "delete", Status.FAILED)
        self._ended(cell_db, gone, "delete", Status.FAILED)
        self._ended(cell_db, stopped, "stop", Status.FAILED)
        self._ended(cell_db, deleting, "delete", Status.RUNNING)
        with cell_db.writer() as session:
            instances.mark_deleted(session, gone)
        with cell_db.reader() as session:
            assert failed_deletes.in_cell(session, [left, at_work, gone, stopped, deleting, new_uuid()]) == [left]
            assert left in failed_deletes.in_cell(session)

    def test_a_server_counts_again(self, api_db: Database) -> None:
        project = new_uuid()
        left, counted = new_uuid(), new_uuid()
        with api_db.writer() as session:
            for uuid in (left, counted):
                mappings.add_instance(session, uuid, project_id=project, user_id="alice", vcpus=1, ram_mib=1)
            mappings.queue_for_delete(session, left)
        with api_db.writer() as session:
            assert failed_deletes.uncounted(session, [left, counted, new_uuid()]) == [left]
            assert failed_deletes.uncounted(session, [left], for_update=True) == [left]
            failed_deletes.count_again(session, left)
            assert mappings.usage(session, project)[0] == 2

    def _server(self, db: Database, task_state: TaskState | None = None) -> str:
        instance = make_instance(vm_state=VmState.ERROR, task_state=task_state)
        with db.writer() as session:
            instances.add(session, instance)
        return instance.uuid

    def _ended(self, db: Database, subject: str, kind: str, status: Status) -> None:
        workflow = replace(make_workflow(), subject=subject, kind=kind)
        with db.writer() as session:
            workflows.add(session, CellWorkflowRow, workflow, timeout_s=60)
            session.execute(sa.update(CellWorkflowRow).filter_by(uuid=workflow.uuid).values(status=status))
