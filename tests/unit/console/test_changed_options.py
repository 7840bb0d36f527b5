"""Options of a console proxy that change while it runs count for consoles opened from then on."""

import asyncio
from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from nova_lite import errors
from nova_lite.concurrency import Tally
from nova_lite.console.listener import Listener
from nova_lite.db.columns import utcnow
from tests.changing import Changing


def test_how_many_consoles_and_for_how_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changing = Changing(tmp_path, "[console]\nmax_sessions = 1\n")
    listener = Listener(changing.conf, Mock(), Tally())
    monkeypatch.setattr(listener, "sessions", [Mock()])
    meant = Mock(expires_at=utcnow() + timedelta(hours=1))

    def knock() -> None:
        asyncio.run(listener._admit(Request("/", Headers([("Host", "a"), ("Host", "b")]))))

    with pytest.raises(errors.Unavailable):
        knock()
    assert (listener._bounds(meant).idle_s, listener._bounds(meant).session_s) == (3600, None)
    changing.become("[console]\nmax_sessions = 2\nidle_timeout = 5\n[consoleauth]\nenforce_session_timeout = true\n")
    with pytest.raises(errors.Forbidden):  # now for what it asks
        knock()
    bounds = listener._bounds(meant)
    assert bounds.idle_s == 5
    assert bounds.session_s is not None
