"""Which way an error took, for administrators: where, and never with which values."""

import pytest

from nova_lite import errors
from nova_lite.model import tracebacks

CANARY = "hunter2"


def _deep(levels: int) -> None:
    if levels:
        _deep(levels - 1)
    else:
        raise ValueError(CANARY)


def _caught(levels: int, said: str = "It is busy.") -> errors.NovaLiteError:
    def fail() -> None:
        try:
            _deep(levels)
        except ValueError as exc:
            raise errors.HostFailed(said, url=CANARY) from exc

    with pytest.raises(errors.HostFailed) as caught:
        fail()
    return caught.value


def test_the_way_of_an_error_and_of_what_it_came_from_is_told_without_values() -> None:
    told = tracebacks.told(_caught(2))
    assert CANARY not in told
    lines = told.splitlines()
    assert lines.count("Traceback:") == 2
    assert lines[-1] == "HostFailed: It is busy."
    where = lines.index("ValueError")
    assert lines[where - 1].startswith(f"  {__name__}, line ")
    assert lines[where - 1].endswith(", in _deep")


def test_its_length_is_bounded() -> None:
    told = tracebacks.told(_caught(100, said="x" * 10_000))
    assert len(told.splitlines()) < 40
    assert len(told) <= 4000
    assert told.endswith("x")
