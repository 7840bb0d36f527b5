"""Imports oslo.messaging, of which one needs to know what it brings along. Whoever needs it takes it from here."""

import os
import warnings

# It loads eventlet, whatever threads a process runs on. One that runs on eventlet's has loaded that before, all of it;
# the others need no resolver of eventlet's, which is half of what comes with it: 7 MB in each process.
os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
with warnings.catch_warnings():
    # That a library of a library is deprecated is nothing operators of commands can mend.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    import oslo_messaging

__all__ = ["oslo_messaging"]
