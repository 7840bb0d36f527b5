"""Passwords of servers' administrators, as answers tell them: the ones asked for, or made up."""

import secrets
import string

_LETTERS = string.ascii_letters + string.digits
_LENGTH = 12


class Passwords:
    """Tells them; where not ``are_told``, answers have none."""

    def __init__(self, *, are_told: bool) -> None:
        self._are_told = are_told

    def told(self, asked: str | None) -> dict[str, object]:
        """Return what an answer says of the password that a user ``asked`` for, or left to us."""
        return {"adminPass": asked or _made()} if self._are_told else {}

    def none(self) -> dict[str, object]:
        """Return what an answer says where no password is set."""
        return {"adminPass": None} if self._are_told else {}


def _made() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
