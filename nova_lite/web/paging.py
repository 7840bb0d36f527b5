"""Pages of long lists: ``limit`` and ``marker``, and the link to the next page."""

from dataclasses import dataclass
from urllib.parse import urlencode

from nova_lite import errors
from nova_lite.web.validation import Query


@dataclass(frozen=True)
class Page:
    """The part of a list a client asked for."""

    limit: int
    marker: str | None = None


def page(query: Query, max_limit: int) -> Page:
    """Return the page ``query`` asks for, never more than ``max_limit`` long.

    Raises: Invalid, when limit is no whole number from 0 up.
    """
    text = query.one("limit")
    limit = max_limit
    if text is not None:
        if not (text.isascii() and text.isdigit()):
            raise errors.Invalid(f"limit: {text[:64]!r} is not a whole number from 0 up")
        # Python refuses to read numbers of thousands of digits.
        limit = min(int(text), max_limit) if len(text) <= 18 else max_limit
    return Page(limit, query.one("marker") or None)


def next_url(collection_url: str, query: Query, marker: str) -> str:
    """Return the URL of the page after the one that ended with ``marker``: same query, new marker."""
    pairs = [(key, value) for key, values in query.items() if key != "marker" for value in values]
    return f"{collection_url}?{urlencode([*pairs, ('marker', marker)])}"
