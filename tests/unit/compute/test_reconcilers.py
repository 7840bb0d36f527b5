"""What an agent does about guests that are not as its cell says."""

from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from nova_lite import config, errors, guest_options
from nova_lite.clients.volumes import Volumes
from nova_lite.compute.actions.volumes import VolumePlugger
from nova_lite.compute.reconcilers import Reconciler, compare
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.concurrency import KeyedLocks
from nova_lite.model.block_device import BlockDevice
from nova_lite.model.conductor import ExpectedGuest
from nova_lite.model.guest import Guest, GuestSpec, PowerState
from nova_lite.rpc.conductor import ConductorClient

GUEST = Guest("a", 2, PowerState.RUNNING)
ACTIVE = ExpectedGuest("a", 2, PowerState.RUNNING, should_run=True, must_be_off=False, is_settled=True)
STOPPED = replace(ACTIVE, power_state=PowerState.SHUTDOWN, should_run=False, must_be_off=True)
ERROR = replace(ACTIVE, power_state=PowerState.NOSTATE, should_run=False)
OFF = replace(GUEST, power_state=PowerState.SHUTDOWN)


@pytest.mark.parametrize(
    ("guest", "expected", "deed"),
    [
        pytest.param(GUEST, ACTIVE, None, id="as it should be"),
        pytest.param(GUEST, None, "destroy", id="nobody's"),
        pytest.param(GUEST, replace(ACTIVE, epoch=3), "destroy", id="older epoch"),
        pytest.param(GUEST, replace(ACTIVE, epoch=3, is_settled=False), "destroy", id="older epoch, being moved"),
        pytest.param(GUEST, replace(ACTIVE, epoch=1), None, id="newer epoch than the cell knows"),
        pytest.param(OFF, ACTIVE, "report", id="stopped by itself"),
        pytest.param(OFF, replace(ACTIVE, is_settled=False), None, id="being worked on"),
        pytest.param(OFF, STOPPED, None, id="stopped as it should be"),
        pytest.param(GUEST, STOPPED, "stop", id="runs though stopped"),
        pytest.param(replace(GUEST, power_state=PowerState.PAUSED), STOPPED, "stop", id="paused though stopped"),
        pytest.param(GUEST, replace(STOPPED, is_settled=False), None, id="runs, being worked on"),
        pytest.param(GUEST, ERROR, "report", id="runs, its server in error"),
    ],
)
def test_compare(guest: Guest, expected: ExpectedGuest | None, deed: str | None) -> None:
    repairs = compare([guest], [] if expected is None else [expected])
    done = {"destroy": repairs.destroy, "stop": repairs.stop, "report": [found.uuid for found in repairs.report]}
    assert {name for name, uuids in done.items() if uuids} == ({deed} if deed else set())
    assert repairs.guests == (["a"] if deed else [])


@pytest.mark.parametrize(
    ("guest", "expected", "is_started"),
    [
        pytest.param(OFF, ACTIVE, True, id="ran"),
        pytest.param(replace(OFF, power_state=PowerState.CRASHED), ACTIVE, True, id="ran and crashed"),
        pytest.param(GUEST, ACTIVE, False, id="runs"),
        pytest.param(OFF, STOPPED, False, id="was stopped"),
        pytest.param(OFF, replace(ACTIVE, power_state=PowerState.SHUTDOWN), False, id="was off before"),
        pytest.param(OFF, ERROR, False, id="in error"),
        pytest.param(OFF, replace(ACTIVE, is_settled=False), False, id="being worked on"),
        pytest.param(OFF, replace(ACTIVE, epoch=3), False, id="belongs elsewhere"),
    ],
)
def test_guests_that_ran_before_the_host_went_down(guest: Guest, expected: ExpectedGuest, is_started: bool) -> None:
    assert (compare([guest], [expected], resumes=True).start == ["a"]) is is_started
    assert compare([guest], [expected]).start == []


def test_a_guest_runs_again_where_operators_want_that() -> None:
    driver = _driver("a")
    driver.power_off("a", timeout_s=0)
    cell = Cell([[ACTIVE]])
    _run(driver, cell, resumes=True)
    assert [guest.power_state for guest in driver.guests()] == [PowerState.RUNNING]
    assert cell.reported == []


def test_an_expected_guest_that_is_not_there_is_left_to_its_server() -> None:
    assert compare([], [ACTIVE]).guests == []


@dataclass
class Cell:
    """What a conductor would say; each question takes the next answer, the last one again and again."""

    answers: list[list[ExpectedGuest]]
    reported: list[Guest] = field(default_factory=list)
    away: list[str] = field(default_factory=list)
    living: list[str] = field(default_factory=list)

    def lives(self, instance_uuid: str) -> bool:
        return instance_uuid in self.living

    def moved_away(self, host: str) -> list[str]:
        return self.away

    def expected_guests(self, host: str) -> list[ExpectedGuest]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def evacuated_from(self, host: str) -> list[str]:
        return []

    def volumes_of(self, host: str, instance_uuid: str) -> list[BlockDevice]:
        return []

    def report_guests(self, host: str, guests: list[Guest]) -> None:
        self.reported += guests


def _driver(*uuids: str) -> FakeDriver:
    driver = FakeDriver("host1")
    for uuid in uuids:
        driver.spawn(GuestSpec(uuid, uuid, epoch=2, vcpus=1, ram_mib=64, root_gib=1), None)
    return driver


def _run(
    driver: FakeDriver, cell: Cell, *, resumes: bool = False, unowned: str = guest_options.REAP, times: int = 1
) -> None:
    conductor = cast(ConductorClient, cell)
    volumes = VolumePlugger("host1", driver, Volumes(config.load(files=[])), conductor, patience_s=lambda: 1)
    reconciler = Reconciler("host1", driver, conductor, volumes, KeyedLocks(), unowned=lambda: unowned)
    for _ in range(times):
        reconciler.run(resumes=resumes)


def test_repairs_are_made() -> None:
    driver = _driver("a", "b", "c")
    driver.power_off("c", timeout_s=0)
    cell = Cell([[STOPPED, replace(ACTIVE, uuid="c")]])
    _run(driver, cell)
    assert {guest.uuid: guest.power_state for guest in driver.guests()} == {
        "a": PowerState.SHUTDOWN,
        "c": PowerState.SHUTDOWN,
    }
    assert [guest.uuid for guest in cell.reported] == ["c"]


@pytest.mark.parametrize(
    ("action", "left", "words"),
    [
        (guest_options.REAP, {}, ["Destroying guest a"]),
        (guest_options.SHUTDOWN, {"a": PowerState.SHUTDOWN}, ["Powering off guest a"]),
        (guest_options.LOG, {"a": PowerState.RUNNING}, ["Guest a is here"]),
        (guest_options.NOOP, {"a": PowerState.RUNNING}, []),
    ],
)
def test_what_becomes_of_a_guest_whose_server_is_deleted(
    action: str, left: dict[str, PowerState], words: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    driver = _driver("a")
    _run(driver, Cell([[]]), unowned=action, times=2)
    assert {guest.uuid: guest.power_state for guest in driver.guests()} == left
    told = [record.getMessage() for record in caplog.records if record.name.endswith("reconcilers")]
    assert [line.partition(":")[0].partition(" and")[0] for line in told] == words


def test_a_guest_whose_server_lives_elsewhere_is_destroyed_whatever_operators_want() -> None:
    driver = _driver("a")
    _run(driver, Cell([[]], living=["a"]), unowned=guest_options.NOOP)
    assert driver.guests() == []


def test_a_guest_is_looked_at_again_before_it_is_destroyed() -> None:
    """The first answer was of a moment ago; what counts is what holds while nobody else works on the guest."""
    driver = _driver("a")
    _run(driver, Cell([[], [ACTIVE]]))
    assert [guest.uuid for guest in driver.guests()] == ["a"]


def test_a_guest_gone_meanwhile_is_no_trouble() -> None:
    driver = _driver("a")
    cell = Cell([[], []])
    listed = driver.guests()
    driver.destroy("a")
    driver.guests = lambda: listed  # type: ignore[method-assign]
    _run(driver, cell)
    assert cell.reported == []


def test_a_guest_that_cannot_be_removed_does_not_hinder_the_others() -> None:
    driver = _driver("a", "b")
    driver.fail("destroy", errors.Unavailable("busy"), times=1)
    _run(driver, Cell([[]]))
    assert len(driver.guests()) == 1
    _run(driver, Cell([[]]))
    assert driver.guests() == []


@pytest.mark.parametrize(
    ("expected", "away", "asides", "guests"),
    [
        pytest.param([], ["a"], ["a"], [], id="may come back"),
        pytest.param([], [], [], [], id="will not come back"),
        pytest.param([replace(ACTIVE, is_settled=False)], [], ["a"], [], id="on its way back"),
        pytest.param([replace(ACTIVE, epoch=4)], [], [], [Guest("a", 4, PowerState.SHUTDOWN)], id="left behind"),
    ],
)
def test_what_was_set_aside_is_kept_dropped_or_brought_back(
    expected: list[ExpectedGuest], away: list[str], asides: list[str], guests: list[Guest]
) -> None:
    driver = _driver("a")
    driver.set_aside("a", timeout_s=0)
    _run(driver, Cell([expected], away=away))
    assert driver.asides() == asides
    assert driver.guests() == guests


def test_what_is_left_beside_a_guest_is_dropped() -> None:
    driver = _driver("a")
    driver.set_aside("a", timeout_s=0)
    driver.receive(GuestSpec("a", "a", epoch=3, vcpus=1, ram_mib=64, root_gib=1), "", start=True)
    _run(driver, Cell([[replace(ACTIVE, epoch=3)]]))
    assert driver.asides() == []
    assert driver.guests() == [Guest("a", 3, PowerState.RUNNING)]
