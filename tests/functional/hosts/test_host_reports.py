"""What a host tells of itself, when, and to whom."""

import logging
import time
import uuid as uuids
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nova_lite import config, errors
from nova_lite.compute.host_reports import HostReporter
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.model.conductor import HostReport
from nova_lite.model.guest import HostResources
from tests.functional.hosts.conftest import Home


class Growing(FakeDriver):
    """A host to which memory is added."""

    added_mib = 0

    def resources(self) -> HostResources:
        found = super().resources()
        return replace(found, ram_mib=found.ram_mib + self.added_mib)


class Conductor:
    """What a conductor was told."""

    def __init__(self) -> None:
        self.reports: list[HostReport] = []

    def register_host(self, report: HostReport) -> None:
        self.reports.append(report)


@pytest.fixture
def conductor() -> Conductor:
    return Conductor()


@pytest.fixture
def driver(home: Home) -> Growing:
    return Growing(home.name, ram_mib=4096)


@pytest.fixture
def restarted(home: Home, driver: Growing, conductor: Conductor, tmp_path: Path) -> Callable[..., HostReporter]:
    """Return what makes the reporter of an agent that starts."""
    conf = config.load(files=[])
    conf.set_override("state_path", str(tmp_path))
    conf.set_override("provider_config_location", str(tmp_path / "provider_config"), group="compute")

    def start(clock: Callable[[], float] = time.monotonic) -> HostReporter:
        return HostReporter(conf, home.node, driver, home.client, conductor, clock)  # type: ignore[arg-type]

    return start


@pytest.fixture
def reporter(restarted: Callable[..., HostReporter]) -> HostReporter:
    return restarted()


def test_nothing_is_told_twice(home: Home, driver: Growing, conductor: Conductor, reporter: HostReporter) -> None:
    reporter.check()
    reporter.report()
    assert home.totals()["MEMORY_MB"] == (4096, 512)
    assert [(report.node, report.resources.ram_mib) for report in conductor.reports] == [(home.node, 4096)]
    home.asked.clear()
    reporter.report()
    assert home.asked == []
    driver.added_mib = 1024
    reporter.report()
    assert home.totals()["MEMORY_MB"] == (5120, 512)
    assert [report.resources.ram_mib for report in conductor.reports] == [4096, 5120]


def test_what_others_took_away_is_told_again_in_time(home: Home, restarted: Callable[..., HostReporter]) -> None:
    now = [100.0]
    reporter = restarted(lambda: now[0])
    reporter.report()
    home.client.set_inventories(home.node, {}, home.client.inventories(home.node)[1])
    now[0] += 3599
    reporter.report()
    assert home.totals() == {}
    now[0] += 1
    reporter.report()
    assert set(home.totals()) == {"VCPU", "MEMORY_MB", "DISK_GB"}
    home.client.remove_provider(home.node)
    now[0] += 3600
    reporter.report()
    assert set(home.totals()) == {"VCPU", "MEMORY_MB", "DISK_GB"}


def test_what_failed_is_told_again(
    home: Home, conductor: Conductor, reporter: HostReporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(conductor, "register_host", _fail)
        with pytest.raises(errors.Unavailable):
            reporter.report()
    with monkeypatch.context() as patch:
        patch.setattr(home.client, "tree", _fail)
        reporter.report()
    assert len(conductor.reports) == 1


def test_what_must_stay_is_an_error_once_until_it_is_settled(
    home: Home, driver: Growing, reporter: HostReporter, caplog: pytest.LogCaptureFixture
) -> None:
    reporter.report()
    holder = home.claim(host={"DISK_GB": 10})
    driver._disk_gib = 0
    with caplog.at_level(logging.INFO, logger="nova_lite.compute.host_reports"):
        for _ in range(3):
            reporter.report()
        (told,) = _told(caplog)
        assert (told.levelname, holder in told.getMessage()) == ("ERROR", True)
        caplog.clear()
        home.client.release(holder)
        reporter.report()
        assert [record.levelname for record in _told(caplog)] == ["INFO"]
    assert "DISK_GB" not in home.totals()


def _told(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what the reporter logged: other clouds of this process may log meanwhile."""
    return [record for record in caplog.records if record.name == "nova_lite.compute.host_reports"]


def test_a_host_known_as_another_is_refused_before_anything_is_made(
    home: Home, reporter: HostReporter, conductor: Conductor
) -> None:
    other = str(uuids.uuid4())
    home.client.add_provider(other, home.name)
    for act in (reporter.check, reporter.report):
        with pytest.raises(errors.Misconfigured, match=other):
            act()
    assert conductor.reports == []
    assert home.client.tree(home.node) == []


def test_a_placement_that_is_away_does_not_keep_a_host_from_starting(
    home: Home, reporter: HostReporter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(home.client, "tree", _fail)
    reporter.check()
    assert "cannot say yet" in caplog.text


# -- provider configuration files -------------------------------------------------------------------------------------

FILE = """
meta: {schema_version: '1.0'}
providers:
  - identification: {uuid: $COMPUTE_NODE}
    inventories:
      additional:
        - CUSTOM_LICENSE: {total: 22}
        - CUSTOM_COIN: {total: 3}
    traits:
      additional: [CUSTOM_FAST, CUSTOM_QUIET]
"""


def test_what_files_add_goes_with_them_and_operators_words_stay(
    home: Home, restarted: Callable[..., HostReporter], tmp_path: Path
) -> None:
    restarted().report()
    client = home.client
    client.ensure_trait("CUSTOM_OLD")
    client.ensure_trait("CUSTOM_QUIET")
    client.set_traits(home.node, {"COMPUTE_NODE", "CUSTOM_OLD", "CUSTOM_QUIET"}, client.traits(home.node)[1])
    file = tmp_path / "provider_config" / "here.yaml"
    file.parent.mkdir()
    file.write_text(FILE)
    restarted().report()
    assert client.traits(home.node)[0] >= {"CUSTOM_FAST", "CUSTOM_QUIET", "CUSTOM_OLD"}
    assert {name for name in home.totals() if name.startswith("CUSTOM")} == {"CUSTOM_LICENSE", "CUSTOM_COIN"}
    holder = home.claim(host={"CUSTOM_COIN": 1})
    file.unlink()
    restarted().report()
    # The trait was there before the file listed it; what is held stays, and nobody gets more of it.
    assert {trait for trait in client.traits(home.node)[0] if trait.startswith("CUSTOM")} == {
        "CUSTOM_OLD",
        "CUSTOM_QUIET",
    }
    assert {name: amounts for name, amounts in home.totals().items() if name.startswith("CUSTOM")} == {
        "CUSTOM_COIN": (3, 3)
    }
    client.release(holder)
    restarted().report()
    assert "CUSTOM_COIN" not in home.totals()


def test_a_wrong_file_keeps_the_agent_from_starting(restarted: Callable[..., HostReporter], tmp_path: Path) -> None:
    file = tmp_path / "provider_config" / "here.yaml"
    file.parent.mkdir()
    file.write_text(FILE.replace("'1.0'", "'2.0'"))
    with pytest.raises(errors.Misconfigured, match=str(file)):
        restarted()


def test_a_file_of_another_host_is_told(
    restarted: Callable[..., HostReporter], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "provider_config" / "there.yaml"
    file.parent.mkdir()
    file.write_text(FILE.replace("uuid: $COMPUTE_NODE", "name: elsewhere"))
    restarted().check()
    assert "elsewhere is no provider of this host" in caplog.text


def _fail(*args: Any) -> None:
    raise errors.Unavailable("away")
