"""The filter for the hint ``query``, a condition on a host's facts written in JSON: pure.

``["and", [">=", "$free_ram_mb", 1024], ["in", "$host", "a", "b"]]``: ``=  <  >  <=  >=  in`` compare the first term
with all others, ``and``, ``or`` and ``not`` join conditions, ``$name`` is a fact of the host, ``$name.part`` a part.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from nova_lite.model.host import HostState
from nova_lite.model.request_spec import RequestSpec
from nova_lite.scheduler import facts
from nova_lite.scheduler.filters import Sought

HINT = "query"
#: How deeply conditions may lie in one another.
_DEEPEST = 32
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
#: What a text says that is not JSON.
_NOTHING = object()


class _Misread(Exception):
    """The query is none; the message says why, for users."""


def suits_query(host: HostState, sought: Sought) -> str | None:
    """Refuse hosts that the hint ``query`` does not mean; all of them, when it cannot be understood."""
    query = sought.once(HINT, _parsed)
    if query is None:
        return None
    try:
        is_meant = _is_true(query, host, _DEEPEST)
    except _Misread as exc:
        return f"the hint query cannot be understood: {exc}"
    return None if is_meant else "not what the hint query asks for"


def _parsed(spec: RequestSpec) -> object:
    """Return the condition in the hint, None when there is none."""
    query = spec.hints.get(HINT)
    if not isinstance(query, str):
        return query
    try:
        return orjson.loads(query) if query else None
    except orjson.JSONDecodeError:
        return _NOTHING


def _is_true(condition: object, host: HostState, deepest: int) -> bool:
    """Return whether a condition is true of ``host``; ``not`` is, when one of its terms is false."""
    if condition is _NOTHING:
        raise _Misread("it is not JSON")
    if not isinstance(condition, list):
        raise _Misread("a condition is a list")
    if not condition:
        return True
    if deepest == 0:
        raise _Misread(f"more than {_DEEPEST} conditions in one another")
    name, *terms = condition
    # What a host does not tell is left out, so that a comparison with it is never true.
    told = [each for term in terms if (each := _term(term, host, deepest)) is not None]
    if name == "and":
        return all(told)
    if name == "or":
        return any(told)
    if name == "not":
        return not all(told)
    if name == "in":
        return len(told) > 1 and told[0] in told[1:]
    if isinstance(name, str) and name in _COMPARED:
        return _compare(name, told)
    raise _Misread(f"{str(name)[:64]!r} is not one of and, or, not, in, {', '.join(_COMPARED)}")


def _term(term: object, host: HostState, deepest: int) -> object:
    if isinstance(term, list):
        return _is_true(term, host, deepest - 1)
    if isinstance(term, str):
        return facts.value(host, term[1:].split(".")) if term.startswith("$") else term or None
    return term


def _compare(name: str, told: Sequence[object]) -> bool:
    """Return whether the first of ``told`` stands so to each of the others, of which there must be one."""
    if len(told) < 2:
        return False
    try:
        return all(_COMPARED[name](told[0], other) for other in told[1:])
    except TypeError as exc:
        raise _Misread(f"numbers and texts have no order: {name} of {_few(told)}") from exc


def _few(told: Sequence[object]) -> str:
    return ", ".join(str(each)[:32] for each in told[:3])
