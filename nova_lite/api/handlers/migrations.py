"""``/os-migrations``."""

from datetime import datetime

import falcon

from nova_lite.api.policies import migrations as policies
from nova_lite.api.schemas import migrations as schemas
from nova_lite.api.schemas.values import read_boolean
from nova_lite.api.services.migrations import MigrationService
from nova_lite.api.services.server_filters import moment
from nova_lite.api.views import migrations as views
from nova_lite.db.repositories.migrations import MigrationQuery
from nova_lite.web import paging
from nova_lite.web.app import send_json
from nova_lite.web.endpoint import endpoint
from nova_lite.web.validation import Query
from nova_lite.web.versions import Version

#: Version from which lists come in pages and can be asked for what changed; the end of that time came later.
_PAGED = Version(2, 59)
_BEFORE = Version(2, 66)


class Migrations:
    """``/os-migrations``"""

    def __init__(self, migrations: MigrationService, *, max_limit: int) -> None:
        self._migrations = migrations
        self._max_limit = max_limit

    @endpoint(policy=(policies.INDEX, policies.ALL_PROJECTS, policies.HOSTS), query=schemas.LIST_QUERY)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query: Query = req.context.query
        limit, marker = None, None
        if req.context.version >= _PAGED:
            page = paging.page(query, self._max_limit)
            limit, marker = page.limit, page.marker
        wanted = _wanted(query, req.context.version)
        if read_boolean(query.one("hidden")):
            limit = 0
        found = self._migrations.page(req.context.caller, wanted, limit=limit, marker=marker)
        send_json(resp, views.many(req, found.migrations, has_more=found.has_more, shows_hosts=found.shows_hosts))


def _wanted(query: Query, version: Version) -> MigrationQuery:
    since = _moment(query, "changes-since") if version >= _PAGED else None
    before = _moment(query, "changes-before") if version >= _BEFORE else None
    host = query.one("host")
    return MigrationQuery(
        uuid=query.one("uuid"),
        instance_uuid=query.one("instance_uuid"),
        kind=query.one("migration_type"),
        status=query.one("status"),
        host=host,
        source_host=query.one("source_compute") if host is None else None,
        node=query.one("node"),
        user_id=query.one("user_id"),
        project_id=query.one("project_id"),
        changes_since=since,
        changes_before=before,
    )


def _moment(query: Query, name: str) -> datetime | None:
    text = query.one(name)
    return None if text is None else moment(name, text)
