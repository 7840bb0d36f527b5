"""The filter for what flavors ask of a host's facts in the namespace ``capabilities``: pure."""

from nova_lite.model.host import HostState
from nova_lite.scheduler import facts
from nova_lite.scheduler.aggregates import matches
from nova_lite.scheduler.filters import Sought

_SCOPE = "capabilities"
#: An extra spec that is short for one of a host's facts.
_ADDRESS_BITS = "hw:maxphysaddr_bits"


def suits_capabilities(host: HostState, sought: Sought) -> str | None:
    """Refuse hosts whose facts are not as the flavor asks: ``capabilities:NAME=VALUE``, parts after more colons.

    Extra specs without a namespace count, too, where they are called like a fact. Operators are those of aggregates.
    """
    for key, wanted in sought.spec.flavor.extra_specs.items():
        path, asked = _asked(key, wanted)
        if path is None:
            continue
        found = facts.value(host, path)
        name = ":".join(path)
        if found is None:
            return f"does not tell its {name}, {asked} asked"
        if not matches(str(found), asked):
            return f"{name} is {_short(found)}, {asked} asked"
    return None


def asks_capabilities(sought: Sought) -> bool:
    """Return whether the flavor asks for any fact of a host."""
    return any(_asked(key, wanted)[0] is not None for key, wanted in sought.spec.flavor.extra_specs.items())


def _asked(key: str, wanted: str) -> tuple[list[str] | None, str]:
    """Return which fact an extra spec asks for, None when for none, and what it must be."""
    if key == _ADDRESS_BITS:
        return ["cpu_info", "maxphysaddr", "bits"], f">= {wanted}"
    scope, *path = key.split(":")
    if not path:
        return ([key] if key in facts.FACTS else None), wanted
    return (path if scope == _SCOPE else None), wanted


def _short(found: object) -> str:
    text = str(found)
    return text if len(text) <= 64 else f"{text[:61]}..."
