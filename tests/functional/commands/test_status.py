"""``nova-lite-status upgrade check``, as an operator sees it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from nova_lite.cells import upgrade
from nova_lite.clients import volumes
from nova_lite.clients.placement import PlacementClient
from nova_lite.cmd import status
from nova_lite.db.cell_tables import ServiceRow
from nova_lite.embedded.cloud import Cloud
from nova_lite.storage import Database, epoch_now
from tests.functional.commands.cell_site import add_node, add_service, two_cells
from tests.functional.commands.conftest import SECRET, Ran, Site

Found = dict[str, tuple[str, str]]
Check = Callable[..., Found]


def run(capsys: pytest.CaptureFixture[str], file: Path, *words: str) -> Ran:
    try:
        code = status.main(["--config-file", str(file), "upgrade", "check", *words])
    except SystemExit as exc:
        code = int(exc.code or 0)
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err
    return Ran(code, captured.out, captured.err)


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Return a function that runs the command and returns check → result and details."""

    def checked(file: Path, *, code: int) -> Found:
        ran = run(capsys, file, "-f", "json")
        assert (ran.code, ran.err) == (code, "")
        return {row["Check"]: (row["Result"], row["Details"]) for row in json.loads(ran.out)}

    return checked


@pytest.fixture
def ready(synced: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """An installation of two cells with a mapped host each, agents that report, and a Placement that answers."""
    for name in two_cells(synced):
        add_service(synced.database(name), f"host-{name}")
        with synced.database(name).writer() as session:
            session.execute(sa.update(ServiceRow).values(last_seen=epoch_now()))
    synced.ok("cell_v2", "discover_hosts")
    monkeypatch.setattr(PlacementClient, "newest_version", lambda self: "1.39")
    config(synced).write_text(config(synced).read_text() + "[placement]\nnoauth_token = t\n")
    return synced


def config(site: Site) -> Path:
    return site.directory / "nova-lite.conf"


def append(site: Site, text: str) -> None:
    config(site).write_text(config(site).read_text() + text)


def test_a_running_cloud_passes(cloud: Cloud, check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    file = cloud.settings.config_file("nova-lite")
    found = check(file, code=0)
    assert {result for result, _ in found.values()} == {"success"}
    assert found["Placement"][1] == "speaks 1.39"
    assert found["hosts"][1] == "4 mapped"
    assert found["block storage"][1] == "speaks 3.71, asked at 3.71"
    assert "| Check " in run(capsys, file).out
    assert run(capsys, file, "-f", "csv").out.startswith("Check,Result,Details\n")


def test_all_that_is_looked_at_is_told(ready: Site, check: Check) -> None:
    found = check(config(ready), code=0)
    assert list(found) == ["policy file", "API database", "cells", "cell databases", "hosts", "versions of services",
                           "services", "online data migrations", "Placement", "block storage",
                           "service user"]  # fmt: skip


def test_an_api_database_without_tables_is_a_failure(site: Site, check: Check) -> None:
    result, details = check(config(site), code=2)["API database"]
    assert result == "failure"
    assert "run: nova-lite-manage api_db sync" in details


@pytest.mark.parametrize("connection", [None, f"mysql+pymysql://n:{SECRET}@127.0.0.1:9/n"], ids=["none", "dead"])
def test_an_api_database_that_cannot_be_looked_at_is_a_failure(
    ready: Site, check: Check, connection: str | None
) -> None:
    ready.configure(api_database=connection)
    assert check(config(ready), code=2)["API database"][0] == "failure"


def test_cells_that_are_missing_are_a_failure(site: Site, check: Check) -> None:
    site.ok("api_db", "sync")
    assert "map_cell0" in check(config(site), code=2)["cells"][1]
    site.ok("cell_v2", "map_cell0")
    result, details = check(config(site), code=2)["cells"]
    assert (result, "create_cell" in details) == ("failure", True)


def test_cells_that_are_all_disabled_are_a_warning(ready: Site, check: Check) -> None:
    for cell in json.loads(ready.ok("cell_v2", "list_cells", "-f", "json"))[1:]:
        ready.ok("cell_v2", "update_cell", "--cell_uuid", cell["UUID"], "--disable")
    append(ready, "[placement]\nnoauth_token = t\n")
    assert check(config(ready), code=1)["cells"][0] == "warning"


def test_a_cell_that_does_not_answer_or_has_old_tables_is_a_failure(ready: Site, check: Check) -> None:
    with ready.database("one").writer() as session:
        session.execute(sa.text("UPDATE alembic_version_cell SET version_num = '0000'"))
    result, details = check(config(ready), code=2)["cell databases"]
    assert result == "failure"
    assert "one (" in details
    assert "is at version 0000" in details
    assert "two (" not in details


def test_hosts_that_are_not_mapped_are_told(ready: Site, check: Check) -> None:
    add_node(ready.database("two"), "new", 9)
    result, details = check(config(ready), code=1)["hosts"]
    assert result == "warning"
    assert details.startswith("new: not mapped")
    assert "discover_hosts" in details


def test_hosts_of_which_none_is_mapped_are_a_failure(synced: Site, check: Check) -> None:
    two_cells(synced)
    result, details = check(config(synced), code=2)["hosts"]
    assert result == "failure"
    assert details.startswith("host-one, host-two: not mapped")


def test_no_hosts_at_all_are_fine(synced: Site, check: Check) -> None:
    assert check(config(synced), code=2)["hosts"] == (
        "success",
        "No host reports to any cell yet; when one does, run: nova-lite-manage cell_v2 discover_hosts",
    )


def test_services_that_are_silent_are_a_warning_unless_disabled(ready: Site, check: Check) -> None:
    def change(**values: object) -> None:
        with ready.database("one").writer() as session:
            session.execute(sa.update(ServiceRow).values(**values))

    change(last_seen=0.0)
    assert check(config(ready), code=1)["services"] == (
        "warning",
        "nova-compute on host-one: down; start, disable or delete",
    )
    change(disabled=True)
    assert check(config(ready), code=0)["services"][0] == "success"


def test_services_that_are_too_old_are_a_failure(ready: Site, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade, "OLDEST_SERVICE", 2)
    result, details = check(config(ready), code=2)["versions of services"]
    assert result == "failure"
    assert details.startswith("nova-compute on host-one (1), nova-compute on host-two (1): older than version 2")


def test_data_that_was_not_migrated_is_a_failure(ready: Site, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(database: Database, limit: int) -> tuple[int, int]:
        assert limit == 0
        return 3, 0

    monkeypatch.setattr(status, "CELL_STEPS", {"rename": waits})
    result, details = check(config(ready), code=2)["online data migrations"]
    assert result == "failure"
    assert "rename in cell0" in details
    assert "online_data_migrations --all-cells" in details


def test_a_placement_that_is_too_old_or_silent_is_a_failure(
    ready: Site, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlacementClient, "newest_version", lambda self: "1.9")
    assert "It speaks 1.9, this release needs 1." in check(config(ready), code=2)["Placement"][1]
    monkeypatch.undo()
    append(ready, "endpoint_override = http://127.0.0.1:9\n")
    result, details = check(config(ready), code=2)["Placement"]
    assert result == "failure"
    assert "does not answer" in details


def test_a_placement_that_is_not_configured_is_a_failure(synced: Site, check: Check) -> None:
    assert check(config(synced), code=2)["Placement"][1].startswith("Not configured")


def test_block_storage_that_is_configured_must_answer_and_needs_a_service_user(ready: Site, check: Check) -> None:
    append(ready, "[cinder]\nauth_type = none\nendpoint_override = http://127.0.0.1:9/v3\n")
    found = check(config(ready), code=2)
    assert found["block storage"][0] == found["service user"][0] == "failure"
    append(ready, f"[service_user]\nauth_type = password\npassword = {SECRET}\n")
    assert check(config(ready), code=2)["service user"][0] == "success"


@pytest.mark.parametrize(
    ("newest", "code", "result", "details"),
    [
        ((3, 80), 0, "success", "speaks 3.80, asked at 3.71"),
        (
            (3, 43),
            1,
            "warning",
            "speaks 3.43, asked at 3.27, without: complete attachments, shared targets, reimage, "
            "completion of extensions",
        ),
        ((3, 26), 2, "failure", "The block storage service speaks 3.26 at most; 3.27 is needed."),
    ],
)
def test_the_version_of_block_storage_decides(
    ready: Site,
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
    newest: tuple[int, int],
    code: int,
    result: str,
    details: str,
) -> None:
    monkeypatch.setattr(volumes, "newest_version", lambda conf: newest)
    append(ready, "[cinder]\nauth_type = none\n[service_user]\nauth_type = none\n")
    assert check(config(ready), code=code)["block storage"] == (result, details)


def test_a_policy_file_that_cannot_be_read_is_a_failure(ready: Site, check: Check) -> None:
    policy = ready.directory / "policy.yaml"
    policy.write_text("os_compute_api:servers:show: [\n")
    append(ready, f"[oslo_policy]\npolicy_file = {policy}\n")
    assert check(config(ready), code=2)["policy file"][0] == "failure"


@pytest.mark.parametrize("words", [["surplus"], ["-f", "yaml"]])
def test_a_wrong_command_line_is_127(ready: Site, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run(capsys, config(ready), *words).code == 127


def test_a_configuration_that_cannot_be_read_is_255(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = run(capsys, tmp_path / "nowhere.conf")
    assert ran.code == 255
    assert ran.err.startswith("nova-lite-status: ")
