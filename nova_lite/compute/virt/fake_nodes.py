"""The nodes an imitated host lends out whole, as bare-metal hosts do: one unit of a custom class each."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import os_traits

from nova_lite.errors import Misconfigured
from nova_lite.model.provider import Inventory, Provider

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_CUSTOM = re.compile(r"CUSTOM_[A-Z0-9_]{1,248}")
_STANDARD_TRAITS = frozenset(os_traits.get_traits())


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its name on its host, the class it is one unit of, its traits."""

    name: str
    resource_class: str
    traits: frozenset[str] = frozenset()

    def below(self, host: str) -> Provider:
        """Return the node as a provider below its host's: it is taken whole or not at all."""
        whole = Inventory(1, allocation_ratio=1.0)
        return Provider(f"{host}_{self.name}", host, {self.resource_class: whole}, self.traits)


def parse(texts: Iterable[str]) -> tuple[Node, ...]:
    """Return the nodes that ``NAME:CLASS[:TRAIT…]`` describe; raises Misconfigured."""
    found: dict[str, Node] = {}
    for text in texts:
        name, _, rest = text.partition(":")
        resource_class, *traits = rest.split(":")
        if not _NAME.fullmatch(name) or not _CUSTOM.fullmatch(resource_class):
            raise Misconfigured(f"[fake] nodes: {text!r} is not NAME:CLASS[:TRAIT…], with a class like CUSTOM_GOLD")
        unknown = [one for one in traits if not _CUSTOM.fullmatch(one) and one not in _STANDARD_TRAITS]
        if unknown:
            raise Misconfigured(f"[fake] nodes: {text!r} has traits nobody knows: {', '.join(unknown)}")
        if name in found:
            raise Misconfigured(f"[fake] nodes: {name} is there twice")
        found[name] = Node(name, resource_class, frozenset(traits))
    return tuple(found.values())
