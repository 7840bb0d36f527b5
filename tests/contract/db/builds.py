"""What is promised of builds in a cell whose hosts are taken back, on any database.

Subclass and give it a fixture ``cell_db``.
"""

import pytest
import sqlalchemy as sa

from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import builds, instances, workflows
from nova_lite.db.repositories.builds import Whereabouts
from nova_lite.model.states import TaskState, VmState
from nova_lite.model.workflow import Status
from nova_lite.storage import Database
from tests.contract.db.factories import make_instance, make_workflow, new_uuid


class BuildSuite:
    """Hosts that a build may come to."""

    def test_alternates_are_taken_back(self, cell_db: Database) -> None:
        server, build = self._building(cell_db)
        with cell_db.writer() as session:
            assert builds.take_back(session, server, ["c", "a", "elsewhere"])
        with cell_db.reader() as session:
            assert builds.selections(session, build) == [{"host": "a"}, {"host": "b"}]
            assert builds.whereabouts(session, [server, new_uuid()]) == {server: Whereabouts("a", ("b",))}

    def test_nothing_is_taken_back_once_a_host_has_failed(self, cell_db: Database) -> None:
        server, build = self._building(cell_db, facts={"failed": [{"host": "a"}]})
        with cell_db.writer() as session:
            assert not builds.take_back(session, server, ["c"])
        with cell_db.reader() as session:
            assert len(builds.selections(session, build)) == 3
            assert builds.whereabouts(session, [server]) == {server: Whereabouts("a", ("b", "c"))}
        with cell_db.writer() as session:
            instances.change(session, server, host="b")
            assert builds.whereabouts(session, [server]) == {server: Whereabouts("b", ("c",))}

    @pytest.mark.parametrize(
        ("task_state", "is_taken"),
        [
            pytest.param(TaskState.SCHEDULING, False, id="not begun: nobody knows what it will begin with"),
            pytest.param(TaskState.DELETING, True, id="being deleted"),
        ],
    )
    def test_a_server_without_a_build(self, cell_db: Database, task_state: TaskState, is_taken: bool) -> None:
        server = make_instance(task_state=task_state)
        with cell_db.writer() as session:
            instances.add(session, server)
            assert builds.take_back(session, server.uuid, ["b"]) is is_taken
            assert builds.whereabouts(session, [server.uuid]) == {}
            assert builds.take_back(session, new_uuid(), ["b"])

    @pytest.mark.parametrize(
        ("vm_state", "task_state", "is_settled"),
        [
            (VmState.ACTIVE, None, True),
            (VmState.ACTIVE, TaskState.POWERING_OFF, True),
            (VmState.RESIZED, None, False),
            (VmState.ACTIVE, TaskState.SPAWNING, False),
        ],
    )
    def test_a_server_that_is_moved_is_nowhere_for_sure(
        self, cell_db: Database, vm_state: VmState, task_state: TaskState | None, is_settled: bool
    ) -> None:
        server = make_instance(host="a", vm_state=vm_state, task_state=task_state)
        with cell_db.writer() as session:
            instances.add(session, server)
            assert builds.take_back(session, server.uuid, ["b"]) is is_settled
            assert (server.uuid in builds.whereabouts(session, [server.uuid])) is is_settled

    @pytest.mark.parametrize("host", ["a", None])
    def test_a_build_that_is_over(self, cell_db: Database, host: str | None) -> None:
        server, build = self._building(cell_db)
        with cell_db.writer() as session:
            vm_state = VmState.ACTIVE if host else VmState.ERROR
            instances.change(session, server, vm_state=vm_state, task_state=None, host=host)
            done = sa.update(CellWorkflowRow).filter_by(uuid=build).values(status=Status.DONE)
            session.execute(done)
            assert builds.take_back(session, server, ["b"])
            assert builds.take_back(session, server, ["a", "b"]) is (host is None)
            assert builds.whereabouts(session, [server]) == {server: Whereabouts(host, None)}

    def _building(self, cell_db: Database, **values: object) -> tuple[str, str]:
        """Return a server and its build, which may come to the hosts a, b and c."""
        server = make_instance(host="a")
        build = make_workflow(
            subject=server.uuid, inputs={"selections": [{"host": host} for host in ("a", "b", "c")]}, **values
        )
        with cell_db.writer() as session:
            instances.add(session, server)
            workflows.add(session, CellWorkflowRow, build, timeout_s=60.0)
        return server.uuid, build.uuid
