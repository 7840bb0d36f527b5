"""Draft 4 JSON schemas, which validate requests, as those of 2020-12, which OpenAPI 3.1 documents hold."""

from collections.abc import Mapping
from typing import Any

from nova_lite.web.validation import JsonSchema

#: What means the same in both.
_SAME = frozenset(
    {
        "description", "enum", "format", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength",
        "minProperties", "minimum", "pattern", "required", "title", "type", "uniqueItems",
    }
)  # fmt: skip
#: Where a schema stands, where a list of them, and where one under each name.
_ONE = frozenset({"additionalProperties", "items", "not"})
_MANY = frozenset({"allOf", "anyOf", "oneOf"})
_NAMED = frozenset({"patternProperties", "properties"})
_BOUNDS = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}


def modern(schema: JsonSchema) -> dict[str, Any]:
    """Return Draft 4's ``schema`` as one of 2020-12 that lets the same through.

    But for 1.0, which is an integer there. ValueError for a keyword that is not known here, so that none is lost.
    """
    translated: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _BOUNDS:
            continue
        if keyword in _SAME:
            translated[keyword] = value
        elif keyword in _ONE:
            translated[keyword] = _each(value)
        elif keyword in _MANY:
            translated[keyword] = [modern(each) for each in value]
        elif keyword in _NAMED:
            translated[keyword] = {name: modern(each) for name, each in value.items()}
        else:
            raise ValueError(f"JSON schema: {keyword!r} has no translation from Draft 4")
    for exclusive, bound in _BOUNDS.items():
        # In Draft 4 it says of the bound that it is outside; since then it is the bound.
        if schema.get(exclusive):
            translated[exclusive] = translated.pop(bound)
    return translated


def _each(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return modern(value)
    raise ValueError(f"JSON schema: no translation of {type(value).__name__} from Draft 4")
