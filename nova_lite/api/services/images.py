"""What the Compute API needs of an image service."""

from typing import Protocol

from nova_lite.model.caller import Caller
from nova_lite.model.image import Image


class Images(Protocol):
    """Looks up images on behalf of a caller."""

    def show(self, image_id: str, caller: Caller) -> Image:
        """Return the image; raises NotFound when ``caller`` may see none, Unavailable when nobody answers."""
        ...
