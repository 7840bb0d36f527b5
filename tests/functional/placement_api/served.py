"""What a real server runs for stories: Placement on any story's database, built in the worker that is asked for it."""

import collections
import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from nova_lite import config
from nova_lite.placement import app
from nova_lite.storage import Database
from nova_lite.web.proxies import Wsgi
from nova_lite.web.under_uwsgi import fit

#: Of how many stories a worker keeps the application: they come one by one, and few have more than one.
_KEPT = 4

_opened: "collections.OrderedDict[str, tuple[Database, Wsgi]]" = collections.OrderedDict()
_lock = threading.Lock()


def _story(said: str) -> Wsgi:
    with _lock:
        if said not in _opened:
            _opened[said] = _open(json.loads(said))
        _opened.move_to_end(said)
        if len(_opened) > _KEPT:
            _opened.popitem(last=False)[1][0].close()
        return _opened[said][1]


def _open(told: Mapping[str, Any]) -> tuple[Database, Wsgi]:
    conf = config.load(files=told["files"])
    for group, values in told["options"].items():
        for name, value in values.items():
            conf.set_override(name, value, None if group == "DEFAULT" else group)
    database = Database(told["database"])
    return database, fit(app.build(conf, database))


def application(env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve the story that the request's header ``X-Story`` tells of."""
    said = env.pop("HTTP_X_STORY", None)
    if said is None:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return []
    return _story(said)(env, start_response)
