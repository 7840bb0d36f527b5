"""Bodies to be spoiled, for the fuzz tests of both APIs: what can be changed in one, and how it is written then."""

import json
import random
from collections.abc import Iterator
from typing import Any


def containers(value: Any) -> Iterator[Any]:
    """Yield every object and list in ``value``, itself first."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def written(body: Any, dice: random.Random) -> bytes:
    """Return ``body`` as JSON, now and then with all its keys twice."""
    text = json.dumps(body)
    if dice.random() < 0.1 and text.startswith('{"'):
        text = text[:-1] + ", " + text[1:]
    return text.encode()
