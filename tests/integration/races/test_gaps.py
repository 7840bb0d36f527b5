"""Numbers of the change log that are committed late, or never: no worker may miss what they stand for.

Changes under way are held open here in the database itself, by connections of the test.
"""

import contextlib
import threading
from collections.abc import Iterator
from functools import partial

import pytest
import sqlalchemy as sa

from nova_lite.placement import reader as readers
from nova_lite.placement.reader import Reader
from nova_lite.placement.repositories.changes import Kind
from nova_lite.storage import Database
from tests.integration.races.client import Client, at_once
from tests.integration.races.cloud import inventory_body, provider
from tests.integration.races.conftest import Size, Stage
from tests.integration.races.writes import KINDS
from tests.integration.stack.processes import wait_until

#: MariaDB shows its transactions as they were until nobody has asked for 0.1 s.
_TRX_PAUSE_S = 0.3


class _Open:
    """A transaction that gives a provider another total and has noted that, as a writer that is slow to commit."""

    def __init__(self, connection: sa.Connection, uuid: str, total: int) -> None:
        self._connection = connection
        where = {"uuid": uuid, "total": total, "kind": int(Kind.PROVIDER)}
        where["id"] = connection.scalar(sa.text("SELECT id FROM resource_providers WHERE uuid = :uuid"), where)
        for statement in (
            "UPDATE resource_providers SET generation = generation + 1 WHERE id = :id",
            "UPDATE inventories SET total = :total WHERE provider_id = :id",
            "INSERT INTO changes (provider_id, kind) VALUES (:id, :kind)",
        ):
            connection.execute(sa.text(statement), where)

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()


@contextlib.contextmanager
def _change_under_way(stage: Stage, uuid: str, total: int) -> Iterator[_Open]:
    with stage.truth.plain_connection() as connection:
        yield _Open(connection, uuid, total)


def _note_much(stage: Stage, count: int) -> None:
    """Note ``count`` changes of nothing, committed."""
    with stage.truth.connection() as connection:
        rows = [{"kind": int(Kind.NOTHING)}] * count
        connection.execute(sa.text("INSERT INTO changes (provider_id, kind) VALUES (0, :kind)"), rows)


@pytest.fixture
def reader(stage: Stage) -> Iterator[Reader]:
    """A worker's reader, in this process."""
    database = Database(stage.url)
    yield Reader(database)
    database.close()


def _total(reader: Reader, uuid: str) -> int:
    with reader.current() as world:
        found = world.snapshot.by_uuid(uuid)
        assert found is not None
        return found.inventories["VCPU"].total


def test_changes_committed_in_another_order_than_they_were_numbered_are_not_missed(
    client: Client, stage: Stage, size: Size
) -> None:
    late = [provider(client, {"VCPU": 1}) for _ in range(6)]
    other = provider(client, {"VCPU": 1})
    totals = dict.fromkeys([*late, other], 1)
    known = 1

    def everyone_shows_the_truth() -> None:
        for at in range(3):
            for uuid, total in totals.items():
                shown = client.get(f"/resource_providers/{uuid}/inventories", at=at)["inventories"]["VCPU"]["total"]
                assert shown == total, f"worker {at} shows {shown} of {uuid}"

    for round_number in range(2, 2 + size(2)):
        with contextlib.ExitStack() as rest:
            order = [(uuid, rest.enter_context(_change_under_way(stage, uuid, round_number))) for uuid in late]
            size.random("order", round_number).shuffle(order)
            for number, (uuid, change) in enumerate(order):
                # Younger numbers are committed and seen by everyone while the older ones are open.
                totals[other] += 1
                body = inventory_body({"VCPU": totals[other]}, known)
                answer = client.must("PUT", f"/resource_providers/{other}/inventories", body)
                known = answer.body["resource_provider_generation"]
                everyone_shows_the_truth()
                if number % 3 == 2:
                    change.rollback()
                else:
                    change.commit()
                    totals[uuid] = round_number
                everyone_shows_the_truth()


def test_a_change_that_is_open_holds_up_no_write_of_other_providers(client: Client, stage: Stage, size: Size) -> None:
    """A statement that looks at every row would wait for those another holds, and be told 503 in the end."""
    uuid = provider(client, {"VCPU": 1})

    def tell(kind: str) -> None:
        for writer, write in zip([0, 1, 2] * size(2), KINDS[kind](client), strict=False):
            write(writer)((writer + 1) % 3)

    # Not reshapes: of a table of a few rows MariaDB reads all when it is asked for those of two providers.
    with _change_under_way(stage, uuid, 2):
        at_once([partial(tell, kind) for kind in KINDS if kind != "reshapes"])


def test_a_worker_that_starts_while_an_old_change_is_still_open_does_not_miss_it(
    client: Client, stage: Stage, reader: Reader
) -> None:
    uuid = provider(client, {"VCPU": 1})
    with _change_under_way(stage, uuid, 2) as change:
        _note_much(stage, 3 * readers._WINDOW)
        assert _total(reader, uuid) == 1
        change.commit()
        assert _total(reader, uuid) == 2


def test_a_worker_that_slept_through_many_changes_does_not_miss_one_that_was_open_before(
    client: Client, stage: Stage, reader: Reader
) -> None:
    uuid = provider(client, {"VCPU": 1})
    assert _total(reader, uuid) == 1
    with _change_under_way(stage, uuid, 2) as change:
        _note_much(stage, 10)
        assert _total(reader, uuid) == 1
        _note_much(stage, 2 * readers._MAX_STEP)
        assert _total(reader, uuid) == 1
        change.commit()
        assert _total(reader, uuid) == 2


def test_a_number_that_never_comes_is_given_up_and_one_that_comes_late_is_waited_for(
    client: Client, stage: Stage, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "_GAP_PATIENCE_S", 0.0)
    uuid, other = provider(client, {"VCPU": 1}), provider(client, {"VCPU": 1})
    assert _total(reader, uuid) == 1
    with _change_under_way(stage, uuid, 2) as change, _change_under_way(stage, other, 2) as undone:
        _note_much(stage, 1)
        assert _total(reader, uuid) == 1
        assert reader.gaps == 2
        undone.rollback()
        seen: list[int] = []
        # Whoever gives a number up must wait for the transaction that holds it.
        waiter = threading.Thread(target=lambda: seen.append(_total(reader, uuid)), daemon=True)
        waiter.start()
        wait_until(
            lambda: _waits_for_a_lock(stage),
            "the reader waiting for the open change",
            timeout_s=60,
            interval_s=_TRX_PAUSE_S,
        )
        change.commit()
        waiter.join(timeout=480)
    assert seen == [2]
    assert _total(reader, uuid) == 2
    assert _total(reader, other) == 1
    assert reader.gaps == 0


def _waits_for_a_lock(stage: Stage) -> bool:
    """Return whether some transaction in this database waits for another."""
    with stage.truth.connection() as connection:
        if stage.backend == "postgresql":
            query = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        else:
            query = "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        return bool(connection.scalar(sa.text(query)))
