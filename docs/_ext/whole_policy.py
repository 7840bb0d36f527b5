"""The policy rules of the whole Compute API, as operators know them from elsewhere, beside those that are asked here.

What there is elsewhere stands in a list beside this module; what is here is asked of the application.
"""

from collections.abc import Mapping
from pathlib import Path

from oslo_policy import _parser
from oslo_policy import policy as oslo_policy

from docs._ext import markup
from nova_lite.api.policies import registry
from nova_lite.web.policy import BASE_RULES

_LIST = Path(__file__).parent / "whole_policy.txt"
_NETWORKS = "networks come later"
_PREFIX = "os_compute_api:"
#: What no rule of ours is about: how a rule's name begins → why.
WHY_NOT: Mapping[str, str] = {
    "compute:server:topology:host:index": "no server here is bound to nodes of its host, so there is nothing to hide",
    "compute:servers:resize:cross_cell": "servers do not move to other cells",
    "network:": _NETWORKS,
    f"{_PREFIX}servers:create:attach_network": _NETWORKS,
    f"{_PREFIX}servers:create:trusted_certs": "image signatures are not supported: 400, whoever asks",
}
#: Rules that only we have: how their names begin → why.
OURS: Mapping[str, str] = {
    f"{_PREFIX}flavors:": "elsewhere every token may look at flavors and nothing can forbid it",
    f"{_PREFIX}images:": "elsewhere the image service alone decides; these can only narrow it",
    f"{_PREFIX}metrics:": "the API tells its numbers here alone",
    f"{_PREFIX}os-cells:": "the state of cells is told here alone",
    f"{_PREFIX}servers:deletion_protection": "servers can be protected from being deleted here alone",
    f"{_PREFIX}servers:operations": "operations are told here alone",
    f"{_PREFIX}servers:scheduling": "how a host was chosen is told here alone",
}


def known() -> dict[str, str]:
    """Return every rule there is elsewhere → its default."""
    lines = (line for line in _LIST.read_text().splitlines() if line and not line.startswith("#"))
    return dict(line.split(maxsplit=1) for line in lines)


def here() -> dict[str, oslo_policy.RuleDefault]:
    """Return every rule there is here, by name."""
    return {rule.name: rule for rule in (*BASE_RULES, *registry.rules())}


def is_same(check: str, other: str) -> bool:
    """Return whether two defaults are one, however they are written."""
    return str(_parser.parse_rule(check)) == str(_parser.parse_rule(other))


def reason(name: str, reasons: Mapping[str, str]) -> str | None:
    """Return the entry of ``reasons`` that is about a rule, the longest there is."""
    return max((each for each in reasons if name.startswith(each)), key=len, default=None)


def lines() -> list[str]:
    """Return every rule there is elsewhere or here, with how the two compare."""
    ours, elsewhere = here(), known()
    rows = [(markup.code(name), markup.code(elsewhere[name] if name in elsewhere else ours[name].check_str),
             markup.text(_compared(name, elsewhere, ours))) for name in sorted(elsewhere.keys() | ours)]  # fmt: skip
    return markup.table(("policy rule", "default", "here"), rows, widths=(44, 32, 24))


def _compared(name: str, elsewhere: Mapping[str, str], ours: Mapping[str, oslo_policy.RuleDefault]) -> str:
    if name not in elsewhere:
        return f"ours alone: {OURS[reason(name, OURS) or '']}"
    if name not in ours:
        return f"not here: {WHY_NOT[reason(name, WHY_NOT) or '']}"
    return "the same" if is_same(elsewhere[name], ours[name].check_str) else f"other: {ours[name].check_str}"
