"""What the Compute API needs of an image service."""

from collections.abc import Mapping
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

    def find(self, params: Mapping[str, str], marker: str | None, token: str | None = None) -> tuple[list[Image], bool]:
        """Return the newest images that fit ``params``, as that service takes them, and whether there are more.

        Raises Invalid for parameters or a marker that it does not know, Unavailable.
        """
        ...

    def change_properties(
        self, image_id: str, old: Mapping[str, str], new: Mapping[str, str], token: str | None = None
    ) -> Image:
        """Have an image with properties ``old`` get ``new`` ones, and return it; raises NotFound, Forbidden."""
        ...

    def endpoint(self) -> str:
        """Return the service's URL without a version; raises Unavailable."""
        ...
