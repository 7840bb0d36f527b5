"""Clouds of this process that a real server serves: what its workers are told of them, and what they ask of them.

The images and volumes of a story, its buses with whoever answers there, and its notes of statements stay in the story's
process, where it can look at them and replace them; workers reach them over a socket.
"""

import contextlib
import threading
from collections.abc import Iterator
from functools import reduce
from multiprocessing.connection import Connection, Listener
from typing import Any

from nova_lite.web.proxies import Wsgi
from tests.functional import suite


class Fakes:
    """Answers the workers of a server by asking the clouds of this process."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.clouds: dict[str, Any] = {}
        self._listener = Listener(address, backlog=64)
        threading.Thread(target=self._serve, name="fakes", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except (OSError, EOFError):
                return
            threading.Thread(target=self._answer, args=(connection,), name="fake", daemon=True).start()

    def _answer(self, connection: "Connection[Any, Any]") -> None:
        with connection, contextlib.suppress(EOFError, OSError):
            ((directory, _), *steps), name, args, kwargs = connection.recv()
            try:
                found = reduce(_step, steps, self.clouds[directory])
                connection.send((True, getattr(found, name)(*args, **kwargs)))
            except Exception as exc:  # noqa: BLE001 - whatever it is, the worker that asked hears it
                connection.send((False, exc))


def _step(thing: Any, step: tuple[str, tuple[Any, ...]]) -> Any:
    name, args = step
    return getattr(thing, name)(*args) if args or name == "as_service" else getattr(thing, name)


class CloudServer:
    """Has a server serve clouds."""

    def __init__(self, server: suite.Server, fakes: Fakes) -> None:
        self._server = server
        self._fakes = fakes

    def application(self, cloud: Any) -> Wsgi:
        """Return a WSGI application that has the server answer as the API of ``cloud``."""
        self._fakes.clouds[str(cloud.directory)] = cloud

        def story() -> dict[str, Any]:
            return {
                "directory": str(cloud.directory),
                "files": cloud.files,
                "options": suite.overrides(cloud.conf),
                "names_roles": cloud.names_roles,
                "cuts": cloud.cuts,
                "changes": cloud.changes,
                "counts": cloud.noted is not None,
                "fakes": self._fakes.address,
            }

        return self._server.gateway(story)

    def forget(self, cloud: Any) -> None:
        """Answer for ``cloud`` no more."""
        self._fakes.clouds.pop(str(cloud.directory), None)


@contextlib.contextmanager
def serving(kind: str) -> Iterator[CloudServer]:
    """Run the server of that name while the block runs."""
    with suite.running(kind, "compute_api") as server:
        fakes = Fakes(str(server.directory / "fakes"))
        yield CloudServer(server, fakes)
        fakes.close()
