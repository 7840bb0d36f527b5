"""How it looks what became of events."""

from collections.abc import Mapping, Sequence

_TAKEN = 200


def many(told: Sequence[Mapping[str, object]], codes: Sequence[int]) -> dict[str, object]:
    """Return the document of events as they were told, each with what became of it."""
    return {
        "events": [
            {**event, "status": "completed" if code == _TAKEN else "failed", "code": code}
            for event, code in zip(told, codes, strict=True)
        ]
    }


def status(codes: Sequence[int]) -> str:
    """Return the status of the whole: it is mixed as soon as one event was refused."""
    return "200 OK" if set(codes) == {_TAKEN} else "207 Multi-Status"
