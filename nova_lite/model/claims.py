"""What is held in Placement, and whether it is what is due: pure."""

from collections.abc import Mapping

from nova_lite.model.flavor import Flavor

#: Class → amount.
Amounts = Mapping[str, int]
#: Provider → class → amount.
Held = Mapping[str, Amounts]

#: What extra specs and image properties begin with that ask for other resources than the flavor's columns.
_SPECIAL = ("resources", "hw:", "hw_", "trait", "pci_passthrough:", "accel:")


def plain_amounts(flavor: Flavor, image_properties: Mapping[str, str]) -> Amounts | None:
    """Return what a server takes whose flavor and image ask for nothing special, else None."""
    if any(key.startswith(_SPECIAL) for key in (*flavor.extra_specs, *image_properties)):
        return None
    wanted = {"VCPU": flavor.vcpus, "MEMORY_MB": flavor.ram_mib, "DISK_GB": flavor.disk_gib}
    return {name: amount for name, amount in wanted.items() if amount > 0}


def fits(held: Held, node: str | None, amounts: Amounts | None, roots: Mapping[str, str]) -> bool:
    """Return whether who is due ``amounts`` (None: any) of the tree of ``node`` holds them, however spread in it.

    Without a node nothing is due. ``roots`` is provider → the root of its tree.
    """
    if node is None:
        return not held
    if not held or any(roots.get(provider, provider) != node for provider in held):
        return False
    return amounts is None or totals(held) == dict(amounts)


def totals(held: Held) -> dict[str, int]:
    """Return class → amount over all providers."""
    found: dict[str, int] = {}
    for amounts in held.values():
        for name, amount in amounts.items():
            found[name] = found.get(name, 0) + amount
    return found


def shown(amounts: Amounts) -> str:
    """Return amounts for people."""
    return ", ".join(f"{name} {amount}" for name, amount in sorted(amounts.items())) or "nothing"


def shown_all(held: Held) -> str:
    """Return what is held, and of whom, for people."""
    return "; ".join(f"{shown(amounts)} of {provider}" for provider, amounts in sorted(held.items())) or "nothing"
