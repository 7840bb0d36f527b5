"""Filters that compare what operators wrote into the metadata of a host's aggregates with what is asked: pure.

A host has what any of its aggregates says: several values of one key, in one aggregate or in many, are alternatives.

Values of flavors' extra specs may begin with an operator: ``=``, ``==``, ``!=``, ``>=``, ``<=`` for numbers, ``s==``,
``s!=``, ``s<``, ``s<=``, ``s>``, ``s>=`` for texts, ``<in> text``, ``<all-in> a b``, ``<or> a <or> b``. Without one
they must be equal; ``=`` means at least, as it always did.
"""

import operator
from collections.abc import Callable, Mapping

from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler.filters import Sought

_SCOPE = "aggregate_instance_extra_specs"
#: Extra specs without a namespace that mean something else.
_NOT_OF_AGGREGATES = frozenset({"group_policy", "same_subtree", "hide_hypervisor_id"})
_TENANTS = "filter_tenant_id"
_NUMBERS: Mapping[str, Callable[[float, float], bool]] = {
    "=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
}
_TEXTS: Mapping[str, Callable[[str, str], bool]] = {
    "s==": operator.eq,
    "s!=": operator.ne,
    "s<": operator.lt,
    "s<=": operator.le,
    "s>": operator.gt,
    "s>=": operator.ge,
}


def suits_extra_specs(host: HostState, sought: Sought) -> str | None:
    """Refuse hosts none of whose aggregates says what the flavor asks of aggregates.

    Those are extra specs in the namespace ``aggregate_instance_extra_specs``, and those without any namespace.
    """
    for key, wanted in sought.once(_SCOPE, _asked):
        values = _values(host, key)
        if not any(matches(value, wanted) for value in values):
            has = " and ".join(sorted(values)) or "nothing"
            return f"{key} is {has} in its aggregates, {wanted} asked"
    return None


def asks_of_aggregates(sought: Sought) -> bool:
    """Return whether the flavor asks for anything of aggregates."""
    return bool(sought.once(_SCOPE, _asked))


def _asked(spec: RequestSpec) -> list[tuple[str, str]]:
    """Return what a flavor asks of aggregates: key and value."""
    found = []
    for name, wanted in sorted(spec.flavor.extra_specs.items()):
        scope, colon, key = name.partition(":")
        if not colon and name not in _NOT_OF_AGGREGATES:
            found.append((name, wanted))
        elif colon and scope == _SCOPE:
            found.append((key, wanted))
    return found


def is_for_tenant(host: HostState, sought: Sought) -> str | None:
    """Refuse hosts whose aggregates are for other projects: metadata ``filter_tenant_id``, with any ending."""
    tenants: set[str] = set()
    for metadata in host.aggregates:
        for key, value in metadata.items():
            if key.startswith(_TENANTS):
                tenants |= _split(value)
    return "in an aggregate for other projects" if tenants and sought.spec.project_id not in tenants else None


def suits_image(host: HostState, sought: Sought) -> str | None:
    """Refuse hosts whose aggregates are for other images: metadata with the name of one of the image's properties."""
    properties = sought.spec.image_properties
    shared = {key for metadata in host.aggregates for key in metadata if key in properties}
    for key in sorted(shared):
        allowed = _values(host, key)
        if properties[key] and properties[key] not in allowed:
            return f"in an aggregate for images whose {key} is {' or '.join(sorted(allowed))}"
    return None


def suits_flavor(host: HostState, sought: Sought) -> str | None:
    """Refuse hosts whose aggregates are for flavors of other names only: metadata ``instance_type``."""
    names = _values(host, "instance_type")
    if not names or sought.spec.flavor.name in names:
        return None
    return f"in an aggregate for the flavors {', '.join(sorted(names))} only"


def _values(host: HostState, key: str) -> set[str]:
    """Return all values that the host's aggregates have for ``key``; one may hold several, with commas."""
    return {value for metadata in host.aggregates if key in metadata for value in _split(metadata[key])}


def _split(value: str) -> set[str]:
    return {each.strip() for each in value.split(",")}


def matches(value: str, wanted: str) -> bool:
    """Return whether metadata ``value`` is as ``wanted`` says."""
    sign, _, rest = wanted.strip().partition(" ")
    if sign in _NUMBERS:
        try:
            return _NUMBERS[sign](float(value), float(rest))
        except ValueError:
            return False
    if sign in _TEXTS:
        return _TEXTS[sign](value, rest.strip())
    if sign == "<in>":
        return rest.strip() in value
    if sign == "<all-in>":
        return all(part in value for part in rest.split())
    if sign == "<or>":
        return value in {part.strip() for part in rest.split("<or>")}
    return value == wanted
