"""Stories of both APIs, told to servers with several processes and threads.

CI tells some; ``NOVA_LITE_STORIES=all`` tells all that can be told, which takes many minutes for each server.
"""

import os
import re
import subprocess
import sys

import pytest

from tests.functional import suite
from tests.integration.conftest import started
from tests.integration.stack.services import REPOSITORY
from tests.integration.stack.site import environment, tool

#: Modules of stories that CI tells under each server: the nouns clients use most, and what is sent to break it.
COMPUTE = (
    "test_bombs", "test_cors", "test_flavors", "test_keypairs", "test_monitoring", "test_proxies", "test_quota_sets",
    "test_server_metadata", "test_server_tags", "test_servers", "test_tokens", "test_versions",
)  # fmt: skip
PLACEMENT = (
    "test_allocation_candidates", "test_allocations", "test_inventories", "test_resource_providers", "test_root",
    "test_traits",
)  # fmt: skip
_IS_ALL = os.environ.get("NOVA_LITE_STORIES") == "all"


@pytest.mark.parametrize(
    ("server", "folder", "modules", "least"),
    [
        ("uwsgi-prefork", "compute_api", COMPUTE, 150),
        ("mod_wsgi", "compute_api", COMPUTE, 150),
        ("uwsgi", "placement_api", PLACEMENT, 100),
        ("mod_wsgi", "placement_api", PLACEMENT, 100),
        *([("uwsgi", "compute_api", (), 1000), ("uwsgi-prefork", "placement_api", (), 150)] if _IS_ALL else []),
    ],
)
def test_the_stories_hold_under(server: str, folder: str, modules: tuple[str, ...], least: int) -> None:
    if server == "mod_wsgi":
        started(lambda: tool("apache2", package="apache2"))
        if not (suite.MODULES / "mod_wsgi.so").exists():
            started(lambda: tool("mod_wsgi.so", package="libapache2-mod-wsgi-py3", folders=[str(suite.MODULES)]))
    told = f"tests/functional/{folder}"
    stories = [told] if _IS_ALL else [f"{told}/{name}.py" for name in modules]
    options = ("-p", "no:cacheprovider", "-p", "no:xdist", "-q", "--timeout", "300")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *stories],
        cwd=REPOSITORY,
        env=environment(NOVA_LITE_SUITE=server, PYTHONPATH=str(REPOSITORY)),
        capture_output=True,
        text=True,
        timeout=3600 if _IS_ALL else 900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    # Nothing is told in process without a word.
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > least, done.stdout[-500:]
