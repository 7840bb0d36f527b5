"""Progress on standard error: nothing for what is quick, then a line every two seconds."""

import pytest

from nova_lite import concurrency
from nova_lite.cmd.progress import Progress


def test_what_takes_less_than_two_seconds_says_nothing_and_more_says_little(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(concurrency, "monotonic", lambda: now[0])
    tell = Progress("the command")
    for tenth in range(65):
        now[0] = 100.0 + tenth / 10
        tell(f"{tenth} done")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "the command: 20 done\nthe command: 40 done\nthe command: 60 done\n"
