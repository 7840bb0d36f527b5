"""Options of an agent that change while it runs count for what it does from then on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from nova_lite.clients.placement import PlacementClient
from nova_lite.compute import inventory, service
from nova_lite.compute.host_reports import HostReporter
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.concurrency import KeyedLocks
from nova_lite.model.live_migration import Departure, Stage
from nova_lite.model.migration import Progress
from tests.changing import Changing

_GUEST = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def driver() -> Mock:
    return Mock(**{"guest.return_value.power_state": 4})


@pytest.fixture
def endpoint(changing: Changing, driver: Mock) -> Any:
    return service.make_endpoint(changing.conf, driver, Mock(), Mock(), KeyedLocks())


@pytest.fixture
def changing(tmp_path: Path) -> Changing:
    return Changing(
        tmp_path,
        f"[DEFAULT]\nhost = h1\nstate_path = {tmp_path}\nshutdown_timeout = 5\nvolume_detach_timeout = 6\n"
        "[libvirt]\nlive_migration_completion_timeout = 1000\n",
    )


def test_how_long_a_guest_may_take_to_shut_down(changing: Changing, driver: Mock, endpoint: Any) -> None:
    acts: tuple[Callable[[], object], ...] = (
        lambda: endpoint.power_off(_GUEST, 1),
        lambda: endpoint.reboot(_GUEST, 1, hard=False),
        lambda: endpoint._moves.set_aside(_GUEST, Mock()),
    )
    called = (driver.power_off, driver.reboot, driver.set_aside)
    for seconds in (5, 9):
        changing.become(f"[DEFAULT]\nhost = h1\nshutdown_timeout = {seconds}\n")
        for act, method in zip(acts, called, strict=True):
            act()
            assert method.call_args.kwargs["timeout_s"] == seconds, method


def test_how_long_a_guest_may_keep_a_volume(changing: Changing) -> None:
    driver = Mock(**{"volumes_of.return_value": ["v1"]})
    plugger = service.make_plugger(changing.conf, driver, Mock())
    for seconds in (6.0, 1.5):
        changing.become(f"[DEFAULT]\nhost = h1\nvolume_detach_timeout = {seconds}\n")
        plugger.give(_GUEST, (), ())
        assert driver.detach_volume.call_args.kwargs["timeout_s"] == seconds


def test_how_long_a_guest_may_take_to_leave_and_how_it_ends(changing: Changing, driver: Mock, endpoint: Any) -> None:
    driver.departure.return_value = Departure(Stage.LEAVING, Progress(), elapsed_s=100.0)
    endpoint.departure(_GUEST, 0)
    assert (driver.stay.called, driver.hurry.called) == (False, False)
    changing.become(
        "[libvirt]\nlive_migration_completion_timeout = 10\nlive_migration_timeout_action = force_complete\n"
    )
    endpoint.departure(_GUEST, 0)
    assert (driver.stay.called, driver.hurry.called) == (False, True)


def test_what_a_host_keeps_back(changing: Changing) -> None:
    driver = FakeDriver("h1", vcpus=8, ram_mib=4096)

    def offered() -> tuple[object, ...]:
        cpus = inventory.offered(driver.providers(), changing.conf)[0].inventories["VCPU"]
        return cpus.reserved, cpus.allocation_ratio

    assert offered() == (0, None)
    changing.become("[DEFAULT]\nreserved_host_cpus = 2\ncpu_allocation_ratio = 3.0\n")
    assert offered() == (2, 3.0)


def test_how_often_placement_is_compared_with(changing: Changing, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    changing.become(f"[DEFAULT]\nstate_path = {changing.file.parent}\n")
    reporter = HostReporter(
        changing.conf, _GUEST, FakeDriver("h1"), Mock(spec=PlacementClient), Mock(), clock=lambda: now[0]
    )
    agree = Mock(return_value=())
    monkeypatch.setattr(reporter._tree, "agree", agree)
    reporter.report()
    now[0] = 100.0
    reporter.report()
    assert agree.call_count == 1
    changing.become(
        f"[DEFAULT]\nstate_path = {changing.file.parent}\n[compute]\nresource_provider_association_refresh = 60\n"
    )
    reporter.report()
    assert agree.call_count == 2
