"""What /resource_providers takes."""

from nova_lite.placement.schemas.names import NAME, TEXT, UUID, closed
from nova_lite.web.validation import Schemas, query_schema

_PARENT = {"anyOf": [UUID, {"type": "null"}]}

CREATE = Schemas(
    ("1.0", closed({"name": NAME, "uuid": UUID}, ("name",))),
    ("1.14", closed({"name": NAME, "uuid": UUID, "parent_provider_uuid": _PARENT}, ("name",))),
)
UPDATE = Schemas(
    ("1.0", closed({"name": NAME}, ("name",))),
    ("1.14", closed({"name": NAME, "parent_provider_uuid": _PARENT}, ("name",))),
)

_V1_0 = {"name": TEXT, "uuid": UUID}
_V1_3 = _V1_0 | {"member_of": TEXT}
_V1_4 = _V1_3 | {"resources": TEXT}
_V1_14 = _V1_4 | {"in_tree": UUID}
_V1_18 = _V1_14 | {"required": TEXT}
_V1_24 = {name: schema for name, schema in _V1_18.items() if name != "member_of"}
_V1_39 = {name: schema for name, schema in _V1_24.items() if name != "required"}
LIST = Schemas(
    ("1.0", query_schema(_V1_0)),
    ("1.3", query_schema(_V1_3)),
    ("1.4", query_schema(_V1_4)),
    ("1.14", query_schema(_V1_14)),
    ("1.18", query_schema(_V1_18)),
    ("1.24", query_schema(_V1_24, {"member_of": TEXT})),
    ("1.39", query_schema(_V1_39, {"member_of": TEXT, "required": TEXT})),
)
