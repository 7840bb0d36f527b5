"""The one place that imports libvirt's bindings: an optional dependency, None where it is not installed."""

from typing import Any

libvirt: Any
try:
    import libvirt  # type: ignore[no-redef]
except ImportError:
    libvirt = None
