"""What an embedded cloud has for guests and for those who look at them: the metadata service and the console proxy."""

import contextlib

from nova_lite import concurrency, errors
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import Cells
from nova_lite.console.service import ConsoleProxy
from nova_lite.embedded.configuration import Configuration, Options
from nova_lite.embedded.http import HOST, PortTaken, Wsgi
from nova_lite.embedded.settings import CloudSettings
from nova_lite.metadata import app as metadata_api
from nova_lite.metadata.servers import FindsAnywhere
from nova_lite.storage import Database

#: The first port that a serial console may have, and how many there are, for all hosts together.
_FIRST_SERIAL, _SERIAL_PORTS = 10000, 20000


def metadata(stack: contextlib.ExitStack, files: Configuration, api_db: Database) -> Wsgi:
    """Return the metadata service; ``stack`` is given what ends it."""
    conf = files.metadata()
    cells = stack.enter_context(contextlib.closing(Cells(conf, api_db)))
    fanout = stack.enter_context(contextlib.closing(Fanout(conf, cells)))
    return metadata_api.build(conf, FindsAnywhere(api_db, cells, fanout))


def start_consoles(stack: contextlib.ExitStack, files: Configuration, port: int) -> str | None:
    """Start the console proxy on ``port``, 0 for a free one; return the URL of its pages.

    None where screens are off, or the process is on eventlet's threads, on which no proxy runs. Raises PortTaken.
    """
    conf = files.console_proxy(port)
    if not conf.vnc.enabled or concurrency.messaging_executor() != "threading":
        return None
    proxy = ConsoleProxy(conf)
    try:
        proxy.start()
    except errors.Misconfigured as exc:
        raise PortTaken(
            f"Port {port} of {HOST}, for consoles, cannot be used; choose others with --port-base."
        ) from exc
    stack.callback(proxy.stop)
    return f"http://{HOST}:{proxy.ports['vnc']}"


def consoles_of(settings: CloudSettings, host: str, url: str | None) -> Options:
    """Return what a host is told of consoles: where users find them, and ports that no other host here gives."""
    if url is None:
        return {}
    names = [name for cell in settings.cell_names for name in settings.host_names(cell)]
    share = _SERIAL_PORTS // len(names)
    first = _FIRST_SERIAL + names.index(host) * share
    return {
        "vnc": {"novncproxy_base_url": f"{url}/vnc_lite.html"},
        "serial_console": {
            "enabled": True,
            "base_url": f"ws{url.removeprefix('http')}/",
            "port_range": f"{first}:{first + share - 1}",
        },
    }
