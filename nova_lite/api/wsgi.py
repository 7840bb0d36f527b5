"""``application``: the Compute API for any WSGI server, any mix of processes and threads, pre-forked or not.

Configured at import, so that a mistake is told at once; databases, brokers and neighbours are first asked by requests,
after any fork.
"""

from nova_lite.web.forked import loading

with loading():
    from oslo_log import log as oslo_logging

    from nova_lite import config
    from nova_lite.api import app
    from nova_lite.cells.registry import Cells
    from nova_lite.clients.images import Images
    from nova_lite.rpc.bus import Bus
    from nova_lite.storage import configured
    from nova_lite.web.under_uwsgi import fit

    _conf = config.load_for_wsgi()
    oslo_logging.setup(_conf, "nova_lite")
    _api_db = configured(_conf, "api_database")
    application = fit(
        app.build(_conf, api_db=_api_db, cells=Cells(_conf, _api_db), api_bus=Bus(_conf), images=Images(_conf))
    )
