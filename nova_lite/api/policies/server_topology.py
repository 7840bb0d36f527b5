"""Rules of servers' topologies."""

from nova_lite.api.policies.base import PROJECT_READER_OR_ADMIN, rule

INDEX = "compute:server:topology:index"

RULES = (rule(INDEX, PROJECT_READER_OR_ADMIN, "Show how a server's processors and memory are laid out."),)
