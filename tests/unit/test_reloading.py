"""A configuration is read again: what may change does, what may not waits, what is wrong changes nothing."""

import ast
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import config, reloading
from nova_lite.changeable_options import CHANGEABLE
from tests.changing import Changing

_CODE = Path(config.__file__).parent
#: What an API reads is loaded anew with its workers; the rest reads for one command and ends.
_NO_DAEMONS = ("api", "metadata", "placement", "cmd")


def test_what_may_change_does_and_the_rest_is_said_to_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    changing = Changing(tmp_path, "[DEFAULT]\noperation_timeout = 5\n[conductor]\nthreads = 3\n")
    conf = changing.conf
    assert (conf.operation_timeout, conf.conductor.threads) == (5, 3)
    with caplog.at_level("INFO"):
        changing.become("[DEFAULT]\noperation_timeout = 7\n[conductor]\nthreads = 4\n[service]\nexecutor = eventlet\n")
    assert (conf.operation_timeout, conf.conductor.threads, conf.service.executor) == (7, 3, "threading")
    assert "changed and wait for a restart: [conductor] threads, [service] executor" in caplog.text
    assert "The configuration was read again" in caplog.text
    changing.become("")
    assert conf.operation_timeout == 600


@pytest.mark.parametrize(
    "wrong",
    ["[broken", "[DEFAULT]\noperation_timeout = soon", "[DEFAULT]\noperation_timeout = 0", "[conductor]\nlease = x"],
    ids=["no file of options", "no number", "too small", "one that may not change"],
)
def test_what_is_wrong_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: str) -> None:
    changing = Changing(tmp_path, "[DEFAULT]\noperation_timeout = 5\n")
    changing.file.write_text(f"[service]\ngraceful_shutdown_timeout = 9\n{wrong}\n")
    changing.reload()
    assert "All options stay as they are" in caplog.text
    assert (changing.conf.operation_timeout, changing.conf.service.graceful_shutdown_timeout) == (5, 60)


def test_a_file_that_went_away_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    changing = Changing(tmp_path, "[DEFAULT]\noperation_timeout = 5\n")
    changing.file.unlink()
    changing.reload()
    assert "All options stay as they are" in caplog.text
    assert changing.conf.operation_timeout == 5


def test_what_others_asked_for_meanwhile_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changing = Changing(tmp_path, "[DEFAULT]\noperation_timeout = 5\n")
    mutate = changing.conf.mutate_config_files

    def slowly() -> object:
        read = changing.conf._reload_config_files

        def while_others_ask() -> object:
            assert changing.conf.operation_timeout == 5
            return read()

        monkeypatch.setattr(changing.conf, "_reload_config_files", while_others_ask)
        return mutate()

    monkeypatch.setattr(changing.conf, "mutate_config_files", slowly)
    changing.become("[DEFAULT]\noperation_timeout = 7\n")
    assert changing.conf.operation_timeout == 7


def test_the_time_for_stopping_is_found_where_it_is_elsewhere(tmp_path: Path) -> None:
    changing = Changing(tmp_path, "[DEFAULT]\ngraceful_shutdown_timeout = 0\n")
    assert changing.conf.service.graceful_shutdown_timeout == 0


def test_a_ticker_follows_its_interval(tmp_path: Path) -> None:
    changing = Changing(tmp_path, "[DEFAULT]\nupdate_resources_interval = 3600\n")
    ticked = threading.Semaphore(0)
    made = reloading.ticker(
        changing.conf, lambda: changing.conf.update_resources_interval, ticked.release, "looks", at_once=True
    )
    made.start()
    assert ticked.acquire(timeout=480)
    assert not ticked.acquire(timeout=0.05)
    changing.become("[DEFAULT]\nupdate_resources_interval = 0.1\n")
    for _ in range(3):
        assert ticked.acquire(timeout=480)
    changing.become("[DEFAULT]\nupdate_resources_interval = 3600\n")
    while ticked.acquire(timeout=0.3):
        pass
    made.stop()


def test_every_option_that_may_change_is_marked_so() -> None:
    marked = {
        (group, option.name)
        for group, options in config.list_opts()
        for option in options
        if option.mutable and group in CHANGEABLE
    }
    assert marked == {(group, name) for group, names in CHANGEABLE.items() for name in names}


def _kept(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and option of each reading of the configuration, by what makes an object, that is not put off."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name.lstrip("_").startswith(("init", "make", "build_")):
            yield from _readings(function)


def _readings(within: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.iter_child_nodes(within):
        if isinstance(node, ast.Lambda | ast.FunctionDef):
            continue
        if isinstance(node, ast.Attribute) and "conf" in ast.unparse(node.value):
            group = ast.unparse(node.value).rpartition("conf.")[2] if "conf." in ast.unparse(node.value) else "DEFAULT"
            yield node.lineno, f"{group}.{node.attr}"
        yield from _readings(node)


def test_no_daemon_keeps_the_value_of_an_option_that_may_change() -> None:
    options = {f"{group}.{name}" for group, names in CHANGEABLE.items() for name in names}
    kept = []
    for path in sorted(_CODE.rglob("*.py")):
        if path.relative_to(_CODE).parts[0] in _NO_DAEMONS:
            continue
        found = _kept(ast.parse(path.read_text()))
        kept += [f"{path.relative_to(_CODE)}:{line} {name}" for line, name in found if name in options]
    assert kept == []


def test_what_is_kept_would_be_seen() -> None:
    kept = "self.a = conf.report_interval", "self.b = self._conf.conductor.scan_interval"
    put_off = "self.c = lambda: conf.service_down_time"
    found = set(_kept(ast.parse("\n ".join(["def __init__(self, conf):", *kept, put_off]))))
    assert {(2, "DEFAULT.report_interval"), (3, "conductor.scan_interval")} <= found
    assert not any("service_down_time" in name for _, name in found)
