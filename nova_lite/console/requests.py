"""What those who open consoles send: their token, and where the page is from that asks. Pure."""

from collections.abc import Collection
from urllib.parse import parse_qs, unquote, urlsplit

#: What a page may be loaded by, where consoles are opened by something else.
_PAGES = {"ws": "http", "wss": "https"}


def token_of(target: str, cookies: Collection[str]) -> str | None:
    """Return the token of a request for ``target``, a path with a query; None when there is none.

    It stands in the query, by itself or in the ``path`` that noVNC was given, else in a cookie, where noVNC used to
    put it. One that stands in the query counts, whatever is in cookies.
    """
    query = parse_qs(urlsplit(target).query)
    for asked in (query, *(parse_qs(path.partition("?")[2]) for path in query.get("path", ()))):
        if "token" in asked:
            return asked["token"][-1]
    for cookie in ";".join(cookies).split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == "token" and value:
            return unquote(value.strip('"'))
    return None


def is_welcome(origin: str | None, host: str | None, base_url: str, allowed: Collection[str]) -> bool:
    """Return whether a page at ``origin`` may open a console that users are told ``base_url`` of.

    It must be from the machine that the request was for (``host``) or one of those ``allowed``, by the same protocol
    as ``base_url``. Programs that are no browsers tell no origin: they may.
    """
    if origin is None:
        return True
    try:
        page, here = urlsplit(origin), urlsplit(f"//{host or ''}")
        protocol = urlsplit(base_url).scheme
        names = {name.lower() for name in (here.hostname, *allowed) if name}
        return page.scheme == _PAGES.get(protocol, protocol) and page.hostname in names
    except ValueError:
        return False
