"""Bodies and query strings: reading them safely and checking them against dated JSON schemas.

A schema is compiled by the first request that it checks: no worker ever needs all those of all versions.
"""

import itertools
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import falcon
import jsonschema_rs
import orjson

from nova_lite import errors
from nova_lite.web.versions import Version

#: No more parameters than this in one query string.
_MAX_PARAMETERS = 1000
#: How deep a body may nest lists and objects: far deeper than any request, and not as deep as what writes answers goes.
_MAX_DEPTH = 100
#: A message longer than this shows no value, only what is wrong with it.
_MAX_MESSAGE = 300
#: Fields whose values no message shows: passwords, and files that may hold them.
_SECRET = frozenset({"adminPass", "contents", "user_data"})

JsonSchema = Mapping[str, Any]


class Query(dict[str, list[str]]):
    """A parsed query string: name → its values, in the order they came."""

    def one(self, name: str) -> str | None:
        """Return the last value of ``name``, or None."""
        values = self.get(name)
        return values[-1] if values else None

    def all(self, name: str) -> list[str]:
        """Return every value of ``name``."""
        return self.get(name, [])


class Schemas:
    """The schema of one body or query through time: entries of (first version, schema).

    A request is checked against the youngest entry that is not younger than its version.
    """

    def __init__(self, *dated: tuple[str, JsonSchema]) -> None:
        if not dated:
            raise ValueError("a dated schema needs at least one entry")
        entries = [(Version.parse(since), schema) for since, schema in dated]
        if entries != sorted(entries, key=lambda entry: entry[0]):
            raise ValueError("schema entries go from the oldest version to the youngest")
        self.dated: Final = tuple(entries)
        #: First version → validator. Two threads may make the same one at once: the later stays.
        self._compiled: dict[Version, jsonschema_rs.Draft4Validator] = {}

    def at(self, version: Version) -> JsonSchema:
        """Return the schema of ``version``, in Draft 4."""
        return self._entry(version)[1]

    def check(self, value: object, version: Version, where: str = "body", *, is_relaxed: bool = False) -> None:
        """Raise Invalid, naming the field, unless ``value`` is what the schema of ``version`` wants.

        With ``is_relaxed`` what it does not know is taken out of ``value``, and spaces around text it would refuse.
        """
        since, schema = self._entry(version)
        validator = self._compiled.get(since)
        if validator is None:
            validator = self._compiled[since] = _compile(schema)
        try:
            error = next(validator.iter_errors(value), None)
            while error is not None and is_relaxed and _relaxes(value, error):
                error = next(validator.iter_errors(value), None)
        except ValueError:
            # The validator counts how deep it goes, and goes nowhere near as deep as the parser.
            raise errors.Invalid(f"{where}: nested too deeply") from None
        if error is not None:
            if _tells_secrets(error):
                error = next(_compile(schema, mask="the value").iter_errors(value))
            raise errors.Invalid(_explain(error, where))

    def _entry(self, version: Version) -> tuple[Version, JsonSchema]:
        """Return the youngest entry that is not younger than ``version``; the first for versions before all."""
        return next((entry for entry in reversed(self.dated) if entry[0] <= version), self.dated[0])


class Kinds(Schemas):
    """A body that can be of several kinds, each with the first and the last version that know it (None: any).

    It is checked for what any of them looks like; which one it is, and whether a good one, the responder finds out.
    """

    def __init__(self, shape: Schemas, kinds: Iterable[tuple[Version, Version | None, Schemas]]) -> None:
        super().__init__(*((str(since), schema) for since, schema in shape.dated))
        self._kinds: Final = tuple(kinds)

    def at(self, version: Version) -> JsonSchema:
        """Return the schema that all kinds known in ``version`` have together, in Draft 4."""
        known = (
            schema for since, until, schema in self._kinds if since <= version and (until is None or version <= until)
        )
        return {"oneOf": [schema.at(version) for schema in known]}


def _compile(schema: JsonSchema, mask: str | None = None) -> jsonschema_rs.Draft4Validator:
    # Draft 4, as OpenStack clients expect: there 1.0 is not an integer.
    return jsonschema_rs.Draft4Validator(dict(schema), validate_formats=True, mask=mask)


def _tells_secrets(error: Any) -> bool:
    """Return whether an error's message shows the value of a secret field, by itself or within another's."""
    is_within = not _SECRET.isdisjoint(error.instance_path)
    return is_within or any(f'"{name}":' in error.message for name in _SECRET)


def _relaxes(value: Any, error: Any) -> bool:
    """Take out of ``value`` what ``error`` is about, if it can be; return whether it could."""
    *way, last = error.instance_path or [None]
    if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties):
        spoiled = _at(value, error.instance_path)
        for name in error.kind.unexpected:
            del spoiled[name]
        return True
    holder = _at(value, way)
    text = holder[last] if last is not None else None
    if isinstance(error.kind, jsonschema_rs.ValidationErrorKind.Pattern) and isinstance(text, str) and text.strip():
        holder[last] = text.strip()
        return text != text.strip()
    return False


def _at(value: Any, way: Iterable[str | int]) -> Any:
    for part in way:
        value = value[part]
    return value


def _explain(error: Any, where: str) -> str:
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
    message = str(error.message)
    if len(message) > _MAX_MESSAGE:
        message = f"{message[:80]} … {message[-120:]}"
    return f"{(field.lstrip('.') or where)[:200]}: {message}"


def query_schema(
    single: Mapping[str, JsonSchema] | None = None,
    repeated: Mapping[str, JsonSchema] | None = None,
    patterns: Mapping[str, JsonSchema] | None = None,
    *,
    strict: bool = True,
) -> dict[str, Any]:
    """Return the schema of a query string.

    ``single`` may come once, ``repeated`` and those whose name matches one of ``patterns`` may repeat;
    with ``strict`` nothing else may come. Each value is the schema of one string.
    """
    properties = {name: {"type": "array", "items": dict(item), "maxItems": 1} for name, item in (single or {}).items()}
    properties |= {name: {"type": "array", "items": dict(item)} for name, item in (repeated or {}).items()}
    return {
        "type": "object",
        "properties": properties,
        "patternProperties": {
            pattern: {"type": "array", "items": dict(item)} for pattern, item in (patterns or {}).items()
        },
        "additionalProperties": not strict,
    }


def parse_query(req: falcon.Request) -> Query:
    """Return the query string of ``req`` parsed; raises Invalid when it is not UTF-8 or far too long."""
    try:
        # Some clients send bytes as they are; WSGI has each as a character.
        text = req.query_string.encode("latin-1").decode()
        pairs = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except UnicodeError:
        raise errors.Invalid("query string: not UTF-8") from None
    except ValueError:
        raise errors.Invalid(f"query string: more than {_MAX_PARAMETERS} parameters") from None
    for name, values in pairs.items():
        if "\x00" in name or any("\x00" in value for value in values):
            raise errors.Invalid(f"query string: {name[:64]!r} holds a NUL character")
    return Query(pairs)


def body_of(req: falcon.Request) -> bytes:
    """Return the body of ``req``, read once however often it is asked for; raises as ``read_body``."""
    if req.context.content is None:
        req.context.content = read_body(req, req.context.max_body_bytes)
    content: bytes = req.context.content
    return content


def read_body(req: falcon.Request, max_bytes: int) -> bytes:
    """Return the body of ``req``, never reading more than ``max_bytes`` + 1.

    Raises: TooLarge, Invalid for a broken Content-Length, 411 for a length nobody told.
    """
    raw_length = req.env.get("CONTENT_LENGTH") or ""
    if not raw_length:
        if req.env.get("HTTP_TRANSFER_ENCODING"):
            if not req.env.get("wsgi.input_terminated"):
                raise falcon.HTTPLengthRequired(title="Length Required", description="Content-Length is required.")
            return _bounded(_read(req.stream, max_bytes + 1), max_bytes)
        return b""
    if not (raw_length.isascii() and raw_length.isdigit()):
        raise errors.Invalid("Content-Length: not a whole number")
    # Python refuses to read numbers of thousands of digits.
    if len(raw_length) > 18 or int(raw_length) > max_bytes:
        raise errors.TooLarge(f"The request body is larger than {max_bytes} bytes.")
    return _bounded(_read(req.bounded_stream, max_bytes + 1), max_bytes)


def _read(stream: Any, size: int) -> bytes:
    """Return what ``stream`` has, ``size`` bytes at most; servers raise where the client breaks off or breaks rules."""
    try:
        content: bytes = stream.read(size)
    except OSError:
        raise errors.Invalid("The request body did not come whole.") from None
    return content


def _bounded(body: bytes, max_bytes: int) -> bytes:
    if len(body) > max_bytes:
        raise errors.TooLarge(f"The request body is larger than {max_bytes} bytes.")
    return body


def parse_json(body: bytes, content_type: str | None, taken_as_json: Collection[str | None] = ()) -> Any:
    """Return what the JSON ``body`` says; ``taken_as_json`` are content types that do as well.

    Raises: 415 for another content type or none, Invalid for a body that does not say its, for malformed or far too
    deep JSON, and for NUL characters, which not every database can keep.
    """
    kind = (content_type or "").partition(";")[0].strip().lower() or None
    if kind is None and body and None not in taken_as_json:
        raise errors.Invalid("Content-Type: required when there is a body")
    if kind != "application/json" and kind not in taken_as_json:
        raise falcon.HTTPUnsupportedMediaType(
            title="Unsupported Media Type",
            description=f"The media type {str(content_type)[:64]} is not supported, use application/json",
        )
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise errors.Invalid(f"body: malformed JSON: {exc}") from None
    if body.count(b"[") + body.count(b"{") > _MAX_DEPTH:
        _refuse_depth(document)
    # In JSON a NUL can only be written as this escape; a backslash before it may still make it plain text.
    if b"\\u0000" in body:
        _refuse_nul(document)
    return document


def _refuse_depth(document: object) -> None:
    """Raise Invalid when ``document`` nests deeper than what may be kept of it could be shown again."""
    level = [document]
    for _ in range(_MAX_DEPTH + 1):
        lists = (
            value.values() if isinstance(value, dict) else value for value in level if isinstance(value, dict | list)
        )
        level = list(itertools.chain.from_iterable(lists))
        if not level:
            return
    raise errors.Invalid("body: nested too deeply")


def _refuse_nul(document: object) -> None:
    """Raise Invalid, naming the field, when any text in ``document`` holds a NUL."""
    waiting: list[tuple[str, object]] = [("", document)]
    while waiting:
        field, value = waiting.pop()
        if isinstance(value, str) and "\x00" in value:
            raise errors.Invalid(f"{field.lstrip('.')[:200] or 'body'}: holds a NUL character")
        if isinstance(value, list):
            waiting += [(f"{field}[{index}]", item) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            waiting += [(field, name) for name in value]
            waiting += [(f"{field}.{name}", item) for name, item in value.items()]
