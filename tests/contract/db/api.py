"""What the API database's repositories promise, on any database. Subclass and give it a fixture ``api_db``."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db.api_tables import RequestSpecRow
from nova_lite.db.repositories import build_requests, mappings
from nova_lite.model.host import CELL0_UUID, Cell
from nova_lite.model.instance import Instance
from nova_lite.storage import Database
from tests.contract.db.factories import SPEC, make_instance, new_uuid


class MappingSuite:
    """What lives where, and servers that live nowhere yet."""

    def test_cells_come_back_cell0_first(self, api_db: Database) -> None:
        made = [self._cell(api_db, name) for name in ("a", "b")]
        with api_db.writer() as session:
            mappings.add_cell(session, Cell(CELL0_UUID, "cell0", "none:///", "sqlite://"))
        with api_db.reader() as session:
            assert [cell.uuid for cell in mappings.cells(session)] == [CELL0_UUID, *(cell.uuid for cell in made)]
            assert mappings.cell(session, made[1].uuid) == made[1]
            with pytest.raises(errors.NotFound):
                mappings.cell(session, new_uuid())

    def test_a_host_is_mapped_once(self, api_db: Database) -> None:
        a, b = self._cell(api_db, "a"), self._cell(api_db, "b")
        with api_db.writer() as session:
            mappings.add_host(session, "host1", a.uuid)
            mappings.add_host(session, "host2", b.uuid)
        with pytest.raises(sa.exc.IntegrityError), api_db.writer() as session:
            mappings.add_host(session, "host1", b.uuid)
        with api_db.reader() as session:
            assert mappings.hosts(session) == {"host1": a.uuid, "host2": b.uuid}
            assert mappings.hosts(session, b.uuid) == {"host2": b.uuid}

    def test_a_server_settles_in_one_cell(self, api_db: Database) -> None:
        a, b = self._cell(api_db, "a"), self._cell(api_db, "b")
        instance = self._accept(api_db)
        with api_db.writer() as session:
            assert mappings.instance(session, instance.uuid).cell_uuid is None
            assert mappings.settle(session, instance.uuid, a.uuid)
            assert mappings.settle(session, instance.uuid, a.uuid)
            assert not mappings.settle(session, instance.uuid, b.uuid)
        with api_db.reader() as session:
            assert mappings.instance(session, instance.uuid).cell_uuid == a.uuid
            assert build_requests.get(session, instance.uuid) is None
            assert mappings.unborn(session, [instance.uuid]) == []

    def test_a_server_deleted_unborn_does_not_settle(self, api_db: Database) -> None:
        cell, instance = self._cell(api_db, "a"), self._accept(api_db)
        with api_db.writer() as session:
            assert build_requests.drop(session, instance.uuid)
            mappings.queue_for_delete(session, instance.uuid)
        with api_db.writer() as session:
            assert not build_requests.drop(session, instance.uuid)
            assert not mappings.settle(session, instance.uuid, cell.uuid)
            assert mappings.unborn(session, [instance.uuid, new_uuid()]) == [instance.uuid]
            mappings.remove_instances(session, [instance.uuid])
        with api_db.reader() as session:
            with pytest.raises(errors.NotFound):
                mappings.instance(session, instance.uuid)
            assert session.get(RequestSpecRow, instance.uuid) is None

    def test_what_counts_for_quota(self, api_db: Database) -> None:
        project = new_uuid()
        kept, gone = (self._accept(api_db, project_id=project) for _ in range(2))
        self._accept(api_db, project_id=project, user_id="bob")
        self._accept(api_db)
        with api_db.writer() as session:
            mappings.queue_for_delete(session, gone.uuid)
        with api_db.reader() as session:
            assert mappings.usage(session, project) == (2, 4, 1024)
            assert mappings.usage(session, project, kept.user_id) == (1, 2, 512)
            assert mappings.usage(session, new_uuid()) == (0, 0, 0)

    def _cell(self, db: Database, name: str) -> Cell:
        cell = Cell(new_uuid(), name, f"rabbit://{name}", f"mysql://{name}")
        with db.writer() as session:
            mappings.add_cell(session, cell)
        return cell

    def _accept(self, db: Database, **values: object) -> Instance:
        instance = make_instance(host=None, node=None, **values)
        flavor = instance.flavor
        with db.writer() as session:
            mappings.add_instance(
                session,
                instance.uuid,
                project_id=instance.project_id,
                user_id=instance.user_id,
                vcpus=flavor.vcpus,
                ram_mib=flavor.ram_mib,
            )
            build_requests.add(session, [instance], SPEC)
        return instance


class BuildRequestSuite:
    """Servers accepted but not yet in a cell."""

    def test_one_comes_back_with_what_was_asked(self, api_db: Database) -> None:
        instance = self._add(api_db, display_name="ä🙂", metadata={"a": "b"})
        with api_db.reader() as session:
            assert build_requests.get(session, instance.uuid) == instance
            assert build_requests.get(session, new_uuid()) is None
            assert build_requests.spec(session, instance.uuid) == SPEC
            assert build_requests.spec(session, new_uuid()) is None
            assert build_requests.hints_of(session, [instance.uuid, new_uuid()]) == {instance.uuid: {"group": "g"}}

    def test_lists_are_newest_first_and_by_project(self, api_db: Database) -> None:
        project = new_uuid()
        made = [self._add(api_db, project_id=project) for _ in range(3)]
        other = self._add(api_db, project_id=new_uuid())
        with api_db.reader() as session:
            assert [one.uuid for one in build_requests.of(session, project)] == [one.uuid for one in made[::-1]]
            assert other.uuid in {one.uuid for one in build_requests.of(session, None)}

    def test_changes_hold_while_it_waits(self, api_db: Database) -> None:
        instance = self._add(api_db)
        renamed = replace(instance, display_name="new")
        with api_db.writer() as session:
            assert build_requests.rename(session, renamed)
            build_requests.pin(session, instance.uuid, "zone1")
        with api_db.writer() as session:
            assert build_requests.get(session, instance.uuid, for_update=True) == renamed
            spec = build_requests.spec(session, instance.uuid)
            assert spec is not None
            assert spec.availability_zone == "zone1"
            assert build_requests.drop(session, instance.uuid)
            assert not build_requests.rename(session, renamed)

    def test_who_waits(self, api_db: Database) -> None:
        instance, gone = self._add(api_db), self._add(api_db)
        with api_db.writer() as session:
            build_requests.drop(session, gone.uuid)
        with api_db.reader() as session:
            assert build_requests.waiting(session, [instance.uuid, gone.uuid, new_uuid()]) == {instance.uuid}

    def _add(self, db: Database, **values: object) -> Instance:
        instance = make_instance(host=None, node=None, **values)
        with db.writer() as session:
            build_requests.add(session, [instance], SPEC)
        return instance
