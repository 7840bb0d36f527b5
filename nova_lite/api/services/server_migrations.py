"""One server's live migrations that are under way; what is over is among all migrations only."""

from nova_lite.api.policies import server_migrations as rules
from nova_lite.api.services.server_lookup import ServerLookup, target
from nova_lite.cells.registry import OpenCell
from nova_lite.db.repositories import migrations
from nova_lite.errors import NotFound
from nova_lite.model.caller import Caller
from nova_lite.model.migration import Migration


class ServerMigrationService:
    """Looks at a server's live migrations."""

    def __init__(self, lookup: ServerLookup) -> None:
        self._lookup = lookup

    def all(self, caller: Caller, server_id: str) -> tuple[list[Migration], bool]:
        """Return a server's live migrations, oldest first, and whether the caller may see their hosts."""
        located = self._lookup.find(caller, server_id)
        judged = target(located.instance)
        caller.require(rules.INDEX, **judged)
        return _under_way(located.cell, server_id), caller.may(rules.HOSTS, **judged)

    def show(self, caller: Caller, server_id: str, number: int | None) -> Migration:
        """Return the live migration with ``number``; raises NotFound, also when it is over."""
        located = self._lookup.find(caller, server_id)
        caller.require(rules.SHOW, **target(located.instance))
        for migration in _under_way(located.cell, server_id):
            if migration.number == number:
                return migration
        raise NotFound(f"Server {server_id} has no live migration under way with this number.")


def _under_way(cell: OpenCell | None, server_id: str) -> list[Migration]:
    if cell is None:
        return []
    with cell.db.reader() as session:
        return migrations.live_in_progress(session, server_id)
