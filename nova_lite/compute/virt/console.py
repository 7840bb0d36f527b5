"""How much of a serial console's log is kept and shown: pure, shared by every driver."""

#: The most a driver returns of one console log, in bytes.
MAX_BYTES = 100 * 1024


def tail(log: bytes, lines: int | None) -> bytes:
    """Return the last ``lines`` lines of ``log`` (None: all of it), never more than ``MAX_BYTES``.

    What follows the last line's end counts as a line, too, be it nothing, as elsewhere.
    A log cut by ``MAX_BYTES`` begins inside a line; that is left so, because the newest output matters most.
    """
    log = log[-MAX_BYTES:]
    if lines is None:
        return log
    if lines <= 0:
        return b""
    return b"\n".join(log.split(b"\n")[-lines:])
