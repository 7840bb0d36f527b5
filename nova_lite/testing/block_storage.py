"""A block storage service for tests: the embedded one over HTTP, with an identity service, and faults on request."""

import contextlib
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from oslo_config import cfg

from nova_lite import config
from nova_lite.embedded import configuration, identity_api, volume_api
from nova_lite.embedded.http import HttpServer, Wsgi
from nova_lite.embedded.image_directory import ImageDirectory
from nova_lite.embedded.volume_records import StoredAttachment
from nova_lite.embedded.volume_store import VolumeStore

#: Seconds a request is kept waiting at most, should nobody let it go.
_LONGEST_S = 120.0


@dataclass(slots=True)
class Fault:
    """What befalls the next request of ``method`` to a path that fits ``pattern``, ``times`` times after ``spares``.

    ``status``: answered with it, after the work with ``after_work``, else instead of it. ``hangs``: neither done nor
    answered until ``released``; with ``after_work`` done first.
    """

    method: str
    pattern: str
    status: int = 500
    after_work: bool = False
    hangs: bool = False
    times: int = 1
    spares: int = 0
    met: int = 0
    released: threading.Event = field(default_factory=threading.Event)


class FaultyVolumes:
    """A WSGI application around the service's: does what the faults say, and else what the service does."""

    def __init__(self, app: Wsgi) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Have a fault happen; return it, to be looked at and released."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Let everything go well from now on."""
        with self._lock:
            faults, self._faults = self._faults, []
        for fault in faults:
            fault.released.set()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve one request."""
        fault = self._next(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        if fault is None:
            return self._app(environ, start_response)
        if fault.after_work:
            with contextlib.closing(_Swallowed()) as swallowed:
                swallowed.read(self._app(environ, swallowed))
        if fault.hangs:
            fault.released.wait(_LONGEST_S)
        start_response(f"{fault.status} Fault", [("Content-Type", "application/json")])
        return [b'{"computeFault": {"code": %d, "message": "A fault, as asked for."}}' % fault.status]

    def _next(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.met < fault.times and fault.method == method and re.search(fault.pattern, path):
                    if fault.spares:
                        fault.spares -= 1
                        continue
                    fault.met += 1
                    return fault
        return None


class _Swallowed:
    """Takes an answer that nobody gets."""

    def __init__(self) -> None:
        self._close: Callable[[], None] | None = None

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[..., None]:
        return lambda piece: None

    def read(self, answer: Iterable[bytes]) -> None:
        self._close = getattr(answer, "close", None)
        for _ in answer:
            pass

    def close(self) -> None:
        if self._close is not None:
            self._close()


class BlockStorage:
    """The running service. ``faults`` takes what is to go wrong; ``store`` is what it keeps."""

    def __init__(self, directory: Path, store: VolumeStore, faults: FaultyVolumes, url: str, identity_url: str) -> None:
        self._directory = directory
        self.store = store
        self.faults = faults
        self.url = url
        self._identity_url = identity_url

    def configuration(self, **options: object) -> cfg.ConfigOpts:
        """Return a configuration whose ``[cinder]``, with more ``options``, reaches the service as any client does."""
        lines = {**configuration.credentials(self._identity_url), **options}
        path = self._directory / f"{uuid.uuid4()}.conf"
        path.write_text("[cinder]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items()))
        return config.load(files=[str(path)])

    def lose_attachment(self, attachment_id: str) -> None:
        """Have an attachment be gone without anybody having been told."""
        self.store.records.remove(StoredAttachment, attachment_id)

    def change_connection(self, attachment_id: str, **values: object) -> None:
        """Have a volume be reached in another way than an attachment's host was told."""
        records = self.store.records
        with records.changing():
            found = records.get(StoredAttachment, attachment_id)
            if found is None:
                raise LookupError(attachment_id)
            records.put(replace(found, connection_info={**found.connection_info, **values}))


@contextlib.contextmanager
def running(directory: Path, images: ImageDirectory) -> Iterator[BlockStorage]:
    """Run a service whose volumes are in ``directory``; it is gone when the block ends, the volumes are not."""
    with contextlib.ExitStack() as stack:
        store = VolumeStore(directory, images)
        stack.callback(store.stop)
        store.start()
        faults = FaultyVolumes(volume_api.build(store, admin=configuration.ADMIN))
        server = HttpServer(0, "volumes")
        stack.callback(server.stop)
        stack.callback(faults.clear)
        server.start(faults)
        identity = HttpServer(0, "identity", threads=4)
        stack.callback(identity.stop)
        catalog = {"block-storage": ("cinder", f"{server.url}/v3")}
        identity.start(identity_api.build(catalog, admin=configuration.ADMIN))
        yield BlockStorage(directory, store, faults, f"{server.url}/v3", identity.url)
