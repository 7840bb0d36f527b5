"""What consoles' tokens stand for."""

from nova_lite import errors
from nova_lite.cells.fanout import Fanout
from nova_lite.cells.registry import OpenCell
from nova_lite.db.repositories import console_tokens
from nova_lite.model.console import ConsoleToken


class ConsoleAuthTokenService:
    """Asks the cells: a token does not tell which one knows it."""

    def __init__(self, fanout: Fanout) -> None:
        self._fanout = fanout

    def show(self, token: str) -> ConsoleToken:
        """Return what a token stands for; raises NotFound, Unavailable when a cell that may know it is silent."""

        def look(cell: OpenCell) -> ConsoleToken | None:
            with cell.db.reading() as connection:
                return console_tokens.get(connection, token)

        answers = self._fanout.ask(look, with_cell0=False)
        for found in answers.found.values():
            if found is not None:
                return found
        if answers.down:
            raise errors.Unavailable("A cell that may know the token does not answer.")
        raise errors.NotFound("Token not found")
