"""May an inventory take an amount? Pure; the claiming UPDATE says the same in SQL, and a test compares them."""

from nova_lite.placement.model import Inventory


def capacity(inventory: Inventory) -> float:
    """Return how much may be used in all, overcommit included."""
    return (inventory.total - inventory.reserved) * inventory.allocation_ratio


def refusal(inventory: Inventory, amount: int) -> str | None:
    """Return why ``inventory`` cannot take ``amount`` more, or None when it can."""
    unit = unit_refusal(inventory, amount)
    if unit is not None:
        return unit
    free = capacity(inventory) - inventory.used
    if amount > free:
        return f"capacity exceeded: {amount} asked, {max(free, 0):g} free of {capacity(inventory):g}"
    return None


def unit_refusal(inventory: Inventory, amount: int) -> str | None:
    """Return why ``amount`` is no size this inventory is handed out in, or None when it is."""
    if amount < inventory.min_unit:
        return f"{amount} asked, at least {inventory.min_unit} (min_unit) is handed out"
    if amount > inventory.max_unit:
        return f"{amount} asked, at most {inventory.max_unit} (max_unit) is handed out"
    if amount % inventory.step_size:
        return f"{amount} asked, it is handed out in steps of {inventory.step_size} (step_size)"
    return None
