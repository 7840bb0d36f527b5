"""``api_db``, ``db`` and ``placement_db``, as an operator sees them."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from nova_lite.db import migrate
from tests.functional.commands.conftest import SECRET, Site

#: Nothing listens on the discard port.
DEAD = f"mysql+pymysql://nova:{SECRET}@127.0.0.1:9/nova"


@pytest.mark.parametrize(("category", "history"), [("api_db", "api"), ("placement_db", "placement")])
def test_a_database_is_made_looked_at_and_synced_again(site: Site, category: str, history: migrate.History) -> None:
    newest = migrate.newest(history)
    assert site.ok(category, "version") == "none: never synced\n"
    assert f"was created, at version {newest}" in site.ok(category, "sync")
    assert site.ok(category, "version") == f"{newest}\n"
    assert f"is at version {newest} already" in site.ok(category, "sync", newest)
    assert site.ok(category, "version") == f"{newest}\n"


def test_a_sync_stops_at_the_version_asked_for(site: Site) -> None:
    assert "was created, at version 0001" in site.ok("api_db", "sync", "0001")
    assert site.ok("api_db", "version") == "0001\n"


def test_a_sync_of_the_main_database_takes_cell0_along_once_it_is_mapped(site: Site) -> None:
    site.ok("api_db", "sync")
    assert "cell0 is not mapped" in site.ok("db", "sync")
    assert not (site.directory / "nova_cell0.db").exists()

    site.ok("cell_v2", "map_cell0")
    assert "The database of cell0 was created" in site.ok("db", "sync")
    tables = sa.inspect(site.database("nova_cell0").engine).get_table_names()
    assert "instances" in tables


def test_a_cells_database_is_synced_without_an_api_database(site: Site) -> None:
    site.configure(api_database=None)
    out = site.ok("db", "sync", "--local_cell")
    assert f"was created, at version {migrate.newest('cell')}" in out
    assert "cell0" not in out


def test_cell0_that_cannot_be_reached_fails_the_sync(site: Site) -> None:
    site.ok("api_db", "sync")
    site.ok("cell_v2", "map_cell0", "--database_connection", DEAD)
    ran = site.run("db", "sync")
    assert ran.code == 1
    assert "does not answer" in ran.err
    assert SECRET not in ran.out + ran.err
    assert site.ok("db", "version") == f"{migrate.newest('cell')}\n"


def test_cell0_that_cannot_be_looked_up_fails_the_sync(site: Site) -> None:
    ran = site.run("db", "sync")
    assert ran.code == 1
    assert "The API database has no tables yet" in ran.err
    assert "--local_cell" in ran.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["api_db", "sync", "9999"], "There is no version 9999; known are: 0001", id="unknown version"),
        pytest.param(["api_db", "sync", "head"], "There is no version head", id="a name of alembic's"),
    ],
)
def test_a_bad_version_is_refused(site: Site, words: list[str], expected: str) -> None:
    ran = site.run(*words)
    assert ran.code == 1
    assert expected in ran.err
    assert site.ok("api_db", "version") == "none: never synced\n"


@pytest.mark.parametrize("group", ["api_database", "placement_database"])
@pytest.mark.parametrize("command", ["sync", "version"])
def test_a_database_that_does_not_answer_is_one_readable_line(site: Site, group: str, command: str) -> None:
    site.configure(**{group: DEAD})
    ran = site.run(group.replace("database", "db"), command)
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert "mysql+pymysql://nova:****@127.0.0.1:9/nova does not answer" in ran.err
    assert SECRET not in ran.err


@pytest.mark.parametrize(
    "connection",
    [
        pytest.param(f"nova:{SECRET}@127.0.0.1/nova", id="no scheme"),
        pytest.param(f"mysql+pymysql://nova:{SECRET}@127.0.0.1:{SECRET}/nova", id="bad port"),
        pytest.param(f"oracul://nova:{SECRET}@127.0.0.1/nova", id="unknown database"),
        pytest.param(f"mysql+nodriver://nova:{SECRET}@127.0.0.1/nova", id="unknown driver"),
    ],
)
def test_a_connection_that_is_none_is_never_repeated(site: Site, connection: str) -> None:
    site.configure(api_database=connection)
    ran = site.run("api_db", "sync")
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert SECRET not in ran.err


def test_an_option_that_is_not_set_is_named(site: Site) -> None:
    site.configure(placement_database=None)
    ran = site.run("placement_db", "sync")
    assert ran.code == 1
    assert "connection in [placement_database] is not set" in ran.err


def test_a_main_database_that_is_the_api_database_is_refused(site: Site) -> None:
    site.configure(database=site.url("nova_api"))
    site.ok("api_db", "sync")
    ran = site.run("db", "sync")
    assert ran.code == 1
    assert "This database is the API database already" in ran.err


def test_a_missing_configuration_file_is_one_readable_line(site: Site, tmp_path: Path) -> None:
    (tmp_path / "nova-lite.conf").unlink()
    ran = site.run("api_db", "sync")
    assert ran.code == 1
    assert "nova-lite.conf" in ran.err
    assert ran.err.count("\n") == 1


def test_a_configuration_directory_is_read(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (folder / "10.conf").write_text(f"[api_database]\nconnection = {site.url('elsewhere')}\n")
    assert site.run("--config-dir", str(folder), "api_db", "sync").code == 0
    assert (tmp_path / "elsewhere.db").exists()


def test_two_processes_sync_at_once(site: Site) -> None:
    command = [sys.executable, "-m", "nova_lite.cmd.manage"]
    command += ["--config-file", str(site.directory / "nova-lite.conf"), "api_db", "sync"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=480) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted("was created" in out for out, _ in said) == [False, True]


@pytest.mark.parametrize("program", ["manage", "status"])
def test_nothing_is_said_that_operators_cannot_mend(program: str) -> None:
    """Warnings of libraries were printed before each command's own words."""
    command = [sys.executable, "-m", f"nova_lite.cmd.{program}", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=480, check=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "words",
    [[], ["api_db"], ["db"], ["placement_db"], ["cell_v2"], ["db", "sync"], ["cell_v2", "discover_hosts"]],
    ids=" ".join,
)
def test_there_is_help_everywhere(site: Site, words: list[str]) -> None:
    ran = site.run(*words, "--help")
    assert ran.code == 0
    assert ran.out.startswith("usage: nova-lite-manage")
