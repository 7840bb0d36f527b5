"""What workflow records promise, on any database. Subclass and give it fixtures ``api_db`` and ``cell_db``."""

import pytest
import sqlalchemy as sa

from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import workflows
from nova_lite.db.repositories.workflows import Row
from nova_lite.model.workflow import Status, Workflow
from nova_lite.storage import Database
from tests.contract.db.factories import make_workflow, new_uuid

Kept = tuple[Database, Row]


class WorkflowSuite:
    """Leases, progress and ends, in the API database and in a cell's."""

    @pytest.fixture(params=["api", "cell"])
    def kept(self, request: pytest.FixtureRequest, api_db: Database, cell_db: Database) -> Kept:
        return (api_db, ApiWorkflowRow) if request.param == "api" else (cell_db, CellWorkflowRow)

    def test_one_added_comes_back(self, kept: Kept) -> None:
        workflow = self._add(kept)
        found = self._get(kept, workflow)
        assert (found.kind, found.subject, found.inputs) == ("create", workflow.subject, workflow.inputs)
        assert found.facts == {}
        assert (found.status, found.step, found.attempt, found.lease_owner) == (Status.PENDING, 0, 0, None)

    def test_there_is_one_of_each(self, kept: Kept) -> None:
        workflow = self._add(kept)
        assert self._claim(kept, workflow, "one")
        db, row = kept
        with pytest.raises(sa.exc.IntegrityError), db.writer() as session:
            workflows.add(session, row, workflow, timeout_s=600)
        assert self._get(kept, workflow).lease_owner == "one"

    def test_those_of_one_transaction_are_added_together_or_not_at_all(self, kept: Kept) -> None:
        there = self._add(kept)
        others = [make_workflow(), make_workflow()]
        db, row = kept

        def add(*added: Workflow) -> None:
            with db.writer() as session:
                for each in added:
                    workflows.add(session, row, each, timeout_s=600)

        with pytest.raises(sa.exc.IntegrityError):
            add(others[0], there, others[1])
        with db.reader() as session:
            assert [workflows.get(session, row, each.uuid) for each in others] == [None, None]
        add(*others)
        assert all(self._get(kept, each) for each in others)

    def test_a_lease_is_one_conductors_until_it_runs_out(self, kept: Kept) -> None:
        workflow = self._add(kept)
        assert self._claim(kept, workflow, "one", lease_s=60)
        assert not self._claim(kept, workflow, "two")
        assert not self._claim(kept, workflow, "one")
        self._renew(kept, "one", workflow, lease_s=-1)
        assert self._claim(kept, workflow, "two")
        assert self._get(kept, workflow).attempt == 2

    def test_the_deadline_counts_from_the_databases_clock(self, kept: Kept) -> None:
        db, row = kept
        workflow = self._add(kept, timeout_s=100)
        with db.writer() as session:
            claimed = workflows.claim(session, row, workflow.uuid, owner="one", lease_s=60)
        assert claimed is not None
        assert 90 < claimed[1] <= 100

    def test_only_the_lease_holder_records_and_only_from_where_it_stands(self, kept: Kept) -> None:
        workflow = self._add(kept)
        self._claim(kept, workflow, "one")
        assert not self._record(kept, workflow, "two", expect_step=0, step=1)
        assert not self._record(kept, workflow, "one", expect_step=1, step=2)
        assert self._record(kept, workflow, "one", expect_step=0, step=1, facts={"a": [1, {"b": None}]})
        assert not self._record(kept, workflow, "one", expect_step=0, step=1)
        found = self._get(kept, workflow)
        assert (found.step, found.facts) == (1, {"a": [1, {"b": None}]})

    @pytest.mark.parametrize("status", [Status.DONE, Status.FAILED, Status.SUPERSEDED])
    def test_what_has_ended_stays_as_it_is(self, kept: Kept, status: Status) -> None:
        workflow = self._add(kept)
        self._claim(kept, workflow, "one")
        assert self._record(kept, workflow, "one", expect_step=0, status=status)
        assert not self._record(kept, workflow, "one", expect_step=0, status=Status.RUNNING)
        db, row = kept
        with db.writer() as session:
            workflows.park(session, row, workflow.uuid, "one", delay_s=-1)
            workflows.supersede(session, row, workflow.subject)
        assert not self._claim(kept, workflow, "two")
        assert self._get(kept, workflow).status is status

    def test_only_leases_of_what_runs_are_renewed(self, kept: Kept) -> None:
        running, ended, others = (self._add(kept) for _ in range(3))
        for workflow in (running, ended):
            self._claim(kept, workflow, "one", lease_s=-1)
        self._claim(kept, others, "two", lease_s=-1)
        self._renew(kept, "one", running, others, lease_s=60)
        assert self._claimable(kept) >= {ended.uuid, others.uuid}
        assert running.uuid not in self._claimable(kept)
        assert self._holds(kept, running, "one")
        assert not self._holds(kept, ended, "one")
        assert not self._holds(kept, others, "one")

    def test_a_parked_one_waits_for_its_time(self, kept: Kept) -> None:
        db, row = kept
        workflow = self._add(kept)
        self._claim(kept, workflow, "o" * 64)
        with db.writer() as session:
            workflows.park(session, row, workflow.uuid, "another", delay_s=-1)
        assert self._holds(kept, workflow, "o" * 64)
        with db.writer() as session:
            workflows.park(session, row, workflow.uuid, "o" * 64, delay_s=60)
        assert not self._holds(kept, workflow, "o" * 64)
        assert not self._claim(kept, workflow, "two")
        assert workflow.uuid not in self._claimable(kept)

    def test_scans_find_the_oldest_that_nobody_runs(self, kept: Kept) -> None:
        db, row = kept
        made = [self._add(kept) for _ in range(4)]
        assert not self._claimable(kept) & {workflow.uuid for workflow in made}  # left to whoever is nudged
        for workflow in made:
            self._claim(kept, workflow, "dead", lease_s=-1)
        with db.reader() as session:
            assert workflows.claimable(session, row, limit=2) == [workflow.uuid for workflow in made[:2]]

    def test_superseding_closes_all_about_a_server(self, kept: Kept) -> None:
        db, row = kept
        subject = new_uuid()
        old, new, other = self._add(kept, subject=subject), self._add(kept, subject=subject), self._add(kept)
        self._claim(kept, old, "one")
        with db.reader() as session:
            assert workflows.subjects_at_work(session, row, [subject, other.subject, new_uuid()]) == {
                subject,
                other.subject,
            }
        with db.writer() as session:
            workflows.supersede(session, row, subject)
        assert [self._get(kept, one).status for one in (old, new, other)] == [
            Status.SUPERSEDED,
            Status.SUPERSEDED,
            Status.PENDING,
        ]
        assert not self._record(kept, old, "one", expect_step=0, step=1)
        with db.reader() as session:
            assert [found.uuid for found in workflows.about(session, row, subject)] == [new.uuid, old.uuid]

    def test_what_is_not_there_is_none(self, kept: Kept) -> None:
        db, row = kept
        with db.reader() as session:
            assert workflows.get(session, row, new_uuid()) is None
        assert not self._claim(kept, make_workflow(), "one")

    # -- short hands ------------------------------------------------------------------------------------------------

    def _add(self, kept: Kept, timeout_s: float = 600, **values: object) -> Workflow:
        db, row = kept
        workflow = make_workflow(**values)
        with db.writer() as session:
            workflows.add(session, row, workflow, timeout_s=timeout_s)
        return workflow

    def _get(self, kept: Kept, workflow: Workflow) -> Workflow:
        db, row = kept
        with db.reader() as session:
            found = workflows.get(session, row, workflow.uuid)
        assert found is not None
        return found

    def _claim(self, kept: Kept, workflow: Workflow, owner: str, lease_s: float = 60) -> bool:
        db, row = kept
        with db.writer() as session:
            return workflows.claim(session, row, workflow.uuid, owner=owner, lease_s=lease_s) is not None

    def _record(self, kept: Kept, workflow: Workflow, owner: str, *, expect_step: int, **values: object) -> bool:
        db, row = kept
        with db.writer() as session:
            return workflows.record(session, row, workflow.uuid, owner, expect_step=expect_step, **values)

    def _renew(self, kept: Kept, owner: str, *running: Workflow, lease_s: float) -> None:
        db, row = kept
        with db.writer() as session:
            workflows.renew(session, row, owner, [workflow.uuid for workflow in running], lease_s=lease_s)

    def _holds(self, kept: Kept, workflow: Workflow, owner: str) -> bool:
        db, row = kept
        with db.reader() as session:
            return workflows.holds(session, row, workflow.uuid, owner)

    def _claimable(self, kept: Kept) -> set[str]:
        db, row = kept
        with db.reader() as session:
            return set(workflows.claimable(session, row, limit=1000))
