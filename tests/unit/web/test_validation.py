"""Bodies and queries: what is refused, and that the message names the field."""

import io
from typing import Any

import falcon
import pytest
from falcon import testing

from nova_lite import errors
from nova_lite.web import validation
from nova_lite.web.paging import Page, next_url, page
from nova_lite.web.validation import Query, Schemas, query_schema
from nova_lite.web.versions import Version

SERVER = {
    "type": "object",
    "properties": {
        "server": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
            "required": ["name"],
            "additionalProperties": False,
        }
    },
    "required": ["server"],
    "additionalProperties": False,
}


def request(body: bytes = b"", **environ: Any) -> falcon.Request:
    made = testing.create_req(body=body, method="POST")
    for name, value in environ.items():
        made.env[name.replace("__", ".")] = value
    return made


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param({"server": {}}, "server: .*name", id="missing"),
        pytest.param({"server": {"name": 1}}, r"^server\.name: 1 ", id="mistyped"),
        pytest.param({"server": {"name": "a", "tags": ["x", 2]}}, r"^server\.tags\[1\]: 2 ", id="in a list"),
        pytest.param({"server": {"name": "a", "colour": 1}}, "colour", id="unknown"),
        pytest.param([], "^body: ", id="no object"),
    ],
)
def test_message_names_the_field(body: object, field: str) -> None:
    with pytest.raises(errors.Invalid, match=field):
        Schemas(("2.1", SERVER)).check(body, Version(2, 1))


def test_long_values_are_cut() -> None:
    with pytest.raises(errors.Invalid) as refused:
        Schemas(("2.1", SERVER)).check({"server": {"name": ["x" * 100_000]}}, Version(2, 1))
    assert len(refused.value.message) < 400
    assert refused.value.message.endswith('is not of type "string"')


@pytest.mark.parametrize(
    ("server", "message"),
    [
        pytest.param({"adminPass": ["hush"]}, 'server.adminPass: the value is not of type "string"', id="mistyped"),
        pytest.param({"adminPass": "hush hush"}, "server.adminPass: the value is longer than 8 characters", id="long"),
        pytest.param(
            {"files": [{"contents": {"a": "hush"}}]}, 'contents: the value is not of type "string"', id="below"
        ),
        pytest.param([{"adminPass": "hush"}], 'server: the value is not of type "object"', id="in what is wrong"),
    ],
)
def test_no_message_shows_a_password(server: object, message: str) -> None:
    text = {"type": "string", "maxLength": 8}
    files = {"type": "array", "items": {"type": "object", "properties": {"contents": text}}}
    schema = {"properties": {"server": {"type": "object", "properties": {"adminPass": text, "files": files}}}}
    with pytest.raises(errors.Invalid) as refused:
        Schemas(("2.1", schema)).check({"server": server}, Version(2, 1))
    assert refused.value.message.endswith(message)


def test_schema_of_the_version_counts() -> None:
    dated = Schemas(("2.1", {"type": "integer"}), ("2.10", {"type": "string"}))
    dated.check(1, Version(2, 9))
    dated.check("1", Version(2, 10))
    dated.check("1", Version(2, 50))
    with pytest.raises(errors.Invalid):
        dated.check(1, Version(2, 10))
    with pytest.raises(ValueError, match="oldest"):
        Schemas(("2.10", {}), ("2.9", {}))


class Unreadable(io.RawIOBase):
    """A body that must not be read."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("read although its length was told")


def test_too_large_a_body_is_not_read() -> None:
    with pytest.raises(errors.TooLarge):
        validation.read_body(request(CONTENT_LENGTH="1000001", wsgi__input=Unreadable()), 1_000_000)


def test_body_of_untold_length_is_read_to_the_limit_only() -> None:
    stream = io.BytesIO(b"x" * 5000)
    endless = request(
        HTTP_TRANSFER_ENCODING="chunked", wsgi__input_terminated=True, CONTENT_LENGTH="", wsgi__input=stream
    )
    endless.stream = stream
    with pytest.raises(errors.TooLarge):
        validation.read_body(endless, 1000)
    assert stream.tell() <= 1001


def test_broken_content_length() -> None:
    with pytest.raises(errors.Invalid, match="Content-Length"):
        validation.read_body(request(CONTENT_LENGTH="ten"), 1000)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="unfinished"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"a": NaN}', id="not a number"),
        pytest.param(b'"\xff"', id="not UTF-8"),
        pytest.param(b'"\\ud800"', id="half a character"),
        pytest.param(b"1e999", id="infinity"),
    ],
)
def test_bad_json(body: bytes) -> None:
    with pytest.raises(errors.Invalid, match="body"):
        validation.parse_json(body, "application/json")


@pytest.mark.parametrize(
    ("body", "field"),
    [(rb'"\u0000"', "body"), (rb'{"a\u0000": 1}', "body"), (rb'{"a": [1, {"b": "c\u0000"}]}', "a[1].b")],
)
def test_a_nul_anywhere_in_a_body_is_refused(body: bytes, field: str) -> None:
    with pytest.raises(errors.Invalid, match="holds a NUL character") as refused:
        validation.parse_json(body, "application/json")
    assert refused.value.message.startswith(f"{field}: ")


def test_a_backslash_before_an_escape_makes_it_text() -> None:
    assert validation.parse_json(rb'["\\u0000"]', "application/json") == [r"\u0000"]


def test_a_body_goes_so_deep_and_no_deeper() -> None:
    for deepest in (b"[" * 100 + b"]" * 100, b'{"a":' * 99 + b'"[[["' + b"}" * 99, b"[" + b"[]," * 200 + b"[]]"):
        validation.parse_json(deepest, "application/json")
    for deeper in (b"[" * 102 + b"]" * 102, b'[{"a":' * 51 + b"1" + b"}]" * 51):
        with pytest.raises(errors.Invalid, match="nested too deeply"):
            validation.parse_json(deeper, "application/json")


def test_content_types() -> None:
    assert validation.parse_json(b"{}", "application/json; charset=UTF-8") == {}
    with pytest.raises(falcon.HTTPUnsupportedMediaType):
        validation.parse_json(b"{}", "text/plain")
    with pytest.raises(errors.Invalid, match="Content-Type"):
        validation.parse_json(b"{}", None)
    taken = frozenset({None, "text/plain"})
    for kind in (None, "text/plain; charset=utf-8", "application/json"):
        assert validation.parse_json(b"{}", kind, taken) == {}
    with pytest.raises(falcon.HTTPUnsupportedMediaType):
        validation.parse_json(b"{}", "application/xml", taken)


def test_queries() -> None:
    parsed = validation.parse_query(testing.create_req(query_string="a=1&a=2&b="))
    assert parsed == {"a": ["1", "2"], "b": [""]}
    assert (parsed.one("a"), parsed.all("c"), parsed.one("c")) == ("2", [], None)
    schema = Schemas(("2.1", query_schema({"a": {"type": "string"}}, {"b": {"type": "string", "pattern": "^x"}})))
    schema.check({"a": ["1"], "b": ["x", "xy"]}, Version(2, 1))
    for bad in ({"a": ["1", "2"]}, {"b": ["y"]}, {"c": ["1"]}):
        with pytest.raises(errors.Invalid, match=next(iter(bad))):
            schema.check(bad, Version(2, 1), "query string")
    for text in ("a=%ff", "a=%00", "&".join(f"a{n}=1" for n in range(2000))):
        with pytest.raises(errors.Invalid, match="query string"):
            validation.parse_query(testing.create_req(query_string=text))


def test_pages() -> None:
    assert page(Query({"limit": ["5"], "marker": ["m"]}), 1000) == Page(5, "m")
    assert page(Query(), 1000) == Page(1000, None)
    assert page(Query({"limit": ["5000"]}), 1000) == Page(1000, None)
    for text in ("-1", "x", "1.5", "", "\u0665"):
        with pytest.raises(errors.Invalid, match="limit"):
            page(Query({"limit": [text]}), 1000)
    query = Query({"limit": ["2"], "marker": ["a"], "name": ["x y"]})
    assert next_url("http://h/servers", query, "b") == "http://h/servers?limit=2&name=x+y&marker=b"
