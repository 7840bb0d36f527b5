"""The identity service that both Compute APIs ask who a token is: the embedded cloud's, in a process of its own.

Run as ``python -m benchmarks.api.identity PORT``. Tokens tell of a catalog as long as a small deployment's.
"""

import signal
import sys
import threading

from benchmarks.scheduling.place import REPOSITORY
from nova_lite.embedded import configuration, identity_api
from nova_lite.embedded.http import HttpServer
from tests.integration.stack.processes import Program
from tests.integration.stack.site import ADDRESS, Site, environment, wait_listening

PROGRAM = "identity"
_SERVICES = ("compute", "placement", "image", "network", "block-storage", "object-store")


def start(site: Site) -> dict[str, object]:
    """Start the service; return the options of ``[keystone_authtoken]`` by which a server asks it."""
    port = site.port(PROGRAM)
    argv = (sys.executable, "-W", "ignore", "-m", "benchmarks.api.identity", str(port))
    site.processes.start(Program(PROGRAM, argv, environment(PYTHONPATH=str(REPOSITORY)), str(REPOSITORY)))
    wait_listening(site, PROGRAM, port, timeout_s=60)
    url = f"http://{ADDRESS}:{port}"
    # Nothing of memcached: tokens are remembered in the worker, as the figures to compare with were measured.
    return {**configuration.credentials(url), "www_authenticate_uri": url, "service_token_roles_required": True}


def main() -> int:
    """Serve until told to stop."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server = HttpServer(int(sys.argv[1]), PROGRAM)
    catalog = {kind: (kind, f"http://{ADDRESS}/{kind}") for kind in _SERVICES}
    server.start(identity_api.build(catalog, admin=configuration.ADMIN))
    ended.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
