"""The filter for what flavors ask of a host's facts in the namespace ``capabilities``: pure."""

from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
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
    for path, wanted in sought.once(_SCOPE, _asked):
        found = facts.value(host, path)
        if found is None:
            return f"does not tell its {':'.join(path)}, {wanted} asked"
        if not matches(str(found), wanted):
            return f"{':'.join(path)} is {_short(found)}, {wanted} asked"
    return None


def asks_capabilities(sought: Sought) -> bool:
    """Return whether the flavor asks for any fact of a host."""
    return bool(sought.once(_SCOPE, _asked))


def _asked(spec: RequestSpec) -> list[tuple[list[str], str]]:
    """Return which facts a flavor asks for, and what each must be."""
    found = []
    for key, wanted in spec.flavor.extra_specs.items():
        scope, *path = key.split(":")
        if key == _ADDRESS_BITS:
            found.append((["cpu_info", "maxphysaddr", "bits"], f">= {wanted}"))
        elif path and scope == _SCOPE:
            found.append((path, wanted))
        elif not path and key in facts.FACTS:
            found.append(([key], wanted))
    return found


def _short(found: object) -> str:
    text = str(found)
    return text if len(text) <= 64 else f"{text[:61]}..."
