"""From a request to the question put to Placement: pure. What a cloud's rules add to it is in ``prefilters.py``.

A flavor's extra specs may ask for more, less or other than its vCPUs, memory and disk: ``resources:CLASS=N`` (0:
nothing of it), ``trait:NAME=required|forbidden``, the same in groups that one provider each must fulfil
(``resources1:…``, ``trait_net:…``), ``group_policy`` and ``same_subtree``. An image may require traits. What special
hardware of a guest takes is in ``guest_needs.py``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nova_lite.errors import Invalid
from nova_lite.model.flavor import Flavor
from nova_lite.scheduler import guest_needs

#: An extra spec of a group: what it is about, the group's suffix, the class or trait.
_GROUPED = re.compile(r"(resources|trait)([a-zA-Z0-9_-]{0,64}):([A-Z0-9_]{1,255})")
_AMOUNT = re.compile(r"[0-9]{1,10}", re.ASCII)
#: As much as Placement can count.
_MOST = 2**31 - 1
#: The query of a question to Placement; lists are parameters given several times.
Query = dict[str, int | str | list[str]]
#: Class → what one of it is called, where the class itself is no word for it.
UNITS = {"VCPU": "VCPU", "PCPU": "dedicated CPU", "MEMORY_MB": "MiB of memory", "DISK_GB": "GiB of disk"}


@dataclass
class Group:
    """What one provider must give, or for the unnamed group all of them together: class → amount, and traits."""

    resources: dict[str, int] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Restriction:
    """What is asked of hosts as a whole, whichever of their providers give something: pre-filters make these.

    Traits that a host's root must have and must not have; aggregates, of which it must be in one and may be in none;
    the only root that will do. ``words`` go on after "No host has …", for users, and say what is asked unless ``asks``
    does; ``one`` and ``many`` are what hosts are that do not fulfil it.
    """

    words: str = ""
    one: str = "does not fulfil it"
    many: str = "do not fulfil it"
    required: frozenset[str] = frozenset()
    forbidden: frozenset[str] = frozenset()
    one_of: frozenset[str] | None = None
    none_of: frozenset[str] = frozenset()
    node: str | None = None
    asks: str = ""


@dataclass(frozen=True)
class Needs:
    """What a server needs of providers: suffix → group (the unnamed one is ""), and how the groups lie together.

    ``restrictions`` are what pre-filters ask of the host besides, by their names.
    """

    groups: Mapping[str, Group]
    policy: str | None = None
    same_subtree: str | None = None
    restrictions: Mapping[str, Restriction] = field(default_factory=dict)

    @property
    def totals(self) -> dict[str, int]:
        """Return class → amount over all groups."""
        found: dict[str, int] = {}
        for group in self.groups.values():
            for name, amount in group.resources.items():
                found[name] = found.get(name, 0) + amount
        return found

    @property
    def required(self) -> set[str]:
        """Return the traits that some group requires."""
        return {trait for group in self.groups.values() for trait in group.required}

    @property
    def forbidden(self) -> set[str]:
        """Return the traits that some group forbids."""
        return {trait for group in self.groups.values() for trait in group.forbidden}


def needs(flavor: Flavor, image_properties: Mapping[str, str] | None = None) -> Needs:
    """Return what a server of ``flavor`` with such an image needs.

    Raises Invalid, saying which, when an extra spec cannot be understood or contradicts another.
    """
    properties = image_properties or {}
    size = {"MEMORY_MB": flavor.ram_mib, "DISK_GB": flavor.disk_gib}
    groups = {"": Group(guest_needs.resources(flavor, properties) | size, *guest_needs.traits(flavor, properties))}
    for key, value in sorted(flavor.extra_specs.items()):
        _add(groups, key, value, "flavor")
    for key, value in sorted(properties.items()):
        if key.startswith("trait:"):
            _add(groups, key, value, "image")
    for suffix, group in groups.items():
        group.resources = {name: amount for name, amount in group.resources.items() if amount > 0}
        both = group.required & group.forbidden
        if both:
            raise _unfit(f"trait{suffix}:{min(both)} is both required and forbidden")
    filled = {suffix: group for suffix, group in groups.items() if group.resources or group.required or group.forbidden}
    policy = flavor.extra_specs.get("group_policy")
    if policy not in (None, "none", "isolate"):
        raise _unfit(f"group_policy is {policy[:64]!r}, not none or isolate")
    if policy is None and len(filled.keys() - {""}) > 1:
        policy = "none"
    return Needs(filled, policy, flavor.extra_specs.get("same_subtree"))


def candidates_query(wanted: Needs, *, limit: int) -> Query:
    """Return the query of ``GET /allocation_candidates`` for ``wanted``."""
    query: Query = {"limit": limit}
    for suffix, group in sorted(wanted.groups.items()):
        if group.resources:
            query[f"resources{suffix}"] = ",".join(
                f"{name}:{group.resources[name]}" for name in sorted(group.resources)
            )
        traits = sorted(group.required) + [f"!{name}" for name in sorted(group.forbidden)]
        if traits:
            query[f"required{suffix}"] = ",".join(traits)
    if wanted.policy is not None and len(wanted.groups.keys() - {""}) > 1:
        query["group_policy"] = wanted.policy
    if wanted.same_subtree is not None:
        query["same_subtree"] = wanted.same_subtree
    return query | restricting(wanted.restrictions.values())


def restricting(restrictions: Iterable[Restriction]) -> Query:
    """Return what ``restrictions`` put into a query: all of them together."""
    query: Query = {}
    required, forbidden, none_of, members = set[str](), set[str](), set[str](), list[str]()
    for each in restrictions:
        required |= each.required
        forbidden |= each.forbidden
        none_of |= each.none_of
        if each.one_of is not None:
            members.append(f"in:{','.join(sorted(each.one_of))}")
        if each.node is not None:
            query["in_tree"] = each.node
    if none_of:
        members.append(f"!in:{','.join(sorted(none_of))}")
    if members:
        query["member_of"] = members
    if required or forbidden:
        query["root_required"] = ",".join([*sorted(required), *(f"!{name}" for name in sorted(forbidden))])
    return query


def shortage(wanted: Needs) -> str:
    """Return, for users, what no provider could give."""
    amounts = wanted.totals
    ordered = [name for name in UNITS if name in amounts] + sorted(amounts.keys() - UNITS.keys())
    parts = [f"{amounts[name]} {UNITS.get(name, name)}" for name in ordered]
    having = f", having {', '.join(sorted(wanted.required))}" if wanted.required else ""
    lacking = f", not having {', '.join(sorted(wanted.forbidden))}" if wanted.forbidden else ""
    besides = "".join(f", {each.words}" for each in wanted.restrictions.values() if each.words)
    return f"No host has {', '.join(parts) or 'anything'} free{having}{lacking}{besides}."


def _add(groups: dict[str, Group], key: str, value: str, source: str) -> None:
    """Add one extra spec or image property to the group it names; what is of no group is left alone."""
    matched = _GROUPED.fullmatch(key)
    if matched is None:
        return
    kind, suffix, name = matched.groups()
    group = groups.setdefault(suffix, Group())
    if kind == "resources":
        if _AMOUNT.fullmatch(value) is None or int(value) > _MOST:
            raise _unfit(f"{key} is {value[:64]!r}, not a whole number up to {_MOST}")
        group.resources[name] = int(value)
    elif value == "required":
        group.required.add(name)
    elif value == "forbidden" and source == "flavor":
        group.forbidden.add(name)
    else:
        choices = "required or forbidden" if source == "flavor" else "required"
        raise _unfit(f"{key} is {value[:64]!r}, not {choices}", source)


def _unfit(why: str, source: str = "flavor") -> Invalid:
    return Invalid(f"The {source} asks for what cannot be: {why}.")
