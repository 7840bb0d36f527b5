"""What commands print: tables in three formats, and connections without their secrets."""

import csv
import io
import json
import sys
from collections.abc import Sequence

from nova_lite import errors
from nova_lite.cells import templates
from nova_lite.model.host import Cell
from nova_lite.rpc import transport_url as transport_urls
from nova_lite.storage import checked_url

FORMATS = ("table", "json", "csv")
_STARS = "****"
#: Query parameters of a database URL whose names hold one of these are secrets.
_SECRET_WORDS = ("pass", "secret", "token")


def rendered(columns: Sequence[str], rows: Sequence[Sequence[object]], form: str) -> str:
    """Return ``rows`` as a table, as a JSON list of objects or as CSV with a header."""
    if form == "json":
        return json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=2)
    if form == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([columns, *rows])
        return text.getvalue().rstrip("\n")
    cells = [[str(value) for value in row] for row in [columns, *rows]]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = [
        "| " + " | ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule] if rows else [rule, lines[0], rule])


def masked_connection(connection: str) -> str:
    """Return a database URL with ``****`` for its password."""
    try:
        url = checked_url(connection)
    except errors.Misconfigured:
        return "(unreadable)"
    if url.password is not None:
        url = url.set(password=_STARS)
    secrets = {name: _STARS for name in url.query if any(word in name.lower() for word in _SECRET_WORDS)}
    shown = url.update_query_dict(secrets).render_as_string(hide_password=False)
    return shown.replace("%2A%2A%2A%2A", _STARS)


def shown_connection(cell: Cell) -> str:
    """Return the database URL of a cell mapping, with ``****`` for its password and its holes as they are."""
    url = cell.database_connection
    return templates.masked(url) if templates.has_holes(url) else masked_connection(url)


def shown_transport_url(cell: Cell) -> str:
    """Return the bus URL of a cell mapping, shown alike."""
    url = cell.transport_url
    return templates.masked(url) if templates.has_holes(url) else transport_urls.masked(url)


def reason(exc: errors.NovaLiteError) -> str:
    """Return what an error says, with what caused it."""
    cause = exc.facts.get("cause") or exc.facts.get("body")
    return exc.message + (f" ({one_line(cause)})" if cause else "")


def complain(message: str, prog: str = "nova-lite-manage") -> None:
    """Print one line to standard error."""
    print(f"{prog}: {one_line(message)}", file=sys.stderr)


def one_line(text: object) -> str:
    """Return ``text`` on one line."""
    return " ".join(str(text).split())
