"""A cloud that is audited, and hands to corrupt what is kept of it."""

import json
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.api_tables import (
    CellMappingRow,
    InstanceMappingRow,
)
from nova_lite.db.cell_tables import InstanceRow, MigrationRow
from nova_lite.embedded.cloud import Cloud
from nova_lite.storage import Database
from nova_lite.testing import cloud as clouds
from nova_lite.testing.audit import Watch
from tests.functional.commands.conftest import Ran
from tests.functional.commands.placement_site import PlacementSite

COLUMNS = ["Finding", "Subject", "Cell", "Details", "Outcome", "Advice"]
TOLD, WOULD, DONE = "told", "would be repaired", "repaired"


class AuditSite(PlacementSite):
    """A cloud that is audited, and hands to corrupt it."""

    def __init__(self, cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(cloud, capsys)
        self.opened: list[Database] = []

    def audit(self, *words: str) -> Ran:
        """Run ``audit``, with no wait between its two looks."""
        ran = self.run_any("audit", "--grace", "0", *words)
        assert "Traceback" not in ran.err
        return ran

    def findings(self, *words: str, code: int) -> list[dict[str, Any]]:
        """Run ``audit``, which must end with ``code``, and return what it found."""
        ran = self.audit(*words, "-f", "json")
        assert (ran.code, ran.err) == (code, ""), ran
        rows: list[dict[str, Any]] = json.loads(ran.out)
        return rows

    def kinds(self, *words: str, code: int) -> dict[tuple[str, str], str]:
        """Return what was found, kind and subject, and what became of it."""
        return {(row["Finding"], row["Subject"]): row["Outcome"] for row in self.findings(*words, code=code)}

    def mends(self, *found: tuple[str, str]) -> None:
        """Check that exactly these are found, and repaired; and that a second audit finds nothing."""
        assert self.kinds("--repair", code=4) == dict.fromkeys(found, DONE)
        self.is_clean()

    def tells(self, kind: str, subject: str) -> str:
        """Check that exactly this is found, told and not repaired; return the advice."""
        (row,) = self.findings("--repair", code=3)
        assert (row["Finding"], row["Subject"], row["Outcome"]) == (kind, subject, TOLD)
        assert self.findings("--repair", code=3) == [row], "nothing was done about it"
        return str(row["Advice"])

    def is_clean(self) -> None:
        assert self.findings("--repair", code=0) == []

    def provider_name(self, uuid: str) -> str:
        return str(self.placement("GET", f"/resource_providers/{uuid}").json["name"])

    def rest(self) -> None:
        """Wait until nothing is under way."""
        with Watch(self.cloud) as watch:
            clouds.eventually(lambda: not watch.open_work(), "no work")

    def compare_guests(self) -> None:
        """Have every agent put its guests in order, as it does now and then."""
        for agent in self.cloud.agents.values():
            agent._repair()

    def cell_of(self, server: str) -> tuple[str, str]:
        """Return the name and the UUID of a server's cell."""
        with self.reading("api") as session:
            row = session.execute(
                sa.select(CellMappingRow.name, CellMappingRow.uuid)
                .join(InstanceMappingRow, InstanceMappingRow.cell_uuid == CellMappingRow.uuid)
                .where(InstanceMappingRow.instance_uuid == server)
            ).one()
        return str(row[0]), str(row[1])

    def other_cell(self, server: str) -> tuple[str, str]:
        (other,) = set(self.cloud.settings.cell_names) - {self.cell_of(server)[0]}
        with self.reading("api") as session:
            found = session.scalar(sa.select(CellMappingRow.uuid).where(CellMappingRow.name == other))
        return other, str(found)

    def reading(self, name: str) -> Any:
        database = clouds.database(self.cloud, name)
        self.opened.append(database)
        return database.reader()

    def change(self, server: str, **values: object) -> None:
        """Change a server's row in its cell, as no program would."""
        cell = self.cell_of(server)[0]
        self.write(cell, sa.update(InstanceRow).where(InstanceRow.uuid == server).values(**values))

    def map(self, server: str, **values: object) -> None:
        """Change a server's mapping."""
        self.write("api", sa.update(InstanceMappingRow).filter_by(instance_uuid=server).values(**values))

    def copy(self, row: type[Any], source: str, where: Any, target: str, **values: object) -> None:
        """Copy a row of one database into another, or into the same with other values."""
        with self.reading(source) as session:
            found = session.scalars(sa.select(row).where(where)).one()
        columns = [column.name for column in row.__table__.columns if column.name != "id"]
        self.write(target, sa.insert(row).values({**{name: getattr(found, name) for name in columns}, **values}))

    def resized(self) -> tuple[str, str]:
        """Return a server that waits to be confirmed, and its move."""
        server = self.boot()
        assert self.user.act(server, "resize", {"flavorRef": "2"}).status == 202
        self.user.wait(server, "VERIFY_RESIZE")
        self.rest()
        with self.reading(self.cell_of(server)[0]) as session:
            return server, str(session.scalar(sa.select(MigrationRow.uuid).filter_by(instance_uuid=server)))
