"""The image directory over HTTP: as much of the image API, version 2, as clients need to read, make and remove images.

It asks nobody for a token. Members of images cannot be changed: 405.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode

import falcon
import orjson

from nova_lite import errors
from nova_lite.embedded import image_bodies
from nova_lite.embedded.image_directory import ACTIVE, ImageDirectory, StoredImage

App: TypeAlias = falcon.App[falcon.Request, falcon.Response]
Document: TypeAlias = dict[str, Any]

#: Images in one page, where the client asks for no number, and at most.
_DEFAULT_LIMIT = 25
_MAX_LIMIT = 1000
_PAGING = frozenset({"limit", "marker", "sort_key", "sort_dir", "sort"})
_VERSIONS = ("v2.2", "v2.1", "v2.0")
_NOT_HERE = "This image service has nothing of that kind to change."
#: Bytes read at once of a file that comes.
_CHUNK = 1 << 20
_STATUSES: Mapping[type[errors.NovaLiteError], int] = {
    errors.NotFound: 404,
    errors.Forbidden: 403,
    errors.Conflict: 409,
    errors.Invalid: 400,
    errors.Unavailable: 503,
}

_TEXT: Mapping[str, object] = {"type": ["null", "string"]}
_NUMBER: Mapping[str, object] = {"type": ["null", "integer"]}
_BOOLEAN: Mapping[str, object] = {"type": "boolean"}
_TEXTS = ("id", "name", "status", "visibility", "container_format", "disk_format", "checksum", "os_hash_algo")
_MORE_TEXTS = ("os_hash_value", "owner", "created_at", "updated_at", "file", "self", "schema")
_ATTRIBUTES: Mapping[str, Mapping[str, object]] = {
    **dict.fromkeys((*_TEXTS, *_MORE_TEXTS), _TEXT),
    **dict.fromkeys(("size", "virtual_size", "min_disk", "min_ram"), _NUMBER),
    **dict.fromkeys(("protected", "os_hidden"), _BOOLEAN),
    "tags": {"type": "array", "items": {"type": "string"}},
}
_SCHEMA = {"name": "image", "properties": _ATTRIBUTES, "additionalProperties": {"type": "string"}}
_LIST_SCHEMA: Mapping[str, object] = {
    "name": "images",
    "properties": {
        "images": {"type": "array", "items": _SCHEMA},
        "first": _TEXT,
        "next": _TEXT,
        "schema": _TEXT,
    },
}


def build(directory: ImageDirectory) -> App:
    """Return the WSGI application that serves ``directory``."""
    app = falcon.App()
    app.req_options.strip_url_path_trailing_slash = True
    app.add_error_handler(errors.NovaLiteError, _tell)
    app.set_error_serializer(_serialize)
    app.add_route("/", _Versions(300))
    for path in ("/versions", "/v2"):
        app.add_route(path, _Versions(200))
    app.add_route("/v2/images", _Images(directory))
    app.add_route("/v2/images/{image_id}", _Image(directory))
    app.add_route("/v2/images/{image_id}/file", _File(directory))
    app.add_route("/v2/images/{image_id}/members", _Members(directory))
    app.add_route("/v2/schemas/image", _Fixed(_SCHEMA))
    app.add_route("/v2/schemas/images", _Fixed(_LIST_SCHEMA))
    return app


class _Reading:
    """What a resource that can only be read says to requests that would write."""

    def _refuse(self, req: falcon.Request, resp: falcon.Response, **params: str) -> None:
        raise falcon.HTTPMethodNotAllowed(["GET"], description=_NOT_HERE)

    on_post = on_put = on_patch = on_delete = _refuse


class _Versions(_Reading):
    def __init__(self, status: int) -> None:
        self._status = status

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        links = [{"rel": "self", "href": f"{req.prefix}/v2/"}]
        shown = [{"id": name, "status": "SUPPORTED", "links": links} for name in _VERSIONS]
        shown[0]["status"] = "CURRENT"
        _send(resp, {"versions": shown}, self._status)


class _Images:
    def __init__(self, directory: ImageDirectory) -> None:
        self._directory = directory

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query = dict(parse_qsl(req.query_string, keep_blank_values=True))
        wanted = [_filter(name, value) for name, value in query.items() if name not in _PAGING]
        shown = [_shown(image) for image in self._directory.images()]
        found = _sorted([image for image in shown if all(fits(image) for fits in wanted)], query)
        page, has_more = _page(found, query)
        answer: Document = {"images": page, "first": _url(query, marker=None), "schema": "/v2/schemas/images"}
        if has_more:
            answer["next"] = _url(query, marker=page[-1]["id"])
        _send(resp, answer)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        image = self._directory.create(*image_bodies.new_image(_document(req)))
        resp.location = f"{req.prefix}/v2/images/{image.id}"
        _send(resp, _shown(image), 201)


class _Image:
    def __init__(self, directory: ImageDirectory) -> None:
        self._directory = directory

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        _send(resp, _shown(self._directory.image(image_id)[0]))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        properties = self._directory.image(image_id)[0].properties
        changed = self._directory.change(image_id, image_bodies.changed_image(_document(req), properties))
        _send(resp, _shown(changed))

    def on_delete(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        self._directory.delete(image_id)
        resp.status = 204


class _File:
    def __init__(self, directory: ImageDirectory) -> None:
        self._directory = directory

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        image, path = self._directory.image(image_id)
        if image.status != ACTIVE:
            resp.status = 204
            return
        first, last = _range(req, image.size)
        resp.content_type = "application/octet-stream"
        resp.set_header("Accept-Ranges", "bytes")
        if (first, last) == (0, image.size - 1):
            resp.set_header("Content-MD5", image.checksum)
        else:
            resp.status = 206
            resp.content_range = (first, last, image.size)
        resp.set_stream(_Part(path, first, last - first + 1), last - first + 1)

    def on_put(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        if req.content_type != "application/octet-stream":
            raise falcon.HTTPUnsupportedMediaType(description="A file is application/octet-stream.")
        self._directory.upload(image_id, iter(lambda: req.bounded_stream.read(_CHUNK), b""))
        resp.status = 204


class _Members(_Reading):
    def __init__(self, directory: ImageDirectory) -> None:
        self._directory = directory

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        self._directory.image(image_id)
        _send(resp, {"members": [], "schema": "/v2/schemas/members"})


class _Fixed(_Reading):
    def __init__(self, document: Mapping[str, object]) -> None:
        self._document = document

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        _send(resp, self._document)


class _Part:
    """A piece of a file, for the server to read and close."""

    def __init__(self, path: Path, first: int, length: int) -> None:
        self._file = path.open("rb")
        self._file.seek(first)
        self._left = length

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, at most ``size``, never any past the piece's end."""
        data = self._file.read(self._left if size is None or size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        self._file.close()


def _range(req: falcon.Request, size: int) -> tuple[int, int]:
    """Return the first and the last byte the client asks for."""
    if req.range is None or req.range_unit != "bytes" or size == 0:
        return 0, size - 1
    first, last = req.range
    first, last = (max(0, size + first), size - 1) if first < 0 else (first, last if 0 <= last < size else size - 1)
    if first >= size:
        raise falcon.HTTPRangeNotSatisfiable(size)
    return first, last


def _shown(image: StoredImage) -> Document:
    """Return an image as the API shows it; its own properties stand beside the standard ones."""
    return {
        **image.properties,
        "id": image.id,
        "name": image.name,
        "status": image.status,
        "visibility": image.visibility,
        "container_format": image.container_format or None,
        "disk_format": image.disk_format or None,
        "size": image.size if image.status == ACTIVE else None,
        "virtual_size": image.virtual_size,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "checksum": image.checksum or None,
        "os_hash_algo": "sha512" if image.sha512 else None,
        "os_hash_value": image.sha512 or None,
        "os_hidden": False,
        "protected": image.is_protected,
        "owner": None,
        "tags": list(image.tags),
        "created_at": image.created_at,
        "updated_at": image.updated_at,
        "self": f"/v2/images/{image.id}",
        "file": f"/v2/images/{image.id}/file",
        "schema": "/v2/schemas/image",
    }


def _filter(name: str, value: str) -> Callable[[Document], bool]:
    """Return whether an image fits ``name=value`` of a query; ``in:`` takes several values."""
    if name in ("size_min", "size_max"):
        limit = _whole(name, value)
        return lambda image: (image["size"] or 0) >= limit if name == "size_min" else (image["size"] or 0) <= limit
    if name == "visibility" and value == "all":
        return lambda image: True
    if name == "tag":
        return lambda image: value in image["tags"]
    values = value.removeprefix("in:").split(",") if value.startswith("in:") else [value]
    wanted = {text.strip('"').lower() if name in ("os_hidden", "protected") else text.strip('"') for text in values}
    return lambda image: _text(image.get(name)) in wanted


def _text(value: object) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sorted(found: list[Document], query: Mapping[str, str]) -> list[Document]:
    """Return ``found`` in the order asked for, by ``sort=name:asc,…`` or ``sort_key`` and ``sort_dir``."""
    text = query.get("sort")
    if text is None and "sort_key" in query:
        text = f"{query['sort_key']}:{query.get('sort_dir', 'desc')}"
    for part in reversed(text.split(",") if text else []):
        key, _, direction = part.partition(":")
        if key not in _ATTRIBUTES or direction not in ("", "asc", "desc"):
            raise errors.Invalid(f"Images cannot be sorted by {part[:64]!r}")
        found = sorted(found, key=lambda image: _sort_key(image[key]), reverse=direction != "asc")
    return found


def _sort_key(value: object) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)


def _page(found: Sequence[Document], query: Mapping[str, str]) -> tuple[list[Document], bool]:
    """Return the images after the marker, as many as asked for, and whether there are more."""
    start = 0
    if "marker" in query:
        ids = [image["id"] for image in found]
        if query["marker"] not in ids:
            raise errors.Invalid(f"No image found with ID {query['marker'][:64]}")
        start = ids.index(query["marker"]) + 1
    limit = min(_whole("limit", query.get("limit", str(_DEFAULT_LIMIT))), _MAX_LIMIT)
    page = list(found[start : start + limit])
    return page, bool(page) and start + limit < len(found)


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise errors.Invalid(f"{name}: {text[:64]!r} is not a whole number from 0 up")
    return int(text)


def _url(query: Mapping[str, str], *, marker: str | None) -> str:
    kept = {name: value for name, value in query.items() if name != "marker"} | ({"marker": marker} if marker else {})
    return f"/v2/images?{urlencode(kept)}" if kept else "/v2/images"


def _document(req: falcon.Request) -> object:
    try:
        found: object = orjson.loads(req.bounded_stream.read())
    except orjson.JSONDecodeError as exc:
        raise errors.Invalid("The body is not JSON.") from exc
    return found


def _send(resp: falcon.Response, document: object, status: int = 200) -> None:
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = orjson.dumps(document)


def _tell(req: falcon.Request, resp: falcon.Response, exc: errors.NovaLiteError, params: object) -> None:
    status = next((code for kind, code in _STATUSES.items() if isinstance(exc, kind)), 500)
    _send(resp, {"code": status, "title": type(exc).__name__, "message": exc.message}, status)


def _serialize(req: falcon.Request, resp: falcon.Response, exc: falcon.HTTPError) -> None:
    resp.content_type = falcon.MEDIA_JSON
    message = exc.description or "The resource could not be found."
    resp.data = orjson.dumps({"code": exc.status_code, "title": exc.title, "message": message})
