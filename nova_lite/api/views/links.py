"""Links: where a thing is, under this version and without one."""

import falcon

from nova_lite.api import urls


def of(req: falcon.Request, collection: str, item_id: str) -> list[dict[str, str]]:
    """Return the ``self`` and ``bookmark`` links of one item of ``collection``."""
    path = f"/{collection}/{item_id}"
    return [
        {"rel": "self", "href": f"{urls.api_url(req)}{path}"},
        bookmark(req, collection, item_id),
    ]


def bookmark(req: falcon.Request, collection: str, item_id: str) -> dict[str, str]:
    """Return the link of one item that outlives versions."""
    return {"rel": "bookmark", "href": f"{urls.bookmark_url(req)}/{collection}/{item_id}"}


def collection_url(req: falcon.Request) -> str:
    """Return the URL that was asked, without its query."""
    return f"{urls.api_url(req)}{req.path}"
