"""Where an error came from, for administrators to read. Pure."""

import traceback

from nova_lite.errors import NovaLiteError

#: Errors behind each other, frames of each, and characters of what each says, that are told at most.
_CHAIN, _FRAMES, _SAID = 3, 12, 500


def told(error: BaseException) -> str:
    """Return which ways an error took, and those it was raised from, innermost frame last: at most 4,000 characters.

    It says where, and never with which values, for those may be secrets: what errors say is told of our own alone,
    which say nothing that users may not read.
    """
    return "\n".join(_way(each) for each in _chain(error))[-4000:]


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error behind those it was raised from."""
    found = [error]
    while found[0].__cause__ is not None and len(found) < _CHAIN:
        found.insert(0, found[0].__cause__)
    return found


def _way(error: BaseException) -> str:
    lines = [
        f"  {frame.f_globals.get('__name__', 'unknown')}, line {number}, in {frame.f_code.co_name}"
        for frame, number in traceback.walk_tb(error.__traceback__)
    ]
    said = f": {error.message[:_SAID]}" if isinstance(error, NovaLiteError) else ""
    return "\n".join(["Traceback:", *lines[-_FRAMES:], f"{type(error).__name__}{said}"])
