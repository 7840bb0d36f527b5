"""What the Compute API needs of an image service."""

from typing import Protocol

from nova_lite.model.image import Image


class Images(Protocol):
    """Looks up images."""

    def show(self, image_id: str, token: str | None = None) -> Image:
        """Return the image as the owner of ``token`` sees it; raises NotFound, Unavailable when nobody answers."""
        ...
