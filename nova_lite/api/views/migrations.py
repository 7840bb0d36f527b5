"""How migrations look."""

from collections.abc import Callable, Sequence

import falcon

from nova_lite.api.views import links
from nova_lite.api.views.fields import Field, View, timestamp
from nova_lite.model.migration import Migration
from nova_lite.web import paging
from nova_lite.web.versions import Version

#: From here on a live migration under way has a link to itself.
_LINKED = Version(2, 23)

#: Between which hosts a server moves; null to those who may not know.
_HOSTS: dict[str, Callable[[Migration], object]] = {
    "source_compute": lambda migration: migration.source.host,
    "source_node": lambda migration: migration.source.node_name,
    "dest_compute": lambda migration: None if migration.dest is None else migration.dest.host,
    "dest_node": lambda migration: None if migration.dest is None else migration.dest.node_name,
    "dest_host": lambda migration: migration.dest_ip,
}
_MIGRATION = View[Migration](
    Field("id", lambda migration: migration.number),
    Field("uuid", lambda migration: migration.uuid, since="2.59"),
    Field("instance_uuid", lambda migration: migration.instance_uuid),
    Field("migration_type", lambda migration: migration.kind, since="2.23"),
    Field("status", lambda migration: migration.status),
    Field("old_instance_type_id", lambda migration: migration.old_flavor_number),
    Field("new_instance_type_id", lambda migration: migration.new_flavor_number),
    Field("created_at", lambda migration: timestamp(migration.created_at)),
    Field("updated_at", lambda migration: timestamp(migration.updated_at)),
    Field("user_id", lambda migration: migration.user_id, since="2.80"),
    Field("project_id", lambda migration: migration.project_id, since="2.80"),
)


def many(
    req: falcon.Request, migrations: Sequence[Migration], *, has_more: bool, shows_hosts: bool
) -> dict[str, object]:
    """Return one page of migrations."""
    version: Version = req.context.version
    shown = []
    for migration in migrations:
        document = _MIGRATION.render(migration, version) | hosts(migration, shows_hosts=shows_hosts)
        if version >= _LINKED and migration.is_live_in_progress:
            collection = f"servers/{migration.instance_uuid}/migrations"
            document["links"] = links.of(req, collection, str(migration.number))
        shown.append(document)
    page: dict[str, object] = {"migrations": shown}
    if has_more:
        href = paging.next_url(links.collection_url(req), req.context.query, migrations[-1].uuid)
        page["migrations_links"] = [{"rel": "next", "href": href}]
    return page


def hosts(migration: Migration, *, shows_hosts: bool) -> dict[str, object]:
    """Return the fields that name hosts."""
    return {name: read(migration) if shows_hosts else None for name, read in _HOSTS.items()}
