"""Memory that processes forked from one that has loaded an application go on sharing."""

import gc

from sqlalchemy import orm


def keep_loaded() -> None:
    """Take all there is now for here to stay: the garbage collector looks at it no more, nor writes into its pages.

    To be called once an application is loaded, and before a server forks.
    """
    # SQLAlchemy would leave it to the first statement of each process.
    orm.configure_mappers()
    gc.collect()
    gc.freeze()
