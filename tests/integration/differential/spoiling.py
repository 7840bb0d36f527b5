"""Makes good requests bad, in every place and in every way we could think of. Pure."""

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from tests.integration.differential.requests import NOTHING, ConsumerGeneration, ProviderGeneration, Request

_ODD_VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 1.0, 1.5, 1e30, (1 << 31) - 1, 1 << 31, 1 << 63, 1 << 70, "", " ", "x", "1", "é",
    "日本", "custom_lower", "CUSTOM_", "CUSTOM_NOBODY", "NOPE", "x" * 200, "x" * 201, "X" * 255, "X" * 256, "a\tb",
    "12345678-1234-1234-1234-123456789abc", "12345678123412341234123456789ABC",
    "12345678-1234-1234-1234-123456789ABC", [], {}, [1], ["x"], [None], {"x": 1}, {"": {}},
)  # fmt: skip
_ODD_BODIES = (b"", b"{", b"[]", b"{}", b"null", b"1", b'"x"', b"\xff\xfe", b"{'a': 1}", b"NaN", b"[" * 50, b'{"a":1}x')
_ODD_TEXTS = (
    "", "x", "!", ",", ":", "in:", "!in:", "0", "-1", "1", "1.5", "99999999999999999999", "true", "é", " ", "VCPU",
    "VCPU:1", "VCPU:0", "NOPE:1", "!NOPE", "a,b", "%00", "starts_with:", "in:a,b", "none", "isolate", "_A", "x" * 300,
    "00000000-0000-0000-0000-000000000000",
)  # fmt: skip
_ODD_NAMES = (
    "zzz", "resources", "resources1", "resources_A", "resources0", "required1", "member_of", "in_tree", "limit",
    "group_policy", "same_subtree", "root_required", "project_id", "name", "uuid", "associated", "é", "",
)  # fmt: skip
_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "FOO")
_VERSIONS = ("1.40", "2.0", "0.9", "1", "x", "latest", "LATEST", "1.x", "", "01.5", "1.05", "-1.1", None)
_TYPES = ("text/plain", "", "application/json; charset=utf-8", "application/octet-stream", "APPLICATION/JSON", "json")
_ACCEPTED = ("", "*/*", "application/json", "text/html", "text/plain", "application/xml, */*;q=0.1", "application/*")
_VERSION_HEADERS = (
    "compute 2.90", "compute 2.90, placement 1.10", "placement 1.10, placement 1.20", "placement", "1.10",
    "PLACEMENT 1.10", "placement  1.10", "placement 1.10 ", "placement 1.10,", "identity 3.1,placement latest",
)  # fmt: skip
_ROLES = ("admin", "service", "reader", "member", "reader,service", "nobody", "ADMIN")
_PATHS = (
    "/nope",
    "//",
    "/resource_providers/x/y/z",
    "/traits/CUSTOM_RED/x",
    "/allocations",
    "/reshaper",
    "/usages",
    "",
)
_TOKENS = (None, "", "user-1:project-1", "admin:project-1", "x", ":", "user-1:project-1:z")


def spoiled(rng: random.Random, request: Request) -> Request:
    """Return ``request`` with one thing about it changed, most often for the worse."""
    ways: list[Callable[[random.Random, Request], Request]] = [_query, _wire]
    if request.body is not NOTHING and not isinstance(request.body, bytes):
        ways += [_body] * 6
    if "?" in request.path:
        ways += [_query] * 4
    return rng.choice(ways)(rng, request)


def _body(rng: random.Random, request: Request) -> Request:
    if rng.random() < 0.06:
        return replace(request, body=rng.choice(_ODD_BODIES))
    body = copy.deepcopy(request.body)
    places = list(_places(body))
    if not places:
        return replace(request, body=rng.choice(_ODD_VALUES))
    container, key = rng.choice(places)
    way = rng.random()
    if way < 0.2:
        del container[key]
    elif way < 0.3 and isinstance(container, dict):
        container[rng.choice(("zzz", "uuid", "", "VCPU", "NOPE", "generation"))] = rng.choice(_ODD_VALUES)
    elif way < 0.4 and isinstance(container, dict):
        container[rng.choice(("x", "vcpu", "X" * 256, "é", str(key).upper()))] = container.pop(key)
    elif way < 0.5 and isinstance(container, list):
        container.append(copy.deepcopy(container[key]))
    else:
        container[key] = rng.choice(_ODD_VALUES)
    return replace(request, body=body)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every (container, key) in a document."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        if not isinstance(value[key], ProviderGeneration | ConsumerGeneration):
            yield from _places(value[key])


def _query(rng: random.Random, request: Request) -> Request:
    path, _, query = request.path.partition("?")
    pieces = query.split("&") if query else []
    way = rng.random()
    if pieces and way < 0.45:
        place = rng.randrange(len(pieces))
        pieces[place] = f"{pieces[place].partition('=')[0]}={_odd_text(rng)}"
    elif pieces and way < 0.55:
        pieces.append(rng.choice(pieces))
    elif pieces and way < 0.65:
        del pieces[rng.randrange(len(pieces))]
    else:
        pieces.append(f"{quote(rng.choice(_ODD_NAMES))}={_odd_text(rng)}")
    return replace(request, path=f"{path}?{'&'.join(pieces)}" if pieces else path)


def _odd_text(rng: random.Random) -> str:
    text = rng.choice(_ODD_TEXTS)
    return text if text == "%00" else quote(text, safe=":,!")


def _wire(rng: random.Random, request: Request) -> Request:
    way = rng.randrange(10)
    if way == 0:
        return replace(request, method=rng.choice(_METHODS))
    if way == 1:
        return replace(request, version=rng.choice(_VERSIONS))
    if way == 2:
        return replace(request, headers={"Content-Type": rng.choice(_TYPES)})
    if way == 3:
        return replace(request, headers={"Accept": rng.choice(_ACCEPTED)})
    if way == 4:
        return replace(request, token=rng.choice(_TOKENS))
    if way == 5:
        return replace(request, body=NOTHING)
    if way == 6:
        return replace(request, headers={"OpenStack-API-Version": rng.choice(_VERSION_HEADERS)})
    if way == 7:
        return replace(request, token="user-1:project-1", headers={"X-Roles": rng.choice(_ROLES)})
    if way == 8:
        return replace(request, path=rng.choice(_PATHS))
    path, mark, query = request.path.partition("?")
    pieces = path.split("/")
    last = pieces[-1]
    pieces[-1] = rng.choice(("x", "", "CUSTOM_NOBODY", "VCPU", "%C3%A9", "usages", last.upper(), f"{last}/"))
    return replace(request, path="/".join(pieces) + mark + query)
