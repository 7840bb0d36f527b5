"""Passwords made up for users who gave none."""

import secrets
import string

_LETTERS = string.ascii_letters + string.digits
_LENGTH = 12


def make() -> str:
    """Return a new password."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
