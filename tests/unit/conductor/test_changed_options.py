"""Options of a conductor that change while it runs count for what it does from then on."""

import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from nova_lite import errors
from nova_lite.conductor.reclaim import Reclaimer
from nova_lite.conductor.rescue_timeouts import RescueTimeouts
from nova_lite.conductor.saga import Runner
from nova_lite.conductor.service import Conductor
from nova_lite.conductor.spanning.audits import Audits
from nova_lite.conductor.spanning.automatic_confirms import AutomaticConfirms
from nova_lite.conductor.spanning.automatic_offloads import AutomaticOffloads
from nova_lite.conductor.spanning.failed_deletes import FailedDeletes
from nova_lite.conductor.spanning.host_discovery import HostDiscovery
from nova_lite.conductor.workflows import live_migrate
from nova_lite.db import migrate
from nova_lite.db.repositories import hosts
from nova_lite.storage import Database
from tests.changing import Changing
from tests.unit.conductor.sagas import wait_until

_OFF = "[audit]\ninterval = 0\n[quota]\nrecount_interval = 0\n"
_ON = """
[DEFAULT]
reclaim_instance_interval = 1
rescue_timeout = 1
resize_confirm_window = 1
shelved_offload_time = 1
[audit]
interval = 1
[quota]
recount_interval = 1
[scheduler]
discover_hosts_in_cells_interval = 1
"""
_LOOKERS = (Reclaimer, RescueTimeouts, AutomaticConfirms, AutomaticOffloads, FailedDeletes, HostDiscovery, Audits)


def test_what_is_looked_for_begins_when_it_is_wanted_and_ends_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing = Changing(tmp_path, _OFF)
    looks = {kind: threading.Semaphore(0) for kind in _LOOKERS}
    for kind in _LOOKERS:
        monkeypatch.setattr(kind, "look", lambda self: looks[type(self)].release())
    makers: Any = _LOOKERS
    lookers = [kind(changing.conf, Mock(), Mock(), *([Mock(), Mock()] if kind is Audits else [])) for kind in makers]
    for looker in lookers:
        looker.start()
    assert not any(look.acquire(timeout=0.02) for look in looks.values())
    changing.become(_ON)
    for kind in _LOOKERS:
        assert looks[kind].acquire(timeout=480), kind
    changing.become(_OFF)

    def is_quiet() -> bool:
        """Return whether nobody looked for two seconds, twice as long as between two looks."""
        found = [look.acquire(timeout=0.3) for look in looks.values()]
        return not any(found + [look.acquire(blocking=False) for look in looks.values()])

    assert wait_until(is_quiet), "they look though that is not wanted any more"
    for looker in lookers:
        looker.stop()


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/cell.db"
    database = Database(url)
    migrate.sync(database, "cell")
    database.close()
    return url


def test_heartbeats_scans_and_when_a_service_is_down(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (
        f"[DEFAULT]\nhost = c1\ntransport_url = fake:///\nreport_interval = 3600\n{{more}}"
        f"[database]\nconnection = {database}\n[conductor]\nscan_interval = {{scan}}\n"
    )
    changing = Changing(tmp_path, first.format(more="", scan=3600))
    beats, scans = threading.Semaphore(0), threading.Semaphore(0)
    monkeypatch.setattr(Conductor, "_beat", lambda self: beats.release())
    monkeypatch.setattr(Runner, "_scan", lambda self: scans.release())
    conductor = Conductor(changing.conf)
    heard: list[float] = []
    monkeypatch.setattr(hosts, "beat", lambda *_, down_after_s: heard.append(down_after_s))
    conductor.start()
    try:
        assert beats.acquire(timeout=480)
        assert scans.acquire(timeout=480)
        assert not beats.acquire(timeout=0.05)
        conductor._endpoint.heartbeat("h1", "nova-compute")
        changing.become(first.format(more="report_interval = 1\nservice_down_time = 90\n", scan=0.05))
        conductor._endpoint.heartbeat("h1", "nova-compute")
        assert scans.acquire(timeout=480)
        assert beats.acquire(timeout=480)
        assert (heard, conductor.down_after_s) == ([60.0, 90.0], 90.0)
    finally:
        conductor.stop()


def test_how_long_others_may_take_to_answer(tmp_path: Path, database: str) -> None:
    first = f"[DEFAULT]\nhost = c1\ntransport_url = fake:///\n[database]\nconnection = {database}\n"
    changing = Changing(tmp_path, first)
    bus = Conductor(changing.conf)._bus
    assert (bus.call_timeout_s, bus.monitor_s) == (30.0, 10.0)
    changing.become(f"{first}[rpc]\ncall_timeout = 1\ncall_monitor_timeout = 3\n")
    assert (bus.call_timeout_s, bus.monitor_s) == (1.0, 3.0)
    began = time.monotonic()
    with pytest.raises(errors.Timeout):
        bus.call("nobody", "anything")
    assert time.monotonic() - began < 29
    bus.close()


def test_how_many_guests_may_leave_a_host_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changing = Changing(tmp_path)
    monkeypatch.setattr(live_migrate, "migrations", Mock(**{"leaving_live.return_value": 1}))
    monkeypatch.setattr(live_migrate, "before", Mock())
    monkeypatch.setattr(live_migrate, "_refuse_aborted", Mock())
    work = Mock(**{"tools.conf": changing.conf, "inputs": {"move": "m1"}})
    with pytest.raises(errors.NotYet):
        live_migrate.take_turn(work, Mock())
    changing.become("[DEFAULT]\nmax_concurrent_live_migrations = 2\n")
    live_migrate.take_turn(work, Mock())
