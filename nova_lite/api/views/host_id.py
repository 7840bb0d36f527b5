"""The name under which a project knows a host that it may not see."""

import functools
import hashlib


@functools.lru_cache(maxsize=4096)
def host_id(project_id: str, host: str | None) -> str:
    """Return what tells two hosts of one project apart and nothing else; empty for no host."""
    return "" if host is None else hashlib.sha224((project_id + host).encode()).hexdigest()
