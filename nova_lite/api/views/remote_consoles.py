"""How a console looks to those who may open it."""

from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from nova_lite.model.console import Console


def one(console: Console, token: str, protocol: str) -> dict[str, object]:
    """Return the document, as from 2.6 on."""
    return {"remote_console": {"protocol": protocol, "type": console.kind, "url": url(console, token)}}


def old(console: Console, token: str) -> dict[str, object]:
    """Return the document as actions answer it."""
    return {"console": {"type": console.kind, "url": url(console, token)}}


def url(console: Console, token: str) -> str:
    """Return the URL that opens a console; noVNC takes in ``path`` what it is to ask the proxy for."""
    base = urlsplit(console.base_url)
    query = parse_qs(base.query)
    if console.kind == "novnc":
        query["path"] = [f"{query.get('path', [''])[0]}?token={token}"]
    else:
        query["token"] = [token]
    return urlunsplit(base._replace(query=urlencode(query, doseq=True)))
