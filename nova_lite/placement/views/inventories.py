"""How inventories are shown."""

from nova_lite.placement.model import Inventory, Provider


def show(inventory: Inventory) -> dict[str, object]:
    """Return one inventory as the API shows it."""
    return {
        "total": inventory.total,
        "reserved": inventory.reserved,
        "min_unit": inventory.min_unit,
        "max_unit": inventory.max_unit,
        "step_size": inventory.step_size,
        "allocation_ratio": inventory.allocation_ratio,
    }


def show_one(provider: Provider, class_name: str) -> dict[str, object]:
    """Return one of a provider's inventories, with the provider's generation."""
    return show(provider.inventories[class_name]) | {"resource_provider_generation": provider.generation}


def show_all(provider: Provider) -> dict[str, object]:
    """Return all of a provider's inventories, with its generation."""
    return {
        "inventories": {name: show(inventory) for name, inventory in provider.inventories.items()},
        "resource_provider_generation": provider.generation,
    }
