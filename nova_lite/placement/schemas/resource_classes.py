"""What /resource_classes takes."""

from nova_lite.placement.schemas.names import CUSTOM, closed
from nova_lite.web.validation import Schemas

CREATE = Schemas(("1.2", closed({"name": CUSTOM}, ("name",))))
