"""The real Compute API on real databases: one for the API, one for cell0, one for each of two cells.

No conductor runs here: stories that need a server in a cell put it there with the repositories, as a conductor would.
"""

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast
from unittest import mock

import falcon
import falcon.testing
import sqlalchemy as sa
from oslo_config import cfg

from nova_lite import config
from nova_lite.api import app
from nova_lite.cells.registry import Cells
from nova_lite.clients.volume_calls import Calls
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.db.api_tables import ApiBase, FlavorRow
from nova_lite.db.cell_tables import CellBase
from nova_lite.db.repositories import build_requests, instances, mappings, migrations
from nova_lite.errors import Invalid, NotFound
from nova_lite.model.host import CELL0_UUID, Cell
from nova_lite.model.image import Image
from nova_lite.model.instance import Instance
from nova_lite.model.migration import Migration
from nova_lite.model.volume import NewVolume, Volume, VolumeSnapshot
from nova_lite.rpc.bus import Bus
from nova_lite.storage import Database
from nova_lite.web.caller import authenticator
from nova_lite.web.endpoint import declared_endpoint
from nova_lite.web.proxies import Wsgi
from tests.functional.compute_api.factories import make_instance, make_migration, make_spec
from tests.tables import make_tables

CELL1 = "11111111-1111-4111-8111-111111111111"
CELL2 = "22222222-2222-4222-8222-222222222222"
IMAGE_ID = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
BIG_IMAGE_ID = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
QUEUED_IMAGE_ID = "cccccccc-cccc-4ccc-8ccc-cccccccccccc"
GIB = 1 << 30

_clouds = itertools.count()


class FakeImages:
    """Images that are there, and one somebody else's project keeps to itself."""

    def __init__(self) -> None:
        self.images = {
            IMAGE_ID: Image(
                IMAGE_ID,
                "tiny",
                "active",
                "qcow2",
                size=8 << 20,
                created_at="2026-01-01T10:00:00Z",
                updated_at="2026-01-02T10:00:00Z",
                properties={"hw_machine_type": "q35"},
            ),
            BIG_IMAGE_ID: Image(BIG_IMAGE_ID, "big", "active", "raw", size=50 * GIB, virtual_size=50 * GIB),
            QUEUED_IMAGE_ID: Image(QUEUED_IMAGE_ID, "empty", "queued", "qcow2", size=0),
        }

    def show(self, image_id: str, token: str | None = None) -> Image:
        if image_id not in self.images:
            raise NotFound(f"Image {image_id} could not be found.")
        return self.images[image_id]

    def create(self, image: Image, token: str | None = None) -> Image:
        self.images[image.id] = image
        return image

    def activate(self, image_id: str, token: str | None = None) -> None:
        self.images[image_id] = replace(self.images[image_id], status="active")

    def delete(self, image_id: str, token: str | None = None) -> None:
        self.images.pop(image_id, None)

    def find(self, params: Mapping[str, str], marker: str | None, token: str | None = None) -> tuple[list[Image], bool]:
        """Know the filters ``name``, ``status`` and those of properties; the newest is the one made last."""
        wanted = {name: value for name, value in params.items() if name != "limit"}
        found = [image for image in reversed(self.images.values()) if self._fits(image, wanted)]
        ids = [image.id for image in found]
        if marker is not None and marker not in ids:
            raise Invalid("There is no such marker.")
        start = ids.index(marker) + 1 if marker else 0
        end = start + min(int(params["limit"]), len(found))
        return found[start:end], end < len(found)

    def _fits(self, image: Image, wanted: Mapping[str, str]) -> bool:
        known = {**image.properties, "name": image.name, "status": image.status}
        return all(known.get(name) == value for name, value in wanted.items())

    def change_properties(
        self, image_id: str, old: Mapping[str, str], new: Mapping[str, str], token: str | None = None
    ) -> Image:
        image = replace(self.show(image_id), properties=dict(new))
        self.images[image_id] = image
        return image

    def endpoint(self) -> str:
        return "http://images.example"


class NoVolumes(Volumes):
    """A block storage service that has nothing."""

    def version(self) -> tuple[int, int]:
        return 3, 71

    def as_user(self, token: str) -> VolumesAs:
        return _Nothing()

    def as_service(self) -> VolumesAs:
        return _Nothing()


class _Nothing(VolumesAs):
    def __init__(self) -> None:
        super().__init__(cast(Calls, None), (3, 71))

    def show(self, volume_id: str) -> Volume:
        raise NotFound(f"Volume {volume_id} could not be found.")

    def every(self) -> list[Volume]:
        return []

    def create(self, new: NewVolume) -> Volume:
        raise Invalid("There is no room for volumes.")

    def snapshot(self, snapshot_id: str) -> VolumeSnapshot:
        raise NotFound(f"Snapshot {snapshot_id} could not be found.")

    def every_snapshot(self) -> list[VolumeSnapshot]:
        return []


class DeclaredAnswers:
    """falcon middleware: whatever story is told, a good answer is one that its responder declares."""

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool) -> None:
        declared = declared_endpoint(getattr(resource, f"on_{req.method.lower()}", None))
        if declared is None or resp.status_code >= 300:
            return
        answers = declared.answers
        assert resp.status_code in answers.statuses(req.context.version), (req.method, req.uri_template, resp.status)
        if resp.status_code in answers.empty:
            assert not resp.render_body(), (req.method, req.uri_template, resp.status)


class Server(Protocol):
    """Serves clouds elsewhere."""

    def application(self, cloud: "Cloud") -> Wsgi:
        """Return what hands requests to the API of ``cloud``."""
        ...

    def forget(self, cloud: "Cloud") -> None:
        """Hand over none any more."""
        ...


def build(conf: cfg.ConfigOpts, *, names_roles: bool, **backing: Any) -> Wsgi:
    """Return the API on ``backing``, which asserts that its answers are declared; for ``names_roles`` see ``Cloud``."""
    by_headers = mock.patch.object(app, "authenticator", partial(authenticator, roles_header=True))
    with by_headers if names_roles else contextlib.nullcontext():
        built = app.build(conf, **backing)
    # What is seen here is what falcon answers, before the prefix of the version is put before it.
    innermost(built).add_middleware(DeclaredAnswers())
    return built


def innermost(app: Any) -> falcon.App[Any, Any]:
    """Return the falcon application inside what was put before it."""
    while not isinstance(app, falcon.App):
        app = app._app
    return app


class Cloud:
    """The API and the databases under it: files in ``directory``, or what ``database`` returns the URL of.

    Its volumes are those of ``volumes``, without them there is none. ``options`` is group → option → value, ``files``
    are read, too. With ``names_roles`` callers may name their own roles (X-Roles), as under Placement.
    """

    #: What serves all clouds that are made meanwhile; None where they serve themselves.
    server: ClassVar[Server | None] = None

    def __init__(
        self,
        directory: Path,
        *,
        cells: Sequence[str] = (CELL1, CELL2),
        database: Callable[[str], str] | None = None,
        volumes: Volumes | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        files: Sequence[str] = (),
        names_roles: bool = False,
    ) -> None:
        self.directory = directory
        self.files = files
        self.names_roles = names_roles
        #: How often connections that others may have were made useless, and what they remember of cells wrong.
        self.cuts = self.changes = 0
        #: Where a server's workers add the statements they send, if anywhere.
        self.noted: list[str] | None = None
        self.conf = configuration(directory, database, options or {}, files)
        name = f"cloud{next(_clouds)}"
        self.api_db = Database(self.conf.api_database.connection)
        make_tables(self.api_db, ApiBase.metadata)
        self.cell_files = {}
        made = []
        for number, uuid in enumerate((CELL0_UUID, *cells)):
            self.cell_files[uuid] = directory / f"cell{number}.sqlite"
            url = database(f"cell{number}") if database else f"sqlite:///{self.cell_files[uuid]}"
            cell_db = Database(url)
            make_tables(cell_db, CellBase.metadata)
            cell_db.close()
            bus_url = "none:///" if number == 0 else f"kombu+memory:///{name}-{number}"
            made.append(Cell(uuid, f"cell{number}", bus_url, url))
        with self.api_db.writer() as session:
            for cell in made:
                mappings.add_cell(session, cell)
            session.add_all(_flavors())
        self.cells = Cells(self.conf, self.api_db)
        self.api_bus = Bus(self.conf, f"kombu+memory:///{name}-api")
        self.images = FakeImages()
        self.volumes = volumes or NoVolumes(self.conf)
        self._server = None if database else self.server
        try:
            self.app = self._server.application(self) if self._server else self._built()
        except BaseException:
            self.close()
            raise

    def _built(self) -> Wsgi:
        return build(
            self.conf,
            names_roles=self.names_roles,
            api_db=self.api_db,
            cells=self.cells,
            api_bus=self.api_bus,
            images=self.images,
            volumes=self.volumes,
        )

    def close(self) -> None:
        if self._server:
            self._server.forget(self)
        self.cells.close()
        self.api_bus.close()
        self.api_db.close()

    def client(self, token: str = "alice:demo", version: str = "2.104", root: str = "/v2.1") -> "Client":
        return Client(self, token, version, root)

    def add_server(self, cell_uuid: str | None = CELL1, **values: Any) -> Instance:
        """Put a server into a cell (None: into its build request), as if it had been made there."""
        instance = make_instance(**values)
        with self.api_db.writer() as session:
            mappings.add_instance(
                session,
                instance.uuid,
                project_id=instance.project_id,
                user_id=instance.user_id,
                vcpus=instance.flavor.vcpus,
                ram_mib=instance.flavor.ram_mib,
            )
            build_requests.add(session, [instance], make_spec(instance))
        if cell_uuid is not None:
            with self.cells.get(cell_uuid).db.writer() as session:
                instances.add(session, instance)
            with self.api_db.writer() as session:
                assert mappings.settle(session, instance.uuid, cell_uuid)
        return instance

    def instance(self, uuid: str, cell_uuid: str = CELL1) -> Instance:
        """Return what a cell has of a server."""
        with self.cells.get(cell_uuid).db.reader() as session:
            return instances.get(session, uuid, with_deleted=True)

    def add_migration(self, instance: Instance, cell_uuid: str = CELL1, **values: Any) -> Migration:
        """Record a migration of a server in a cell and return it as it is kept."""
        migration = make_migration(instance, **values)
        with self.cells.get(cell_uuid).db.writer() as session:
            migrations.add(session, migration)
            kept = migrations.get(session, migration.uuid)
        assert kept is not None
        return kept

    def rows(self, db: Database, row: Any) -> list[Any]:
        with db.reader() as session:
            return list(session.scalars(sa.select(row)))

    def break_cell(self, cell_uuid: str) -> None:
        """Make a cell's database fail, as one without its tables does."""
        self.cells.get(cell_uuid).db.close()
        self.cell_files[cell_uuid].unlink()
        self.cuts += 1

    def silence_cell(self, cell_uuid: str) -> None:
        """Make a cell's database unreachable."""
        self.cells.get(cell_uuid).db.close()
        self._put_away(self.cell_files[cell_uuid])

    def silence_api(self) -> None:
        """Make the API database unreachable."""
        self.api_db.close()
        self._put_away(self.directory / "api.sqlite")

    def _put_away(self, file: Path) -> None:
        file.rename(file.with_suffix(".away"))
        file.mkdir()
        self.cuts += 1

    def break_api(self) -> None:
        """Make the API database fail, as one without its tables does."""
        self.cells.all()
        self.api_db.close()
        (self.directory / "api.sqlite").unlink()
        self.cuts += 1

    def forget_cells(self) -> None:
        """Have everybody read the mappings of cells and hosts again."""
        self.cells.forget()
        self.changes += 1

    def counted(self) -> "_Counted":
        """Return a context manager that collects every statement sent to any database."""
        return _Counted(self)


def _flavors() -> list[FlavorRow]:
    """Return the flavors that every cloud has."""
    return [
        FlavorRow(flavorid="1", name="m1.tiny", vcpus=1, memory_mb=512, root_gb=1),
        FlavorRow(flavorid="2", name="m1.small", vcpus=2, memory_mb=2048, root_gb=20, extra_specs={"a": "b"}),
        FlavorRow(flavorid="0", name="diskless", vcpus=1, memory_mb=64, root_gb=0),
        FlavorRow(flavorid="9", name="secret", vcpus=1, memory_mb=64, root_gb=1, is_public=False),
    ]


class _Counted:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._engines = [cloud.api_db.engine, *(cell.db.engine for cell in cloud.cells.all())]
        self.statements: list[str] = []

    def __enter__(self) -> list[str]:
        self._cloud.noted = self.statements
        for engine in self._engines:
            sa.event.listen(engine, "before_cursor_execute", self._note)
        return self.statements

    def __exit__(self, *exc: object) -> None:
        self._cloud.noted = None
        for engine in self._engines:
            sa.event.remove(engine, "before_cursor_execute", self._note)

    def _note(self, conn: object, cursor: object, statement: str, *rest: object) -> None:
        if counts(statement):
            self.statements.append(statement)


def counts(statement: str) -> bool:
    """Return whether a statement is one of those that are counted."""
    return not statement.startswith("BEGIN")


class Client:
    """A caller of the API; paths start after the version."""

    def __init__(self, cloud: Cloud, token: str, version: str, root: str) -> None:
        self._client = falcon.testing.TestClient(cloud.app)
        self._headers = {"X-Auth-Token": token, "OpenStack-API-Version": f"compute {version}"}
        self._root = root

    def request(self, method: str, path: str, *, headers: dict[str, str] | None = None, **kwargs: Any) -> Any:
        return self._client.simulate_request(
            method, f"{self._root}{path}", headers={**self._headers, **(headers or {})}, **kwargs
        )

    def get(self, path: str, **query: Any) -> Any:
        return self.request("GET", path, params=query)

    def post(self, path: str, body: Any) -> Any:
        return self.request("POST", path, json=body)

    def put(self, path: str, body: Any) -> Any:
        return self.request("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        return self.request("DELETE", path)


def configuration(
    directory: Path,
    database: Callable[[str], str] | None,
    options: Mapping[str, Mapping[str, Any]],
    files: Sequence[str] = (),
) -> cfg.ConfigOpts:
    """Return the configuration of a cloud in ``directory``; ``options``: group → option → value, before ``files``."""
    conf = config.load(files=files)
    conf.set_override("auth_strategy", "noauth2", group="api")
    # No cell is silent, and no host is down, because the machine is busy.
    conf.set_override("timeout", 480.0, group="cells")
    conf.set_override("service_down_time", 86400)
    # Nor are mappings of cells read again because it is: stories count statements.
    conf.set_override("refresh_interval", 3600.0, group="cells")
    conf.set_override("call_timeout", 480, group="rpc")
    conf.set_override("call_monitor_timeout", 60, group="rpc")
    url = database("api") if database else f"sqlite:///{directory / 'api.sqlite'}"
    conf.set_override("connection", url, group="api_database")
    for group, values in options.items():
        for name, value in values.items():
            conf.set_override(name, value, group=None if group == "DEFAULT" else group)
    return conf
