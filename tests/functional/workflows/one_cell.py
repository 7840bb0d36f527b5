"""What a site of one cell shows, remembers and noted of its servers and hosts."""

from contextlib import closing
from typing import Any

import sqlalchemy as sa

from nova_lite.db.cell_tables import CellWorkflowRow, ComputeNodeRow
from nova_lite.db.repositories import build_failures
from nova_lite.testing import cloud as clouds
from tests.functional.workflows.site import Site

CELL = "cell1"


def shown(site: Site, server: str) -> dict[str, Any]:
    code, body = site.ask("GET", f"/servers/{server}")
    assert code == 200, body
    found: dict[str, Any] = body["server"]
    return found


def host_of(site: Site, server: str) -> str | None:
    host: str | None = shown(site, server)["OS-EXT-SRV-ATTR:host"]
    return host


def failed_builds(site: Site) -> dict[str, int]:
    """Return host → failed builds that are remembered of it."""
    with closing(clouds.database(site.cloud, CELL)) as database, database.reader() as session:
        found = session.execute(sa.select(ComputeNodeRow.host, build_failures.recent())).all()
    return {host: failed for host, failed in found if failed}


def chosen(site: Site, server: str) -> list[dict[str, Any]]:
    """Return what the scheduler named for a server: its host, then the alternates."""
    with closing(clouds.database(site.cloud, CELL)) as database, database.reader() as session:
        inputs = session.scalar(sa.select(CellWorkflowRow.inputs).filter_by(subject=server, kind="create"))
    assert inputs is not None
    found: list[dict[str, Any]] = inputs["selections"]
    return found
