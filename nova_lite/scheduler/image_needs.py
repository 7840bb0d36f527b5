"""The filter for what images ask of a host's hypervisor: pure."""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler.filters import Filter, Sought

#: Of each part of ``Hypervisor.runs``: what images say of it, under its names of today and of old, what it is called
#: in refusals, and other names of the same values.
_KINDS: Sequence[tuple[Sequence[str], str, Mapping[str, str]]] = (
    (
        ("hw_architecture", "architecture"),
        "architecture",
        {"amd64": "x86_64", "i386": "i686", "i486": "i686", "i586": "i686"},
    ),
    (("img_hv_type", "hypervisor_type"), "hypervisor type", {"xapi": "xen"}),
    (("hw_vm_mode", "vm_mode"), "virtual machine mode", {"pv": "xen", "hv": "hvm", "baremetal": "hvm"}),
)
_VERSION = ("img_hv_requested_version", "hypervisor_version_requires")
_BITS = "hw_maxphysaddr_bits"
_ASKED = frozenset({name for names, _, _ in _KINDS for name in names} | {*_VERSION, _BITS})
_CONDITION = re.compile(r"\s*(<=|>=|<|>|!=|==)\s*([0-9]+(?:\.[0-9]+)*)\s*", re.ASCII)
_COMPARED: Mapping[str, Callable[[list[int], list[int]], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "!=": operator.ne,
}


def suits_image(default_architecture: str | None) -> Filter:
    """Return the filter for images; those that name no architecture have been made for ``default_architecture``."""

    def kinds(spec: RequestSpec) -> list[str | None]:
        said = [_first(spec.image_properties, names) for names, _, _ in _KINDS]
        said[0] = said[0] or default_architecture
        return [
            same.get(each.lower(), each.lower()) if each else None
            for each, (_, _, same) in zip(said, _KINDS, strict=True)
        ]

    def answers(spec: RequestSpec) -> dict[Any, str | None]:
        return {}

    def refusal(host: HostState, sought: Sought) -> str | None:
        # Many hosts are alike.
        known = sought.once("hypervisors", answers)
        alike = (host.hypervisor.runs, host.hypervisor.version, _bits(host))
        if alike not in known:
            properties = sought.spec.image_properties
            wanted = sought.once("kinds", kinds)
            known[alike] = (
                _refused_kind(host, wanted) or _refused_version(host, properties) or _refused_bits(host, properties)
            )
        return known[alike]

    return refusal


def asks_of_hypervisor(sought: Sought) -> bool:
    """Return whether the image says anything of hypervisors."""
    return not sought.spec.image_properties.keys().isdisjoint(_ASKED)


def _refused_kind(host: HostState, wanted: Sequence[str | None]) -> str | None:
    runs = host.hypervisor.runs
    # One that never told is of an earlier release: what it cannot run, it refuses itself.
    if runs is None or not any(wanted):
        return None
    if any(all(each in (None, has) for each, has in zip(wanted, kind, strict=True)) for kind in runs):
        return None
    for place, (each, (_, name, _)) in enumerate(zip(wanted, _KINDS, strict=True)):
        offered = sorted({kind[place] for kind in runs})
        if each is not None and each not in offered:
            return f"runs {name} {' or '.join(offered) or 'none'}, {each} asked by the image"
    return f"runs no guests that are {', '.join(each for each in wanted if each)} at once, as asked by the image"


def _refused_version(host: HostState, properties: Mapping[str, str]) -> str | None:
    text = _first(properties, _VERSION)
    if text is None or not host.hypervisor.version:
        return None
    has = _version(host.hypervisor.version)
    for part in text.split(","):
        condition = _CONDITION.fullmatch(part)
        if condition is None:
            return f"hypervisor version {text[:64]!r} asked by the image cannot be understood"
        sign, number = condition.groups()
        if not _COMPARED[sign](*_as_long(has, [int(each) for each in number.split(".")])):
            return f"hypervisor version is {'.'.join(map(str, has))}, {text} asked by the image"
    return None


def _refused_bits(host: HostState, properties: Mapping[str, str]) -> str | None:
    wanted, bits = properties.get(_BITS), _bits(host)
    if wanted is None or bits is None or not wanted.isdecimal() or bits >= int(wanted):
        return None
    return f"its addresses have {bits} bits, {wanted} asked by the image"


def _bits(host: HostState) -> int | None:
    about = host.hypervisor.cpu_info.get("maxphysaddr")
    bits = about.get("bits") if isinstance(about, Mapping) else None
    return bits if isinstance(bits, int) else None


def _first(properties: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((properties[name] for name in names if properties.get(name)), None)


def _version(number: int) -> list[int]:
    """Return the parts of a version told as one number: three digits to each part but the first."""
    parts: list[int] = []
    while number:
        number, part = divmod(number, 1000)
        parts.insert(0, part)
    return parts


def _as_long(one: list[int], other: list[int]) -> tuple[list[int], list[int]]:
    """Return both with as many parts: what is not said is 0."""
    length = max(len(one), len(other))
    return one + [0] * (length - len(one)), other + [0] * (length - len(other))
