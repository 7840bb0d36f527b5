"""Migrations of every cell, newest first."""

import functools
from dataclasses import dataclass

from oslo_config import cfg

from nova_lite.api.policies import migrations as rules
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.listing import Key, Listing, Wanted
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.db.repositories import migrations
from nova_lite.db.repositories.migrations import MigrationQuery
from nova_lite.errors import Invalid, Unavailable
from nova_lite.model.caller import Caller
from nova_lite.model.migration import Migration


@dataclass(frozen=True)
class MigrationPage:
    """A page of migrations, and whether more follow it."""

    migrations: list[Migration]
    has_more: bool
    shows_hosts: bool


class MigrationService:
    """Lists migrations; cell0 has none."""

    def __init__(self, conf: cfg.ConfigOpts, cells: Cells, fanout: Fanout) -> None:
        self._cells = cells
        self._fanout = fanout
        self._listing = Listing(conf, fanout)

    def page(self, caller: Caller, query: MigrationQuery, *, limit: int | None, marker: str | None) -> MigrationPage:
        """Return a page, or with ``limit`` None everything.

        Raises Forbidden, Invalid for a marker that is no migration or times the wrong way round, Unavailable when a
        cell is down that the marker may be in or that may not be left out.
        """
        caller.require(rules.INDEX)
        if query.project_id is None or query.project_id != caller.project_id:
            caller.require(rules.ALL_PROJECTS)
        seen = None if caller.may(rules.ALL_PROJECTS) else query.project_id
        if query.changes_since and query.changes_before and query.changes_before < query.changes_since:
            raise Invalid("changes-since: later than changes-before")
        wanted = Wanted(
            read=functools.partial(_read, query),
            identity=lambda migration: migration.uuid,
            descends=migrations.DESCENDS,
            limit=limit,
            after=None if marker is None else self._after(marker, seen),
        )
        listed = self._listing.page(wanted, self._cells.all(with_cell0=False))
        self._listing.refuse_if_forbidden(listed)
        return MigrationPage([row.item for row in listed.rows], listed.has_more, shows_hosts=caller.may(rules.HOSTS))

    def _after(self, uuid: str, seen: str | None) -> Key:
        """Return where the page begins, whichever cell the marker is in; who sees one project knows no other's."""

        def question(cell: OpenCell) -> Migration | None:
            with cell.db.reader() as session:
                return migrations.get(session, uuid)

        answers = self._fanout.ask(question, with_cell0=False)
        for found in answers.found.values():
            if found is not None and seen in (None, found.project_id):
                return migrations.key(found)
        if answers.down:
            raise Unavailable("The marker was not found, and not all cells answer.", cells=sorted(answers.down))
        raise Invalid(f"marker [{uuid[:64]}] not found")


def _read(query: MigrationQuery, cell: OpenCell, after: Key | None, limit: int | None) -> list[tuple[Key, Migration]]:
    with cell.db.reader() as session:
        return migrations.page(session, query, after=after, limit=limit)
