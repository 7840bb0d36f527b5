"""Tells random stories: seed → requests. The same seed tells the same story, on every machine. Pure."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tests.integration.differential import queries, verbs, worlds
from tests.integration.differential.names import Names, draw
from tests.integration.differential.queries import at
from tests.integration.differential.requests import Request
from tests.integration.differential.spoiling import spoiled

Verb = Callable[[random.Random, Names], Request]

_NOUNS: tuple[Verb, ...] = (
    verbs.post_provider, verbs.post_provider, verbs.put_provider, verbs.delete_provider, verbs.put_inventories,
    verbs.put_inventories, verbs.post_inventory, verbs.put_inventory, verbs.delete_inventories, verbs.put_traits,
    verbs.put_aggregates, verbs.change_class, verbs.change_trait, verbs.look, verbs.look, queries.providers,
)  # fmt: skip
_CLAIMS: tuple[Verb, ...] = (
    verbs.put_allocations, verbs.put_allocations, verbs.post_allocations, verbs.post_allocations,
    verbs.delete_allocations, verbs.usages, verbs.look,
)  # fmt: skip
_RESHAPES: tuple[Verb, ...] = (verbs.reshape, verbs.reshape, verbs.reshape, verbs.put_allocations, verbs.look)
_QUERIES: tuple[Verb, ...] = (queries.candidates, queries.candidates, queries.candidates, queries.providers)
_ALL: tuple[Verb, ...] = (*_NOUNS, *_CLAIMS, *_QUERIES, verbs.reshape)

#: Plot → (what happens in it, requests after the world is made, how many of them are spoiled)
_PLOTS: dict[str, tuple[tuple[Verb, ...], int, float]] = {
    "nouns": (_NOUNS, 50, 0.1),
    "claims": (_CLAIMS, 40, 0.1),
    "candidates": (_QUERIES, 50, 0.0),
    "reshape": (_RESHAPES, 30, 0.1),
    "everything": (_ALL, 50, 0.1),
    "nonsense": (_ALL, 60, 0.8),
}


@dataclass(frozen=True)
class Story:
    """What is sent, in this order, beginning with the making of a world."""

    seed: int
    plot: str
    names: Names
    requests: Sequence[Request]


def tell(seed: int) -> Story:
    """Return the story of a seed; plots and shapes of the world take turns."""
    rng = random.Random(f"story {seed}")
    plot = list(_PLOTS)[seed % len(_PLOTS)]
    shape = worlds.SHAPES[seed // len(_PLOTS) % len(worlds.SHAPES)]
    names = draw(rng)
    names, requests = worlds.build(rng, names, shape)
    chosen, length, badness = _PLOTS[plot]
    for _ in range(length):
        request = rng.choice(chosen)(rng, names)
        if rng.random() < badness:
            request = spoiled(rng, request)
        if rng.random() < 0.05:  # at a version that may not know its shape
            request = replace(request, version=at(rng.randint(0, 39)))
        requests.append(request)
    return Story(seed, plot, names, requests)
