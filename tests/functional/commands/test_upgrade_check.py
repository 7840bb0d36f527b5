"""``placement_db upgrade_check``, as an operator sees it."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from nova_lite.cmd import manage_upgrade
from nova_lite.placement.repositories.sync import standard_names
from nova_lite.placement.services.allocations import NOBODY
from nova_lite.placement.tables import ConsumerRow, TraitRow
from tests.functional.commands.conftest import SECRET, Site

CHECK = ("placement_db", "upgrade_check")


@pytest.fixture
def ready(site: Site) -> Site:
    """An installation whose Placement has started once."""
    site.ok("placement_db", "sync")
    standard_names(site.database("placement"))
    return site


def results(site: Site, *, code: int) -> dict[str, tuple[str, str]]:
    """Return check → result and details."""
    ran = site.run(*CHECK, "-f", "json")
    assert (ran.code, ran.err) == (code, "")
    return {row["Check"]: (row["Result"], row["Details"]) for row in json.loads(ran.out)}


def test_a_database_that_is_ready_passes(ready: Site) -> None:
    found = results(ready, code=0)
    assert set(found) == {"policy file", "tables", "standard classes and traits", "online data migrations",
                          "owners of allocations"}  # fmt: skip
    assert set(found.values()) == {("success", "")}
    assert "| Check " in ready.ok(*CHECK)


def test_tables_that_are_not_there_must_be_made_first(site: Site) -> None:
    result, details = results(site, code=2)["tables"]
    assert result == "failure"
    assert "run: nova-lite-manage placement_db sync" in details


@pytest.mark.parametrize("connection", [None, f"mysql+pymysql://nova:{SECRET}@127.0.0.1:9/nova"], ids=["none", "dead"])
def test_a_database_that_cannot_be_looked_at_is_a_failure(site: Site, connection: str | None) -> None:
    site.configure(placement_database=connection)
    result, details = results(site, code=2)["tables"]
    assert result == "failure"
    assert details
    assert SECRET not in details


def test_standard_names_that_are_missing_are_a_warning(ready: Site) -> None:
    with ready.database("placement").writer() as session:
        session.execute(sa.delete(TraitRow).where(TraitRow.name == "HW_CPU_X86_AVX2"))
    assert results(ready, code=1)["standard classes and traits"] == (
        "warning",
        "1 are missing; the first request puts them in",
    )


def test_consumers_without_owner_are_a_warning(ready: Site) -> None:
    values = {"uuid": "c" * 36, "generation": 1, "project_id": NOBODY, "user_id": NOBODY, "updated_at": 0.0}
    with ready.database("placement").writer() as session:
        session.execute(sa.insert(ConsumerRow).values(**values))
    result, details = results(ready, code=1)["owners of allocations"]
    assert result == "warning"
    assert details.startswith("1 consumers")


def test_data_that_was_not_migrated_is_a_failure(ready: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def look(database: object, limit: int) -> tuple[int, int]:
        asked.append(limit)
        return 7, 0

    monkeypatch.setattr(manage_upgrade, "STEPS", {"rename": look})
    result, details = results(ready, code=2)["online data migrations"]
    assert (result, asked) == ("failure", [0])
    assert "rename; run: nova-lite-manage placement_db online_data_migrations" in details


def test_a_policy_file_that_cannot_be_read_is_a_failure(ready: Site, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("placement:reshaper:reshape: [\n")
    config = tmp_path / "nova-lite.conf"
    config.write_text(config.read_text() + f"[oslo_policy]\npolicy_file = {tmp_path / 'policy.yaml'}\n")
    result, details = results(ready, code=2)["policy file"]
    assert result == "failure"
    assert "policy file" in details


def test_a_wrong_command_line_is_127(ready: Site) -> None:
    assert ready.run(*CHECK, "surplus").code == 127
