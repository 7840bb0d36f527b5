"""The two Compute APIs that are compared, each under uWSGI with databases of its own in one MariaDB."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa

from benchmarks.listing import seed_ours
from benchmarks.listing.cloud import uuid_of
from benchmarks.placement.peers import PROCESSES, THREADS, Peer, Stage
from nova_lite.model.host import Cell
from nova_lite.storage import Database
from tests.integration.stack.mariadb import MariaDB
from tests.integration.stack.processes import Missing, Program
from tests.integration.stack.real_nova import RealNova
from tests.integration.stack.site import ADDRESS, Site, environment, run, wait_listening

_REPOSITORY = Path(__file__).resolve().parents[2]
#: Nobody reports while lists are measured; the hosts are still up.
_DOWN_AFTER_S = 86_400


class OurNova:
    """nova_lite's Compute API as shipped: its uWSGI file, its tables. The same promises as ``RealNova``.

    One made ``like`` another has the same cells and servers, and an API database of its own.
    """

    #: What of its configuration says who calls.
    auth = "[api]\nauth_strategy = noauth2\n"

    def __init__(
        self,
        site: Site,
        mariadb: MariaDB,
        *,
        cells: int,
        name: str,
        processes: int = PROCESSES,
        threads: int = THREADS,
        cell_timeout_s: float = 2.0,
    ) -> None:
        self._cell_timeout_s = cell_timeout_s
        self._site = site
        self._mariadb = mariadb
        self._processes = processes
        self._threads = threads
        self.name = name
        self.port = site.port(name)
        self.api_url = mariadb.url(self._database("api"))
        connections = [mariadb.url(self._database(f"cell{number}")) for number in range(cells + 1)]
        #: cell0 is the first.
        self.cells = [seed_ours.cell0(connections[0])]
        self.cells += [_cell(number, connection) for number, connection in enumerate(connections[1:], start=1)]

    def make(self, servers: int) -> None:
        """Make the databases with so many servers in them; MariaDB must be up."""
        self._mariadb.create([self._database(name) for name in ("api", *(f"cell{n}" for n in range(len(self.cells))))])
        with self.opened() as (api, cells):
            seed_ours.make(api, cells)
            seed_ours.fill(api, cells[1:], servers)

    def make_like(self, other: "OurNova", servers: int, further: Sequence[Cell] = ()) -> None:
        """Make an API database over the cells of ``other``, with so many servers in them, and over ``further`` ones."""
        self._mariadb.create([self._database("api")])
        self.cells = other.cells
        api = Database(self.api_url)
        seed_ours.make_api(api, [*other.cells, *further])
        seed_ours.fill_api(api, other.cells[1:], servers)
        api.close()

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[Database, Sequence[tuple[Cell, Database]]]]:
        """Yield the API database and each cell with its own."""
        api = Database(self.api_url)
        cells = [(cell, Database(cell.database_connection)) for cell in self.cells]
        try:
            yield api, cells
        finally:
            for database in (api, *(each for _, each in cells)):
                database.close()

    def start(self) -> None:
        """Start the server; return once it listens."""
        text = f"""\
[DEFAULT]
transport_url = fake:/
service_down_time = {_DOWN_AFTER_S}
[api_database]
connection = {self.api_url}
[cells]
timeout = {self._cell_timeout_s}
{self.auth}"""
        configuration = self._site.write(text, "etc", f"{self.name}.conf")
        uwsgi = Path(sys.prefix) / "bin" / "uwsgi"
        if not uwsgi.exists():
            raise Missing(f"{uwsgi} is not there (pip install uWSGI)")
        settings = {
            "NOVA_LITE_CONFIG_FILES": str(configuration),
            "NOVA_LITE_API_LISTEN": f"{ADDRESS}:{self.port}",
            "NOVA_LITE_API_PROCESSES": str(self._processes),
            "NOVA_LITE_API_THREADS": str(self._threads),
        }
        ini = _REPOSITORY / "etc" / "nova-lite-api-uwsgi.ini"
        argv = (str(uwsgi), "--ini", str(ini), "--virtualenv", sys.prefix, "--pythonpath", str(_REPOSITORY))
        variables = environment(PYTHONPATH=str(_REPOSITORY)) | settings
        self._site.processes.start(Program(self.name, argv, env=variables, cwd=str(_REPOSITORY)))
        wait_listening(self._site, self.name, self.port, timeout_s=60)

    def stop(self) -> None:
        """Stop the server; its databases stay."""
        self._site.processes.stop(self.name)

    def _database(self, name: str) -> str:
        return f"{self.name.replace('-', '_')}_{name}"


def _cell(number: int, connection: str) -> Cell:
    return Cell(uuid_of(f"cell-{number}"), f"cell{number}", f"fake://cell{number}/", connection)


def real(stage: Stage, cells: int, servers: int) -> RealNova:
    """Return the real Nova with its databases made and filled."""
    nova = RealNova(
        stage.site,
        stage.mariadb,
        noauth="benchmarks.listing.beside_nova:noauth",
        cells=cells,
        processes=PROCESSES,
        threads=THREADS,
    )
    fill_real(stage, nova, servers)
    return nova


def fill_real(stage: Stage, nova: RealNova, servers: int) -> None:
    """Make the real Nova's databases with so many servers in them; MariaDB must be up."""

    def seed(python: Path) -> None:
        urls = [nova.url(cell) for cell in nova.cells]
        argv = [str(python), "-m", "benchmarks.listing.seed_real", str(nova.configuration()), str(servers), *urls]
        variables = environment(PYTHONPATH=str(_REPOSITORY))
        run(argv, log=stage.site.path("log", "seed-real.log"), env=variables, timeout_s=900)

    nova.make(seed)


def ours(stage: Stage, cells: int, servers: int, name: str = "ours", *, cell_timeout_s: float = 2.0) -> OurNova:
    """Return our Compute API with its databases made and filled."""
    nova = OurNova(stage.site, stage.mariadb, cells=cells, name=name, cell_timeout_s=cell_timeout_s)
    nova.make(servers)
    return nova


def with_dead_cell(stage: Stage, well: OurNova, servers: int, name: str, port: int) -> OurNova:
    """Return our Compute API over the cells of ``well`` and one more, whose database should be at ``port``."""
    url = sa.make_url(well.api_url).set(host=ADDRESS, port=port).render_as_string(hide_password=False)
    nova = OurNova(stage.site, stage.mariadb, cells=0, name=name)
    nova.make_like(well, servers, [Cell(uuid_of("dead"), "dead", "fake://dead/", url)])
    return nova


@contextlib.contextmanager
def running(stage: Stage, *servers: OurNova | RealNova) -> Iterator[list[Peer]]:
    """Run servers and yield them as the cases see them."""
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
            server.start()
        peers = [Peer("ours" if isinstance(each, OurNova) else "real", each, stage.site) for each in servers]
        for peer in peers:
            peer.settle()
        yield peers
