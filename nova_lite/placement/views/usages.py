"""How usages are shown."""

from collections.abc import Iterable

from nova_lite.placement.model import Provider
from nova_lite.placement.views.allocations import UNKNOWN_TYPE

#: (consumer type, class, amount, consumers of that type)
Row = tuple[str | None, str, int, int]


def of_provider(provider: Provider) -> dict[str, object]:
    """Return what is used of a provider."""
    return {
        "resource_provider_generation": provider.generation,
        "usages": {name: inventory.used for name, inventory in provider.inventories.items()},
    }


def by_class(rows: Iterable[Row]) -> dict[str, int]:
    """Return class → amount, all types together."""
    usages: dict[str, int] = {}
    for _, name, amount, _ in rows:
        usages[name] = usages.get(name, 0) + amount
    return usages


def by_type(rows: Iterable[Row], wanted: str | None) -> dict[str, dict[str, int]]:
    """Return type → class → amount, with ``consumer_count``; ``wanted`` is one type, or "all" for the sum."""
    usages: dict[str, dict[str, int]] = {}
    counts: dict[str, dict[str | None, int]] = {}
    for consumer_type, name, amount, consumers in rows:
        shown = "all" if wanted == "all" else consumer_type or UNKNOWN_TYPE
        if wanted not in (None, shown):
            continue
        of_type = usages.setdefault(shown, {})
        of_type[name] = of_type.get(name, 0) + amount
        counts.setdefault(shown, {})[consumer_type] = consumers
    for shown, of_type in usages.items():
        of_type["consumer_count"] = sum(counts[shown].values())
    return usages
