"""Bodies that a good body becomes where one of its places is spoilt, and queries of all kinds. Pure.

The real Nova's Python reads it, too.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]
#: What is put in each place of a body. No text ends its line: for Python's "$" the end of a line is one of the text.
_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 1.5, [], {}, ["a"], {"a": "b"}),
    *("", "1", "-1", "true", "null", "a b", " a", "a\tb", "\u00e9", "a/b", "x" * 256, "x" * 300),
    *("11111111-1111-4111-8111-111111111111", "192.0.2.1", "http://x/y/11111111-1111-4111-8111-111111111111"),
    *("SOFT", "on-demand", "MANUAL"),
)
#: What is sent of each query parameter.
_SENT = (
    *("", "1", "0", "-1", "1.5", "a", "true", " 1", "\u00e9", "x" * 256, "asc", "created_at", "ACTIVE", "192.0.2.1"),
    *("11111111-1111-4111-8111-111111111111", "2026-01-01T00:00:00Z"),
)
_MORE = "zzz_unknown"


def mutants(body: Any) -> Iterator[tuple[str, Any]]:
    """Yield ``body`` itself and what becomes of it, each with what was done: the place, and what is there now."""
    yield "as it is", body
    for path in _places(body):
        place = ".".join(map(str, path)) or "all of it"
        if path:
            yield f"{place}: left out", _with(body, path, None, is_left_out=True)
        for value in _VALUES:
            if path or isinstance(value, dict):  # whatever is no object is no JSON body for anybody
                yield f"{place}: {json.dumps(value)[:40]}", _with(body, path, value)
        there = _at(body, path)
        if isinstance(there, dict):
            yield f"{place}: one key more", _with(body, path, {**there, _MORE: "x"})
        if isinstance(there, list) and there:
            yield f"{place}: each twice", _with(body, path, there + there)


def queries(names: list[str]) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Yield queries of one parameter each, among them one that nobody knows: how to name it, and its values."""
    yield "nothing", {}
    for name in [*names, _MORE]:
        for value in _SENT:
            yield f"{name}={value[:40]}", {name: [value]}
        yield f"{name} twice", {name: ["1", "1"]}


def _places(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield from _places(each, (*path, name))


def _at(body: Any, path: Path) -> Any:
    for name in path:
        body = body[name]
    return body


def _with(body: Any, path: Path, value: Any, *, is_left_out: bool = False) -> Any:
    """Return a copy of ``body`` that has ``value`` at ``path``, or nothing."""
    if not path:
        return copy.deepcopy(value)
    changed = copy.deepcopy(body)
    inside = _at(changed, path[:-1])
    if is_left_out:
        del inside[path[-1]]
    else:
        inside[path[-1]] = copy.deepcopy(value)
    return changed
