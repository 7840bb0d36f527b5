"""Guests that somebody pauses, stops or runs on behind the cloud's back: their servers show it, and can be acted on."""

import pytest

from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.testing import cloud as clouds
from nova_lite.testing.cloud import eventually
from tests.functional.workflows.site import Site


@pytest.mark.parametrize(
    ("before", "deed", "shown", "back"),
    [
        pytest.param(None, "pause", "PAUSED", "unpause", id="paused"),
        pytest.param("pause", "unpause", "ACTIVE", "pause", id="unpaused"),
        pytest.param("suspend", "resume", "ACTIVE", "os-stop", id="resumed"),
        pytest.param("pause", "power_off", "SHUTOFF", "os-start", id="paused, then off"),
    ],
)
def test_what_was_done_to_a_guest_is_seen(site: Site, before: str | None, deed: str, shown: str, back: str) -> None:
    (server,) = site.boot()
    site.rest()
    if before is not None:
        site.act(server, before)
        site.rest()
    options = {"timeout_s": 0} if deed == "power_off" else {}
    getattr(_driver(site, server), deed)(server, **options)
    eventually(lambda: site.status(server) == shown, f"server {server} in {shown}")
    site.act(server, back)
    site.rest()


@pytest.mark.parametrize("deed", ["power_on", "pause"])
def test_what_was_deleted_does_not_run(site: Site, deed: str) -> None:
    (server,) = site.boot()
    site.rest()
    site.soft_delete(server)
    site.rest()
    driver = _driver(site, server)
    driver.power_on(server)
    if deed == "pause":
        driver.pause(server)
    site.rest()  # its agent turns it off
    assert site.status(server) == "SOFT_DELETED"


def _driver(site: Site, server: str) -> FakeDriver:
    _, body = site.ask("GET", f"/servers/{server}")
    return clouds.fake_driver(site.cloud, body["server"]["OS-EXT-SRV-ATTR:host"])
