"""The standard names, put in by several processes at once."""

import threading
from pathlib import Path

import os_resource_classes
import os_traits

from nova_lite.placement.repositories import names, sync
from nova_lite.placement.tables import Base, ResourceClassRow, TraitRow
from nova_lite.storage import Database


def test_many_at_once(tmp_path: Path) -> None:
    databases = [Database(f"sqlite:///{tmp_path / 'placement.db'}") for _ in range(6)]
    Base.metadata.create_all(databases[0].engine)
    failures: list[BaseException] = []

    def run(database: Database) -> None:
        try:
            sync.standard_names(database)
        except Exception as exc:  # noqa: BLE001 - the test is about there being none
            failures.append(exc)

    threads = [threading.Thread(target=run, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(480)
    assert failures == []
    with databases[0].reader() as session:
        assert list(names.load(session, ResourceClassRow)) == list(os_resource_classes.STANDARDS)
        assert set(names.load(session, TraitRow)) == set(os_traits.get_traits())
    for database in databases:
        database.close()
