"""``application``: the metadata service for any WSGI server, any mix of processes and threads, pre-forked or not.

Its configuration is read at import, so that a mistake is told at once; databases are opened by the first requests.
"""

from oslo_log import log as oslo_logging

from nova_lite import config
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells
from nova_lite.metadata import app
from nova_lite.metadata.servers import Finder, FindsAnywhere, FindsInCell
from nova_lite.storage import configured
from nova_lite.web.proxies import Wsgi
from nova_lite.web.under_uwsgi import fit


def build() -> Wsgi:
    """Return the application that the configuration files describe."""
    conf = config.load_for_wsgi()
    oslo_logging.setup(conf, "nova_lite")
    db = configured(conf, "database" if conf.api.local_metadata_per_cell else "api_database")
    if conf.api.local_metadata_per_cell:
        finder: Finder = FindsInCell(db)
    else:
        cells = Cells(conf, db)
        finder = FindsAnywhere(db, cells, Fanout(conf, cells))
    return fit(app.build(conf, finder))


application = build()
