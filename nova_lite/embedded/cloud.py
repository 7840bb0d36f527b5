"""The whole cloud in one process: every process of a real deployment, each with its own configuration.

It is put together here and nowhere imitated: the same applications, conductors, scheduler and agents, on SQLite files
and a bus in memory.
"""

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api import app as compute_api
from nova_lite.cells import setup
from nova_lite.cells.registry import Cells
from nova_lite.clients.images import Images
from nova_lite.compute.service import Agent
from nova_lite.conductor.service import Conductor
from nova_lite.db import migrate
from nova_lite.embedded import (
    clients_file,
    configuration,
    guest_services,
    hypervisors,
    identity_api,
    image_api,
    seeds,
    state,
    volume_api,
)
from nova_lite.embedded.compute_calls import ComputeCalls
from nova_lite.embedded.configuration import Configuration, Options
from nova_lite.embedded.http import HttpServer, Wsgi
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.embedded.settings import CloudSettings, Driver
from nova_lite.embedded.volume_events import ComputeEvents
from nova_lite.embedded.volume_store import VolumeStore
from nova_lite.placement import app as placement_api
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.notifications import Notifier
from nova_lite.scheduler.service import Scheduler
from nova_lite.storage import Database

_IMAGES = "images"
#: Bytes of an image that comes over HTTP, at most.
_MAX_IMAGE_BYTES = 1 << 40
#: Services over HTTP, in the order of their ports, and the requests each works on at once.
_SERVICES = (("compute", 32), ("placement", 16), (_IMAGES, 8), ("identity", 4), ("volumes", 8), ("metadata", 4))
#: Seconds the hosts get to take work.
_READY_S = 180.0


class _Service(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


class _Together:
    """Services that are stopped at the same time: each waits for what it has under way."""

    def __init__(self) -> None:
        self._running: list[_Service] = []

    def start(self, service: _Service) -> None:
        """Start a service now, and stop it with the others."""
        service.start()
        self._running.append(service)

    def stop(self) -> None:
        """Stop all, and return when all have."""
        stopping = [threading.Thread(target=service.stop, name="stop") for service in self._running]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()


class Cloud:
    """One embedded cloud. ``start`` returns when it answers; what it took it gives back in ``stop``."""

    def __init__(self, settings: CloudSettings) -> None:
        self.settings = settings
        self.agents: dict[str, Agent] = {}
        self.driver: Driver = "auto"
        self.driver_reason = ""
        #: Where the console proxy listens; None where screens are off.
        self.console_url: str | None = None
        self._stack = contextlib.ExitStack()

    def start(self) -> None:
        """Bring everything up.

        Raises Conflict for a taken port or state directory, Misconfigured for what an operator must mend,
        Unavailable when a host does not come up in time. Nothing is left running then.
        """
        with contextlib.ExitStack() as stack:
            self._stack = stack
            self._start(stack)
            self._stack = stack.pop_all()

    def stop(self) -> None:
        """Finish what is under way and end everything; guests that are real go on running."""
        self._stack.close()

    def _start(self, stack: contextlib.ExitStack) -> None:
        settings = self.settings
        stack.enter_context(state.held(settings))
        known = state.known(settings)
        self.driver, self.driver_reason = hypervisors.choose(settings, known)
        compute, placement, images, identity, volumes, metadata = self._ports(stack)
        cloud = state.settled(settings, known, self.driver)
        files = Configuration(settings, cloud.name)
        neighbours = configuration.neighbours(self.placement_url, self.image_url, self.identity_url)
        api_db = stack.enter_context(contextlib.closing(Database(settings.database("api"))))
        placement_db = stack.enter_context(contextlib.closing(Database(settings.database("placement"))))

        self._prepare(api_db, placement_db, files)
        files.operators(neighbours)
        placement.start(placement_api.build(files.placement(), placement_db))
        image_directory = ImageDirectory(settings.image_dir)
        images.start(image_api.build(image_directory))
        store, calls = self._volume_store(stack, image_directory), ComputeCalls(self.compute_url, configuration.ADMIN)
        volumes.start(volume_api.build(store, admin=configuration.ADMIN, compute=calls))
        # Before whoever goes on with what an earlier cloud left, for they ask it who they are.
        listed = (clients_file.USER,)
        identity.start(identity_api.build(self._catalog(), admin=configuration.ADMIN, known=listed))
        metadata.start(guest_services.metadata(stack, files, api_db))
        self.console_url = guest_services.start_consoles(stack, files, settings.port(len(_SERVICES)))
        self._start_cells(stack, files, neighbours)
        upper = _Together()
        stack.callback(upper.stop)
        # The scheduler first: a conductor takes up at once what an earlier cloud left, and asks it.
        upper.start(Scheduler(files.controller("scheduler", neighbours)))
        upper.start(Conductor(files.controller("super-conductor", neighbours)))
        self._await_hosts(api_db)
        self.compute_app = self._compute_app(stack, files.api(neighbours), api_db)
        compute.start(self.compute_app)
        clients_file.write(settings.clouds_file, self.identity_url)

    def _ports(self, stack: contextlib.ExitStack) -> list[HttpServer]:
        """Take the ports of all services, before anything else that takes time."""
        servers = []
        for place, (name, threads) in enumerate(_SERVICES):
            more = {"max_request_bytes": _MAX_IMAGE_BYTES} if name == _IMAGES else {}
            server = HttpServer(self.settings.port(place), name, threads=threads, **more)
            stack.callback(server.stop)
            servers.append(server)
        compute, placement, images, identity, volumes, metadata = servers
        self.compute_url, self.placement_url = f"{compute.url}/v2.1", placement.url
        self.image_url, self.identity_url, self.volume_url = images.url, identity.url, volumes.url
        self.metadata_url = metadata.url
        return servers

    def _catalog(self) -> dict[str, tuple[str, str]]:
        return {
            "compute": ("nova", self.compute_url),
            "placement": ("placement", self.placement_url),
            "image": ("glance", self.image_url),
            "block-storage": ("cinder", f"{self.volume_url}/v3"),
        }

    def _volume_store(self, stack: contextlib.ExitStack, images: ImageDirectory) -> VolumeStore:
        events = ComputeEvents(self.compute_url, configuration.ADMIN)
        store = VolumeStore(self.settings.volume_dir, images, tell=events)
        stack.callback(store.stop)
        store.start()
        return store

    def _compute_app(self, stack: contextlib.ExitStack, conf: cfg.ConfigOpts, api_db: Database) -> Wsgi:
        cells = stack.enter_context(contextlib.closing(Cells(conf, api_db)))
        bus = stack.enter_context(contextlib.closing(Bus(conf)))
        notifier = stack.enter_context(contextlib.closing(Notifier(conf)))
        return compute_api.build(conf, api_db=api_db, cells=cells, api_bus=bus, images=Images(conf), notifier=notifier)

    def _prepare(self, api_db: Database, placement_db: Database, files: Configuration) -> None:
        """Bring the databases up to date, and what must be in them from the start."""
        self._migrate(api_db, placement_db)
        setup.map_cell0(api_db, self.settings.database("cell0"))
        for cell in self.settings.cell_names:
            connection, bus = self.settings.database(cell), files.transport_url(cell)
            setup.find_or_create_cell(api_db, name=cell, transport_url=bus, connection=connection)
        seeds.add_flavors(api_db)
        seeds.add_images(self.settings, self.driver, ImageDirectory(self.settings.image_dir))

    def _migrate(self, api_db: Database, placement_db: Database) -> None:
        migrate.sync(api_db, "api")
        migrate.sync(placement_db, "placement")
        for cell in ("cell0", *self.settings.cell_names):
            with contextlib.closing(Database(self.settings.database(cell))) as cell_db:
                migrate.sync(cell_db, "cell")

    def _start_cells(self, stack: contextlib.ExitStack, files: Configuration, neighbours: Options) -> None:
        share = hypervisors.share(self.settings, self.driver)
        conductors, agents = _Together(), _Together()
        stack.callback(agents.stop)
        stack.callback(conductors.stop)
        for cell in self.settings.cell_names:
            conductors.start(Conductor(files.cell_conductor(cell, neighbours)))
            for host in self.settings.host_names(cell):
                consoles = guest_services.consoles_of(self.settings, host, self.console_url)
                self.agents[host] = Agent(files.agent(cell, host, self.driver, share, {**neighbours, **consoles}))
                agents.start(self.agents[host])

    def _await_hosts(self, api_db: Database) -> None:
        """Wait until every host takes work, and map the new ones."""
        deadline = time.monotonic() + _READY_S
        late = [
            name for name, agent in self.agents.items() if not agent.ready.wait(max(0.0, deadline - time.monotonic()))
        ]
        if late:
            raise errors.Unavailable(f"These hosts did not come up in {_READY_S:.0f} s: {', '.join(late)}")
        failures = [found.failure for found in setup.discover_hosts(api_db) if found.failure]
        if failures:
            raise errors.Unavailable(f"The hosts cannot be mapped: {'; '.join(failures)}")

    def image_names(self) -> Sequence[str]:
        """Return the names of the images there are."""
        return [image.name for image in ImageDirectory(self.settings.image_dir).images()]
