"""Which weighers run and how much each counts: ours, and those that packages bring, loaded by name."""

from collections.abc import Iterable, Sequence
from importlib import metadata

from nova_lite.errors import Misconfigured
from nova_lite.model.host import HostState
from nova_lite.scheduler.filters import Options, Sought
from nova_lite.scheduler.weighers import WEIGHERS, Own, multipliers, option_of, weigh

#: Where others register weighers of their own: functions of a host and what is sought, higher is better.
ENTRY_POINTS = "nova_lite.scheduler.weighers"


class Weighing:
    """Weighs hosts as ``[filter_scheduler]`` says; raises Misconfigured for weighers that nobody brings."""

    def __init__(self, options: Options) -> None:
        own = numbers_by_name("own_weighers", options.own_weighers)
        if taken := sorted(own.keys() & WEIGHERS.keys()):
            raise Misconfigured(f"[filter_scheduler] own_weighers: {', '.join(taken)} is ours: give it another name")
        self._weighers = {**WEIGHERS, **{name: _installed(name) for name in own}}
        self._multipliers = {**multipliers(options), **own}

    def rank(self, hosts: Sequence[HostState], sought: Sought) -> list[tuple[HostState, float]]:
        """Return hosts with their weights, heaviest first; equal ones keep their order."""
        return weigh(hosts, sought, self._multipliers, self._weighers)

    def parts(self, host: HostState, sought: Sought) -> dict[str, float]:
        """Return weigher → what it saw of ``host``, for those that count there."""
        return {
            name: round(self._weighers[name](host, sought), 3)
            for name, multiplier in self._multipliers.items()
            if multiplier or option_of(name) in host.aggregate_numbers
        }


def numbers_by_name(option: str, texts: Iterable[str]) -> dict[str, float]:
    """Return name → number, as ``NAME=NUMBER`` says; raises Misconfigured naming the ``option``."""
    found: dict[str, float] = {}
    for text in texts:
        name, _, number = text.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError as exc:
            raise Misconfigured(f"[filter_scheduler] {option}: {text!r} is not NAME=NUMBER") from exc
    return found


def _installed(name: str) -> Own:
    for entry in metadata.entry_points(group=ENTRY_POINTS, name=name):
        return Own(entry.load())
    raise Misconfigured(f"[filter_scheduler] own_weighers: no package brings {name}")
