"""What an agent does when guests leave and come: disks kept or dropped, epochs, and what is asked too late."""

import threading

import msgspec
import pytest

from nova_lite import errors
from nova_lite.model.guest import PowerState
from tests.unit.compute.agent import INSTANCE, UUID, Host


class TestMoves:
    """A guest that leaves, comes and comes back."""

    def test_it_leaves_and_comes_back_with_a_newer_epoch(self) -> None:
        host = Host()
        host.build()
        host.ear.check_reach(host.ear.disks_at(UUID))
        for _ in range(2):
            host.ear.set_aside(UUID, 1)
            assert host.state() is None
            assert host.driver.asides() == [UUID]
        for _ in range(2):
            assert host.ear.bring_back(UUID, 3, True) == PowerState.RUNNING
            assert host.driver.asides() == []
        guest = host.driver.guest(UUID)
        assert guest is not None
        assert guest.epoch == 3
        assert set(host.fence.asked) == {
            ("run", "host1", UUID, 1),
            ("leave", "host1", UUID, 1),
            ("run", "host1", UUID, 3),
        }

    @pytest.mark.parametrize("start", [True, False])
    def test_it_comes_running_or_not(self, start: bool) -> None:
        host = Host()
        wanted = PowerState.RUNNING if start else PowerState.SHUTDOWN
        for _ in range(2):
            assert host.ear.receive(msgspec.to_builtins(INSTANCE), "elsewhere", start) == wanted

    def test_what_is_asked_late_is_refused(self) -> None:
        host = Host()
        host.build()
        host.fence.may = False
        with pytest.raises(errors.Conflict):
            host.ear.set_aside(UUID, 1)
        with pytest.raises(errors.Conflict):
            host.ear.bring_back(UUID, 1, True)
        with pytest.raises(errors.Conflict):
            host.ear.receive(msgspec.to_builtins(INSTANCE), "elsewhere", True)
        assert host.state() == PowerState.RUNNING

    def test_a_newer_guest_is_not_discarded(self) -> None:
        host = Host()
        host.build()
        host.ear.discard(UUID, 0)
        assert host.state() == PowerState.RUNNING
        host.ear.discard(UUID, 1)
        assert host.state() is None
        host.ear.discard(UUID, 1)
        assert host.driver.faults.calls("clear_attempt") == 1

    def test_one_whose_disks_came_too_late_is_not_started(self) -> None:
        host = Host()
        gate = host.driver.hold("receive", after=True)
        refused: list[errors.Conflict] = []

        def receive() -> None:
            try:
                host.ear.receive(msgspec.to_builtins(INSTANCE), "elsewhere", True)
            except errors.Conflict as exc:
                refused.append(exc)

        coming = threading.Thread(target=receive)
        coming.start()
        assert gate.reached.wait(480)
        host.fence.may = False
        gate.open()
        coming.join(480)
        assert refused
        assert host.state() == PowerState.SHUTDOWN

    def test_what_may_come_back_is_not_dropped(self) -> None:
        host = Host()
        host.build()
        host.ear.set_aside(UUID, 1)
        host.fence.away = [UUID]
        with pytest.raises(errors.Conflict):
            host.ear.drop_aside(UUID)
        host.fence.away = []
        host.ear.drop_aside(UUID)
        assert host.driver.asides() == []
        host.ear.drop_aside(UUID)
