"""Draws cost over size as SVG: both axes logarithmic, a line for each server and limit. Pure."""

import math
from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT, _MARGIN, _LEGEND = 640, 400, 60, 190
_COLOURS = ("#b03a2e", "#e59866", "#1f618d", "#5dade2", "#239b56", "#7d3c98")

Points = Sequence[tuple[float, float]]


def svg(title: str, x_name: str, y_name: str, lines: Mapping[str, Points]) -> str:
    """Return a drawing of ``lines``: name → points, all above zero."""
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    x_axis, y_axis = _Axis(xs, _MARGIN, _WIDTH - _LEGEND), _Axis(ys, _HEIGHT - _MARGIN, _MARGIN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_WIDTH / 2, 24, title, "middle", size=15),
        _text((_MARGIN + _WIDTH - _LEGEND) / 2, _HEIGHT - 14, x_name, "middle"),
        _text(_MARGIN - 44, _MARGIN - 16, y_name, "start"),
    ]
    for x in x_axis.ticks:
        at = x_axis.place(x)
        parts.append(_line(at, _MARGIN, at, _HEIGHT - _MARGIN, "#ddd"))
        parts.append(_text(at, _HEIGHT - _MARGIN + 18, f"{x:,.10g}", "middle"))
    for y in y_axis.ticks:
        at = y_axis.place(y)
        parts.append(_line(_MARGIN, at, _WIDTH - _LEGEND, at, "#ddd"))
        parts.append(_text(_MARGIN - 6, at + 4, f"{y:,.10g}", "end"))
    for number, (name, points) in enumerate(lines.items()):
        parts += _curve(name, [(x_axis.place(x), y_axis.place(y)) for x, y in sorted(points)], number)
    return "\n".join([*parts, "</svg>", ""])


class _Axis:
    """A logarithmic axis over whole powers of ten that hold all ``values``."""

    def __init__(self, values: Sequence[float], first: float, last: float) -> None:
        self._low = math.floor(math.log10(min(values)))
        self._high = max(math.ceil(math.log10(max(values))), self._low + 1)
        self._first, self._last = first, last
        self.ticks = [10.0**power for power in range(self._low, self._high + 1)]

    def place(self, value: float) -> float:
        """Return where on the drawing ``value`` is."""
        part = (math.log10(value) - self._low) / (self._high - self._low)
        return self._first + part * (self._last - self._first)


def _curve(name: str, points: Points, number: int) -> list[str]:
    colour = _COLOURS[number % len(_COLOURS)]
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    right, row = _WIDTH - _LEGEND + 14, _MARGIN + 12 + 22 * number
    return [
        f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points),
        f'<rect x="{right}" y="{row - 9}" width="12" height="10" fill="{colour}"/>',
        _text(right + 18, row, name, "start"),
    ]


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str, size: int = 12) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escaped}</text>'
