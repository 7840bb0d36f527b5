"""How keypairs look."""

from collections.abc import Sequence

import falcon

from nova_lite.api.services.key_material import KeyMaterial
from nova_lite.api.views import links
from nova_lite.api.views.fields import Field, View, timestamp
from nova_lite.db.repositories.keypairs import Keypair
from nova_lite.web import paging

_COMMON = (
    Field[Keypair]("name", lambda keypair: keypair.name),
    Field[Keypair]("public_key", lambda keypair: keypair.public_key),
    Field[Keypair]("fingerprint", lambda keypair: keypair.fingerprint),
    Field[Keypair]("type", lambda keypair: keypair.type, since="2.2"),
)
_USER_ID = Field[Keypair]("user_id", lambda keypair: keypair.user_id)
_LISTED = View(*_COMMON)
_CREATED = View(*_COMMON, _USER_ID)
_SHOWN = View(
    *_COMMON,
    _USER_ID,
    Field("id", lambda keypair: keypair.id),
    Field("created_at", lambda keypair: timestamp(keypair.created_at)),
    # A keypair never changes, and is gone when it is deleted.
    Field("updated_at", lambda keypair: None),
    Field("deleted", lambda keypair: False),
    Field("deleted_at", lambda keypair: None),
)


def one(req: falcon.Request, keypair: Keypair) -> dict[str, object]:
    """Return the document of one keypair."""
    return {"keypair": _SHOWN.render(keypair, req.context.version)}


def created(req: falcon.Request, keypair: Keypair, material: KeyMaterial) -> dict[str, object]:
    """Return the document of a new keypair, with its private half if it was made here."""
    shown = _CREATED.render(keypair, req.context.version)
    if material.private_key is not None:
        shown["private_key"] = material.private_key
    return {"keypair": shown}


def many(req: falcon.Request, keypairs: Sequence[Keypair], *, has_more: bool) -> dict[str, object]:
    """Return one page of keypairs."""
    document: dict[str, object] = {
        "keypairs": [{"keypair": _LISTED.render(keypair, req.context.version)} for keypair in keypairs]
    }
    if has_more:
        href = paging.next_url(links.collection_url(req), req.context.query, keypairs[-1].name)
        document["keypairs_links"] = [{"rel": "next", "href": href}]
    return document
