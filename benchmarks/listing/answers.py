"""Whether two servers say the same: which servers, in which order, and what about each. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

#: What names a row or a port of its server, not the instance.
_OWN = frozenset({"OS-EXT-SRV-ATTR:instance_name"})
_PORT = re.compile(r"^http://[^/]*")


def differences(real: bytes, ours: bytes) -> list[str]:
    """Return in words what two answers differ in, the most important first; nothing when they are equal."""
    theirs, mine = json.loads(real), json.loads(ours)
    if "server" in theirs:
        return list(_of_one(theirs["server"], mine["server"]))
    there, here = theirs["servers"], mine["servers"]
    if [each["id"] for each in there] != [each["id"] for each in here]:
        return [_order([each["id"] for each in there], [each["id"] for each in here])]
    found = {line for one, other in zip(there, here, strict=True) for line in _of_one(one, other)}
    if ("servers_links" in theirs) != ("servers_links" in mine):
        found.add("only one of them has a link to the next page")
    return sorted(found)


def count(answer: bytes) -> int:
    """Return how many servers an answer is about."""
    return len(json.loads(answer).get("servers", [None]))


def _order(there: list[str], here: list[str]) -> str:
    if sorted(there) == sorted(here):
        return "the same servers in another order"
    return f"other servers: {len(there)} there, {len(here)} here, {len(set(there) & set(here))} in both"


def _of_one(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted((there.keys() | here.keys()) - _OWN):
        if name not in there or name not in here:
            yield f"{name} is only {'here' if name in here else 'there'}"
        elif _without_port(there[name]) != _without_port(here[name]):
            yield f"{name} differs"


def _without_port(value: Any) -> Any:
    """Return ``value`` with each URL in it cut to its path."""
    if isinstance(value, str):
        return _PORT.sub("", value)
    if isinstance(value, list):
        return [_without_port(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_port(each) for name, each in value.items()}
    return value
