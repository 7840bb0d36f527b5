"""The image service that both clouds ask: the embedded cloud's, with one image, under uWSGI as image services are.

uWSGI loads ``application``; its directory is that of the environment's ``IMAGES``.
"""

import os
from pathlib import Path

from nova_lite.embedded import image_api
from nova_lite.embedded.image_directory import ImageDirectory

#: The image's file: a disk of zeros.
FILE = "tiny.raw"
_BYTES = 1 << 20


def _application() -> image_api.App:
    directory = Path(os.environ["IMAGES"])
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / FILE).open("wb") as file:
        file.truncate(_BYTES)
    return image_api.build(ImageDirectory(directory))


application = _application()
