"""How long this host is up and how busy it is, in the words of the program ``uptime``, which clients take apart."""

from nova_lite.compute import external_tools
from nova_lite.compute.external_tools import Limits

_LIMITS = Limits(wall_s=5.0, cpu_s=5, memory_mib=256)


def text() -> str:
    """Return one line with the time, the time up, the users and the load; raises Unavailable, Misconfigured."""
    return external_tools.read([external_tools.require("uptime", "procps")], _LIMITS)
