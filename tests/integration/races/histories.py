"""Histories of claims and releases with the times between which each took effect, and what no history may show.

A claim is certainly held from its answer until its release is begun. That is too little, never too much: whatever a
check says here is so, however the requests really met.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

#: No time is later.
NEVER = float("inf")


@dataclass(slots=True)
class Held:
    """An acknowledged claim of ``amount``, asked and answered at these times, and its release at those."""

    amount: int
    began: float
    ended: float
    freed: float = NEVER
    gone: float = NEVER

    def released(self, began: float, ended: float) -> None:
        """Note the release."""
        self.freed, self.gone = began, ended


@dataclass(frozen=True, slots=True)
class Resized:
    """A change of the capacity, asked at ``began`` and answered at ``ended``."""

    capacity: float
    began: float
    ended: float


def most_at_once(claims: Iterable[Held]) -> int:
    """Return the most that was certainly held at one instant."""
    steps = [step for claim in claims for step in ((claim.ended, 1, claim.amount), (claim.freed, 0, -claim.amount))]
    most = now = 0
    for _, _, change in sorted(steps):
        now += change
        most = max(most, now)
    return most


def bounds(claims: Iterable[Held], began: float, ended: float) -> tuple[int, int]:
    """Return the least and the most that a read between these times may show as used."""
    least = most = 0
    for claim in claims:
        if claim.began <= ended and claim.gone >= began:
            most += claim.amount
            if claim.ended <= began and claim.freed >= ended:
                least += claim.amount
    return least, most


def overdrawn(claims: list[Held], sizes: list[Resized]) -> Iterator[str]:
    """Yield each claim that was granted though there cannot have been the room, whatever the order was.

    ``sizes`` are in order, the first made before any claim.
    """
    for claim in claims:
        certain = sum(other.amount for other in claims if other.ended <= claim.began and other.freed >= claim.ended)
        # A size can have been in force from its asking on, until the answer to the next one.
        ends = [following.ended for following in sizes[1:]] + [NEVER]
        possible = max(
            size.capacity
            for size, end in zip(sizes, ends, strict=True)
            if size.began <= claim.ended and end >= claim.began
        )
        if certain + claim.amount > possible:
            yield f"{claim} granted beside {certain} held for certain, where at most {possible:g} could be there"
