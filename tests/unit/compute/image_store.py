"""An image service in memory, as a host uses it for snapshots."""

from dataclasses import replace
from pathlib import Path

from nova_lite import errors
from nova_lite.model.image import Image


class ImageStore:
    """Images by id, newest last, and the content of those that were filled; raises ``error`` when that is set."""

    def __init__(self) -> None:
        self.images: dict[str, Image] = {}
        self.content: dict[str, bytes] = {}
        self.error: Exception | None = None

    def add(self, image_id: str, *, owner: str | None = None, **properties: str) -> None:
        self.images[image_id] = Image(image_id, image_id, "queued", "", size=0, owner=owner, properties=properties)

    def show(self, image_id: str) -> Image:
        if image_id not in self.images:
            raise errors.NotFound(f"Image {image_id} could not be found.")
        return self.images[image_id]

    def upload(self, image_id: str, disk_format: str, path: Path) -> None:
        if self.error is not None:
            raise self.error
        self.content[image_id] = path.read_bytes()
        self.images[image_id] = replace(self.show(image_id), status="active", disk_format=disk_format)

    def delete(self, image_id: str) -> None:
        self.images.pop(image_id, None)

    def like(self, **properties: str) -> list[Image]:
        wanted = properties.items()
        return [image for image in reversed(self.images.values()) if wanted <= image.properties.items()]
