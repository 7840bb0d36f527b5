"""Every kind of notification, as the code's own table says."""

from docs._ext import markup
from nova_lite.model.notifications import EVENTS


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
