"""An installation in a directory, and ``nova-lite-manage`` run against it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nova_lite.cmd import manage, progress
from nova_lite.embedded.cloud import Cloud
from nova_lite.storage import Database
from nova_lite.testing import cloud as clouds

SECRET = "hunter2"


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str


class Site:
    """The files of one installation; each command reads its configuration anew."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._capsys = capsys
        self._opened: list[Database] = []
        self.configure()

    def url(self, name: str) -> str:
        return f"sqlite:///{self.directory / name}.db"

    def configure(self, **changed: str | None) -> None:
        """Write the configuration; None leaves an option out."""
        values: dict[str, str | None] = {
            "transport_url": f"rabbit://nova:{SECRET}@127.0.0.1:5672/cell1",
            "api_database": self.url("nova_api"),
            "database": self.url("nova"),
            "placement_database": self.url("placement"),
            **changed,
        }
        lines = ["[DEFAULT]"]
        if values["transport_url"] is not None:
            lines.append(f"transport_url = {values['transport_url']}")
        for group in ("api_database", "database", "placement_database"):
            if values[group] is not None:
                lines += [f"[{group}]", f"connection = {values[group]}"]
        (self.directory / "nova-lite.conf").write_text("\n".join(lines) + "\n")

    def run(self, *words: str) -> Ran:
        """Run ``nova-lite-manage`` with the installation's configuration."""
        try:
            code = manage.main(["--config-file", str(self.directory / "nova-lite.conf"), *words])
        except SystemExit as exc:
            code = int(exc.code or 0)
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ran(code, captured.out, captured.err)

    def ok(self, *words: str, warned: str | None = None) -> str:
        """Run a command that must succeed, saying nothing on standard error but ``warned``; return what it printed."""
        ran = self.run(*words)
        assert ran.code == 0
        assert ran.err == "" if warned is None else warned in ran.err
        assert ran.err.count("\n") == (warned is not None)
        return ran.out

    def database(self, name: str) -> Database:
        """Open one of the installation's databases."""
        self._opened.append(Database(self.url(name)))
        return self._opened[-1]

    def close(self) -> None:
        for database in self._opened:
            database.close()


@pytest.fixture(autouse=True)
def silent_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes seconds says how far it is: on a busy machine it would in any story."""
    monkeypatch.setattr(progress, "_INTERVAL_S", 3600.0)


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    made = Site(tmp_path, capsys)
    yield made
    made.close()


@pytest.fixture
def synced(site: Site) -> Site:
    """An installation with its tables and cell0, and no cell."""
    site.ok("api_db", "sync")
    site.ok("cell_v2", "map_cell0")
    site.ok("db", "sync")
    return site


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A running cloud, for commands that work on one; a module's own."""
    with clouds.running(tmp_path_factory.mktemp("cloud")) as running:
        yield running
