"""What an audit can find, as the audit's own table says."""

from docs._ext import markup
from nova_lite.conductor.spanning.auditing.findings import RULES


def lines() -> list[str]:
    """Return a table of every kind of finding."""
    rows = [
        (
            markup.code(kind),
            markup.text(rule.invariant),
            markup.text(rule.what),
            markup.text(rule.repair or f"None. {rule.advice}"),
        )
        for kind, rule in RULES.items()
    ]
    return markup.table(("finding", "promise", "what is wrong", "repair"), rows, widths=(18, 12, 35, 35))
