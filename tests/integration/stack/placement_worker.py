"""What uWSGI loads in tests of several workers: our Placement, each answer naming the process that gave it."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from nova_lite.placement.wsgi import application as _placement


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer as Placement does."""

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        return start_response(status, [*headers, ("X-Worker", str(os.getpid()))], *exc_info)

    answer: Iterable[bytes] = _placement(environ, start)
    return answer
