"""``stestr last --subunit | python tempest_outcomes.py``: one JSON object a test, with its name, status and reason.

Runs in Tempest's environment; nova_lite is not there.
"""

import json
import re
import sys
from typing import Any

from subunit import ByteStreamToStreamResult
from testtools import StreamToDict

_STATUSES = {"success": "pass", "skip": "skip"}


def main() -> None:
    """Read a stream to its end; a test that began and never ended has failed."""
    rows: dict[str, dict[str, str]] = {}

    def ended(test: dict[str, Any]) -> None:
        if test["status"] == "exists":
            return
        status = _STATUSES.get(test["status"], "fail")
        details = {name: content.as_text() for name, content in test["details"].items()}
        reason = details.get("reason", "") if status == "skip" else _last_line(details)
        # What follows a bracket are attributes; a class that ends before its tests begin stands for them.
        name = re.sub(r"^setUpClass \((.*)\)$", r"\1", re.sub(r"\[.*", "", test["id"]))
        if rows.get(name, {}).get("status") != "fail":
            rows[name] = {"name": name, "status": status, "reason": " ".join(reason.split())[:400]}

    result = StreamToDict(ended)
    result.startTestRun()
    ByteStreamToStreamResult(sys.stdin.buffer, non_subunit_name="stdout").run(result)
    result.stopTestRun()
    for name in sorted(rows):
        print(json.dumps(rows[name]))  # noqa: T201 - others read it


def _last_line(details: dict[str, str]) -> str:
    """Return the exception, which a traceback ends with, and what it says."""
    traceback = next((text for name, text in details.items() if name.startswith("traceback")), "")
    lines = [line for line in traceback.splitlines() if line.strip()]
    raised = [number for number, line in enumerate(lines) if re.match(r"\s*[\w.]+(: |$)", line)]
    return " ".join(lines[raised[-1] :] if raised else lines[-1:])


main()
