"""Values that many schemas share, and what is read from them once they are valid."""

import ipaddress
import uuid as uuids
from collections.abc import Mapping
from typing import Any

from nova_lite import errors
from nova_lite.web.validation import Schemas, query_schema

#: The greatest number an integer column holds.
MAX_INT = 0x7FFFFFFF
_CHARACTER = r"[^\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]"
#: Printable text without white space at its ends.
PRINTABLE = rf"^(?!\s){_CHARACTER}+(?<!\s)$"
NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": PRINTABLE}
#: Text for people, on one line.
DESCRIPTION = {"type": ["string", "null"], "maxLength": 65535, "pattern": rf"^{_CHARACTER}*$"}
TEXT = {"type": "string"}
HOST_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9._-]+$"}
PROJECT_ID = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9._-]+$"}

_TRUE = (True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "y", "t")
_FALSE = (False, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "n", "f")
BOOLEAN = {"enum": [*_TRUE, *_FALSE]}
#: The same in a query string.
BOOLEAN_TEXT = {"enum": [word for word in (*_TRUE, *_FALSE) if isinstance(word, str)]}

#: Query parameters: a whole number from 0 up, and a page's start.
LIMIT = {"type": "string", "pattern": "^[0-9]+$"}
POSITIVE = {"type": "string", "pattern": "^0*[1-9][0-9]*$"}
MARKER = {"type": "string", "maxLength": 255}
SORT_DIR = {"enum": ["asc", "desc"]}


def whole_number(minimum: int) -> dict[str, Any]:
    """Return the schema of a whole number from ``minimum`` up, which clients may also send as a string."""
    return {
        "type": ["integer", "string"],
        "pattern": "^[0-9]+$",
        "minLength": 1,
        "maxLength": 20,
        "minimum": minimum,
        "maximum": MAX_INT,
    }


def read_whole_number(body: Mapping[str, Any], field: str, minimum: int, default: int = 0) -> int:
    """Return a whole number of a valid body; one sent as a string is bounded here, where schemas do not."""
    value = int(body.get(field, default))
    if not minimum <= value <= MAX_INT:
        raise errors.Invalid(f"{field}: {value} is not a whole number from {minimum} to {MAX_INT}")
    return value


def read_boolean(value: object) -> bool:
    """Return the truth of a valid BOOLEAN."""
    return value in _TRUE


def read_address(text: str | None) -> str | None:
    """Return a valid IP address in its shortest form, as it is kept and shown; None for none at all."""
    return str(ipaddress.ip_address(text)) if text else None


def is_number(text: str) -> bool:
    """Return whether ``text`` is a whole number that may count rows."""
    return text.isascii() and text.isdigit() and len(text) < 19


def read_uuid(text: str, field: str) -> str:
    """Return a UUID as it is kept, in lower case with dashes; raises Invalid naming ``field``."""
    try:
        if len(text) in (32, 36):
            return str(uuids.UUID(text))
    except ValueError:
        pass
    raise errors.Invalid(f"{field}: {text[:64]!r} is not a UUID")


#: Queries of URLs that take none: unknown parameters are refused only from 2.102 on.
LENIENT_QUERY = Schemas(("2.1", query_schema(strict=False)), ("2.102", query_schema()))
