"""What /resource_classes takes."""

from nova_lite.placement.schemas.names import CUSTOM, closed
from nova_lite.web.validation import Schemas

CREATE = Schemas(("1.2", closed({"name": CUSTOM}, ("name",))))
#: From 1.7 a class is named in the path, and the body is not read.
RENAME = CREATE
