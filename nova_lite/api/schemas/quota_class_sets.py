"""Schemas of quota classes."""

from nova_lite.api.schemas.quota_sets import update_schema
from nova_lite.api.services.quotas import INJECTED, NETWORKING, RESOURCES
from nova_lite.web.validation import Schemas

UPDATE = Schemas(
    ("2.1", update_schema("quota_class_set", *RESOURCES, *INJECTED, *NETWORKING)),
    ("2.50", update_schema("quota_class_set", *RESOURCES, *INJECTED)),
    ("2.57", update_schema("quota_class_set", *RESOURCES)),
)
