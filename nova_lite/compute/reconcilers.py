"""Bring a host's guests in line with what its cell says, after its agent or hypervisor was away."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from nova_lite.compute.virt.driver import Driver
from nova_lite.model.conductor import ExpectedGuest
from nova_lite.model.guest import Guest
from nova_lite.rpc.conductor import ConductorClient

LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Repairs:
    """What must be done: guests that belong elsewhere or nowhere, and power states to report."""

    destroy: list[str] = field(default_factory=list)
    report: list[Guest] = field(default_factory=list)


def compare(guests: Iterable[Guest], expected: Iterable[ExpectedGuest]) -> Repairs:
    """Return what sets ``guests`` (found on the host) and ``expected`` (the cell's word) at odds: pure.

    A guest that no instance of this host owns, or one of an older epoch, must go. One that is being worked on is left
    to its workflow.
    """
    wanted = {instance.uuid: instance for instance in expected}
    repairs = Repairs()
    for guest in guests:
        instance = wanted.get(guest.uuid)
        if instance is None or instance.epoch != guest.epoch:
            repairs.destroy.append(guest.uuid)
        elif instance.is_settled and instance.power_state != guest.power_state:
            repairs.report.append(guest)
    return repairs


def reconcile(host: str, driver: Driver, conductor: ConductorClient) -> None:
    """Destroy what must not run here and report what changed."""
    repairs = compare(driver.guests(), conductor.expected_guests(host))
    for uuid in repairs.destroy:
        LOG.warning("Destroying guest %s: it does not belong on this host (any more)", uuid)
        driver.destroy(uuid)
    if repairs.report:
        conductor.report_guests(host, repairs.report)
