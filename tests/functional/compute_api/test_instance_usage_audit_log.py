"""The log of usage audits."""

from datetime import datetime

import pytest

from nova_lite.api.services.instance_usage_audit_log import month_before
from tests.functional.compute_api.cloud import Client, Cloud
from tests.functional.compute_api.machines import add_machines


def test_no_host_has_run_an_audit(cloud: Cloud, admin: Client) -> None:
    empty = admin.get("/os-instance_usage_audit_log").json["instance_usage_audit_logs"]
    assert (empty["num_hosts"], empty["overall_status"]) == (0, "ALL hosts done. 0 errors.")
    add_machines(cloud)
    log = admin.get("/os-instance_usage_audit_log").json["instance_usage_audit_logs"]
    assert log["hosts_not_run"] == sorted(log["hosts_not_run"])
    assert log["num_hosts"] == log["num_hosts_not_run"] == len(log["hosts_not_run"]) > 1
    assert log["overall_status"] == f"0 of {log['num_hosts']} hosts done. 0 errors."
    before = admin.get("/os-instance_usage_audit_log/2026-03-15 10:00:00.5").json["instance_usage_audit_log"]
    assert (before["period_beginning"], before["period_ending"]) == ("2026-02-01 00:00:00", "2026-03-01 00:00:00")
    assert before["hosts_not_run"] == log["hosts_not_run"]


@pytest.mark.parametrize("moment", ["yesterday", "2026-01-01", "2026-13-01 00:00:00"])
def test_a_moment_has_its_form(admin: Client, moment: str) -> None:
    assert admin.get(f"/os-instance_usage_audit_log/{moment}").status_code == 400


@pytest.mark.parametrize(
    ("moment", "begins", "ends"),
    [
        pytest.param("2026-03-15 01:00:00", "2026-02-01 00:00:00", "2026-03-01 00:00:00", id="within a month"),
        pytest.param("2026-03-01 00:00:00", "2026-01-01 00:00:00", "2026-02-01 00:00:00", id="as one ends"),
        pytest.param("2026-01-02 00:00:00", "2025-12-01 00:00:00", "2026-01-01 00:00:00", id="over a year's end"),
        pytest.param("2026-01-01 00:00:00", "2025-11-01 00:00:00", "2025-12-01 00:00:00", id="as a year ends"),
    ],
)
def test_the_month_before(moment: str, begins: str, ends: str) -> None:
    assert [str(each) for each in month_before(datetime.fromisoformat(moment))] == [begins, ends]
