"""Notifications are off unless asked for, never hold anybody up, and say little of a bus that is away."""

import logging
import threading
from pathlib import Path

import pytest
from oslo_config import cfg

from nova_lite import config, errors
from nova_lite.model.notifications import Who
from nova_lite.rpc import notifications
from nova_lite.rpc.notifications import Notifier

WHO = Who("user", "project", "req-1")


def _conf(path: Path, url: str = "kombu+memory:///nowhere", **options: str) -> cfg.ConfigOpts:
    lines = [f"{name} = {value}" for name, value in options.items()]
    file = path / "told.conf"
    text = [
        "[oslo_messaging_notifications]",
        "driver = messagingv2",
        f"transport_url = {url}",
        "[notifications]",
        *lines,
    ]
    file.write_text("\n".join(text))
    return config.load(files=[str(file)])


def _refuse() -> dict[str, object]:
    raise AssertionError("nobody is told")


def _threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "notifications"]


def test_off_nothing_is_worked_out() -> None:
    notifier = Notifier(config.load(files=[]))
    assert not notifier.is_on
    notifier.tell("instance.lock", None, WHO, _refuse, host="host")
    notifier.tell_of_old("compute.instance.create.end", WHO, _refuse, host="host", failed=False)
    notifier.close()
    assert not _threads()


@pytest.mark.parametrize(
    ("kind", "versioned", "of_old"),
    [("versioned", True, False), ("unversioned", False, True), ("both", True, True), ("none", False, False)],
)
def test_which_are_sent(tmp_path: Path, kind: str, versioned: bool, of_old: bool) -> None:
    notifier = Notifier(_conf(tmp_path, notification_format=kind))
    assert (notifier.is_versioned, notifier.is_legacy, notifier.is_on) == (versioned, of_old, versioned or of_old)


def test_a_bus_that_cannot_be_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(errors.Misconfigured) as caught:
        Notifier(_conf(tmp_path, "nonsense://user:secret@host/"))
    assert "secret" not in str(caught.value)


def test_what_cannot_be_made_is_logged_and_fails_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier(_conf(tmp_path))
    notifier.tell("instance.lock", None, WHO, _refuse, host="host")
    notifier.tell("instance.lock", "start", WHO, dict, host="host")
    notifier.close()
    assert [record.getMessage() for record in caplog.records].count(
        "A notification could not be made: instance.lock"
    ) == 2


def test_a_bus_that_is_away_holds_nobody_up_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "_MAX_WAITING", 5)
    monkeypatch.setattr(notifications, "_LEAVE_S", 0.1)
    monkeypatch.setattr(notifications, "_AWAY_S", 0.01)
    notifier = Notifier(_conf(tmp_path, "rabbit://guest:secret@127.0.0.1:1/"))
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            notifier.tell("instance.lock", None, WHO, dict, host="host")
        threads = _threads()
        notifier.close()
        for thread in threads:
            thread.join(60)
    ours = [record.getMessage() for record in caplog.records if record.name == notifications.__name__]
    assert len(ours) == 2, ours
    assert "were not sent before the end" in ours[1]
    assert not any("secret" in each for each in ours)
    assert not _threads()
