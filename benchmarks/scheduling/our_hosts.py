"""Many of our hosts in one process: what ``compute/service.py`` puts together for one, with what can be shared shared.

Each host has a queue on the bus, an endpoint, a driver, a provider in Placement and a service in its cell, as ever;
they share one connection to listen on, one to speak on, one pool of threads, and one clock for heartbeats. Left out are
the two timers by which a host looks at its guests and its resources, which are silent while nothing changes.

Run as ``python -m benchmarks.scheduling.our_hosts --config-file FILE``. The names of the hosts are in ``hosts`` below
the state path; a file ``ready`` is put beside it once all take work.
"""

import logging
import signal
import sys
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_log import log as oslo_logging
from oslo_messaging._drivers import common as driver_common
from oslo_messaging._drivers.amqpdriver import RpcAMQPListener

from nova_lite import config
from nova_lite.clients.images import Images
from nova_lite.clients.placement import PlacementClient
from nova_lite.compute.host_reports import HostReporter
from nova_lite.compute.reconcilers import Reconciler
from nova_lite.compute.service import BINARY, make_endpoint, make_plugger
from nova_lite.compute.virt.fake import FakeDriver
from nova_lite.concurrency import KeyedLocks
from nova_lite.rpc.bus import Bus
from nova_lite.rpc.compute import TOPIC
from nova_lite.rpc.conductor import ConductorClient

_NAMESPACE = uuid.UUID("0b3f5a3e-53b8-4d0f-9f25-6f1a4d0b7d11")
#: Hosts that introduce themselves at once, and messages worked on at once.
_INTRODUCTIONS, _THREADS = 4, 16
_LISTEN_S = 0.5


class _Named:
    """The configuration of one host: the shared one, some options aside."""

    def __init__(self, conf: cfg.ConfigOpts, **own: object) -> None:
        self._conf = conf
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return self._own[name] if name in self._own else getattr(self._conf, name)

    def __getitem__(self, name: str) -> Any:
        return self.__getattr__(name)


class _Ear(RpcAMQPListener):  # type: ignore[misc]
    """Takes the messages of one host off the connection that all share, and has them worked on."""

    def __init__(self, driver: Any, connection: Any, server: Any, pool: ThreadPoolExecutor) -> None:
        super().__init__(driver, connection)
        self._server = server
        self._pool = pool

    def __call__(self, message: Any) -> None:
        super().__call__(message)
        while self.incoming:
            self._pool.submit(self._server._process_incoming, [self.incoming.pop(0)])


class Hosts:
    """Some hosts. ``start`` returns when all take work."""

    def __init__(self, conf: cfg.ConfigOpts, names: Sequence[str]) -> None:
        self._conf = conf
        self._names = names
        self._bus = Bus(conf)
        self._conductor = ConductorClient(self._bus)
        self._placement = PlacementClient(conf)
        self._images = Images(conf)
        self._pool = ThreadPoolExecutor(_THREADS, "host")
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Introduce every host to its conductor and to Placement, then listen and report."""
        # The first question opens what the others share.
        servers = [self._introduced(self._names[0])]
        with ThreadPoolExecutor(_INTRODUCTIONS) as pool:
            servers += pool.map(self._introduced, self._names[1:])
        self._listen(servers)
        for work in (self._hear, self._beat):
            thread = threading.Thread(target=work, name=work.__name__, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Finish what is under way and leave."""
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout=10)
        self._pool.shutdown(wait=True)
        self._bus.close()

    def _introduced(self, name: str) -> Any:
        """Return the server of a host that is known everywhere."""
        vcpus, ram, disk = self._conf.fake.vcpus, self._conf.fake.ram, self._conf.fake.disk
        driver = FakeDriver(name, vcpus=vcpus, ram_mib=ram, disk_gib=disk)
        home = Path(self._conf.state_path) / name
        home.mkdir(parents=True, exist_ok=True)
        conf: Any = _Named(self._conf, host=name, state_path=str(home))
        node = str(uuid.uuid5(_NAMESPACE, name))
        driver.connect()
        reporter = HostReporter(conf, node, driver, self._placement, self._conductor)
        reporter.report()
        locks = KeyedLocks()
        volumes = make_plugger(conf, driver, self._conductor)
        Reconciler(name, driver, self._conductor, volumes, locks).run()
        endpoint = make_endpoint(conf, driver, self._images, self._conductor, locks)
        return self._bus.serve(TOPIC, name, endpoint)._server

    def _listen(self, servers: Sequence[Any]) -> None:
        driver = servers[0].transport._driver
        self._connection = driver._get_connection(driver_common.PURPOSE_LISTEN)
        for server in servers:
            target = server._target
            ear = _Ear(driver, self._connection, server, self._pool)
            self._connection.declare_topic_consumer(
                exchange_name=driver._get_exchange(target), topic=f"{target.topic}.{target.server}", callback=ear
            )

    def _hear(self) -> None:
        while not self._ended.is_set():
            try:
                self._connection.consume(timeout=_LISTEN_S)
            except driver_common.Timeout:
                continue

    def _beat(self) -> None:
        """Send every host's heartbeat once an interval, evenly spread over it."""
        pause_s = self._conf.report_interval / len(self._names)
        while True:
            for name in self._names:
                if self._ended.wait(pause_s):
                    return
                self._conductor.heartbeat(name, BINARY)


def main() -> int:
    """Carry the hosts until told to stop."""
    conf = config.load(sys.argv[1:], prog="our-hosts")
    oslo_logging.setup(conf, "nova_lite")
    logging.getLogger("nova_lite").setLevel(logging.WARNING)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    hosts = Hosts(conf, Path(conf.state_path, "hosts").read_text().split())
    hosts.start()
    Path(conf.state_path, "ready").touch()
    ended.wait()
    hosts.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
