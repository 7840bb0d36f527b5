"""Reads the query of /allocation_candidates into a ``Request``."""

import re
from collections.abc import Collection

from nova_lite import errors
from nova_lite.placement.model import Group, Request
from nova_lite.placement.services import queries
from nova_lite.web.validation import Query
from nova_lite.web.versions import Version

_PARAMETER = re.compile(r"(resources|required|member_of|in_tree)(.*)", re.DOTALL)
_NESTED_SINCE = Version(1, 29)
_SUBTREES_SINCE = Version(1, 36)
#: Parameter (with any suffix) → the version from which all its values count; of others the last does.
_REPEATED_SINCE = {"member_of": Version(1, 24), "required": Version(1, 39)}


def read(query: Query, version: Version, classes: Collection[str], traits: Collection[str]) -> Request:
    """Return what ``query`` asks for; raises Invalid, naming the parameter."""
    _check_repetition(query, version)
    suffixes: dict[str, set[str]] = {}
    for name in query:
        match = _PARAMETER.fullmatch(name)
        if match is not None:
            suffixes.setdefault(match[2], set()).add(match[1])
    if not any("resources" in parameters for parameters in suffixes.values()):
        code = queries.MISSING if version >= _SUBTREES_SINCE else None
        raise errors.Invalid("resources: at least one group must ask for resources", code=code)
    subtrees = _subtrees(query, suffixes)
    grouped = frozenset().union(*subtrees) if subtrees else frozenset[str]()
    groups = []
    for suffix in sorted(suffixes):
        resources = query.one(f"resources{suffix}")
        where = queries.provider_filter(
            suffix,
            _values(query, "required", suffix, version),
            _values(query, "member_of", suffix, version),
            query.one(f"in_tree{suffix}"),
            traits,
            version,
        )
        queries.check_contradiction(f"required{suffix}", where.required, where.forbidden, code=None)
        _check_group(suffix, suffixes[suffix], grouped, version)
        asked = {} if resources is None else queries.resources(f"resources{suffix}", resources, classes)
        groups.append(Group(suffix, asked, where))
    policy = query.one("group_policy")
    if sum(1 for group in groups if group.suffix) > 1 and policy is None:
        raise errors.Invalid("group_policy: required with several suffixed groups")
    required, forbidden = queries.traits("root_required", query.all("root_required"), traits, Version(1, 36))
    queries.check_contradiction("root_required", required, forbidden, code=queries.BAD_VALUE)
    limit = query.one("limit")
    return Request(
        groups=tuple(groups),
        isolate=policy == "isolate",
        root_required=frozenset().union(*required),
        root_forbidden=forbidden,
        same_subtrees=subtrees,
        limit=None if limit is None else int(limit),
        nested=version >= _NESTED_SINCE,
    )


def _check_repetition(query: Query, version: Version) -> None:
    if len(query.all("root_required")) > 1:
        raise errors.Invalid("root_required: given more than once", code=queries.DUPLICATE)
    if len(query.all("member_of")) > 1 and version < _REPEATED_SINCE["member_of"]:
        raise errors.Invalid(f"member_of: may be given more than once from {_REPEATED_SINCE['member_of']} on")


def _values(query: Query, name: str, suffix: str, version: Version) -> list[str]:
    values = query.all(f"{name}{suffix}")
    return values if version >= _REPEATED_SINCE[name] else values[-1:]


def _check_group(suffix: str, parameters: set[str], grouped: frozenset[str], version: Version) -> None:
    """A group may lack resources only from 1.36, with a suffix, and near others."""
    if "resources" in parameters or (suffix in grouped and suffix and version >= _SUBTREES_SINCE):
        return
    message = f"resources{suffix}: missing, but {min(parameters)}{suffix} is there"
    if version >= _SUBTREES_SINCE:
        raise errors.Invalid(f"{message} and no same_subtree names {suffix!r}", code=queries.BAD_VALUE)
    raise errors.Invalid(message)


def _subtrees(query: Query, suffixes: Collection[str]) -> tuple[frozenset[str], ...]:
    subtrees = []
    for value in query.all("same_subtree"):
        named = value.split(",")
        for suffix in named:
            if not suffix:
                raise errors.Invalid("same_subtree: an empty suffix", code=queries.BAD_VALUE)
            if suffix not in suffixes:
                raise errors.Invalid(f"same_subtree: no request group {suffix[:64]!r}", code=queries.BAD_VALUE)
        subtrees.append(frozenset(named))
    return tuple(subtrees)
