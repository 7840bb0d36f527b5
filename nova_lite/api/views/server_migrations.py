"""How a server's live migrations look."""

from collections.abc import Sequence
from dataclasses import asdict

import falcon

from nova_lite.api.views.fields import Field, View, timestamp
from nova_lite.api.views.migrations import hosts
from nova_lite.model.migration import Migration

_MIGRATION = View[Migration](
    Field("id", lambda migration: migration.number),
    Field("uuid", lambda migration: migration.uuid, since="2.59"),
    Field("server_uuid", lambda migration: migration.instance_uuid),
    Field("status", lambda migration: migration.status),
    Field("created_at", lambda migration: timestamp(migration.created_at)),
    Field("updated_at", lambda migration: timestamp(migration.updated_at)),
    Field("user_id", lambda migration: migration.user_id, since="2.80"),
    Field("project_id", lambda migration: migration.project_id, since="2.80"),
)


def many(req: falcon.Request, migrations: Sequence[Migration], *, shows_hosts: bool) -> dict[str, object]:
    """Return the document of a server's live migrations."""
    return {"migrations": [_shown(req, migration, shows_hosts=shows_hosts) for migration in migrations]}


def one(req: falcon.Request, migration: Migration) -> dict[str, object]:
    """Return the document of one live migration."""
    return {"migration": _shown(req, migration, shows_hosts=True)}


def _shown(req: falcon.Request, migration: Migration, *, shows_hosts: bool) -> dict[str, object]:
    progress = {f"{name}_bytes": value for name, value in asdict(migration.progress).items()}
    return _MIGRATION.render(migration, req.context.version) | progress | hosts(migration, shows_hosts=shows_hosts)
