"""Rules of images, as old clients reach them through this API. What they may do there says the image service."""

from nova_lite.api.policies.base import PROJECT_MEMBER_OR_ADMIN, PROJECT_READER_OR_ADMIN, rule

SHOW = "os_compute_api:images:show"
CHANGE = "os_compute_api:images:change"

RULES = (
    rule(SHOW, PROJECT_READER_OR_ADMIN, "List images, show one and its metadata, up to 2.35 (metadata: 2.38)."),
    rule(CHANGE, PROJECT_MEMBER_OR_ADMIN, "Delete an image, up to 2.35, or change its metadata, up to 2.38."),
)
