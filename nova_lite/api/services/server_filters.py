"""What a list of servers is asked to hold: filters and order as clients write them → an InstanceQuery. Pure."""

import functools
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nova_lite import errors
from nova_lite.db.repositories.instance_lists import SORT_KEYS, Expression, InstanceQuery, Pattern
from nova_lite.model import states
from nova_lite.model.states import TaskState, VmState

Filters = Mapping[str, Sequence[str]]

_DELETED = "DELETED"
#: Filter → the column that must be just so.
_EXACT = {
    "user_id": "user_id",
    "image": "image_ref",
    "image_ref": "image_ref",
    "host": "host",
}
#: Filter → the column that must match.
_MATCHED = {
    "name": "display_name",
    "display_name": "display_name",
    "description": "description",
    "display_description": "description",
    "hostname": "hostname",
    "key_name": "key_name",
    "node": "node_name",
    "availability_zone": "availability_zone",
    "reservation_id": "reservation_id",
    "root_device_name": "root_device_name",
    "access_ip_v4": "access_ip_v4",
    "access_ip_v6": "access_ip_v6",
}
_NUMBERS = {"launch_index": "launch_index", "power_state": "power_state"}
_TIMES = {"created_at": "created_at", "launched_at": "launched_at", "terminated_at": "terminated_at"}
_FLAGS = {"config_drive": "config_drive", "locked": "locked"}
#: What a status says better.
_OVERRIDDEN = frozenset({"vm_state", "task_state"})
#: What no server here has: nothing matches a filter on it.
_NOBODY_HAS = frozenset({"ip", "ip6", "kernel_id", "ramdisk_id", "locked_by"})

_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})
#: What means something in a regular expression, beside what ``pattern`` understands.
_UNSUPPORTED = frozenset("[](){}+?*^$\\")
#: One character or one of some, and how often; what else there is in expressions is not run.
_ONE = re.compile(
    r"(\.|\[\^?(?:[0-9A-Za-z]-[0-9A-Za-z]|[0-9A-Za-z_. ])+-?\]|\\[^0-9A-Za-z]|[^][(){}+?*^$\\.])([*+?]?)", re.DOTALL
)
#: How many parts of an expression may be of any length, its beginning one of them: with each, the time that a
#: hostile one takes grows by the length of names.
_MOST_OPEN = 3
_LONGEST_PATTERN = 1024
#: Months and years alone are times, too.
_MONTH_OR_YEAR = re.compile(r"([0-9]{4})(?:-([0-9]{2}))?")


def asks_deleted(filters: Filters) -> bool:
    """Return whether the status DELETED is asked for, and no other."""
    known = {status.upper() for status in filters.get("status", ())} & _shown_as().keys()
    return known == {_DELETED}


def asks_all_projects(filters: Filters) -> bool:
    """Return whether servers of every project are asked for; raises Invalid."""
    values = filters.get("all_tenants")
    if not values:
        return False
    return values[-1] == "" or flag("all_tenants", values[-1])


def instance_query(
    filters: Filters, order: Sequence[tuple[str, bool]], *, project_id: str | None, known_status_only: bool
) -> InstanceQuery | None:
    """Return what ``filters`` ask for, None when nothing can match; raises Invalid naming the filter.

    ``project_id`` None asks for every project. ``known_status_only`` makes an unknown status an error.
    """
    equal: dict[str, Any] = {} if project_id is None else {"project_id": project_id}
    like: dict[str, Pattern | Expression] = {}
    if project_id is None:
        named = filters.get("project_id") or filters.get("tenant_id")
        if named:
            equal["project_id"] = named[-1]
    for name, values in filters.items():
        if name in _OVERRIDDEN and "status" in filters:
            continue
        if name in _NOBODY_HAS or (name == "progress" and values[-1] not in ("", "0")):
            return None
        _add(equal, like, name, values)
    wanted_states = _wanted_states(filters, known_status_only=known_status_only)
    if wanted_states is not None and not wanted_states:
        return None
    since, before = _moment(filters, "changes-since"), _moment(filters, "changes-before")
    if since and before and before < since:
        raise errors.Invalid("changes-since: later than changes-before")
    return InstanceQuery(
        order=tuple(order),
        equal=equal,
        like=like,
        states=wanted_states,
        flavor_id=_last(filters, "flavor"),
        deleted=_deleted(filters, is_ranged=bool(since or before)),
        soft_deleted=_soft_deleted(filters, wanted_states),
        changes_since=since,
        changes_before=before,
        tags=_tags(filters, "tags"),
        tags_any=_tags(filters, "tags-any"),
        not_tags=_tags(filters, "not-tags"),
        not_tags_any=_tags(filters, "not-tags-any"),
    )


def sort_order(keys: Sequence[str], directions: Sequence[str]) -> list[tuple[str, bool]]:
    """Return the order asked for, newest first by default, made unique; raises Invalid for a direction too many.

    A key that means nothing here is left out with its direction. Keys without a direction go the way of the first.
    """
    known: list[str] = []
    left = list(directions)
    for key in keys:
        if key in SORT_KEYS:
            known.append(key)
        elif len(left) > len(known):
            del left[len(known)]
    if not keys:
        known.append("created_at")
    if len(left) > len(known):
        raise errors.Invalid("sort_dir: more directions than sort keys")
    first = left[0] if left else "desc"
    left += [first] * (len(known) - len(left))
    order: dict[str, bool] = {}
    for key, direction in zip(known, left, strict=True):
        order.setdefault(key, direction == "desc")
    if not order:
        order["created_at"] = True
    # By time alone the UUID goes the same way, as it lies in an index.
    order.setdefault("uuid", order["created_at"] if len(order) == 1 and "created_at" in order else False)
    return list(order.items())


def pattern(name: str, text: str) -> Pattern:
    """Return the part of regular expressions that clients use: ``^``, ``$``, ``.``, ``.*`` and escapes.

    A stroke is a character like others, as it is to the real service. Anything else is refused (Invalid, with the
    filter's ``name``) rather than run: an expression can be made to take for ever.
    """
    if len(text) > _LONGEST_PATTERN:
        raise errors.Invalid(f"{name}: longer than {_LONGEST_PATTERN} characters")
    at_start, at_end = text.startswith("^"), text.endswith("$") and not text.endswith("\\$")
    rest = text[int(at_start) : len(text) - int(at_end)]
    parts: list[tuple[str | None, ...]] = []
    part: list[str | None] = []
    position = 0
    while position < len(rest):
        character = rest[position]
        if rest.startswith(".*", position):
            parts.append(tuple(part))
            part = []
            position += 2
            continue
        if character == "\\" and position + 1 < len(rest) and not rest[position + 1].isalnum():
            position += 1
            part.append(rest[position])
        elif character in _UNSUPPORTED:
            known = "plain text, '.', '.*', '^', '$' or '\\'"
            raise errors.Invalid(f"{name}: {character!r} is not supported here; use {known}")
        else:
            part.append(None if character == "." else character)
        position += 1
    parts.append(tuple(part))
    return Pattern(tuple(parts), at_start, at_end)


def expression(text: str) -> Expression | None:
    """Return a regular expression with what ``pattern`` has not: ``[a-z]`` and its like, ``+``, ``?``, ``*``.

    None for one without, and for one that has more: groups, choices, counts, or many parts of any length.
    """
    at_start, at_end = text.startswith("^"), text.endswith("$") and not text.endswith("\\$")
    rest = text[int(at_start) : len(text) - int(at_end)]
    found = list(_ONE.finditer(rest))
    has_more = any(one[1].startswith("[") or (one[2] and one[0] != ".*") for one in found)
    is_whole = len(text) <= _LONGEST_PATTERN and "".join(one[0] for one in found) == rest
    if not has_more or not is_whole or sum(one[2] != "" for one in found) + (not at_start) > _MOST_OPEN:
        return None
    made = f"{'^' * at_start}{''.join(map(_written, found))}{'$' * at_end}"
    try:
        re.compile(made)
    except re.error:
        return None
    return Expression(made)


def _written(one: re.Match[str]) -> str:
    """Return a part of an expression as every database reads it."""
    what, how_often = one[1], one[2]
    if what != "." and not what.startswith("["):
        character = what[-1]
        what = f"\\{character}" if character.isascii() and not character.isalnum() and character != "_" else character
    return what + how_often


def moment(name: str, text: str) -> datetime:
    """Return a time as clients write it, as naive UTC; raises Invalid."""
    text = text.strip()
    try:
        if "W" in text:
            raise ValueError("a week is no day")
        short = _MONTH_OR_YEAR.fullmatch(text)
        found = datetime.fromisoformat(f"{short[1]}-{short[2] or '01'}-01" if short else text)
        return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as exc:
        raise errors.Invalid(f"{name}: {text[:64]!r} is not a time as ISO 8601 writes it") from exc


def _add(equal: dict[str, Any], like: dict[str, Pattern | Expression], name: str, values: Sequence[str]) -> None:
    """Add the condition of one filter, if it is one on a column."""
    last = values[-1]
    if name in _EXACT:
        equal[_EXACT[name]] = last
    elif name in ("uuid", "vm_state", "task_state"):
        equal[name] = frozenset(values)
    elif name in _MATCHED:
        like[_MATCHED[name]] = expression(last) or pattern(name, last)
    elif name in _NUMBERS:
        if not (last.isascii() and last.isdigit() and len(last) < 10):
            raise errors.Invalid(f"{name}: {last[:64]!r} is not a whole number")
        equal[_NUMBERS[name]] = int(last)
    elif name in _TIMES:
        equal[_TIMES[name]] = moment(name, last)
    elif name in _FLAGS:
        equal[_FLAGS[name]] = flag(name, last)
    elif name == "auto_disk_config":
        equal["disk_config"] = "AUTO" if flag(name, last) else "MANUAL"


def _wanted_states(filters: Filters, *, known_status_only: bool) -> frozenset[tuple[VmState, TaskState | None]] | None:
    statuses = filters.get("status")
    if statuses is None:
        return None
    wanted: set[tuple[VmState, TaskState | None]] = set()
    for status in statuses:
        wanted |= _shown_as().get(status.upper(), frozenset())
    if not wanted and known_status_only:
        raise errors.Invalid(f"status: {statuses[-1][:64]!r} is no status")
    return frozenset(wanted)


@functools.cache
def _shown_as() -> Mapping[str, frozenset[tuple[VmState, TaskState | None]]]:
    """Return status shown → every pair of states shown so."""
    shown: dict[str, set[tuple[VmState, TaskState | None]]] = {}
    for vm_state in VmState:
        for task in (None, *TaskState):
            shown.setdefault(states.status(vm_state, task), set()).add((vm_state, task))
    return {status: frozenset(pairs) for status, pairs in shown.items()}


def _deleted(filters: Filters, *, is_ranged: bool) -> bool | None:
    """Return whether deleted servers are wanted: only them, none, or (asked for what changed) both."""
    if asks_deleted(filters):
        return True
    asked = _last(filters, "deleted")
    if asked is not None:
        return asked.lower() in _TRUE
    return None if is_ranged else False


def _soft_deleted(filters: Filters, wanted_states: frozenset[tuple[VmState, TaskState | None]] | None) -> bool:
    """Return whether servers that can be restored are wanted: among the living when asked for, else among the dead."""
    asked = _last(filters, "soft_deleted")
    if asked is not None:
        return asked.lower() in _TRUE
    if wanted_states is not None:
        return False
    deleted = _last(filters, "deleted")
    return deleted is not None and deleted.lower() in _TRUE


def _tags(filters: Filters, name: str) -> tuple[str, ...]:
    text = _last(filters, name)
    return () if text is None else tuple(tag for tag in text.split(",") if tag)


def _moment(filters: Filters, name: str) -> datetime | None:
    text = _last(filters, name)
    return None if text is None else moment(name, text)


def _last(filters: Filters, name: str) -> str | None:
    values = filters.get(name)
    return values[-1] if values else None


def flag(name: str, text: str) -> bool:
    """Return the truth of a word for it; raises Invalid."""
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise errors.Invalid(f"{name}: {text[:64]!r} is neither true nor false")
