"""What a real server runs for stories: the API of any story's cloud, built in the worker that is asked for it.

The databases are the story's own files. Its fakes and its buses stay where it can look at them: they are asked over a
socket. Its options come along with each request, as a story sets them when it likes, and with them what it did to
databases that are open here.
"""

import collections
import contextlib
import json
import threading
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg

from nova_lite import errors
from nova_lite.cells.registry import Cells
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.model.host import Cell
from nova_lite.rpc.bus import Bus
from nova_lite.storage import Database
from nova_lite.web.under_uwsgi import fit
from tests.functional.compute_api.cloud import build, configuration, counts

#: Of how many clouds a worker keeps the application: stories come one by one, and few have more than one.
_KEPT = 4


class _Asked:
    """Stands for something of the story's, named by the steps that lead to it."""

    def __init__(self, address: str, *steps: tuple[str, tuple[Any, ...]]) -> None:
        self._address = address
        self._steps = steps

    def ask(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Return or raise what the story's object does."""
        connection: Connection[Any, Any]
        with Client(self._address) as connection:
            connection.send((self._steps, name, args, kwargs))
            is_good, result = connection.recv()
        if not is_good:
            raise result
        return result

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.ask(name, *args, **kwargs)


class _AskedVolumes(Volumes):
    def __init__(self, address: str, directory: str) -> None:
        self._address = address
        self._steps = ((directory, ()), ("volumes", ()))

    def version(self) -> tuple[int, int]:
        found: tuple[int, int] = _Asked(self._address, *self._steps).ask("version")
        return found

    def as_user(self, token: str) -> VolumesAs:
        asked: Any = _Asked(self._address, *self._steps, ("as_user", (token,)))
        return asked  # type: ignore[no-any-return]

    def as_service(self) -> VolumesAs:
        asked: Any = _Asked(self._address, *self._steps, ("as_service", ()))
        return asked  # type: ignore[no-any-return]


class _AskedBus(Bus):
    """A bus of the story's: what is said over it is said there, and so heard by whoever answers there."""

    def __init__(self, conf: cfg.ConfigOpts, asked: _Asked) -> None:
        super().__init__(conf, "kombu+memory:///served")
        self._asked = asked

    def call(
        self, topic: str, method: str, *, server: str | None = None, long_s: float | None = None, **payload: Any
    ) -> Any:
        return self._asked.ask("call", topic, method, server=server, long_s=long_s, **payload)

    def cast(self, topic: str, method: str, *, server: str | None = None, **payload: Any) -> None:
        self._asked.ask("cast", topic, method, server=server, **payload)

    def nudge(self, topic: str, method: str, **payload: Any) -> None:
        # At once, while the story waits for its answer: it may be over a moment later.
        with contextlib.suppress(errors.Unavailable):
            self.cast(topic, method, **payload)


class _Cells(Cells):
    """The cells of a story, whose buses are there."""

    def __init__(self, conf: cfg.ConfigOpts, api_db: Database, fakes: str, directory: str) -> None:
        super().__init__(conf, api_db)
        self._fakes = fakes
        self._directory = directory

    def _bus(self, cell: Cell) -> Bus:
        steps = ((self._directory, ()), ("cells", ()), ("get", (cell.uuid,)), ("bus", ()))
        return _AskedBus(self._conf, _Asked(self._fakes, *steps))

    def databases(self) -> list[Database]:
        """Return those that are open, without a look at the mappings."""
        return [opened.db for opened in self._open.values()]


class _Story:
    """The application of one cloud, in this worker; ``told`` is what came with a request (``fakes.py``)."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        directory, fakes = told["directory"], told["fakes"]
        self.conf = configuration(Path(directory), None, told["options"], told["files"])
        self._told = told
        self._open = contextlib.ExitStack()
        self._api_db = self._open.enter_context(contextlib.closing(Database(self.conf.api_database.connection)))
        self._cells = self._open.enter_context(contextlib.closing(_Cells(self.conf, self._api_db, fakes, directory)))
        bus = _AskedBus(self.conf, _Asked(fakes, (directory, ()), ("api_bus", ())))
        images: Any = _Asked(fakes, (directory, ()), ("images", ()))
        self._app = fit(
            build(
                self.conf,
                names_roles=told["names_roles"],
                api_db=self._api_db,
                cells=self._cells,
                api_bus=self._open.enter_context(contextlib.closing(bus)),
                images=images,
                volumes=_AskedVolumes(fakes, directory),
            )
        )
        self._noted = _Asked(fakes, (directory, ()), ("noted", ()))
        self._statements: list[str] = []
        self._listens_to: list[sa.Engine] = []

    def know(self, told: Mapping[str, Any]) -> None:
        """Have the options that the story has now, and notice what it did since."""
        before, self._told = self._told, told
        if told["options"] != before["options"]:
            self._set(before["options"], told["options"])
        if told["cuts"] != before["cuts"]:
            for database in (self._api_db, *self._cells.databases()):
                database.close()
        if told["changes"] != before["changes"]:
            self._cells.forget()

    def _set(self, old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> None:
        for group, values in old.items():
            for name in values:
                self.conf.clear_override(name, _group(group))
        for group, values in new.items():
            for name, value in values.items():
                self.conf.set_override(name, value, _group(group))

    def answer(self, env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request, and tell the story which statements it took, where that is asked."""
        if not self._told["counts"]:
            return self._app(env, start_response)
        # Mappings are remembered by a worker that has answered before.
        self._cells.all()
        for database in (self._api_db, *self._cells.databases()):
            if database.engine not in self._listens_to:
                sa.event.listen(database.engine, "before_cursor_execute", self._note)
                self._listens_to.append(database.engine)
        self._statements.clear()
        answer = self._app(env, start_response)
        self._noted.ask("extend", list(self._statements))
        return answer

    def _note(self, conn: object, cursor: object, statement: str, *rest: object) -> None:
        if counts(statement):
            self._statements.append(statement)

    def close(self) -> None:
        """Close what it opened."""
        self._open.close()


def _group(name: str) -> str | None:
    return None if name == "DEFAULT" else name


_stories: "collections.OrderedDict[str, _Story]" = collections.OrderedDict()
_lock = threading.Lock()


def _story(told: Mapping[str, Any]) -> _Story:
    with _lock:
        story = _stories.pop(told["directory"], None)
        if story is None:
            story = _Story(told)
        _stories[told["directory"]] = story
        if len(_stories) > _KEPT:
            _stories.popitem(last=False)[1].close()
        story.know(told)
        return story


def application(env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve the cloud that the request's header ``X-Story`` names."""
    said = env.pop("HTTP_X_STORY", None)
    if said is None:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return []
    return _story(json.loads(said)).answer(env, start_response)
