"""A host with a driver, as the contract of drivers sees it, and what its tests ask of guests."""

import time
import uuid as uuids
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import pytest

from nova_lite.compute.virt.driver import Driver
from nova_lite.model.guest import BaseImage, GuestSpec, PowerState

GIB = 1024**3


class Rig(Protocol):
    """One host with a connected driver, and what the contract must know about it beyond the interface."""

    driver: Driver
    image: BaseImage | None
    #: What the guest writes on its console when it is up.
    banner: bytes
    #: How long a guest may take to boot, or to obey a shutdown.
    patience_s: float

    def new_driver(self) -> Driver:
        """Return another connected driver of the same host, as after a restart of the agent."""
        ...

    def neighbour(self) -> Driver:
        """Return a connected driver of another host beside this one."""
        ...

    def leave_half_made(self, spec: GuestSpec) -> None:
        """Leave what a spawn killed in its middle leaves."""
        ...

    def fail_next_start(self) -> None:
        """Make the next start of a guest fail at the hypervisor."""
        ...

    def leftovers(self, uuid: str) -> list[str]:
        """Return what this host still holds of the guest: files, definitions."""
        ...


def a_spec(**changes: object) -> GuestSpec:
    """Return the specification of a small guest with a new uuid."""
    spec = GuestSpec(uuid=str(uuids.uuid4()), name="vm one", epoch=1, vcpus=1, ram_mib=128, root_gib=1)
    return replace(spec, **changes)  # type: ignore[arg-type]


def wait_until(claim: Callable[[], bool], patience_s: float, what: str) -> None:
    """Return when ``claim`` holds; fail the test after ``patience_s``."""
    deadline = time.monotonic() + patience_s
    while not claim():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {patience_s} s")
        time.sleep(0.05)


def power_state(driver: Driver, uuid: str) -> PowerState:
    """Return the guest's power state; the guest must be there."""
    guest = driver.guest(uuid)
    assert guest is not None
    return guest.power_state
