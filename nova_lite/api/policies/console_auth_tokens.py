"""Rules of what consoles' tokens stand for."""

from nova_lite.api.policies.base import ADMIN, rule

SHOW = "os_compute_api:os-console-auth-tokens"

RULES = (rule(SHOW, ADMIN, "See where the console is that a token opens."),)
