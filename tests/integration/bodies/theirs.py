"""Which bodies and queries the real Nova's schemas refuse, asked of its routes in its own process: nothing is done.

``python -m tests.integration.bodies.theirs FOLDER``, by its Python. Twice: without ``FOLDER/asked.json`` it writes into
``FOLDER/changes.json`` in which versions 2.N a request takes something else, and the parameters that a query may have;
with it, into ``FOLDER/theirs.json``, what was said of each mutant of each body and of each query, "" being nothing.
"""

import importlib
import json
import logging
import re
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.integration.answers import cloud
from tests.integration.bodies.mutants import mutants, queries

_CONFIGURATION = """\
[DEFAULT]
transport_url = fake://
state_path = {folder}
[api_database]
connection = sqlite://
[database]
connection = sqlite://
"""
#: First version 2.N, last version 2.N, schema.
Span = tuple[int, int, Any]


class Theirs:
    """The real Nova's routes and schemas."""

    def __init__(self, folder: Path) -> None:
        configuration = folder / "nova.conf"
        configuration.write_text(_CONFIGURATION.format(folder=folder))
        config: Any = importlib.import_module("nova.config")
        config.parse_args(["bodies", "--config-file", str(configuration)])
        logging.disable(logging.CRITICAL)
        routes: Any = importlib.import_module("nova.api.openstack.compute.routes")
        self._routes = routes.APIRouterV21().map
        self._validators: Any = importlib.import_module("nova.api.validation.validators")
        self._refusal: Any = importlib.import_module("nova.exception").ValidationError

    def spans(self, kind: str, method: str, path: str, body: Any) -> list[Span]:
        """Return the schemas of a request by version; none where it has no route, or one without schemas.

        ``kind`` is "body" or "query".
        """
        plain = re.sub(r"\{\w+\}", cloud.IMAGE, path)
        found = self._routes.match(plain, {"REQUEST_METHOD": method})
        if found is None:
            return []
        resource, name = found["controller"], found["action"]
        responder = resource.wsgi_actions.get(next(iter(body))) if body and name == "action" else None
        responder = responder or getattr(resource.controller, name, None)
        declared = getattr(responder, f"request_{kind}_schemas", None)
        spans = [] if declared is None else [(*_minors(since, until), each) for each, since, until in declared._schemas]
        return [span for span in spans if span[0] <= span[1]]

    def refusals(self, schema: Any, kind: str, bodies: Iterable[Any]) -> list[str]:
        """Return what a schema has against each body, or query; "" for nothing."""
        validator = self._validators._SchemaValidator(schema, is_body=kind == "body")

        def refusal(body: Any) -> str:
            try:
                validator.validate(body)
            except self._refusal as exc:
                return str(exc)[:200] or "refused"
            except UnicodeError as exc:  # it is the API's own error, which makes it a 500
                return repr(exc)
            return ""

        return list(map(refusal, bodies))


def _minors(since: Any, until: Any) -> tuple[int, int]:
    """Return N of 2.N for both, whichever way they are written; those of 2.0 alone are of nobody."""
    first, last = _minor(since), _minor(until)
    return max(first or 1, 1), cloud.MAXIMUM if last is None else last


def _minor(version: Any) -> int | None:
    if version is None or getattr(version, "is_null", lambda: False)():
        return None
    return int(version.ver_minor if hasattr(version, "ver_minor") else version.rpartition(".")[2])


def main() -> None:
    """Do what the module says."""
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    theirs = Theirs(folder)
    requests: dict[str, Any] = json.loads((folder / "requests.json").read_text())
    spans = {name: theirs.spans(*request) for name, request in requests.items()}
    if not (folder / "asked.json").exists():
        (folder / "changes.json").write_text(json.dumps({name: _changes(each) for name, each in spans.items()}))
        return
    said: dict[str, dict[str, list[str]]] = {}
    for name, asked in json.loads((folder / "asked.json").read_text()).items():
        kind = requests[name][0]
        for version, given in asked.items():
            fitting = [schema for first, last, schema in spans[name] if first <= int(version) <= last]
            if fitting:
                each = [sent for _, sent in (mutants if kind == "body" else queries)(given)]
                said.setdefault(name, {})[version] = theirs.refusals(fitting[0], kind, each)
    (folder / "theirs.json").write_text(json.dumps(said))


def _changes(spans: list[Span]) -> tuple[list[int], list[str]]:
    names = {name for _, _, schema in spans for name in schema.get("properties", ())}
    return [edge for first, last, _ in spans for edge in (first, last + 1)], sorted(names)


if __name__ == "__main__":
    main()
