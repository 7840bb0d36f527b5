"""Bring a host's guests in line with what its cell says: at the agent's start, and every now and then."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from nova_lite import errors
from nova_lite.compute.actions.volumes import VolumePlugger
from nova_lite.compute.virt.driver import Driver
from nova_lite.concurrency import KeyedLocks
from nova_lite.guest_options import LOG as LOG_IT
from nova_lite.guest_options import REAP, SHUTDOWN
from nova_lite.model.conductor import ExpectedGuest
from nova_lite.model.guest import Guest, PowerState
from nova_lite.rpc.conductor import ConductorClient

LOG = logging.getLogger(__name__)

_ALIVE = (PowerState.RUNNING, PowerState.PAUSED)
_OFF = (PowerState.SHUTDOWN, PowerState.CRASHED)


@dataclass(slots=True)
class Repairs:
    """What must be done: guests that belong elsewhere or nowhere, run again, must not run, are to be told of."""

    destroy: list[str] = field(default_factory=list)
    start: list[str] = field(default_factory=list)
    stop: list[str] = field(default_factory=list)
    report: list[Guest] = field(default_factory=list)

    @property
    def guests(self) -> list[str]:
        """The UUIDs of all of them."""
        return [*self.destroy, *self.start, *self.stop, *(guest.uuid for guest in self.report)]


def compare(guests: Iterable[Guest], expected: Iterable[ExpectedGuest], *, resumes: bool = False) -> Repairs:
    """Return what sets ``guests`` (found on the host) and ``expected`` (the cell's word) at odds: pure.

    A guest that no instance of this host owns, or one of an older epoch, must go. One that is being worked on is left
    to its workflow; of the others, one whose instance is stopped must not run, and any other power state is news.
    With ``resumes`` one that ran when it was last heard of, and is off, is to run again.
    """
    wanted = {instance.uuid: instance for instance in expected}
    repairs = Repairs()
    for guest in guests:
        instance = wanted.get(guest.uuid)
        if instance is None or guest.epoch < instance.epoch:
            repairs.destroy.append(guest.uuid)
        elif not instance.is_settled:
            continue
        elif instance.must_be_off and guest.power_state in _ALIVE:
            repairs.stop.append(guest.uuid)
        elif resumes and _ran_until_lately(instance) and guest.power_state in _OFF:
            repairs.start.append(guest.uuid)
        elif instance.power_state != guest.power_state:
            repairs.report.append(guest)
    return repairs


def _ran_until_lately(instance: ExpectedGuest) -> bool:
    return instance.should_run and instance.power_state is PowerState.RUNNING


class Reconciler:
    """Compares and repairs. ``locks`` are those under which the agent works on its guests.

    ``unowned`` says what becomes of a guest whose server is deleted: see ``guest_options``.
    """

    def __init__(
        self,
        host: str,
        driver: Driver,
        conductor: ConductorClient,
        volumes: VolumePlugger,
        locks: KeyedLocks,
        *,
        unowned: Callable[[], str] = lambda: REAP,
    ) -> None:
        self._host = host
        self._driver = driver
        self._conductor = conductor
        self._volumes = volumes
        self._locks = locks
        self._unowned = unowned
        #: Guests that the log has told of.
        self._told: set[str] = set()

    def run(self, *, resumes: bool = False) -> None:
        """Destroy and stop what must not run here, and report what changed.

        With ``resumes``, as after the host booted, guests that ran are started instead of being reported as off.
        """
        # In this order: an instance is recorded before its guest is made, so no guest seen can be missing in the list.
        guests = self._driver.guests()
        for uuid in compare(guests, self._conductor.expected_guests(self._host), resumes=resumes).guests:
            try:
                with self._locks.hold(uuid):
                    self._repair(uuid, resumes=resumes)
            except errors.NovaLiteError as exc:
                _leave(uuid, exc)
        for uuid in self._driver.asides():
            try:
                with self._locks.hold(uuid):
                    self._repair_aside(uuid)
            except errors.NovaLiteError as exc:
                _leave(uuid, exc)

        self._tell_what_left()

    def put_in_order(self, uuid: str) -> None:
        """Compare one guest with what the cell says, now; its caller has its lock."""
        self._repair(uuid)

    def _tell_what_left(self) -> None:
        """Tell the cell what this host has nothing of any more, of what was evacuated from it."""
        evacuated = self._conductor.evacuated_from(self._host)
        if not evacuated:
            return
        here = {instance.uuid: instance.epoch for instance in self._conductor.expected_guests(self._host)}
        gone = []
        for uuid in evacuated:
            guest = self._driver.guest(uuid)
            # It may have come back meanwhile, as a new guest.
            if guest is None or (uuid in here and guest.epoch >= here[uuid]):
                gone.append(uuid)
        if gone:
            LOG.warning("What was evacuated from this host is gone from it: %s", gone)
            self._conductor.report_left(self._host, gone)

    def _repair_aside(self, uuid: str) -> None:
        """Make a guest again of what was set aside when its move failed for good; remove it when nobody wants it."""
        if uuid not in self._driver.asides() or uuid in self._conductor.moved_away(self._host):
            return
        instance = next((each for each in self._conductor.expected_guests(self._host) if each.uuid == uuid), None)
        if instance is not None and not instance.is_settled:
            return
        if instance is not None and self._driver.guest(uuid) is None:
            LOG.warning("Bringing back guest %s: its server is here and has none", uuid)
            self._driver.bring_back(uuid, instance.epoch, start=False)
            # Some may have come or gone while it was away. Should this fail, whoever starts it does it again.
            self._volumes.match(uuid, self._conductor.volumes_of(self._host, uuid))
        else:
            LOG.warning("Removing what guest %s left here: it will not come back", uuid)
            self._driver.drop_aside(uuid)

    def _repair(self, uuid: str, *, resumes: bool = False) -> None:
        """Look again, now that nobody else works on the guest, and do what it still needs."""
        guest = self._driver.guest(uuid)
        if guest is None:
            return
        repairs = compare([guest], self._conductor.expected_guests(self._host), resumes=resumes)
        if repairs.start:
            LOG.warning("Starting guest %s: it ran before this host went down", uuid)
            self._volumes.match(uuid, self._conductor.volumes_of(self._host, uuid))
            self._driver.power_on(uuid)
        if repairs.destroy and not self._is_spared(guest):
            LOG.warning("Destroying guest %s: it does not belong on this host (any more)", uuid)
            self._driver.destroy(uuid)
        if repairs.stop:
            LOG.warning("Powering off guest %s: its server is stopped", uuid)
            self._driver.power_off(uuid, timeout_s=0)
        if repairs.report:
            self._conductor.report_guests(self._host, repairs.report)

    def _is_spared(self, guest: Guest) -> bool:
        """Return whether a guest that does not belong here is kept: an operator wants that of deleted servers'."""
        action = self._unowned()
        if action == REAP or self._conductor.lives(guest.uuid):
            return False
        if action == SHUTDOWN and guest.power_state in _ALIVE:
            LOG.warning("Powering off guest %s: its server is deleted; its disks are kept", guest.uuid)
            self._driver.power_off(guest.uuid, timeout_s=0)
        elif action == LOG_IT and guest.uuid not in self._told:
            LOG.warning("Guest %s is here and its server is deleted", guest.uuid)
            self._told.add(guest.uuid)
        return True


def _leave(uuid: str, exc: errors.NovaLiteError) -> None:
    LOG.warning("Guest %s could not be put in order and is left for the next time: %s %s", uuid, exc, exc.facts)
