"""What the Compute API needs of an image service."""

from typing import Protocol

from nova_lite.model.image import Image


class Images(Protocol):
    """Looks up images, and makes those that wait for their file."""

    def show(self, image_id: str, token: str | None = None) -> Image:
        """Return the image as the owner of ``token`` sees it; raises NotFound, Unavailable when nobody answers."""
        ...

    def create(self, image: Image, token: str | None = None) -> Image:
        """Make ``image``, whose file is still to come, as the owner of ``token``; raises Forbidden, Unavailable."""
        ...

    def activate(self, image_id: str, token: str | None = None) -> None:
        """Have an image be one without data, as the owner of ``token``; raises NotFound, Forbidden, Unavailable."""
        ...

    def delete(self, image_id: str, token: str | None = None) -> None:
        """Remove an image; none is no error. Raises Forbidden, Unavailable."""
        ...
