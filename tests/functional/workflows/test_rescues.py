"""Servers that stay rescued for too long are booted from their own disks again."""

from collections.abc import Iterator

import pytest

from nova_lite.conductor.rescue_timeouts import RescueTimeouts
from nova_lite.conductor.workflows.tools import CellTools
from nova_lite.testing.cloud import eventually
from tests.functional.workflows.site import Site


def lookers(site: Site, timeout_s: int) -> list[RescueTimeouts]:
    """Return what looks for them in each cell."""
    found = []
    for runner in site.saboteur.runners:
        if isinstance(runner.tools, CellTools):
            runner.tools.conf.set_override("rescue_timeout", timeout_s)
            found.append(RescueTimeouts(runner.tools.conf, runner.tools.db, runner.wake))
    return found


@pytest.fixture(autouse=True)
def defaults(site: Site) -> Iterator[None]:
    yield
    for runner in site.saboteur.runners:
        if isinstance(runner.tools, CellTools):
            runner.tools.conf.clear_override("rescue_timeout")


def test_who_is_rescued_for_long_is_unrescued(site: Site) -> None:
    (server,) = site.boot()
    site.rest()
    site.rescue(server)
    site.rest()
    for looker in lookers(site, 3600):
        looker.look()
    site.rest()
    assert site.status(server) == "RESCUE"
    quick = lookers(site, 1)

    def look() -> bool:
        for looker in quick:
            looker.look()
        return site.status(server) == "ACTIVE"

    eventually(look, "the server booted from its own disk")
    site.rest()
    _, body = site.ask("GET", f"/servers/{server}/os-instance-actions")
    done = [(each["action"], each["user_id"]) for each in body["instanceActions"]]
    assert done[0] == ("unrescue", done[-1][1])
