"""Every option by group, with its unit and default, as ``nova_lite/config.py`` declares them."""

import re
from dataclasses import dataclass

from oslo_config import cfg, types

from docs._ext import markup
from nova_lite import config

#: Heading of the options that are the same in the group of every neighbour.
SHARED = ", ".join(f"[{name}]" for name in config.NEIGHBOURS)
#: Options that are declared and read by nothing yet; a test sees when that changes.
NOT_READ_YET: frozenset[tuple[str, str]] = frozenset()
_UNITS = (
    (r"^Seconds\b", "seconds"),
    (r"^MiB\b", "MiB"),
    (r"^Bytes\b", "bytes"),
    (r"^(Virtual )?CPUs\b", "CPUs"),
)
_NUMBERS = (types.Integer, types.Float)


@dataclass(frozen=True)
class Option:
    """One option as an operator sees it; ``default`` is empty when there is none."""

    name: str
    unit: str
    default: str
    about: str


def groups() -> dict[str, list[Option]]:
    """Return group → its options; what every neighbour's group has is told once, under ``SHARED``."""
    declared = dict(config.list_opts())
    shared = set.intersection(*({opt.dest for opt in declared[name]} for name in config.NEIGHBOURS))
    found: dict[str, list[Option]] = {}
    for group, opts in declared.items():
        own = [opt for opt in opts if group not in config.NEIGHBOURS or opt.dest not in shared]
        if own:
            found[f"[{group}]"] = [_option(group, opt) for opt in own]
    found[SHARED] = [_option(SHARED, opt) for opt in declared[config.NEIGHBOURS[0]] if opt.dest in shared]
    return found


def lines() -> list[str]:
    """Return all groups as tables."""
    written: list[str] = []
    for group, options in groups().items():
        rows = [
            (markup.code(option.name), markup.text(option.unit), markup.code(option.default), markup.text(option.about))
            for option in options
        ]
        written += markup.rubric(group)
        written += markup.table(("option", "unit", "default", "what it is"), rows, widths=(24, 12, 20, 44))
    return written


def _option(group: str, opt: cfg.Opt) -> Option:
    about = " ".join((opt.help or "").split())
    if (group, opt.dest) in NOT_READ_YET:
        about += " Not read by anything yet."
    unit = _unit(opt, about)
    if opt.mutable:
        about += " Changes on SIGHUP."
    return Option(opt.dest, unit, _default(opt), about)


def _unit(opt: cfg.Opt, about: str) -> str:
    choices = getattr(opt.type, "choices", None)
    if choices:
        return "one of " + ", ".join(str(choice) for choice in choices)
    for pattern, unit in _UNITS:
        if re.match(pattern, about):
            return unit
    if isinstance(opt.type, types.Boolean):
        return "true or false"
    if isinstance(opt.type, _NUMBERS):
        return "number"
    return "list" if isinstance(opt.type, types.List) or opt.multi else "text"


def _default(opt: cfg.Opt) -> str:
    shown = opt.default if opt.sample_default is None else opt.sample_default
    if shown is None or shown in ("", []):
        return ""
    if isinstance(shown, list | tuple):
        return ", ".join(str(value) for value in shown)
    return str(shown).lower() if isinstance(shown, bool) else str(shown)
