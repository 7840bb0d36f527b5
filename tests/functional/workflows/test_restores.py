"""Servers that were deleted so that they can be restored, and could not be."""

from nova_lite import errors
from nova_lite.db.api_tables import InstanceMappingRow
from nova_lite.testing import cloud as clouds
from tests.functional.workflows.site import Site


def counts(site: Site, server: str) -> bool:
    """Return whether a server counts for its project's quota."""
    api_db = clouds.database(site.cloud, "api")
    try:
        with api_db.reader() as session:
            row = session.get(InstanceMappingRow, server)
            assert row is not None
            return not row.queued_for_delete
    finally:
        api_db.close()


def test_a_server_that_cannot_be_restored_is_as_deleted_as_before(site: Site) -> None:
    (server,) = site.boot()
    site.rest()
    site.soft_delete(server)
    site.rest()
    site.break_hosts(1, errors.GuestFailed("It has no power."), method="power_on")
    site.act(server, "restore")
    site.rest()
    assert (site.status(server), site.last_error(server)) == ("SOFT_DELETED", "It has no power.")
    assert not counts(site, server)
    site.act(server, "restore")
    site.rest()
    assert site.status(server) == "ACTIVE"
    assert counts(site, server)


def test_a_rescued_server_is_restored_on_its_own_disk(site: Site) -> None:
    (server,) = site.boot()
    site.rest()
    site.rescue(server)
    site.rest()
    assert site.status(server) == "RESCUE"
    site.soft_delete(server)
    site.rest()
    assert site.status(server) == "SOFT_DELETED"
    site.act(server, "restore")
    site.rest()
    assert site.status(server) == "ACTIVE"
    _, body = site.ask("GET", f"/servers/{server}")
    driver = clouds.fake_driver(site.cloud, body["server"]["OS-EXT-SRV-ATTR:host"])
    assert not driver._known(server).is_rescued
