"""Every kind of notification, as the code's own table says, and those that are told elsewhere and not here."""

import functools
from pathlib import Path

from docs._ext import markup
from nova_lite.model.notifications import EVENTS

#: Event type without its phase, of those that are not told → why not.
NOT_TOLD = {
    "instance.interface_attach": "Servers have no networks yet.",
    "instance.interface_detach": "Servers have no networks yet.",
    "instance.power_on_share": "Servers have no shares.",
    "instance.share_attach": "Servers have no shares.",
    "instance.share_detach": "Servers have no shares.",
    "metrics.update": "Hosts measure nothing for schedulers; what agents count is read from ``/metrics``.",
    "volume.usage": "What guests read from volumes and write to them is not counted.",
}
_PHASES = (".start", ".end", ".error")


@functools.cache
def elsewhere() -> frozenset[str]:
    """Return every event type that listeners may know from elsewhere."""
    text = Path(__file__).with_name("whole_notifications.txt").read_text()
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def without_phase(event_type: str) -> str:
    """Return the name of what an event type tells a phase of."""
    return next((event_type.removesuffix(phase) for phase in _PHASES if event_type.endswith(phase)), event_type)


def lines() -> list[str]:
    """Return a table of every event: its type, payload, who tells it and when."""
    rows = [
        (
            markup.code(event.name + (f".{{{','.join(event.phases)}}}" if event.phases else "")),
            markup.code(f"{event.shape.name} {event.shape.version}"),
            markup.code(event.source),
            event.when,
        )
        for event in EVENTS.values()
    ]
    return markup.table(("event type", "payload", "who tells", "when"), rows, widths=(32, 24, 14, 30))


def not_told_lines() -> list[str]:
    """Return a table of what is told elsewhere and not here, and why."""
    rows = [(markup.code(name), why) for name, why in NOT_TOLD.items()]
    return markup.table(("event type", "why not"), rows, widths=(40, 60))
