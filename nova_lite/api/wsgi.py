"""``application``: the Compute API for any WSGI server, any mix of processes and threads, pre-forked or not.

Importing this reads no configuration and opens nothing; the first request of each process does.
"""

import os
import threading
from collections.abc import Iterable
from typing import Any

from keystonemiddleware import auth_token  # noqa: F401 - most deployments need it, so it is loaded before any fork
from oslo_log import log as oslo_logging

from nova_lite import config
from nova_lite.api import app
from nova_lite.cells.registry import Cells
from nova_lite.clients.images import Images
from nova_lite.rpc.bus import Bus
from nova_lite.storage import Database
from nova_lite.web.forked import keep_loaded
from nova_lite.web.proxies import Wsgi
from nova_lite.web.under_uwsgi import fit


class _Lazy:
    """Builds the application on the first request, anew in a process forked later."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._app: Wsgi | None = None
        self._pid = 0

    def __call__(self, env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if self._app is None or self._pid != os.getpid():
            with self._lock:
                if self._app is None or self._pid != os.getpid():
                    self._app = _built()
                    self._pid = os.getpid()
        return self._app(env, start_response)


def _built() -> Wsgi:
    conf = config.load_for_wsgi()
    oslo_logging.setup(conf, "nova_lite")
    api_db = Database(conf.api_database.connection, pool_size=conf.api_database.max_pool_size)
    built = app.build(conf, api_db=api_db, cells=Cells(conf, api_db), api_bus=Bus(conf), images=Images(conf))
    return fit(built)


application = _Lazy()
keep_loaded()
