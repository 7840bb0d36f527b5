"""How images look to clients of this API."""

from collections.abc import Sequence
from dataclasses import dataclass

import falcon

from nova_lite.api.schemas.values import read_boolean
from nova_lite.api.views import links
from nova_lite.model.image import Image
from nova_lite.web import paging

#: The image service's word → ours, and how much of an image is there.
_STATUSES = {
    "active": "ACTIVE",
    "queued": "SAVING",
    "saving": "SAVING",
    "deleted": "DELETED",
    "pending_delete": "DELETED",
    "killed": "ERROR",
}
_PROGRESS = {"queued": 25, "saving": 50, "active": 100}


@dataclass(frozen=True)
class Look:
    """One request that looks, and where the image service itself is."""

    req: falcon.Request
    endpoint: str


def basic(image: Image, look: Look) -> dict[str, object]:
    """Return an image as a list names it."""
    alternate = {
        "rel": "alternate",
        "type": "application/vnd.openstack.image",
        "href": f"{look.endpoint}/images/{image.id}",
    }
    return {"id": image.id, "name": image.name, "links": [*links.of(look.req, "images", image.id), alternate]}


def one(image: Image, look: Look) -> dict[str, object]:
    """Return an image with all there is of it."""
    shown: dict[str, object] = {
        **basic(image, look),
        "minRam": image.min_ram_mib,
        "minDisk": image.min_disk_gib,
        "metadata": image.properties,
        "created": image.created_at,
        "updated": image.updated_at,
        "status": _STATUSES.get(image.status, "UNKNOWN"),
        "progress": _PROGRESS.get(image.status, 0),
        "OS-EXT-IMG-SIZE:size": image.size,
    }
    server_id = image.properties.get("instance_uuid")
    if server_id is not None:
        shown["server"] = {"id": server_id, "links": links.of(look.req, "servers", server_id)}
    disk_config = image.properties.get("auto_disk_config")
    if disk_config is not None:
        shown["OS-DCF:diskConfig"] = "AUTO" if read_boolean(disk_config) else "MANUAL"
    return shown


def many(images: Sequence[Image], look: Look, *, has_more: bool, is_detailed: bool) -> dict[str, object]:
    """Return a page of images with the link to the next."""
    show = one if is_detailed else basic
    page: dict[str, object] = {"images": [show(image, look) for image in images]}
    if has_more and images:
        url = paging.next_url(links.collection_url(look.req), look.req.context.query, images[-1].id)
        page["images_links"] = [{"rel": "next", "href": url}]
    return page
