"""What is compared of two answers: status, keys, types, null, how dates are written, links. Pure.

Values are not: both clouds count and date for themselves.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
#: What a text may be, the first that fits counts.
_TEXTS = (
    ("date with Z", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
    ("date with microseconds", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"),
    ("date", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"),
    ("date with a space", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d.*"),
    ("uuid", _UUID),
    ("56 hexadecimal digits", r"[0-9a-f]{56}"),
    ("number as text", r"-?\d+"),
    ("empty", r""),
)
_KINDS = {bool: "bool", int: "int", float: "float", type(None): "null"}


@dataclass(frozen=True)
class Difference:
    """``where`` in the document one has ``theirs`` and the other ``ours``; of statuses it is "status"."""

    caller: str
    path: str
    version: int
    where: str
    theirs: str
    ours: str


def differences(
    caller: str, path: str, version: int, theirs: tuple[int, Any], ours: tuple[int, Any]
) -> Iterator[Difference]:
    """Yield wherein two answers to the same request differ; of errors that is which they are."""
    if theirs[0] != ours[0]:
        yield Difference(caller, path, version, "status", str(theirs[0]), str(ours[0]))
        return
    shown = [_error(body) if theirs[0] >= 400 else shape(body) for body in (theirs[1], ours[1])]
    for where in sorted(shown[0].keys() | shown[1].keys()):
        one, other = (" or ".join(sorted(each.get(where, {"nothing"}))) for each in shown)
        if one != other:
            yield Difference(caller, path, version, where, one, other)


def shape(document: Any, where: str = "") -> dict[str, set[str]]:
    """Return each place in a document → what is there; what lists hold is one place."""
    found: dict[str, set[str]] = {}
    if isinstance(document, dict):
        found[where] = {"object"}
        for name, value in document.items():
            _join(found, shape(value, f"{where}/{re.sub(_UUID, 'UUID', name)}"))
    elif isinstance(document, list):
        found[where] = {"list" if document else "empty list"}
        for value in document:
            _join(found, shape(value, f"{where}[]"))
    else:
        found[where] = {_kind(document)}
    return found


def _join(found: dict[str, set[str]], more: dict[str, set[str]]) -> None:
    for where, kinds in more.items():
        found.setdefault(where, set()).update(kinds)


def _error(document: Any) -> dict[str, set[str]]:
    """Return the name of an error, and what is told of it beside its words."""
    if not isinstance(document, dict):
        return {"": {str(document)}}
    return {f"/{name}": set(value) if isinstance(value, dict) else {_kind(value)} for name, value in document.items()}


def _kind(value: Any) -> str:
    if not isinstance(value, str):
        return _KINDS[type(value)]
    if value.startswith("http"):
        parts = urlsplit(value)
        return f"url {re.sub(r'/[0-9]+(?=/|$)', '/N', re.sub(_UUID, 'UUID', parts.path))} {bool(parts.query)}"
    return next((name for name, pattern in _TEXTS if re.fullmatch(pattern, value)), "text")
