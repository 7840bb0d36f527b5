"""The image service that both clouds ask: the embedded cloud's, with one image, in a process of its own.

Run as ``python -m benchmarks.scheduling.images PORT DIRECTORY``.
"""

import signal
import sys
import threading
from pathlib import Path

from nova_lite.embedded import image_api
from nova_lite.embedded.http import HttpServer
from nova_lite.embedded.image_directory import ImageDirectory

#: The image's file: a disk of zeros.
FILE = "tiny.raw"
_BYTES = 1 << 20


def main() -> int:
    """Serve the directory until told to stop."""
    port, directory = int(sys.argv[1]), Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / FILE).open("wb") as file:
        file.truncate(_BYTES)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server = HttpServer(port, "images", threads=4)
    server.start(image_api.build(ImageDirectory(directory)))
    ended.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
