"""Draws who says what to whom, from lines such as ``api -> conductor: wake``; ``api: text`` is a note."""

import re
from dataclasses import dataclass
from xml.sax import saxutils

from docs._ext import markup

_LINE = re.compile(r"([^:>]+?)\s*(?:(-->|->)\s*([^:]+?)\s*)?:\s*(.+)")
_LANE, _ROW, _TOP, _MARGIN = 128.0, 30.0, 40.0, 70.0


@dataclass(frozen=True)
class Event:
    """One line: a message (``-->`` is an answer or a nudge that may be lost), or a note at one party."""

    party: str
    words: str
    other: str | None = None
    is_dashed: bool = False


def parsed(content: list[str]) -> list[Event]:
    """Return the events of a drawing's lines; raises ValueError naming a line that is none."""
    events = []
    for line in content:
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"neither 'A -> B: text' nor 'A: text': {line.strip()!r}")
        party, arrow, other, words = match.groups()
        events.append(Event(party, words, other, arrow == "-->"))
    return events


def lines(title: str, content: list[str]) -> list[str]:
    """Return the drawing."""
    events = parsed(content)
    parties = list(dict.fromkeys(name for event in events for name in (event.party, event.other) if name))
    x = {name: _MARGIN + place * _LANE for place, name in enumerate(parties)}
    height = _TOP + _ROW * (len(events) + 1)
    width = 2 * _MARGIN + _LANE * (len(parties) - 1)
    shapes = [shape for name in parties for shape in _lane(name, x[name], height)]
    for number, event in enumerate(events, 1):
        y = _TOP + _ROW * number
        shapes.append(_note(event, x[event.party], y, width) if event.other is None else _arrow(event, x, y))
    return markup.drawing(width, height + 6, title, shapes)


def _lane(name: str, x: float, height: float) -> list[str]:
    return [
        f'<line x1="{x:g}" y1="30" x2="{x:g}" y2="{height:g}" stroke="#bbb"/>',
        f'<rect x="{x - 60:g}" y="4" width="120" height="26" rx="5" fill="#f2f4f7" stroke="#555"/>',
        markup.words_at(x, 21, name, extra='font-weight="bold"'),
    ]


def _note(event: Event, x: float, y: float, drawing_width: float) -> str:
    """Return a note that begins at its party, or further left where it would not end in the drawing."""
    width = 6.2 * len(event.words) + 18
    left = max(2.0, min(x - 8, drawing_width - width - 4))
    box = f'<rect x="{left:g}" y="{y - 14:g}" width="{width:g}" height="20" rx="3" fill="#fff7dd" stroke="#c9a227"/>'
    return box + f'<text x="{left + 7:g}" y="{y:g}" fill="#222" font-size="11.5">{saxutils.escape(event.words)}</text>'


def _arrow(event: Event, x: dict[str, float], y: float) -> str:
    start, end = x[event.party], x[event.other or ""]
    dashes = 'stroke-dasharray="5 3"' if event.is_dashed else ""
    path = markup.arrow(f"M{start:g},{y:g} L{end:g},{y:g}", "#24527a", dashes)
    return path + markup.words_at((start + end) / 2, y - 5, event.words, color="#24527a")
