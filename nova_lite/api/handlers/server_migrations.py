"""``/servers/{server_id}/migrations`` and one live migration below it."""

import falcon

from nova_lite.api.policies import server_migrations as policies
from nova_lite.api.schemas.values import LENIENT_QUERY, is_number
from nova_lite.api.services.server_migrations import ServerMigrationService
from nova_lite.api.views import server_migrations as views
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint


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

    def __init__(self, migrations: ServerMigrationService) -> None:
        self._migrations = migrations

    @endpoint(policy=policies.SHOW, query=LENIENT_QUERY, since="2.23")
    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str, migration_id: str) -> None:
        number = int(migration_id) if is_number(migration_id) else None
        send_json(resp, views.one(req, self._migrations.show(req.context.caller, server_id, number)))
