"""Rules of cells."""

from nova_lite.api.policies.base import ADMIN, rule

INDEX = "os_compute_api:os-cells:index"

RULES = (rule(INDEX, ADMIN, "See how every cell is."),)
