"""The lists of stories that cannot be told to a server: each names what is there, and says why."""

import re
from pathlib import Path

import pytest

from tests.functional import suite

_FOLDERS = Path(suite.__file__).parent


@pytest.mark.parametrize("server", suite.SERVERS[1:])
@pytest.mark.parametrize("folder", suite.KINDS)
def test_what_is_told_in_process_is_there(folder: str, server: str) -> None:
    found = suite.reaching_in(_FOLDERS / folder, server)
    assert found
    for name in found:
        module, *parts = name.split("::")
        text = (_FOLDERS / folder / module).read_text()
        for part in parts:
            assert re.search(rf"^ *(def|class) {part}\b", text, re.MULTILINE), name


def test_a_reason_may_be_of_one_server(tmp_path: Path) -> None:
    (tmp_path / "in_process.txt").write_text(
        "# why\ntest_a.py it looks inside\ntest_b.py::test_c mod_wsgi: it drops it\n"
    )
    assert suite.reaching_in(tmp_path, "uwsgi") == {"test_a.py": "it looks inside"}
    assert suite.reaching_in(tmp_path, "mod_wsgi").keys() == {"test_a.py", "test_b.py::test_c"}
