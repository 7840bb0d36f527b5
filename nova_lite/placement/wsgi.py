"""The WSGI entry point: ``nova_lite.placement.wsgi:application``.

Configured at import, so that a mistake is told at once; the database is opened by the first request, after any fork.
"""

import gc

from nova_lite import config
from nova_lite.placement import app
from nova_lite.storage import configured
from nova_lite.web.cors import shared
from nova_lite.web.proxies import Wsgi, behind_proxy
from nova_lite.web.under_uwsgi import fit

#: Objects made until the garbage collector looks at the young ones, and how much rarer at the older ones. An answer is
#: thousands of objects that die with it, and the snapshot stays: with Python's own 700 a large answer costs double.
_COLLECT_AFTER = (50_000, 10, 10)


def build() -> Wsgi:
    """Return the application that the configuration files describe."""
    gc.set_threshold(*_COLLECT_AFTER)
    conf = config.load_for_wsgi(calls_neighbours=False)
    served = app.build(conf, configured(conf, "placement_database"))
    return fit(shared(conf, behind_proxy(conf, served)))


application = build()
