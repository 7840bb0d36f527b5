"""Races on real servers: who wins is settled by the database, the same on each."""

import time
import uuid as uuids
from collections.abc import Callable

import pytest

from nova_lite import errors
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import hosts, instances, mappings, quotas, workflows
from nova_lite.model.states import TaskState
from nova_lite.model.workflow import Status, Workflow
from nova_lite.placement.model import ANY_GENERATION, Claim, Inventory
from nova_lite.placement.repositories import belongings, claims, holdings, providers
from nova_lite.storage import Database, retried
from tests.integration.databases import PROJECT, an_instance, api_db, at_once, cell_db, filled, make, placement_db

__all__ = ["api_db", "cell_db", "filled", "make", "placement_db"]


def test_an_instance_is_changed_only_by_who_knows_its_task(cell_db: Database) -> None:
    instance = an_instance()
    with cell_db.writer() as session:
        instances.add(session, instance)

    def stop(_: int) -> None:
        with cell_db.writer() as session:
            instances.change(session, instance.uuid, expect_task=None, task_state=TaskState.POWERING_OFF)

    with cell_db.writer() as session:
        instances.change(session, instance.uuid, expect_task=instance.task_state, task_state=None)
    results = at_once(8, stop)
    assert results.count(None) == 1
    assert sum(isinstance(result, errors.Conflict) for result in results) == 7


# -- races ------------------------------------------------------------------------------------------------------------


def test_a_project_never_gets_more_than_its_quota(api_db: Database) -> None:
    quota = 10

    @retried
    def boot(number: int) -> bool:
        with api_db.writer() as session:
            quotas.lock(session, PROJECT)
            if mappings.usage(session, PROJECT)[0] >= quota:
                return False
            uuid = str(uuids.uuid4())
            mappings.add_instance(session, uuid, project_id=PROJECT, user_id="u", vcpus=2, ram_mib=512)
        return True

    results = at_once(30, boot)
    assert (results.count(True), results.count(False)) == (10, 20), results
    with api_db.reader() as session:
        assert mappings.usage(session, PROJECT) == (10, 20, 5120)


def test_a_service_that_reports_from_two_threads_is_one_service(cell_db: Database) -> None:
    @retried
    def beat(_: int) -> None:
        with cell_db.writer() as session:
            hosts.beat(session, "host1", "nova-compute")

    beat(0)
    assert at_once(8, beat) == [None] * 8
    with cell_db.reader() as session:
        found = hosts.services(session, down_after_s=60)
    assert [(service.host, service.is_up) for service in found] == [("host1", True)]


def test_one_conductor_gets_a_workflow_and_another_takes_it_over(cell_db: Database) -> None:
    workflow = Workflow(
        uuid=str(uuids.uuid4()),
        kind="build",
        subject=str(uuids.uuid4()),
        project_id=PROJECT,
        user_id="u",
        request_id="req-1",
        inputs={"alternates": ["h1", "h2"]},
        deadline=0.0,
    )
    with cell_db.writer() as session:
        workflows.add(session, CellWorkflowRow, workflow, timeout_s=60)

    def claim(number: int, lease_s: float) -> bool:
        with cell_db.writer() as session:
            return (
                workflows.claim(session, CellWorkflowRow, workflow.uuid, owner=f"c{number}", lease_s=lease_s)
                is not None
            )

    won = at_once(12, retried(lambda number: claim(number, 60)))
    assert won.count(True) == 1, won
    winner = f"c{won.index(True)}"
    with cell_db.writer() as session:
        workflows.renew(session, CellWorkflowRow, winner, [workflow.uuid], lease_s=0.1)

    deadline = time.monotonic() + 480
    while not claim(99, 60):
        assert time.monotonic() < deadline, "the lease never ran out"
        time.sleep(0.02)

    with cell_db.writer() as session:
        assert not workflows.record(session, CellWorkflowRow, workflow.uuid, winner, expect_step=0, step=5)
        assert workflows.record(
            session, CellWorkflowRow, workflow.uuid, "c99", expect_step=0, status=Status.DONE, step=1
        )
    with cell_db.reader() as session:
        found = workflows.get(session, CellWorkflowRow, workflow.uuid)
    assert found is not None
    assert (found.status, found.step, found.attempt, found.inputs) == (Status.DONE, 1, 2, {"alternates": ["h1", "h2"]})


# -- Placement --------------------------------------------------------------------------------------------------------


def add_provider(database: Database, name: str, **inventories: Inventory) -> str:
    """Make a provider with inventories and return its UUID."""
    uuid = str(uuids.uuid4())
    with database.writer() as session:
        providers.create(session, uuid, name, None)
    with database.writer() as session:
        belongings.set_inventories(session, uuid, inventories, 0, only=True)
    return uuid


def used(database: Database, uuid: str) -> dict[str, int]:
    """Return what is used of each class of a provider."""
    with database.reader() as session:
        return {name: inventory.used for name, inventory in providers.get(session, uuid).inventories.items()}


def claimer(database: Database, allocations: Callable[[int], dict[str, dict[str, int]]]) -> Callable[[int], str]:
    """Return a function that claims for a new consumer, again when the database rolled it back."""

    @retried
    def claim(number: int) -> str:
        consumer = str(uuids.uuid4())
        with database.writer() as session:
            claims.replace(session, [Claim(consumer, allocations(number), PROJECT, "u", None)])
        return consumer

    return claim


def test_many_claimers_of_one_provider_fill_it_exactly(placement_db: Database) -> None:
    host = add_provider(placement_db, "hot", VCPU=Inventory(50), MEMORY_MB=Inventory(100 * 64))
    claim = claimer(placement_db, lambda _: {host: {"VCPU": 2, "MEMORY_MB": 64}})

    results = at_once(40, claim)

    assert sum(isinstance(result, str) for result in results) == 25, results
    refused = [result for result in results if isinstance(result, errors.Conflict)]
    assert len(refused) == 15
    assert all("exceed the capacity" in str(refusal) for refusal in refused)
    assert used(placement_db, host) == {"VCPU": 50, "MEMORY_MB": 25 * 64}


def test_claims_over_several_providers_do_not_lock_each_other_out(placement_db: Database) -> None:
    hosts_ = [add_provider(placement_db, f"h{number}", VCPU=Inventory(1000)) for number in range(4)]

    def allocations(number: int) -> dict[str, dict[str, int]]:
        order = hosts_ if number % 2 else hosts_[::-1]
        return {uuid: {"VCPU": 1} for uuid in order}

    results = at_once(24, claimer(placement_db, allocations))

    assert all(isinstance(result, str) for result in results), results
    assert [used(placement_db, uuid) for uuid in hosts_] == [{"VCPU": 24}] * 4
    for consumer in results:
        with placement_db.writer() as session:
            claims.remove(session, str(consumer))
    assert [used(placement_db, uuid) for uuid in hosts_] == [{"VCPU": 0}] * 4


def test_a_refused_claim_of_two_consumers_changes_neither(placement_db: Database) -> None:
    """Handing a claim over and claiming anew are one: when the new one finds no room, the old one stays."""
    source = add_provider(placement_db, "source", VCPU=Inventory(4))
    full = add_provider(placement_db, "full", VCPU=Inventory(1))
    instance = claimer(placement_db, lambda _: {source: {"VCPU": 2}})(0)
    migration = str(uuids.uuid4())

    handed = Claim(migration, {source: {"VCPU": 2}}, PROJECT, "u", ANY_GENERATION)
    moved = Claim(instance, {full: {"VCPU": 2}}, PROJECT, "u", ANY_GENERATION)
    with pytest.raises(errors.Conflict), placement_db.writer() as session:
        claims.replace(session, [handed, moved])

    assert (used(placement_db, source), used(placement_db, full)) == ({"VCPU": 2}, {"VCPU": 0})
    with placement_db.reader() as session:
        assert holdings.holding(session, migration) is None
        held = holdings.holding(session, instance)
    assert held is not None
    assert held.allocations == {source: {"VCPU": 2}}


def test_provider_names_differ_by_case(placement_db: Database) -> None:
    add_provider(placement_db, "Host", VCPU=Inventory(1))
    add_provider(placement_db, "host", VCPU=Inventory(1))
    with pytest.raises(errors.Conflict):
        add_provider(placement_db, "host", VCPU=Inventory(1))
