"""Query of the API's description."""

from nova_lite.web.validation import Schemas, query_schema

_MICROVERSION = {"type": "string", "pattern": r"^(latest|[0-9]{1,5}\.[0-9]{1,5})$"}

QUERY = Schemas(("2.1", query_schema(single={"microversion": _MICROVERSION})))
