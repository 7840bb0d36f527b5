"""Every command with its arguments and exit codes, as the parsers of ``nova_lite/cmd`` know them."""

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from docs._ext import markup
from nova_lite.cmd import cloud, compute, conductor, console_proxy, daemon, manage, scheduler, status

_EXAMPLE = "Example: "
_CODE = re.compile(r"(\d+) (.*?)(?=[;.]\s+\d+ |$)", re.DOTALL)


@dataclass(frozen=True)
class Command:
    """One command: its words, what it does, its arguments (as typed → what they are) and its exit codes.

    ``more`` are the paragraphs of its description; one that begins with ``Example: `` is a command line.
    """

    words: str
    about: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    exit_codes: Mapping[str, str] = field(default_factory=dict)
    more: Sequence[str] = ()


def manage_commands() -> list[Command]:
    """Return every command of ``nova-lite-manage``."""
    return list(_leaves(manage.parser()))


def status_commands() -> list[Command]:
    """Return every command of ``nova-lite-status``."""
    return list(_leaves(status.parser()))


def cloud_commands() -> list[Command]:
    """Return every command of ``nova-lite``."""
    return list(_leaves(cloud._parser()))


def daemons() -> list[Command]:
    """Return the daemons; all take the same arguments and return the same codes."""
    codes = _codes(daemon.EXIT_CODES)
    return [
        Command(f"nova-lite-{module.__name__.rpartition('.')[2].replace('_', '-')}", module.ABOUT, exit_codes=codes)
        for module in (conductor, scheduler, compute, console_proxy)
    ]


def lines(name: str) -> list[str]:
    """Return one program's commands: ``manage``, ``status``, ``cloud`` or ``daemons``."""
    known = {"manage": manage_commands, "status": status_commands, "cloud": cloud_commands, "daemons": daemons}
    written: list[str] = []
    for command in known[name]():
        written += markup.rubric(command.words)
        written += [markup.text(command.about), ""]
        for paragraph in command.more:
            example = paragraph.removeprefix(_EXAMPLE)
            words = " ".join(paragraph.split())
            written += [markup.text(words), ""] if example == paragraph else ["Example::", "", f"    {example}", ""]
        if command.arguments:
            rows = [(markup.code(typed), markup.text(about)) for typed, about in command.arguments.items()]
            written += markup.table(("argument", "what it is"), rows, widths=(40, 60))
        codes = "; ".join(f"**{code}** {markup.text(meaning)}" for code, meaning in command.exit_codes.items())
        written += [f"Exit codes: {codes}.", ""]
    return written


def _leaves(parser: argparse.ArgumentParser) -> Iterator[Command]:
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        arguments = {
            _typed(action): _about(parser, action)
            for action in parser._actions
            if not isinstance(action, argparse._HelpAction)
        }
        about, *more = (parser.description or "").split("\n\n")
        yield Command(parser.prog, about, arguments, _codes(parser.epilog or ""), more)
    for action in below:
        for command in action.choices.values():
            yield from _leaves(command)


def _typed(action: argparse.Action) -> str:
    """Return an argument as its user types it."""
    if action.nargs == 0:
        return action.option_strings[0]
    choices = "|".join(str(choice) for choice in action.choices or ())
    value = str(action.metavar or choices or action.dest.upper())
    if not action.option_strings:
        return f"[{value}]" if action.nargs == "?" else value
    return f"{action.option_strings[0]} {value}"


def _about(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    shown = parser._get_formatter()._expand_help(action) if action.help else ""
    # Who reads this has another home than who builds it.
    return shown.replace(str(Path.home()), "~")


def _codes(words: str) -> dict[str, str]:
    """Return the exit codes a help text tells of."""
    told = " ".join(words.split()).partition("Exit codes: ")[2]
    return {code: said.rstrip(".;") for code, said in _CODE.findall(told)}
