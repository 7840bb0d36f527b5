"""What the repository of migrations promises, on any database. Subclass and give it a fixture ``cell_db``."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

from nova_lite.db.repositories import migrations
from nova_lite.db.repositories.migrations import MigrationQuery
from nova_lite.model.migration import Migration, MigrationKind, Progress
from nova_lite.storage import Database
from tests.contract.db.factories import new_uuid
from tests.functional.compute_api.factories import NOON, make_instance, make_migration


class MigrationSuite:
    """Migrations: what is recorded comes back, newest first, page by page."""

    def test_one_recorded_comes_back(self, cell_db: Database) -> None:
        progress = Progress(memory_total=1 << 42, memory_processed=0, disk_remaining=1 << 40)
        whole = self._add(cell_db, progress=progress, updated_at=NOON + timedelta(microseconds=7))
        bare = self._add(cell_db, dest=None, dest_ip=None, old_flavor_number=None, new_flavor_number=None)
        with cell_db.reader() as session:
            for made in (whole, bare):
                found = migrations.get(session, made.uuid)
                assert found is not None
                assert found == replace(made, number=found.number)
            assert migrations.get(session, new_uuid()) is None

    def test_pages_are_newest_first(self, cell_db: Database) -> None:
        dice = random.Random(5)
        made = [self._add(cell_db, created_at=NOON + timedelta(microseconds=dice.randrange(3))) for _ in range(20)]
        self._add(cell_db, is_hidden=True)
        numbered = {each.uuid: number for number, each in enumerate(made)}
        expected = sorted(made, key=lambda each: (each.created_at, numbered[each.uuid]), reverse=True)
        found: list[str] = []
        after = None
        for _ in range(5):
            page = self._page(cell_db, after=after, limit=4)
            found += [each.uuid for _, each in page]
            after = page[-1][0]
        assert found == [each.uuid for each in expected]
        assert self._page(cell_db, after=after, limit=4) == []
        assert [each.uuid for _, each in self._page(cell_db)] == found

    def test_keys_of_other_cells_fall_between(self, cell_db: Database) -> None:
        """A page begins behind a migration of another cell, of the same time and number."""
        self._add(cell_db)
        [(key, here)] = self._page(cell_db)
        created_at, number, _ = key
        below, above = "0" * 36, "f" * 36
        assert [each for _, each in self._page(cell_db, after=(created_at, number, below))] == [here]
        assert self._page(cell_db, after=(created_at, number, above)) == []
        assert self._page(cell_db, after=(created_at, number - 1, below)) == []

    def test_live_ones_under_way(self, cell_db: Database) -> None:
        server = make_instance()
        with cell_db.writer() as session:
            for status in ("queued", "preparing", "running", "post-migrating", "completed", "error"):
                migrations.add(session, make_migration(server, status=status))
            migrations.add(session, make_migration(server, kind=MigrationKind.COLD, status="running"))
        with cell_db.reader() as session:
            found = migrations.live_in_progress(session, server.uuid)
        assert [each.status for each in found] == ["queued", "preparing", "running", "post-migrating"]
        assert all(each.is_live_in_progress for each in found)

    @staticmethod
    def _add(cell_db: Database, **values: Any) -> Migration:
        migration = make_migration(make_instance(), **values)
        with cell_db.writer() as session:
            migrations.add(session, migration)
        return migration

    @staticmethod
    def _page(cell_db: Database, after: Any = None, limit: int | None = None) -> list[Any]:
        with cell_db.reader() as session:
            return migrations.page(session, MigrationQuery(), after=after, limit=limit)
