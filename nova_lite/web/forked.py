"""Loading what processes go on sharing that are forked from the one that has loaded it."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Load an application, all of which is here to stay, before a server forks.

    While it is loaded the garbage collector rests: a tenth of the time went into looks at what is mostly here to stay.
    Then it looks once, and at what was loaded never again, nor does it write into its pages.
    """
    gc.disable()
    try:
        yield
        from sqlalchemy import orm  # noqa: PLC0415 - a good part of what is loaded

        # It would be left to the first statement of each process.
        orm.configure_mappers()
        gc.collect()  # what is rubbish by now would stay, too
        gc.freeze()
    finally:
        gc.enable()
