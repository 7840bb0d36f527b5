"""What the parsers of commands share: paragraphs in descriptions, the code a wrong command line gets, types."""

import argparse
import uuid as uuids
from collections.abc import Callable
from typing import Any, NoReturn

from nova_lite.cmd.output import FORMATS

#: The code for a wrong command line, of commands that return 2 for something of their own.
BAD_USAGE = 127


class Parser(argparse.ArgumentParser):
    """A parser of a command; ``refusal`` is the exit code for a wrong command line."""

    refusal = 2

    def error(self, message: str) -> NoReturn:
        self.print_usage()
        self.exit(self.refusal, f"{self.prog}: error: {message}\n")


class Paragraphs(argparse.HelpFormatter):
    """Keeps the paragraphs of a description apart."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n\n".join(fill(part, width, indent) for part in text.split("\n\n"))


def add_format(command: argparse.ArgumentParser) -> None:
    """Let the user choose how the result is printed."""
    command.add_argument("-f", "--format", choices=FORMATS, default="table", help="output format, by default table")


def add_verbose(command: argparse.ArgumentParser, help_text: str) -> None:
    """Let the user ask for more."""
    command.add_argument("--verbose", action="store_true", help=help_text)


def add_cell_uuid(command: argparse.ArgumentParser, help_text: str, *, is_required: bool = False) -> None:
    """Let the user name a cell."""
    command.add_argument("--cell_uuid", "--cell-uuid", metavar="UUID", required=is_required, help=help_text)


def add_transport_url(command: argparse.ArgumentParser, default: str) -> None:
    """Let the user give a cell's bus."""
    command.add_argument("--transport-url", "--transport_url", metavar="URL", help=f"the cell's message bus, {default}")


def add_connection(command: argparse.ArgumentParser, default: str) -> None:
    """Let the user give a cell's database."""
    command.add_argument(
        "--database_connection", "--database-connection", metavar="URL", help=f"the cell's database, {default}"
    )


def add_command(
    commands: Any,
    name: str,
    run: Callable[..., int],
    about: str,
    *,
    codes: str,
    description: str = "",
    example: str = "",
) -> argparse.ArgumentParser:
    """Add a command that returns 127 for a wrong command line, since 2 means something of its own; ``codes`` says what.

    What else it returns 127 for, they say themselves. ``commands`` make parsers of the class ``Parser``. The
    description begins with what the command is ``about``, in one sentence without a full stop, and ends with the
    example: what comes after the program's name.
    """
    ours = "" if f"{BAD_USAGE} " in codes else f"; {BAD_USAGE} the command line is wrong"
    command: Parser = commands.add_parser(
        name, help=about, epilog=f"Exit codes: {codes}{ours}.", formatter_class=Paragraphs
    )
    shown = f"Example: {command.prog.split()[0]} {example or name}"
    command.description = "\n\n".join(part for part in (sentence(about), description, shown) if part)
    command.refusal = BAD_USAGE
    command.set_defaults(run=run, parser=command)
    return command


def sentence(about: str) -> str:
    """Return the line of a list of commands as the first of the command's own help."""
    return f"{about[:1].upper()}{about[1:]}."


def uuid(text: str) -> str:
    """Return a UUID in its canonical form; argparse tells the user when it is none."""
    return str(uuids.UUID(text))


def count(text: str) -> int:
    """Return a number of things, at least one; argparse tells the user when it is none."""
    if not text.strip().isdecimal() or (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be a number, 1 or more, not {text}")
    return number


def seconds(text: str) -> float:
    """Return a time that is not negative and ends; argparse tells the user when it is none."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number, 0 or more, not {text}")
    return number
