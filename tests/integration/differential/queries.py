"""Random queries about where something could go: of /allocation_candidates and of GET /resource_providers. Pure."""

import random
from collections.abc import Sequence
from urllib.parse import quote

from tests.integration.differential.names import Names
from tests.integration.differential.requests import Request
from tests.integration.differential.worlds import amounts

Pair = tuple[str, str]


def at(minor: int) -> str:
    """Return version 1.``minor`` as it is written."""
    return f"1.{minor}"


def candidates(rng: random.Random, names: Names, minor: int | None = None) -> Request:
    """Return a query of /allocation_candidates that is good at its version."""
    minor = rng.choice((*range(10, 40), 36, 36, 39, 39, 39, 39)) if minor is None else minor
    suffixes = _suffixes(rng, minor)
    pairs: list[Pair] = []
    without: list[str] = []
    for suffix in suffixes:
        if minor >= 36 and suffix and rng.random() < 0.15:
            without.append(suffix)
        pairs += _group(rng, names, suffix, minor, has_resources=suffix not in without)
    if sum(1 for suffix in suffixes if suffix) > 1 or (minor >= 25 and rng.random() < 0.1):
        pairs.append(("group_policy", rng.choice(("none", "isolate"))))
    named = [suffix for suffix in suffixes if suffix]
    if minor >= 36 and named and (without or rng.random() < 0.3):
        for _ in range(rng.choice((1, 1, 1, 2))):
            grouped = set(without) | set(rng.sample(named, rng.randint(1, len(named))))
            pairs.append(("same_subtree", ",".join(sorted(grouped))))
    if minor >= 35 and rng.random() < 0.15:
        pairs.append(("root_required", _traits(rng, names, minor)))
    if minor >= 16 and rng.random() < 0.15:
        pairs.append(("limit", str(rng.choice((1, 1, 2, 3, 10, 1000)))))
    rng.shuffle(pairs)
    return Request("GET", f"/allocation_candidates?{_written(pairs)}", at(minor))


def _suffixes(rng: random.Random, minor: int) -> list[str]:
    if minor < 25:
        return [""]
    pool = ("1", "2", "3") if minor < 33 else ("1", "_A", "_B", "-x", "Y2")
    chosen = rng.sample(pool, rng.choice((0, 0, 1, 1, 2, 2, 3)))
    return ([""] if not chosen or rng.random() < 0.5 else []) + chosen


def _group(rng: random.Random, names: Names, suffix: str, minor: int, *, has_resources: bool) -> list[Pair]:
    pairs = []
    if has_resources:
        pairs.append((f"resources{suffix}", _resources(rng, names)))
    if minor >= 17 and rng.random() < (0.3 if has_resources else 0.9):
        for _ in range(1 if minor < 39 else rng.choice((1, 1, 2))):
            pairs.append((f"required{suffix}", _traits(rng, names, minor, any_of=minor >= 39)))
    if minor >= 21 and rng.random() < 0.2:
        for _ in range(1 if minor < 24 else rng.choice((1, 1, 2))):
            pairs.append((f"member_of{suffix}", _aggregates(rng, names, minor)))
    if minor >= 31 and rng.random() < 0.12:
        pairs.append((f"in_tree{suffix}", rng.choice((*names.providers[:5], names.nobody))))
    return pairs


def _resources(rng: random.Random, names: Names) -> str:
    return ",".join(f"{name}:{amount}" for name, amount in amounts(rng, names.classes).items())


def _traits(rng: random.Random, names: Names, minor: int, *, any_of: bool = False) -> str:
    chosen = rng.sample(names.traits, rng.choice((1, 1, 2)))
    if any_of and rng.random() < 0.4:
        return "in:" + ",".join(chosen)
    return ",".join(f"!{trait}" if minor >= 22 and rng.random() < 0.4 else trait for trait in chosen)


def _aggregates(rng: random.Random, names: Names, minor: int) -> str:
    mark = "!" if minor >= 32 and rng.random() < 0.3 else ""
    if rng.random() < 0.5:
        return mark + rng.choice(names.aggregates)
    return f"{mark}in:{','.join(rng.sample(names.aggregates, 2))}"


def _written(pairs: Sequence[Pair]) -> str:
    return "&".join(f"{quote(name)}={quote(value, safe=':,!')}" for name, value in pairs)


def providers(rng: random.Random, names: Names) -> Request:
    """Return a listing of providers with filters, good at its version."""
    minor = rng.choice((*range(40), 39, 39, 39))
    pairs: list[Pair] = []
    if rng.random() < 0.15:
        pairs.append(("name", names.provider_name(rng.choice(names.providers))))
    if rng.random() < 0.15:
        pairs.append(("uuid", rng.choice(names.providers)))
    if minor >= 3 and rng.random() < 0.3:
        for _ in range(1 if minor < 24 else rng.choice((1, 1, 2))):
            pairs.append(("member_of", _aggregates(rng, names, minor)))
    if minor >= 4 and rng.random() < 0.3:
        pairs.append(("resources", _resources(rng, names)))
    if minor >= 14 and rng.random() < 0.2:
        pairs.append(("in_tree", rng.choice((*names.providers, names.nobody))))
    if minor >= 18 and rng.random() < 0.3:
        for _ in range(1 if minor < 39 else rng.choice((1, 1, 2))):
            pairs.append(("required", _traits(rng, names, minor, any_of=minor >= 39)))
    return Request("GET", f"/resource_providers?{_written(pairs)}" if pairs else "/resource_providers", at(minor))
