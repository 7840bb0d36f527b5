"""Long lists of a cell's instances: filters, order and pages, one query a page.

Pages from several databases are merged by their keys, so each database must sort exactly as Python compares: text by
code point whatever the collation, and no NULL, for databases disagree where it goes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from nova_lite.db.cell_tables import InstanceRow
from nova_lite.db.columns import moment_or_never
from nova_lite.db.repositories.instances import COLUMNS, instance_of
from nova_lite.model.instance import Instance
from nova_lite.model.states import TaskState, VmState

Key = tuple[Any, ...]

_T = cast(sa.Table, InstanceRow.__table__).c
_NEVER = datetime.fromisoformat("1970-01-01")


class by_code_point(FunctionElement[str]):  # noqa: N801 - reads as SQL does
    """SQL expression: a text that compares by code point."""

    type = sa.String()
    inherit_cache = True


@compiles(by_code_point)
def _plain(element: by_code_point, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


@compiles(by_code_point, "mysql")
@compiles(by_code_point, "mariadb")
def _binary(element: by_code_point, compiler: SQLCompiler, **kw: Any) -> str:
    return f"({compiler.process(element.clauses, **kw)} COLLATE utf8mb4_bin)"


@compiles(by_code_point, "postgresql")
def _c_locale(element: by_code_point, compiler: SQLCompiler, **kw: Any) -> str:
    return f'({compiler.process(element.clauses, **kw)} COLLATE "C")'


#: Columns that few instances have the same in.
_FEW = frozenset({"host", "uuid"})


@dataclass(frozen=True, slots=True)
class SortKey:
    """Something to sort by: its SQL, the same of an Instance, and what stands for nothing."""

    expression: sa.ColumnElement[Any]
    attribute: str
    nothing: Any = None

    def of(self, instance: Instance) -> Any:
        """Return what ``instance`` sorts by."""
        value = getattr(instance, self.attribute)
        if value is None:
            return self.nothing
        return int(value) if isinstance(value, bool) else value


def _text(column: sa.Column[Any], attribute: str) -> SortKey:
    inner = sa.func.coalesce(column, "") if column.nullable else column
    return SortKey(by_code_point(inner), attribute, "")


def _time(column: sa.Column[Any], attribute: str) -> SortKey:
    return SortKey(moment_or_never(column) if column.nullable else column, attribute, _NEVER)


def _flag(column: sa.Column[Any], attribute: str) -> SortKey:
    return SortKey(sa.case((column, 1), else_=0), attribute, 0)


SORT_KEYS: Mapping[str, SortKey] = {
    "access_ip_v4": _text(_T.access_ip_v4, "access_ip_v4"),
    "access_ip_v6": _text(_T.access_ip_v6, "access_ip_v6"),
    "auto_disk_config": _text(_T.disk_config, "disk_config"),
    "availability_zone": _text(_T.availability_zone, "availability_zone"),
    "config_drive": _flag(_T.config_drive, "has_config_drive"),
    "created_at": _time(_T.created_at, "created_at"),
    "display_description": _text(_T.description, "description"),
    "display_name": _text(_T.display_name, "display_name"),
    "host": _text(_T.host, "host"),
    "hostname": _text(_T.hostname, "hostname"),
    "image_ref": _text(_T.image_ref, "image_id"),
    "key_name": _text(_T.key_name, "key_name"),
    "launch_index": SortKey(_T.launch_index, "launch_index", 0),
    "launched_at": _time(_T.launched_at, "launched_at"),
    "locked": _flag(_T.locked, "is_locked"),
    "locked_by": _flag(_T.locked, "is_locked"),
    "node": _text(_T.node_name, "node_name"),
    "power_state": SortKey(_T.power_state, "power_state", 0),
    "project_id": _text(_T.project_id, "project_id"),
    "root_device_name": _text(_T.root_device_name, "root_device_name"),
    "task_state": _text(_T.task_state, "task_state"),
    "terminated_at": _time(_T.terminated_at, "terminated_at"),
    "updated_at": _time(_T.updated_at, "updated_at"),
    "user_id": _text(_T.user_id, "user_id"),
    # Digits, small letters and dashes at fixed places sort the same in every collation, and so by an index.
    "uuid": SortKey(_T.uuid, "uuid", ""),
    "vm_state": _text(_T.vm_state, "vm_state"),
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text to find: ``parts`` in this order with anything between them, at the start or the end where fixed.

    The part ``None`` stands for any one character.
    """

    parts: tuple[tuple[str | None, ...], ...]
    at_start: bool = False
    at_end: bool = False

    def condition(self, text: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        """Return the SQL that finds the same."""
        return text.like(self.like, escape="/")

    @property
    def like(self) -> str:
        """The same as SQL LIKE, with ``/`` as escape."""
        middle = "%".join("".join("_" if c is None else _escaped(c) for c in part) for part in self.parts)
        return f"{'' if self.at_start else '%'}{middle}{'' if self.at_end else '%'}"

    def matches(self, text: str) -> bool:
        """Return whether the pattern is in ``text``; takes time in proportion to both."""
        parts = list(self.parts)
        at, end = 0, len(text)
        if self.at_start and parts:
            first = parts.pop(0)
            if not _fits(first, text, 0) or (not parts and self.at_end and len(first) != end):
                return False
            at = len(first)
        if self.at_end and parts:
            last = parts.pop()
            end -= len(last)
            if end < at or not _fits(last, text, end):
                return False
        for part in parts:
            while at + len(part) <= end and not _fits(part, text, at):
                at += 1
            if at + len(part) > end:
                return False
            at += len(part)
        return True


@dataclass(frozen=True, slots=True)
class Expression:
    """A regular expression that every database and Python read alike, and none takes long for."""

    text: str

    def condition(self, text: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        """Return the SQL that finds the same."""
        return text.regexp_match(self.text)

    def matches(self, text: str) -> bool:
        """Return whether the expression finds something in ``text``."""
        return re.search(self.text, text) is not None


@dataclass(frozen=True, slots=True)
class InstanceQuery:
    """Which instances to list, and in which order.

    ``equal``: column → value or values it must have; ``like``: column → pattern. ``states`` are the pairs of
    states wanted. ``deleted`` None means both; ``soft_deleted`` says whether those that can be restored are among what
    is asked for, be it the living or the deleted. ``order`` is a list of (sort key, is descending) that ends in a
    unique one.
    """

    order: tuple[tuple[str, bool], ...]
    equal: Mapping[str, Any]
    like: Mapping[str, Pattern | Expression]
    states: frozenset[tuple[VmState, TaskState | None]] | None = None
    flavor_id: str | None = None
    deleted: bool | None = False
    soft_deleted: bool = False
    changes_since: datetime | None = None
    changes_before: datetime | None = None
    tags: tuple[str, ...] = ()
    tags_any: tuple[str, ...] = ()
    not_tags: tuple[str, ...] = ()
    not_tags_any: tuple[str, ...] = ()

    def key(self, instance: Instance) -> Key:
        """Return what ``instance`` sorts by."""
        return tuple(SORT_KEYS[name].of(instance) for name, _ in self.order)

    def wants(self, instance: Instance) -> bool:
        """Return whether ``instance``, which is in no cell, belongs into the list."""
        return (
            self.deleted is not True
            and all(_is_one_of(_attribute(instance, name), wanted) for name, wanted in self.equal.items())
            and all(pattern.matches(_attribute(instance, name) or "") for name, pattern in self.like.items())
            and (self.states is None or (instance.vm_state, instance.task_state) in self.states)
            and self.flavor_id in (None, instance.flavor.flavor_id)
            and (self.changes_since is None or instance.updated_at >= self.changes_since)
            and (self.changes_before is None or instance.updated_at <= self.changes_before)
            and self._tags_fit(set(instance.tags))
        )

    def _tags_fit(self, tags: set[str]) -> bool:
        return (
            tags.issuperset(self.tags)
            and (not self.tags_any or not tags.isdisjoint(self.tags_any))
            and (not self.not_tags or not tags.issuperset(self.not_tags))
            and tags.isdisjoint(self.not_tags_any)
        )


@dataclass(frozen=True, slots=True)
class Named:
    """As much of an instance as a list of names needs."""

    uuid: str
    display_name: str
    task_state: str | None


def page(
    session: Session, wanted: InstanceQuery, *, after: Key | None, limit: int | None
) -> list[tuple[Key, Instance]]:
    """Return at most ``limit`` (None: all) instances beyond the key ``after``, in order, each with its key."""
    found = map(instance_of, session.execute(_statement(COLUMNS, wanted, after, limit)))
    return [(wanted.key(instance), instance) for instance in found]


def names(session: Session, wanted: InstanceQuery, *, after: Key | None, limit: int | None) -> list[tuple[Key, Named]]:
    """Return the same as ``page``, of each instance its name only."""
    keys = [SORT_KEYS[name].expression.label(f"key{position}") for position, (name, _) in enumerate(wanted.order)]
    rows = session.execute(_statement([_T.uuid, _T.display_name, _T.task_state, *keys], wanted, after, limit))
    return [(tuple(key), Named(uuid, name, task_state)) for uuid, name, task_state, *key in rows]


def _statement(
    columns: Sequence[sa.ColumnElement[Any]], wanted: InstanceQuery, after: Key | None, limit: int | None
) -> sa.Select[Any]:
    statement = _in_order_of_index(sa.select(*columns).where(*_conditions(wanted)), wanted)
    keys = [(SORT_KEYS[name].expression, descends) for name, descends in wanted.order]
    if after is not None:
        statement = statement.where(_beyond(keys, after))
    return statement.order_by(*(key.desc() if descends else key for key, descends in keys)).limit(limit)


def _in_order_of_index(statement: sa.Select[Any], wanted: InstanceQuery) -> sa.Select[Any]:
    """Have MySQL and MariaDB read a list in its usual order from an index, beginning where the page begins.

    Left alone they read the index from its end, through all the pages before. Where few instances can match they
    are left alone.
    """
    if wanted.order[0][0] != "created_at" or wanted.deleted is None or not _FEW.isdisjoint(wanted.equal):
        return statement
    index = "instances_project_idx" if "project_id" in wanted.equal else "instances_created_idx"
    for dialect in ("mysql", "mariadb"):
        statement = statement.with_hint(InstanceRow, f"FORCE INDEX ({index})", dialect)
    return statement


def _conditions(wanted: InstanceQuery) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.deleted is not None:
        # Written so that every database looks it up in an index, which it does not for IS.
        is_dead = _T.deleted == (sa.true() if wanted.deleted else sa.false())
        can_come_back = _T.vm_state == VmState.SOFT_DELETED
        if wanted.deleted and wanted.soft_deleted:
            conditions.append(sa.or_(is_dead, can_come_back))
        else:
            conditions.append(is_dead)
        if not wanted.deleted and not wanted.soft_deleted:
            conditions.append(sa.not_(can_come_back))
    for name, value in wanted.equal.items():
        conditions.append(_T[name].in_(value) if isinstance(value, frozenset) else _T[name] == value)
    for name, pattern in wanted.like.items():
        conditions.append(pattern.condition(by_code_point(sa.func.coalesce(_T[name], ""))))
    if wanted.states is not None:
        conditions.append(_in_states(wanted.states))
    if wanted.flavor_id is not None:
        conditions.append(_T.flavor["flavor_id"].as_string() == wanted.flavor_id)
    if wanted.changes_since is not None:
        conditions.append(_T.updated_at >= wanted.changes_since)
    if wanted.changes_before is not None:
        conditions.append(_T.updated_at <= wanted.changes_before)
    conditions += [_has_tag(tag) for tag in wanted.tags]
    if wanted.tags_any:
        conditions.append(sa.or_(*(_has_tag(tag) for tag in wanted.tags_any)))
    if wanted.not_tags:
        conditions.append(sa.not_(sa.and_(*(_has_tag(tag) for tag in wanted.not_tags))))
    conditions += [sa.not_(_has_tag(tag)) for tag in wanted.not_tags_any]
    return conditions


def _in_states(pairs: frozenset[tuple[VmState, TaskState | None]]) -> sa.ColumnElement[bool]:
    """Return the condition that an instance is in one of ``pairs``, as short as it can be said."""
    every_task: set[TaskState | None] = {None, *TaskState}
    conditions: list[sa.ColumnElement[bool]] = [sa.false()]
    for vm_state in sorted({vm_state for vm_state, _ in pairs}):
        tasks = {task for state, task in pairs if state is vm_state}
        if tasks == every_task:
            conditions.append(_T.vm_state == vm_state)
            continue
        fits: sa.ColumnElement[bool] = _T.task_state.in_([task for task in TaskState if task in tasks])
        if None in tasks:
            fits = sa.or_(fits, _T.task_state.is_(None))
        conditions.append(sa.and_(_T.vm_state == vm_state, fits))
    return sa.or_(*conditions)


def _beyond(keys: Sequence[tuple[sa.ColumnElement[Any], bool]], after: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Return the condition that a row comes after the key ``after``.

    The first key is bounded on its own too, which an index can use where it cannot use the rest.
    """
    first, descends = keys[0]
    bound = first <= after[0] if descends else first >= after[0]
    cases = []
    for position, (key, key_descends) in enumerate(keys):
        same = [earlier == value for (earlier, _), value in zip(keys[:position], after, strict=False)]
        cases.append(sa.and_(*same, key < after[position] if key_descends else key > after[position]))
    return sa.and_(bound, sa.or_(*cases))


def _has_tag(tag: str) -> sa.ColumnElement[bool]:
    """Return the condition that the JSON list of tags holds ``tag``, in either way its text may be written."""
    text = by_code_point(sa.cast(_T.tags, sa.Text))
    spellings = {json.dumps(tag), json.dumps(tag, ensure_ascii=False)}
    return sa.or_(*(text.like(f"%{''.join(map(_escaped, spelling))}%", escape="/") for spelling in sorted(spellings)))


def _escaped(character: str) -> str:
    return f"/{character}" if character in "%_/" else character


def _fits(part: Sequence[str | None], text: str, at: int) -> bool:
    return at + len(part) <= len(text) and all(
        wanted is None or wanted == text[at + offset] for offset, wanted in enumerate(part)
    )


#: Columns an Instance knows by another name.
_ATTRIBUTES = {"image_ref": "image_id", "config_drive": "has_config_drive", "locked": "is_locked"}


def _attribute(instance: Instance, column: str) -> Any:
    return getattr(instance, _ATTRIBUTES.get(column, column))


def _is_one_of(value: object, wanted: object) -> bool:
    return value in wanted if isinstance(wanted, frozenset) else value == wanted
