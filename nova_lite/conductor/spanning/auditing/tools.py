"""What repairs work with, and the questions they ask again under lock."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.cells.registry import Cells, OpenCell
from nova_lite.clients.placement import PlacementClient
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.db.api_tables import ApiWorkflowRow
from nova_lite.db.cell_tables import CellWorkflowRow
from nova_lite.db.repositories import sightings, workflows
from nova_lite.model.claims import Amounts, Held
from nova_lite.model.flavor import Flavor
from nova_lite.model.sightings import SeenServer
from nova_lite.storage import Database


class Spreads(Protocol):
    """Returns how ``amounts`` are to be taken of the tree of a node; raises Conflict when they cannot be."""

    def __call__(self, node: str, amounts: Amounts, flavor: Flavor, image_properties: Mapping[str, str]) -> Held: ...


def on_root(node: str, amounts: Amounts, flavor: Flavor, image_properties: Mapping[str, str]) -> Held:
    """Take all of the host's own provider."""
    return {node: amounts}


@dataclass(frozen=True)
class RepairTools:
    """What repairs work with. ``wake_above`` is told workflows begun above the cells.

    ``volumes`` is None where no block storage service is configured.
    """

    conf: cfg.ConfigOpts
    api_db: Database
    cells: Cells
    placement: PlacementClient
    spread: Spreads = on_root
    wake_above: Callable[[str], None] = lambda _: None
    volumes: Volumes | None = None

    def cell(self, uuid: str | None) -> OpenCell:
        """Return a cell; raises Unavailable when no mapping names it."""
        return self.cells.get(uuid or "")

    def block_storage(self) -> VolumesAs:
        """Return the block storage service; raises Misconfigured where there is none, Unavailable."""
        if self.volumes is None:
            raise errors.Misconfigured("[cinder] is not configured here.")
        return self.volumes.as_service()

    def all_cells(self) -> list[OpenCell]:
        """Return every cell."""
        return self.cells.all()


def is_worked_on_above(session: Session, *subjects: str) -> bool:
    """Return whether an open workflow above the cells is about one of ``subjects``."""
    return any(
        subject in (work.uuid, *work.subjects)
        for work in sightings.works(session, ApiWorkflowRow, None)
        for subject in subjects
    )


@contextmanager
def server_at_rest(tools: RepairTools, cell: OpenCell, uuid: str) -> Iterator[tuple[Session, SeenServer | None]]:
    """Yield a transaction of a cell that holds a server with nobody at work on it; None when there is none such."""
    with cell.db.writer() as session:
        server = sightings.server(session, cell.cell.uuid, uuid)
        if server is not None and workflows.subjects_at_work(session, CellWorkflowRow, [uuid]):
            server = None
        if server is not None:
            with tools.api_db.reader() as api:
                if is_worked_on_above(api, uuid):
                    server = None
        yield session, server


def cells_having(tools: RepairTools, uuid: str) -> dict[str, bool]:
    """Return in which cells a server has a row, and whether it lives there; raises Unavailable when one is silent."""
    found = {}
    for cell in tools.all_cells():
        with cell.db.reader() as session:
            is_alive = sightings.is_alive(session, uuid)
        if is_alive is not None:
            found[cell.cell.uuid] = is_alive
    return found
