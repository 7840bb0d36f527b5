"""How console logs are cut."""

import pytest

from nova_lite.compute.virt.console import MAX_BYTES, tail


@pytest.mark.parametrize(
    ("log", "lines", "shown"),
    [
        pytest.param(b"", None, b"", id="nothing"),
        pytest.param(b"a\nb\nc\n", None, b"a\nb\nc\n", id="all"),
        pytest.param(b"a\nb\nc\n", 3, b"b\nc\n", id="the last three, of which one is yet to be written"),
        pytest.param(b"a\r\nb\r\nlogin: ", 1, b"login: ", id="a line without end"),
        pytest.param(b"a\nb\n", 5, b"a\nb\n", id="more than there are"),
        pytest.param(b"a\nb\n", 0, b"", id="none"),
        pytest.param(b"a\nb\n", -3, b"", id="fewer than none"),
        pytest.param(b"\xff\xfe\n\x00\n", 2, b"\x00\n", id="no text at all"),
    ],
)
def test_tail(log: bytes, lines: int | None, shown: bytes) -> None:
    assert tail(log, lines) == shown


def test_tail_is_bounded() -> None:
    assert tail(b"x" * (MAX_BYTES + 7), None) == b"x" * MAX_BYTES
    assert len(tail(b"y\n" * MAX_BYTES, MAX_BYTES)) == MAX_BYTES
