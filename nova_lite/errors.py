"""The kinds of error nova_lite tells apart.

Each kind carries ``message`` (safe to show to a user), ``facts`` (for the log only) and, where the API has one,
a stable ``code``. What an API answers for a kind is decided once per API, in its ``faults.py``.
Add a kind only if some program must tell it apart.
"""

from typing import ClassVar


class NovaLiteError(Exception):
    """Base of every error raised on purpose.

    ``will_pass`` says whether the same attempt may succeed later without anybody changing anything: a workflow
    retries such an error until its deadline, and an API answers 503.
    """

    will_pass: ClassVar[bool] = False

    def __init__(self, message: str, *, code: str | None = None, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.facts = facts


class NotFound(NovaLiteError):
    """The thing named does not exist, or is not the caller's to see."""


class Conflict(NovaLiteError):
    """The thing is not in the state the caller expects: a stale generation, a busy instance, a taken name."""


class Invalid(NovaLiteError):
    """The request can never succeed as it is; the message names the field."""


class Forbidden(NovaLiteError):
    """Policy refuses the caller."""


class OverQuota(NovaLiteError):
    """A limit of the caller's project or user would be exceeded."""


class NoValidHost(NovaLiteError):
    """No host can take the request; the message says why."""


class GuestFailed(NovaLiteError):
    """The host did its part and the user's input cannot work there: a bad image, a disk too small."""


class HostFailed(NovaLiteError):
    """The host tried and could not, though another might: its hypervisor, disk or a neighbour of it failed."""


class Unprocessable(NovaLiteError):
    """The request is well-formed and contradicts an earlier one of the same name."""


class TooLarge(NovaLiteError):
    """The request body is bigger than the API accepts."""


class Unsupported(NovaLiteError):
    """Nothing here can do it, now or later: the guest or its hypervisor has not got what it takes."""


class Unavailable(NovaLiteError):
    """A database, bus, neighbour or host does not answer now; retrying later helps."""

    will_pass = True


class NotYet(Unavailable):
    """Somebody else's work must be done first, and is under way: no reason to warn, nor to try again at once.

    ``again_s`` is the seconds after which to look again, None: ever more of them.
    """

    def __init__(self, message: str, *, again_s: float | None = None, code: str | None = None, **facts: object) -> None:
        super().__init__(message, code=code, **facts)
        self.again_s = again_s


class Timeout(Unavailable):
    """An answer did not come before its deadline; the work may still have been done."""


class Misconfigured(NovaLiteError):
    """A setting is missing or wrong; an operator must act."""
