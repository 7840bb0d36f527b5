"""The way through to the image service for clients that know this API only: what they ask is asked there, as them."""

from collections.abc import Callable, Mapping

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.services.images import Images
from nova_lite.api.services.quotas import Quotas
from nova_lite.api.services.server_metadata import refuse_too_much
from nova_lite.model.caller import Caller
from nova_lite.model.image import Image
from nova_lite.storage import Database

Metadata = dict[str, str]


class ImageProxyService:
    """Images and their metadata, as the caller's token lets the image service show them."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, images: Images) -> None:
        self._quotas = Quotas(conf)
        self._api_db = api_db
        self._images = images

    @property
    def endpoint(self) -> str:
        """Return where the image service is; raises Unavailable."""
        return self._images.endpoint()

    def page(
        self, caller: Caller, filters: Mapping[str, str], limit: int, marker: str | None
    ) -> tuple[list[Image], bool]:
        """Return the newest images that fit, those after ``marker``, and whether there are more; raises Invalid."""
        return self._images.find({**filters, "limit": str(limit)}, marker, caller.token)

    def show(self, caller: Caller, image_id: str) -> Image:
        """Return an image; raises NotFound."""
        return self._images.show(image_id, caller.token)

    def delete(self, caller: Caller, image_id: str) -> None:
        """Delete an image; raises NotFound, Forbidden."""
        self._images.show(image_id, caller.token)
        self._images.delete(image_id, caller.token)

    def item(self, caller: Caller, image_id: str, key: str) -> str:
        """Return one item of an image's metadata; raises NotFound."""
        metadata = self.show(caller, image_id).properties
        if key not in metadata:
            raise _no_item(key)
        return metadata[key]

    def merge(self, caller: Caller, image_id: str, items: Mapping[str, str]) -> Metadata:
        """Add to an image's metadata and return the whole; raises Forbidden, OverQuota."""
        return self._edit(caller, image_id, lambda old: {**old, **items})

    def replace(self, caller: Caller, image_id: str, items: Mapping[str, str]) -> Metadata:
        """Replace an image's metadata and return it; raises as ``merge``."""
        return self._edit(caller, image_id, lambda old: dict(items))

    def remove(self, caller: Caller, image_id: str, key: str) -> None:
        """Remove one item; raises NotFound, Forbidden."""

        def without(old: Metadata) -> Metadata:
            if key not in old:
                raise _no_item(key)
            return {name: value for name, value in old.items() if name != key}

        self._edit(caller, image_id, without)

    def _edit(self, caller: Caller, image_id: str, change: Callable[[Metadata], Metadata]) -> Metadata:
        old = self.show(caller, image_id).properties
        new = change(old)
        if len(new) > len(old):
            with self._api_db.reader() as session:
                refuse_too_much(new, self._quotas.allowance(session, caller.project_id, caller.user_id))
        return self._images.change_properties(image_id, old, new, caller.token).properties


def _no_item(key: str) -> errors.NotFound:
    return errors.NotFound(f"Metadata item {key[:255]!r} was not found")
