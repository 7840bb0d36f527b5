"""``/servers/{server_id}/migrations`` and one live migration below it."""

import falcon

from nova_lite.api.policies import server_migrations as policies
from nova_lite.api.schemas import server_migrations as schemas
from nova_lite.api.schemas.values import LENIENT_QUERY, is_number
from nova_lite.api.services.live_migrations import LiveMigrationService
from nova_lite.api.services.server_migrations import ServerMigrationService
from nova_lite.api.views import server_migrations as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import ACCEPTED, endpoint
from nova_lite.web.versions import Version

#: From here on an abort ends one, too, that waits or is prepared.
_ABORTS_WAITING = Version(2, 65)


class ServerMigrations:
    """``/servers/{server_id}/migrations``"""

    def __init__(self, migrations: ServerMigrationService) -> None:
        self._migrations = migrations

    @endpoint(policy=(policies.INDEX, policies.HOSTS), query=LENIENT_QUERY, since="2.23")
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        found, shows_hosts = self._migrations.all(req.context.caller, server_id)
        send_json(resp, views.many(req, found, shows_hosts=shows_hosts))


class ServerMigrationItem:
    """``/servers/{server_id}/migrations/{migration_id}``"""

    def __init__(self, migrations: ServerMigrationService, live: LiveMigrationService) -> None:
        self._migrations = migrations
        self._live = live

    @endpoint(policy=policies.SHOW, query=LENIENT_QUERY, since="2.23")
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str, migration_id: str) -> None:
        send_json(resp, views.one(req, self._migrations.show(req.context.caller, server_id, _number(migration_id))))

    @endpoint(policy=policies.DELETE, query=LENIENT_QUERY, since="2.24", answers=ACCEPTED)
    def on_delete(self, req: falcon.Request, resp: falcon.Response, server_id: str, migration_id: str) -> None:
        even_if_waiting = req.context.version >= _ABORTS_WAITING
        self._live.abort(req.context.caller, server_id, _number(migration_id), even_if_waiting=even_if_waiting)
        resp.status = falcon.HTTP_202


class ServerMigrationAction:
    """``/servers/{server_id}/migrations/{migration_id}/action``"""

    def __init__(self, live: LiveMigrationService) -> None:
        self._live = live

    @endpoint(
        policy=policies.FORCE_COMPLETE, query=LENIENT_QUERY, body=schemas.FORCE_COMPLETE, since="2.22", answers=ACCEPTED
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, server_id: str, migration_id: str) -> None:
        self._live.force_complete(req.context.caller, server_id, _number(migration_id))
        resp.status = falcon.HTTP_202


def _number(text: str) -> int | None:
    return int(text) if is_number(text) else None
