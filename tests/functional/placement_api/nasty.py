"""What nobody should send, for every place where something can be sent."""

import json
import random
from typing import Any
from urllib.parse import quote, urlencode

from tests.functional.bodies import containers, written
from tests.functional.placement_api.routes import AGGREGATE, CONSUMER, HOST, Request, parts

_UUID = "12345678-1234-4234-8234-123456789abc"
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    1e308,
    2**31 - 1,
    2**31,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**40,
    "",
    " ",
    "0",
    "1e3",
    "9" * 400,
    "a" * 256,
    "A" * 300,
    "CUSTOM_" + "B" * 249,
    "CUSTOM_",
    "CUSTOM_small",
    "CUSTOM_NOBODY",
    "VCPU",
    "DISK_GB",
    "HW_CPU_X86_AVX",
    "c" * 70_000,
    "nul \x00 inside",
    "bell \x07 and escape \x1b[31m",
    "CUSTOM_LINE\n",
    "\u202eright to left \ufeff",
    "e\u0301 \U0001f600 \u0663",
    "../../etc/passwd",
    "' OR 1=1 --",
    "%s%n{0}{x.__class__}",
    _UUID,
    _UUID.upper(),
    _UUID.replace("-", ""),
    "{" + _UUID + "}",
    f"urn:uuid:{_UUID}",
    HOST,
    [],
    [None],
    [[[[[]]]]],
    ["x"] * 2000,
    [_UUID, _UUID],
    {},
    {"": ""},
    {"VCPU": 0},
    {"VCPU": 1e3},
    {HOST: {"resources": {"VCPU": 10**12}}},
    {_UUID: {"resources": {"VCPU": 1}}},
    {"nul\x00": "x"},
]
TEXTS = [value for value in VALUES if isinstance(value, str) and len(value) < 1000]
PATH_PARTS = [
    "%00",
    "a%00b",
    "%FF%FE",
    "%ED%A0%80",
    "%C0%AF",
    "%0d%0aX-Header:%20x",
    "..",
    "%2e%2e%2f%2e%2e",
    "a%2Fb",
    "%25",
    "%",
    "%zz",
    "p" * 9000,
    "%F0%9F%98%80",
    "9" * 30,
    "%20",
    "VCPU%0A",
    "CUSTOM_N%C3%89",
    "DISK_GB",
    "HW_CPU_X86_AVX",
    _UUID,
    HOST.upper(),
    HOST.replace("-", ""),
    "'%20OR%20'1'='1",
]
QUERY_VALUES = [
    "VCPU:0",
    "VCPU:-1",
    "VCPU:1,VCPU:2",
    "VCPU",
    "VCPU:1:1",
    ":1",
    "VCPU:\u0663",
    "VCPU:" + "9" * 30,
    "NOPE:1",
    "VCPU:1," * 500,
    "in:",
    "in:,",
    "in:in:CUSTOM_FAST",
    "in:!CUSTOM_FAST",
    "!in:CUSTOM_FAST",
    "!",
    "!!CUSTOM_FAST",
    "CUSTOM_FAST,!CUSTOM_FAST",
    "CUSTOM_FAST," * 300,
    f"in:{AGGREGATE},",
    f"{AGGREGATE},{CONSUMER}",
    f"!{AGGREGATE}",
    "startswith:%_\\",
    "like:X",
    "TRUE",
    "_gold,",
    "_nobody",
    "isolate",
    "Infinity",
    "all",
    "unknown",
]
QUERY_NAMES = ["name", "uuid", "resources", "required", "member_of", "in_tree", "limit", "group_policy", "associated"]
QUERY_NAMES += ["root_required", "same_subtree", "project_id", "user_id", "consumer_type", "resources1", "required_x"]
QUERY_NAMES += ["member_of1", "in_tree_" + "x" * 64, "resources0", "resources_\u00e9", "unknown", "", "nul\x00", "NAME"]
QUERIES = [
    "%00=%00",
    "a=%FF",
    "%FF=a",
    "name=%ED%A0%80",
    "=",
    "&&&",
    "name",
    "limit=1&limit=2",
    "resources=VCPU:1&resources=VCPU:1",
    "&".join(f"resources{number}=VCPU:1" for number in range(1, 400)) + "&group_policy=isolate",
    "&".join(f"q{number}=1" for number in range(1100)),
    "name=" + "x" * 70_000,
    "resources=" + ",".join(f"CUSTOM_{number}:1" for number in range(3000)),
]
BODIES = [
    b"",
    b" ",
    b"{",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"NaN",
    b'{"name": Infinity}',
    b'{"name": 1e999}',
    b'{"name": ' + b"9" * 5000 + b"}",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{}",
    b'{"name": "\xed\xa0\x80"}',
    b'{"name": "\\ud800"}',
    b'{"name": "\xff"}',
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"inventories":' * 500 + b"1" + b"}" * 500,
    b"name=host",
    b'{"__proto__": null}',
    b"x" * 2_000_000,
    b'{"name": "' + b"x" * 1_000_000 + b'"}',
]
HEADERS: list[dict[str, str | None]] = [
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/xml"},
    {"Content-Type": "application/json; charset=latin-1"},
    {"Content-Type": "/"},
    {"Content-Type": ";"},
    {"Content-Type": None},
    {"Content-Length": "9" * 12},
    {"Content-Length": "-1"},
    {"Content-Length": "\u00b2"},
    {"Accept": "text/html"},
    {"Accept": ";;;"},
    {"X-Auth-Token": None},
    {"X-Auth-Token": "a b"},
    {"X-Auth-Token": "\xff"},
    {"X-Auth-Token": "t" * 3000},
    {"X-Auth-Token": "joe:demo"},
    {"X-Roles": "", "X-Auth-Token": "joe:demo"},
    {"X-Openstack-Request-Id": "req-\x01" + "x" * 300},
]
VERSIONS = [
    "placement 1",
    "placement 1.",
    "placement 1.40",
    "placement 0.9",
    "placement 2.1",
    "placement -1.1",
    "placement 1.1.1",
    "placement 1.\u00b2",
    "placement " + "9" * 500,
    "placement",
    "placement latest",
    "compute 2.1",
    "",
    ",,,",
    *(f"placement 1.{minor}" for minor in range(40)),
]
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "FOO"]


def spoiled(request: Request, generation: int, dice: random.Random) -> tuple[str, str, dict[str, str | None], bytes]:
    """Return method, target, headers and body of ``request`` with something wrong with it, most often."""
    version = dice.choice([request.since, request.until, dice.randint(request.since, request.until)])
    headers: dict[str, str | None] = {"OpenStack-API-Version": f"placement 1.{version}"}
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    method, path, pairs, query = request.method, request.url.format(**parts(request.url)), list(request.query), None
    body = None if request.body is None else json.dumps(request.filled(generation)).encode()
    ways = ["path", "header", "method", *["query"] * (6 if pairs else 1), *["body"] * (8 if body is not None else 0)]
    for way in dice.sample(ways, dice.choice([1, 1, 1, 2])):
        if way == "path":
            path = _spoiled_path(request.url, dice)
        elif way == "header":
            headers |= dice.choice(HEADERS) if dice.random() < 0.6 else {"OpenStack-API-Version": dice.choice(VERSIONS)}
        elif way == "method":
            method = dice.choice(METHODS)
        elif way == "query":
            query = dice.choice(QUERIES) if dice.random() < 0.2 else _spoiled_query(pairs, dice)
        else:
            body = dice.choice(BODIES) if dice.random() < 0.2 else _spoiled_body(request.filled(generation), dice)
    target = urlencode(pairs) if query is None else query
    return method, f"{path}?{target}" if target else path, headers, body or b""


def _spoiled_path(url: str, dice: random.Random) -> str:
    chosen = {
        name: dice.choice([*PATH_PARTS, quote(dice.choice(TEXTS), safe="")]) if dice.random() < 0.7 else part
        for name, part in parts(url).items()
    }
    return url.format(**chosen) + dice.choice(["", "", "", "/", "//", "/%00", "/../..", ".json", "/nothing"])


def _spoiled_query(pairs: list[tuple[str, str]], dice: random.Random) -> str:
    pairs = list(pairs)
    for _ in range(dice.choice([1, 1, 2])):
        value = dice.choice(dice.choice([TEXTS, QUERY_VALUES]))
        way = dice.choice(["value", "value", "value", "add", "drop", "twice", "rename"]) if pairs else "add"
        at = dice.randrange(len(pairs)) if pairs else 0
        if way == "value":
            pairs[at] = (pairs[at][0], value)
        elif way == "add":
            pairs.append((dice.choice(QUERY_NAMES), value))
        elif way == "drop":
            del pairs[at]
        elif way == "twice":
            pairs.append(pairs[at])
        else:
            pairs[at] = (dice.choice(QUERY_NAMES), pairs[at][1])
    return urlencode(pairs)


def _spoiled_body(body: Any, dice: random.Random) -> bytes:
    holders = [holder for holder in containers(body) if holder]
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        if not holders:
            break
        holder = dice.choice(holders)
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            continue
        key = dice.choice(keys)
        way = dice.choice(["value", "value", "value", "value", "drop", "add", "rename", "wrap", "twice"])
        if way == "value":
            holder[key] = dice.choice(VALUES)
        elif way == "drop":
            del holder[key]
        elif way == "wrap":
            holder[key] = [holder[key]]
        elif isinstance(holder, list):
            holder.append(holder[key])
        elif way in ("add", "rename"):
            holder[dice.choice(TEXTS)] = holder.pop(key) if way == "rename" else dice.choice(VALUES)
    return written(body, dice)
