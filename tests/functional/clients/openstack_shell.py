"""Run many ``openstack`` commands in one process: most of what a command takes is the start of Python.

A line on standard input is a command's words as a JSON list; a line on standard output is what became of it.
"""

import contextlib
import io
import json
import os
import sys


def main() -> None:
    """Serve commands until standard input ends."""
    from openstackclient import shell  # noqa: PLC0415 - its import may print

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code: object
            try:
                code = shell.main(json.loads(line))
            except SystemExit as exc:  # how its parser refuses words
                code = exc.code
        print(json.dumps([code, out.getvalue(), err.getvalue()]), file=answers, flush=True)


if __name__ == "__main__":
    main()
