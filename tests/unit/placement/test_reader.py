"""The reader sees everything committed, also what commits late, out of order, or after it slept for long."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from nova_lite.placement import reader as reader_module
from nova_lite.placement.model import Inventory
from nova_lite.placement.reader import Reader
from nova_lite.placement.repositories import belongings, changes, names, providers
from nova_lite.placement.repositories.changes import Kind
from nova_lite.placement.tables import Base, ChangeRow, ProviderRow, ResourceClassRow
from nova_lite.storage import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'placement.db'}")
    Base.metadata.create_all(opened.engine)
    with opened.writer() as session:
        names.add(session, ResourceClassRow, "VCPU")
    yield opened
    opened.close()


def add_host(database: Database, name: str) -> str:
    chosen = str(uuid.uuid4())
    with database.writer() as session:
        providers.create(session, chosen, name, None)
    return chosen


def seen(reader: Reader) -> set[str]:
    with reader.current() as world:
        return {provider.name for provider in world.snapshot.providers(world.snapshot.everybody())}


def provider_id(database: Database, name: str) -> int:
    with database.reader() as session:
        return int(session.execute(sa.select(ProviderRow.id).where(ProviderRow.name == name)).scalar_one())


def rename_silently(database: Database, old: str, new: str) -> int:
    """Rename without a log entry, as a writer has that is still to commit its entry; return the provider's id."""
    with database.writer() as session:
        session.execute(sa.update(ProviderRow).where(ProviderRow.name == old).values(name=new))
    return provider_id(database, new)


def log(database: Database, seq: int, changed: int) -> None:
    with database.writer() as session:
        session.execute(sa.insert(ChangeRow).values(seq=seq, provider_id=changed, kind=int(Kind.PROVIDER)))


def test_follows_changes(database: Database) -> None:
    reader = Reader(database)
    assert seen(reader) == set()
    host = add_host(database, "host")
    assert seen(reader) == {"host"}
    with database.writer() as session:
        belongings.set_inventories(session, host, {"VCPU": Inventory(4)}, 0, only=True)
    with reader.current() as world:
        assert world.snapshot.fits("VCPU", 4).any()
        assert not world.snapshot.fits("VCPU", 5).any()
    with database.writer() as session:
        providers.delete(session, host)
    assert seen(reader) == set()


def test_number_that_commits_late_is_asked_for_again(database: Database) -> None:
    reader = Reader(database)
    add_host(database, "slow")
    add_host(database, "fast")
    assert seen(reader) == {"slow", "fast"}
    changed = rename_silently(database, "slow", "late")
    # Another writer's higher number is committed first.
    log(database, 9, provider_id(database, "fast"))
    assert seen(reader) == {"slow", "fast"}
    log(database, 8, changed)
    assert seen(reader) == {"late", "fast"}


def test_number_missing_from_a_fresh_snapshot_is_asked_for_again(database: Database) -> None:
    add_host(database, "slow")
    log(database, 9, provider_id(database, "slow"))
    reader = Reader(database)
    assert seen(reader) == {"slow"}
    changed = rename_silently(database, "slow", "late")
    assert seen(reader) == {"slow"}
    log(database, 7, changed)
    assert seen(reader) == {"late"}


def test_number_that_never_commits_is_settled(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(database)
    add_host(database, "host")
    log(database, 6, provider_id(database, "host"))
    assert seen(reader) == {"host"}
    monkeypatch.setattr(reader_module, "_GAP_PATIENCE_S", -1.0)
    assert seen(reader) == {"host"}
    with database.reader() as session:
        assert changes.recent(session, 100) == list(range(1, 7))


def test_reader_that_slept_through_the_log_reads_everything(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Reader(database)
    add_host(database, "first")
    assert seen(reader) == {"first"}
    monkeypatch.setattr(changes, "KEPT", 2)
    monkeypatch.setattr(changes, "_PRUNE_EVERY", 1)
    for number in range(6):
        add_host(database, f"host-{number}")
    with database.reader() as session:
        assert len(changes.recent(session, 100)) <= 3
    assert seen(reader) == {"first", *(f"host-{number}" for number in range(6))}
