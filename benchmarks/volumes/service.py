"""The block storage service that both clouds use: the embedded one, with an identity service beside it.

Run as ``python -m benchmarks.volumes.service PORT IDENTITY_PORT DIRECTORY``.
"""

import signal
import sys
import threading
from pathlib import Path

from nova_lite.embedded import configuration, identity_api, volume_api
from nova_lite.embedded.http import HttpServer
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.embedded.volume_store import VolumeStore

#: GiB that a project may have: more than any run makes.
_QUOTA_GIB = 1_000_000


def main() -> int:
    """Serve until told to stop."""
    port, identity_port, directory = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    store = VolumeStore(directory, ImageDirectory(directory / "images"), quota_gib=_QUOTA_GIB)
    store.start()
    volumes, identity = HttpServer(port, "volumes"), HttpServer(identity_port, "identity")
    identity.start(identity_api.build({"block-storage": ("cinder", f"{volumes.url}/v3")}, admin=configuration.ADMIN))
    volumes.start(volume_api.build(store, admin=configuration.ADMIN))
    ended.wait()
    volumes.stop()
    identity.stop()
    store.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
