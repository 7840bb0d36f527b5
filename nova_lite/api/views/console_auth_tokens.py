"""How it looks what a console's token stands for."""

from nova_lite.model.console import ConsoleToken
from nova_lite.web.versions import Version

_TELLS_TLS_PORT = Version(2, 99)


def one(found: ConsoleToken, version: Version) -> dict[str, object]:
    """Return the document."""
    console = found.console
    shown: dict[str, object] = {
        "instance_uuid": found.instance_uuid,
        "host": console.host,
        "port": console.port,
        "internal_access_path": None,
    }
    if console.kind == "spice-direct" and version >= _TELLS_TLS_PORT:
        shown["tls_port"] = console.tls_port
    return {"console": shown}
