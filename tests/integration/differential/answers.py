"""Answers, brought into a form in which two that mean the same are equal. Pure."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

#: Words for people: they may differ. So do the ids of requests.
_PROSE = ("detail", "request_id")


@dataclass(frozen=True)
class Answer:
    """What a server answered; names of headers are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    def document(self) -> Any:
        """Return the body as JSON, None when there is none, and the text itself when it is no JSON."""
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except ValueError:
            return self.body.decode(errors="replace")

    def __str__(self) -> str:
        shown = {name: value for name, value in self.headers.items() if name in _SHOWN}
        return f"{self.status} {shown} {self.body[:3000].decode(errors='replace')}"


def normal(document: Any) -> Any:
    """Return ``document`` without prose and with its lists sorted: the API promises no order in any of them."""
    if isinstance(document, dict):
        if "errors" in document and isinstance(document["errors"], list):
            return {"errors": [_error(entry) for entry in document["errors"]]}
        return {name: normal(value) for name, value in document.items()}
    if isinstance(document, list):
        return sorted((normal(entry) for entry in document), key=_sort_key)
    return document


def _error(entry: Any) -> Any:
    """Return an error with its prose reduced to whether there is some."""
    if not isinstance(entry, dict):
        return entry
    return {name: bool(value) if name in _PROSE else value for name, value in entry.items()}


def _sort_key(entry: Any) -> str:
    return json.dumps(entry, sort_keys=True)


def headers(answer: Answer) -> dict[str, Any]:
    """Return what must be equal of the headers."""
    told = answer.headers
    kept: dict[str, Any] = {name: told.get(name) for name in ("openstack-api-version", "cache-control")}
    kept["vary"] = _listed(told.get("vary"))
    kept["allow"] = _listed(told.get("allow"))
    kept["last-modified"] = "last-modified" in told
    kept["www-authenticate"] = "www-authenticate" in told
    kept["x-openstack-request-id"] = "x-openstack-request-id" in told
    if "location" in told:
        kept["location"] = urlsplit(told["location"]).path
    if answer.body:
        kept["content-type"] = told.get("content-type", "").partition(";")[0]
    return kept


def _listed(value: str | None) -> list[str]:
    return sorted(piece.strip().lower() for piece in (value or "").split(",") if piece.strip())


_SHOWN = ("openstack-api-version", "vary", "cache-control", "last-modified", "location", "allow", "content-type")
