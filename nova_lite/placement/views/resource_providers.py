"""How a provider is shown."""

from nova_lite.placement.model import Provider
from nova_lite.placement.snapshot import Snapshot
from nova_lite.web.versions import Version

_TREES_SINCE = Version(1, 14)
#: Link → the version that first shows it.
_LINKS = {
    "self": Version(1, 0),
    "inventories": Version(1, 0),
    "usages": Version(1, 0),
    "aggregates": Version(1, 1),
    "traits": Version(1, 6),
    "allocations": Version(1, 11),
}


def show(provider: Provider, snapshot: Snapshot, version: Version, prefix: str) -> dict[str, object]:
    """Return a provider as the API shows it; ``prefix`` is where the application is mounted."""
    root_uuid = snapshot.by_id(provider.root_id).uuid
    return show_placed(provider, parent_uuid(provider, snapshot), root_uuid, version, prefix)


def show_placed(
    provider: Provider, parent_uuid: str | None, root_uuid: str, version: Version, prefix: str
) -> dict[str, object]:
    """Return the same of a provider whose place in its tree is known."""
    url = f"{prefix}/resource_providers/{provider.uuid}"
    shown: dict[str, object] = {
        "uuid": provider.uuid,
        "name": provider.name,
        "generation": provider.generation,
        "links": [
            {"rel": rel, "href": url if rel == "self" else f"{url}/{rel}"}
            for rel, since in _LINKS.items()
            if version >= since
        ],
    }
    if version >= _TREES_SINCE:
        shown["parent_provider_uuid"] = parent_uuid
        shown["root_provider_uuid"] = root_uuid
    return shown


def parent_uuid(provider: Provider, snapshot: Snapshot) -> str | None:
    """Return the UUID of a provider's parent, or None."""
    return None if provider.parent_id is None else snapshot.by_id(provider.parent_id).uuid
