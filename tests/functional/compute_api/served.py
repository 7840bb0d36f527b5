"""What a real server runs for stories: the API of any story's cloud, built in the worker that is asked for it.

The databases are the story's own files. Its fakes stay where it can look at them: they are asked over a socket. Its
options come along with each request, as a story sets them when it likes.
"""

import collections
import contextlib
import json
import threading
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from nova_lite.api import app
from nova_lite.cells.registry import Cells
from nova_lite.clients.volumes import Volumes, VolumesAs
from nova_lite.rpc.bus import Bus
from nova_lite.storage import Database
from nova_lite.web.under_uwsgi import fit
from tests.functional.compute_api.cloud import DeclaredAnswers, configuration, innermost

#: Of how many clouds a worker keeps the application: stories come one by one, and few have more than one.
_KEPT = 4


class _Asked:
    """Stands for something of the story's, named by the steps that lead to it."""

    def __init__(self, address: str, *steps: tuple[str, tuple[Any, ...]]) -> None:
        self._address = address
        self._steps = steps

    def ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
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


class _Story:
    """The application of one cloud, in this worker."""

    def __init__(self, directory: str, options: Mapping[str, Mapping[str, Any]], fakes: str) -> None:
        self.conf = configuration(Path(directory), None, options)
        self._options = options
        self._open = contextlib.ExitStack()
        api_db = self._open.enter_context(contextlib.closing(Database(self.conf.api_database.connection)))
        cells = self._open.enter_context(contextlib.closing(Cells(self.conf, api_db)))
        bus = self._open.enter_context(contextlib.closing(Bus(self.conf, "kombu+memory:///served")))
        images: Any = _Asked(fakes, (directory, ()), ("images", ()))
        built = app.build(
            self.conf,
            api_db=api_db,
            cells=cells,
            api_bus=bus,
            images=images,
            volumes=_AskedVolumes(fakes, directory),
        )
        innermost(built).add_middleware(DeclaredAnswers())
        self.app = fit(built)

    def set(self, options: Mapping[str, Mapping[str, Any]]) -> None:
        """Have the options that the story has now."""
        if options == self._options:
            return
        for group, values in self._options.items():
            for name in values:
                self.conf.clear_override(name, _group(group))
        for group, values in options.items():
            for name, value in values.items():
                self.conf.set_override(name, value, _group(group))
        self._options = options

    def close(self) -> None:
        """Close what it opened."""
        self._open.close()


def _group(name: str) -> str | None:
    return None if name == "DEFAULT" else name


_stories: "collections.OrderedDict[str, _Story]" = collections.OrderedDict()
_lock = threading.Lock()


def _story(directory: str, options: Mapping[str, Mapping[str, Any]], fakes: str) -> _Story:
    with _lock:
        story = _stories.pop(directory, None)
        if story is None:
            story = _Story(directory, options, fakes)
        _stories[directory] = story
        if len(_stories) > _KEPT:
            _stories.popitem(last=False)[1].close()
        story.set(options)
        return story


def application(env: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve the cloud that the request's header ``X-Story`` names."""
    said = env.pop("HTTP_X_STORY", None)
    if said is None:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return []
    told = json.loads(said)
    return _story(told["directory"], told["options"], told["fakes"]).app(env, start_response)
