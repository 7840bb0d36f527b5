"""Rules of extensions."""

from nova_lite.api.policies.base import ANYONE, rule

SHOW = "os_compute_api:extensions"

RULES = (rule(SHOW, ANYONE, "List what old clients know as extensions of the API, and show one."),)
