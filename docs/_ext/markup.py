"""Writes the reStructuredText that the directives hand to docutils: escaped words, tables, drawings."""

import re
from collections.abc import Sequence
from xml.sax import saxutils

_CODE = re.compile(r"(``[^`]+``)")
_TIP = re.compile(r"url\(#tip-(\w+)\)")
_SPECIAL = re.compile(r"([\\*`_|<>])")


def text(words: str) -> str:
    """Return ``words`` on one line, so that only ````code```` in them means anything."""
    parts = _CODE.split(" ".join(words.split()))
    return "".join(part if _CODE.fullmatch(part) else _SPECIAL.sub(r"\\\1", part) for part in parts)


def code(words: str) -> str:
    """Return ``words`` as code; nothing for no words."""
    return f"``{words}``" if words else ""


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, widths: Sequence[int]) -> list[str]:
    """Return a table whose cells are reStructuredText on one line each."""
    lines = [
        ".. list-table::",
        "   :header-rows: 1",
        f"   :widths: {' '.join(str(width) for width in widths)}",
        "",
    ]
    for row in (header, *rows):
        lines += [f"   {'* -' if place == 0 else '  -'} {cell}".rstrip() for place, cell in enumerate(row)]
    return [*lines, ""]


def rubric(title: str) -> list[str]:
    """Return a heading that is in no table of contents."""
    return [f".. rubric:: {title}", ""]


def drawing(width: float, height: float, title: str, shapes: Sequence[str]) -> list[str]:
    """Return an SVG picture as a part of the page; ``title`` says in words what it shows."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'style="max-width: 100%; height: auto" role="img" font-family="sans-serif" font-size="12">'
    )
    tips = "".join(
        f'<marker id="tip-{color}" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
        f'<path d="M0,0 L9,4 L0,8 z" fill="#{color}"/></marker>'
        for color in sorted(set(_TIP.findall(" ".join(shapes))))
    )
    body = [head, f"<title>{saxutils.escape(title)}</title>", f"<defs>{tips}</defs>", *shapes, "</svg>"]
    return [".. raw:: html", "", *(f"   {line}" for line in body), ""]


def words_at(x: float, y: float, words: str, *, anchor: str = "middle", color: str = "#222", extra: str = "") -> str:
    """Return the shape of ``words`` at a point, readable over lines."""
    halo = 'paint-order="stroke" stroke="#fff" stroke-width="4"'
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
    return f'<text {place} fill="{color}" {halo} {extra}>{saxutils.escape(words)}</text>'


def arrow(line: str, color: str, extra: str = "") -> str:
    """Return the shape of a line with a tip; ``color`` is written ``#rrggbb``."""
    tip = f'marker-end="url(#tip-{color[1:]})"'
    return f'<path d="{line}" fill="none" stroke="{color}" stroke-width="1.4" {tip} {extra}/>'
