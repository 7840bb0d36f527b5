"""Reads the little languages inside query strings: resources, traits, aggregates."""

import re
import uuid
from collections.abc import Collection, Iterable, Sequence

from nova_lite import errors
from nova_lite.placement.model import ProviderFilter
from nova_lite.web.versions import Version

BAD_VALUE = "placement.query.bad_value"
MISSING = "placement.query.missing_value"
DUPLICATE = "placement.query.duplicate_key"
_AMOUNT = re.compile(r"[0-9]{1,19}", re.ASCII)
#: More than any provider has may well be asked for.
_MOST = (1 << 63) - 1
_ANY_TRAITS_SINCE = Version(1, 39)
_FORBIDDEN_TRAITS_SINCE = Version(1, 22)
_FORBIDDEN_AGGREGATES_SINCE = Version(1, 32)


def _bad(message: str) -> errors.Invalid:
    return errors.Invalid(message)


def resources(field: str, text: str, classes: Collection[str]) -> dict[str, int]:
    """Return class → amount from ``VCPU:1,DISK_GB:20``; raises Invalid, naming ``field``."""
    amounts: dict[str, int] = {}
    for piece in text.split(","):
        name, colon, amount = piece.partition(":")
        if not colon or not _AMOUNT.fullmatch(amount) or not 1 <= int(amount) <= _MOST:
            raise _bad(f"{field}: {piece[:80]!r} is not CLASS:AMOUNT with an amount from 1 to {_MOST}")
        if name not in classes:
            raise _bad(f"{field}: no such resource class {name[:80]!r}")
        if name in amounts:
            raise _bad(f"{field}: resource class {name!r} is named twice")
        amounts[name] = int(amount)
    return amounts


def traits(
    field: str, values: Iterable[str], known: Collection[str], version: Version
) -> tuple[tuple[frozenset[str], ...], frozenset[str]]:
    """Return (required: sets of which one is enough, forbidden) from ``A,!B`` and, from 1.39, ``in:A,B``."""
    required: list[frozenset[str]] = []
    forbidden: set[str] = set()
    for value in values:
        if value.startswith("in:"):
            if version < _ANY_TRAITS_SINCE:
                raise _bad(f"{field}: in: is understood from {_ANY_TRAITS_SINCE}")
            names = [name.strip() for name in value[3:].split(",")]
            if any(name.startswith("!") for name in names):
                raise _bad(f"{field}: in: cannot hold a forbidden trait")
            _check_traits(field, names, known)
            required.append(frozenset(names))
            continue
        for name in map(str.strip, value.split(",")):
            bare = name.lstrip("!")
            if bare != name and version < _FORBIDDEN_TRAITS_SINCE:
                raise _bad(f"{field}: forbidden traits are understood from {_FORBIDDEN_TRAITS_SINCE}")
            _check_traits(field, [bare], known)
            if bare != name:
                forbidden.add(bare)
            else:
                required.append(frozenset([bare]))
    return tuple(dict.fromkeys(required)), frozenset(forbidden)


def check_contradiction(
    field: str, required: Iterable[frozenset[str]], forbidden: frozenset[str], *, code: str | None
) -> None:
    """Raise Invalid where a trait is both required and forbidden."""
    both = sorted(trait for any_of in required if len(any_of) == 1 for trait in any_of & forbidden)
    if both:
        raise errors.Invalid(f"{field}: {', '.join(both)} both required and forbidden", code=code)


def _check_traits(field: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if not name:
            raise _bad(f"{field}: an empty trait name")
        if name not in known:
            raise _bad(f"{field}: no such trait {name[:80]!r}")


def aggregates(
    field: str, values: Iterable[str], version: Version
) -> tuple[tuple[frozenset[str], ...], frozenset[str]]:
    """Return (member_of: sets of which one is enough, forbidden) from ``UUID``, ``in:…``, ``!UUID``, ``!in:…``."""
    wanted: list[frozenset[str]] = []
    forbidden: set[str] = set()
    for value in values:
        bare = value.removeprefix("!")
        if bare != value and version < _FORBIDDEN_AGGREGATES_SINCE:
            raise _bad(f"{field}: forbidden aggregates are understood from {_FORBIDDEN_AGGREGATES_SINCE}")
        listed = bare.removeprefix("in:")
        uuids = listed.split(",")
        if listed == bare and len(uuids) > 1:
            raise _bad(f"{field}: several aggregates are written in:UUID,UUID")
        for one in uuids:
            if not is_uuid(one):
                raise _bad(f"{field}: {one[:80]!r} is not a UUID")
        if bare != value:
            forbidden.update(canonical(one) for one in uuids)
        else:
            wanted.append(frozenset(canonical(one) for one in uuids))
    return tuple(wanted), frozenset(forbidden)


def is_uuid(text: str) -> bool:
    """Return whether ``text`` spells a UUID, dashes and all."""
    try:
        return len(text) == 36 and str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def canonical(text: str) -> str:
    """Return a UUID as we keep it."""
    return text.lower()


def provider_filter(
    suffix: str,
    required: Iterable[str],
    member_of: Iterable[str],
    in_tree: str | None,
    known_traits: Collection[str],
    version: Version,
) -> ProviderFilter:
    """Return the conditions that ``required``, ``member_of`` and ``in_tree`` of one group spell."""
    traits_required, traits_forbidden = traits(f"required{suffix}", required, known_traits, version)
    wanted, unwanted = aggregates(f"member_of{suffix}", member_of, version)
    return ProviderFilter(
        required=traits_required,
        forbidden=traits_forbidden,
        member_of=wanted,
        forbidden_aggregates=unwanted,
        in_tree=None if in_tree is None else canonical(in_tree),
    )
