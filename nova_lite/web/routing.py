"""Which resource a path is for: a tree of the URL table's segments, searched segment by segment.

falcon's own router compares each template with all of its neighbours, looks up every method of every resource, and
writes a program of it all when the first request comes. That is a third of the time in which an API gets ready; here
a path's methods are looked up when it is first asked for.
"""

from collections.abc import Callable
from typing import Any

import falcon
from falcon.routing import map_http_methods, set_default_responders

#: Resource, HTTP method → responder, fields of the path, template.
Found = tuple[object, dict[str, Callable[..., None]], dict[str, str], str]


class _Node:
    """One segment of templates: what may follow it, by name or as the field ``field``, and what ends here."""

    __slots__ = ("any", "field", "methods", "named", "resource", "template")

    def __init__(self) -> None:
        self.named: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.field = ""
        self.template = ""
        self.resource: object = None  # where nothing ends here
        self.methods: dict[str, Callable[..., None]] | None = None

    def responders(self) -> dict[str, Callable[..., None]]:
        """Return who answers which method of what ends here, the methods that are not there too."""
        if self.methods is None:
            methods: dict[str, Any] = map_http_methods(self.resource)
            set_default_responders(methods)
            self.methods = methods
        return self.methods


class Router:
    """A router for ``falcon.App``. A segment of a template is a name or one whole field, ``/servers/{server_id}``."""

    def __init__(self) -> None:
        self._root = _Node()

    def add_route(self, uri_template: str, resource: object) -> None:
        """Answer the paths of ``uri_template`` by ``resource``, instead of by what did before.

        Raises ValueError where a field is part of a segment, or where another template calls it otherwise.
        """
        node = self._root
        for segment in _segments(uri_template):
            if not {"{", "}"} & set(segment):
                node = node.named.setdefault(segment, _Node())
                continue
            field = segment[1:-1]
            if segment != f"{{{field}}}" or not field.isidentifier() or node.field not in ("", field):
                raise ValueError(f"{uri_template}: {segment} is no field, or is called {node.field!r} elsewhere.")
            node.field = field
            if node.any is None:
                node.any = _Node()
            node = node.any
        node.template, node.resource, node.methods = uri_template, resource, None

    def find(self, uri: str, req: falcon.Request | None = None) -> Found | None:
        """Return what answers a path, None where nothing does. A name goes before a field."""
        fields: dict[str, str] = {}
        node = _search(self._root, _segments(uri), 0, fields)
        return None if node is None else (node.resource, node.responders(), fields, node.template)


def _segments(path: str) -> list[str]:
    return path.lstrip("/").split("/")


def _search(node: _Node, segments: list[str], depth: int, fields: dict[str, str]) -> _Node | None:
    """Return the node below ``node`` at which ``segments`` end, and put into ``fields`` what stands for fields."""
    if depth == len(segments):
        return None if node.resource is None else node
    segment = segments[depth]
    named = node.named.get(segment)
    found = None if named is None else _search(named, segments, depth + 1, fields)
    if found is None and node.any is not None:
        found = _search(node.any, segments, depth + 1, fields)
        if found is not None:
            fields[node.field] = segment
    return found
