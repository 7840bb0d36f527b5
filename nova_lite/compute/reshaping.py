"""Where what consumers hold goes when an inventory moves within a host's tree: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nova_lite.clients.placement import Holding

#: A class of one provider: (provider UUID, class).
Place = tuple[str, str]


@dataclass(slots=True)
class Room:
    """What is left of an inventory nobody holds anything of yet."""

    free: int
    min_unit: int = 1
    max_unit: int = 2**31 - 1
    step_size: int = 1

    @classmethod
    def of(cls, inventory: Mapping[str, Any]) -> "Room":
        """Return the room in an inventory as Placement has it."""
        number = {
            name: int(str(inventory[name])) for name in ("total", "reserved", "min_unit", "max_unit", "step_size")
        }
        free = int((number["total"] - number["reserved"]) * float(str(inventory["allocation_ratio"])))
        return cls(free, number["min_unit"], number["max_unit"], number["step_size"])

    def takes(self, amount: int) -> bool:
        """Return whether so much could be held here."""
        return self.min_unit <= amount <= min(self.free, self.max_unit) and amount % self.step_size == 0

    def most(self, amount: int) -> int:
        """Return how much of ``amount`` could be held here."""
        most = min(self.free, self.max_unit, amount)
        most -= most % self.step_size
        return most if most >= self.min_unit else 0


class NoRoom(Exception):
    """What a consumer holds fits nowhere; the argument is the consumer's UUID."""


def moved(
    holdings: Mapping[str, Holding], targets: Mapping[Place, Sequence[str]], room: Mapping[Place, Room]
) -> dict[str, Holding]:
    """Return what each consumer holds once the classes of ``targets`` have moved to those providers.

    What a consumer holds of one provider stays together where it can, and is divided where it must be; big consumers
    choose first. ``room`` is used up. Raises NoRoom.
    """
    by_size = sorted(holdings, key=lambda uuid: (-_size(holdings[uuid], targets), uuid))
    return {consumer: _moved(consumer, holdings[consumer], targets, room) for consumer in by_size}


def _size(holding: Holding, targets: Mapping[Place, Sequence[str]]) -> int:
    return sum(
        amount
        for provider, amounts in holding.allocations.items()
        for name, amount in amounts.items()
        if (provider, name) in targets
    )


def _moved(
    consumer: str, holding: Holding, targets: Mapping[Place, Sequence[str]], room: Mapping[Place, Room]
) -> Holding:
    after: dict[str, dict[str, int]] = {}
    for provider, amounts in holding.allocations.items():
        moving = {name: amount for name, amount in amounts.items() if (provider, name) in targets}
        for name, amount in amounts.items() - moving.items():
            _add(after, provider, name, amount)
        together = _one_for_all(provider, moving, targets, room)
        for name, amount in moving.items():
            shares = {together: amount} if together else _divided(amount, name, targets[provider, name], room)
            if sum(shares.values()) < amount:
                raise NoRoom(consumer)
            for target, share in shares.items():
                room[target, name].free -= share
                _add(after, target, name, share)
    return replace(holding, allocations=after)


def _one_for_all(
    provider: str,
    moving: Mapping[str, int],
    targets: Mapping[Place, Sequence[str]],
    room: Mapping[Place, Room],
) -> str | None:
    """Return the first provider that takes all that moves; None when there is none."""
    offers = [targets[provider, name] for name in moving]
    for target in offers[0] if offers else ():
        if all(target in offer for offer in offers) and all(room[target, n].takes(moving[n]) for n in moving):
            return target
    return None


def _divided(amount: int, name: str, targets: Sequence[str], room: Mapping[Place, Room]) -> dict[str, int]:
    """Return target → share, as few as possible; less than ``amount`` in all when there is no room."""
    shares: dict[str, int] = {}
    for target in sorted(targets, key=lambda uuid: -room[uuid, name].free):
        share = room[target, name].most(amount - sum(shares.values()))
        if share:
            shares[target] = share
    return shares


def _add(allocations: dict[str, dict[str, int]], provider: str, name: str, amount: int) -> None:
    amounts = allocations.setdefault(provider, {})
    amounts[name] = amounts.get(name, 0) + amount
