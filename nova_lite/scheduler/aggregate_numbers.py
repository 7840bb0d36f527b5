"""Numbers that operators write into the metadata of aggregates: multipliers of weights, and limits."""

import logging
import math
from collections.abc import Mapping, Sequence

LOG = logging.getLogger(__name__)

_MULTIPLIER = "_weight_multiplier"
#: Whole numbers, of which a host has the smallest that its aggregates say.
_LIMITS = frozenset({"max_instances_per_host", "max_io_ops_per_host"})
#: Mistakes that are remembered, lest each is logged again and again.
_MOST_REMEMBERED = 1000


class AggregateNumbers:
    """Reads them; of what is no number it complains once, and goes on as if it were not there."""

    def __init__(self) -> None:
        self._complaints: set[tuple[str, str]] = set()

    def of(self, host: str, aggregates: Sequence[Mapping[str, str]]) -> dict[str, float]:
        """Return name → the smallest number that the ``aggregates`` of ``host`` give it."""
        found: dict[str, float] = {}
        for metadata in aggregates:
            for name, text in metadata.items():
                if name not in _LIMITS and not name.endswith(_MULTIPLIER):
                    continue
                number = _number(name, text)
                if number is None:
                    self._complain(host, name, text)
                else:
                    found[name] = min(number, found.get(name, number))
        return found

    def _complain(self, host: str, name: str, text: str) -> None:
        if (name, text) in self._complaints or len(self._complaints) >= _MOST_REMEMBERED:
            return
        self._complaints.add((name, text))
        LOG.warning("An aggregate of host %s has %s = %r, which is no number and counts nothing", host, name, text)


def _number(name: str, text: str) -> float | None:
    try:
        number = int(text) if name in _LIMITS else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
