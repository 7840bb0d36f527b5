"""``application``: the Compute API for any WSGI server, any mix of processes and threads, pre-forked or not.

Configured at import, so that a mistake is told at once; databases, brokers and neighbours are first asked by requests,
after any fork.
"""

from oslo_log import log as oslo_logging

from nova_lite import config
from nova_lite.api import app
from nova_lite.cells.registry import Cells
from nova_lite.clients.images import Images
from nova_lite.rpc.bus import Bus
from nova_lite.storage import configured
from nova_lite.web.forked import keep_loaded
from nova_lite.web.proxies import Wsgi
from nova_lite.web.under_uwsgi import fit


def build() -> Wsgi:
    """Return the application that the configuration files describe."""
    conf = config.load_for_wsgi()
    oslo_logging.setup(conf, "nova_lite")
    api_db = configured(conf, "api_database")
    built = app.build(conf, api_db=api_db, cells=Cells(conf, api_db), api_bus=Bus(conf), images=Images(conf))
    return fit(built)


application = build()
keep_loaded()
