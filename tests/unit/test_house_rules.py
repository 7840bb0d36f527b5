"""Rules of the house that no linter knows. Each failure names the file and what to do."""

import ast
import functools
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from nova_lite import config
from nova_lite.api import app as compute_api
from nova_lite.api.handlers import versions
from nova_lite.api.policies import registry
from nova_lite.cells.registry import Cells
from nova_lite.clients.images import Images
from nova_lite.compute.server import ComputeEndpoint
from nova_lite.conductor.saga import Definition, Step
from nova_lite.conductor.server import CellEndpoint
from nova_lite.conductor.service import CELL_WORKFLOWS, SUPER_WORKFLOWS
from nova_lite.conductor.spanning.server import SuperEndpoint
from nova_lite.model import roads
from nova_lite.model.states import TaskState, VmState
from nova_lite.placement import app as placement_api
from nova_lite.placement import policies as placement_policies
from nova_lite.placement.handlers.root import Root
from nova_lite.placement.reader import Reader
from nova_lite.rpc.bus import Bus
from nova_lite.scheduler.server import SchedulerEndpoint
from nova_lite.storage import Database
from nova_lite.web.endpoint import declared_endpoint
from nova_lite.web.policy import BASE_RULES

TREE = Path(__file__).resolve().parents[2]
PACKAGE = TREE / "nova_lite"
_REST = ("nova_lite/api/", "nova_lite/metadata/", "nova_lite/placement/", "nova_lite/web/")
MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = 80
#: What a message's client passes to the bus about how to send it, not to the server.
SENDING = {"server", "long_s"}
#: Configuration of what is above a cell: its services read none of it.
ABOVE_A_CELL = {"api", "api_database", "cells", "placement_database", "quota", "scheduler"}


def modules(folder: Path = PACKAGE) -> list[Path]:
    """Return our modules; the histories are not ours to measure."""
    return sorted(path for path in folder.rglob("*.py") if PACKAGE / "migrations" not in path.parents)


def name_of(path: Path) -> str:
    return path.relative_to(TREE).as_posix()


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imported(tree: ast.AST) -> set[str]:
    """Return the top-level packages a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


# -- layout -----------------------------------------------------------------------------------------------------------


def test_init_files_are_empty() -> None:
    folders = (TREE / "nova_lite", TREE / "migrations", TREE / "tests")
    files = [path for folder in folders for path in folder.rglob("__init__.py")]
    full = [name_of(path) for path in files if path.read_text().strip()]
    assert full == []


def test_every_package_has_its_init_file() -> None:
    missing = {name_of(path.parent) for path in modules() if not (path.parent / "__init__.py").exists()}
    assert missing == set()


def test_no_module_is_called_utils() -> None:
    words = {"utils", "util", "helpers", "common", "misc"}
    assert [name_of(path) for path in modules() if path.stem in words] == []


def test_modules_and_functions_are_short() -> None:
    ours = [*modules(), *modules(TREE / "tests")]
    long = [f"{name_of(path)}: {lines} lines" for path in ours
            if (lines := len(path.read_text().splitlines())) > MAX_MODULE_LINES]  # fmt: skip
    long += [
        f"{name_of(path)}:{function.lineno} {function.name}: {lines} lines"
        for path in ours
        for function in functions(tree_of(path))
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_every_module_says_what_it_holds() -> None:
    silent = [name_of(path) for path in modules() if path.stem != "__init__" and not ast.get_docstring(tree_of(path))]
    assert silent == []


# -- imports ----------------------------------------------------------------------------------------------------------


def test_imports_keep_their_contracts() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    done = subprocess.run([*command, "--no-cache"], cwd=TREE, capture_output=True, text=True, timeout=480, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("package", "home"),
    [
        pytest.param("eventlet", "nova_lite/concurrency.py", id="eventlet"),
        pytest.param("libvirt", "nova_lite/compute/virt/libvirt/", id="libvirt"),
        pytest.param("falcon", _REST, id="falcon"),
    ],
)
def test_a_library_is_known_in_its_home_only(package: str, home: str | tuple[str, ...]) -> None:
    users = {name_of(path) for path in modules() if package in imported(tree_of(path))}
    at_home = {user for user in users if user.startswith(home)}
    exempt = {user for user in users if user.startswith(("nova_lite/embedded/", "nova_lite/testing/"))}
    assert at_home
    assert users - at_home == (exempt if package == "falcon" else set())


def below_the_api() -> list[Path]:
    """Return the modules that agents and cell conductors are made of.

    The conductor is one program: its service looks which role it has, its super role is above the cells.
    """
    conductor = PACKAGE / "conductor"
    super_role = {conductor / "service.py", *modules(conductor / "spanning")}
    return [path for path in modules(PACKAGE / "compute") + modules(conductor) if path not in super_role]


def test_a_cells_services_read_no_settings_of_what_is_above() -> None:
    read = {
        f"{name_of(path)}:{node.lineno} {node.attr}"
        for path in [*below_the_api(), *modules(PACKAGE / "rpc")]
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute)
        and node.attr in ABOVE_A_CELL
        and isinstance(node.value, ast.Name | ast.Attribute)
        and (node.value.id if isinstance(node.value, ast.Name) else node.value.attr).lstrip("_") == "conf"
    }
    assert read == set()


def imported_modules() -> dict[str, set[str]]:
    """Return module of ours → the modules of ours that it imports."""
    named = {name_of(path).removesuffix(".py").replace("/", "."): tree_of(path) for path in modules()}
    found: dict[str, set[str]] = {}
    for name, tree in named.items():
        wanted: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                wanted |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        found[name] = wanted & named.keys()
    return found


def reached(start: str, imports: dict[str, set[str]]) -> set[str]:
    """Return every module that ``start`` imports, and those import, and so on."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        waiting += imports[name] - seen
        seen |= imports[name]
    return seen


def test_a_cells_services_know_nothing_that_leads_up() -> None:
    """No tables of the API database, no other cells, no scheduler: not even by way of what they import."""
    leads_up = {"nova_lite.db.api_tables", "nova_lite.rpc.scheduler", "nova_lite.cells.registry"}
    imports = imported_modules()
    super_role = "nova_lite.conductor.spanning.schedule"
    assert reached(super_role, imports) >= leads_up, "who may look up is seen to do so"
    names = [name_of(path).removesuffix(".py").replace("/", ".") for path in below_the_api()]
    assert {name: reached(name, imports) & leads_up for name in names if reached(name, imports) & leads_up} == {}


# -- states -----------------------------------------------------------------------------------------------------------


def _states_in_words(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield literal texts that are assigned to, or compared with, something called ``vm_state`` or ``task_state``."""
    names = {"vm_state", "task_state"}
    for node in ast.walk(tree):
        pairs: list[tuple[object, ast.expr]] = []
        if isinstance(node, ast.keyword):
            pairs = [(node.arg, node.value)]
        elif isinstance(node, ast.Dict):
            pairs = [(key.value, value) for key, value in zip(node.keys, node.values, strict=True)
                     if isinstance(key, ast.Constant)]  # fmt: skip
        elif isinstance(node, ast.Assign):
            pairs = [(getattr(target, "attr", getattr(target, "id", "")), node.value) for target in node.targets]
        elif isinstance(node, ast.Compare):
            pairs = [(getattr(node.left, "attr", getattr(node.left, "id", "")), value) for value in node.comparators]
        for name, value in pairs:
            if name in names and isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value


def test_states_are_named_by_their_table_only() -> None:
    spelled = [
        f"{name_of(path)}:{found.lineno} {ast.unparse(found)}"
        for path in modules()
        if path != PACKAGE / "model" / "states.py"
        for found in _states_in_words(tree_of(path))
    ]
    assert spelled == []


def test_the_check_of_states_sees_them() -> None:
    code = "change(vm_state='active'); x = {'task_state': 'spawning'}; row.vm_state = 'error'; row.task_state == 'y'"
    assert len(list(_states_in_words(ast.parse(code)))) == 4


#: Where names of what is told are, of which some are those of states, too.
_TOLD = {
    PACKAGE / "conductor" / "notices.py",
    PACKAGE / "model" / "legacy_notifications.py",
    PACKAGE / "model" / "notifications.py",
}


def test_words_that_are_states_and_nothing_else_stay_in_their_table() -> None:
    words = {str(state) for kind in (VmState, TaskState) for state in kind if "-" in state or "_" in state}
    found = [
        f"{name_of(path)}:{node.lineno} {node.value}"
        for path in modules()
        if path != PACKAGE / "model" / "states.py" and path not in _TOLD
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and node.value in words
    ]
    assert found == []


# -- messages ---------------------------------------------------------------------------------------------------------

ENDPOINTS: dict[str, tuple[type, ...]] = {
    "compute": (ComputeEndpoint,),
    "conductor": (CellEndpoint, SuperEndpoint),
    "scheduler": (SchedulerEndpoint,),
}


def _messages(topic: str) -> dict[str, set[str]]:
    """Return message → the payload that ``rpc/<topic>.py``, and what is beside it by nouns, sends with it."""
    found: dict[str, set[str]] = {}
    paths = [path for path in modules(PACKAGE / "rpc") if path.stem.partition("_")[0] == topic]
    for node in (node for path in paths for node in ast.walk(tree_of(path))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr in ("call", "cast", "nudge") and len(node.args) == 2:
            method = node.args[1]
            assert isinstance(method, ast.Constant), "name the message where it is sent"
            found[str(method.value)] = {str(keyword.arg) for keyword in node.keywords} - SENDING
    return found


def _public(endpoint: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(method)
        for name, method in inspect.getmembers(endpoint, inspect.isfunction)
        if not name.startswith("_")
    }


def test_every_topic_has_its_endpoints() -> None:
    modules_of_topics = (path for path in modules(PACKAGE / "rpc") if "\nTOPIC = " in path.read_text())
    topics = {path.stem.partition("_")[0] for path in modules_of_topics}
    assert topics == set(ENDPOINTS)


@pytest.mark.parametrize("topic", list(ENDPOINTS))
def test_every_message_is_understood(topic: str) -> None:
    """Every message of a client has a method of that name with those parameters, and no method waits for nothing."""
    messages = _messages(topic)
    heard: set[str] = set()
    for endpoint in ENDPOINTS[topic]:
        for name, signature in _public(endpoint).items():
            parameters = set(list(signature.parameters)[1:])
            assert messages.get(name) == parameters, f"{endpoint.__name__}.{name}"
            heard.add(name)
    assert heard == set(messages)


# -- URLs -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def conf() -> cfg.ConfigOpts:
    return config.load(files=[])


def compute_routes(conf: cfg.ConfigOpts) -> dict[str, object]:
    """Return the table that the application is built from."""
    table: list[tuple[str, object]] = []
    routes = compute_api.routes

    def overheard(backing: compute_api.Backing) -> list[tuple[str, object]]:
        table.extend(routes(backing))
        return table

    database = Database("sqlite:////nowhere/at/all.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compute_api, "routes", overheard)
        cells = Cells(conf, database)
        compute_api.build(conf, api_db=database, cells=cells, api_bus=Bus(conf), images=Images(conf))
    return dict(table)


def placement_routes(conf: cfg.ConfigOpts) -> dict[str, object]:
    database = Database("sqlite:////nowhere/at/all.db")
    table = placement_api.routes(database, Reader(database))
    return {url: handler for url, handler in table.items() if not isinstance(handler, Root)}


def responders(table: dict[str, object]) -> Iterator[tuple[str, Any]]:
    """Yield "GET /url" and what answers it."""
    for url, handler in table.items():
        for name, method in inspect.getmembers(handler, callable):
            if name.startswith("on_"):
                yield f"{name.removeprefix('on_').upper()} {url}", method


TABLES = pytest.mark.parametrize(
    ("table", "rules"),
    [
        pytest.param(compute_routes, registry.rules, id="compute"),
        pytest.param(placement_routes, lambda: placement_policies.RULES, id="placement"),
    ],
)


@TABLES
def test_every_route_declares_its_policy_and_schemas(table: Any, rules: Any, conf: cfg.ConfigOpts) -> None:
    registered = {rule.name for rule in (*BASE_RULES, *rules())}
    seen = 0
    for route, responder in responders(table(conf)):
        declared = declared_endpoint(responder)
        assert declared is not None, f"{route}: declare it with @endpoint(policy=…, query=…, body=…)"
        assert declared.policy, f"{route}: names no policy"
        assert set(declared.policy) <= registered, f"{route}: unknown rule"
        seen += 1
    assert seen > 5


@TABLES
def test_who_reads_a_body_has_a_schema_for_it(table: Any, rules: Any, conf: cfg.ConfigOpts) -> None:
    for route, responder in responders(table(conf)):
        declared = declared_endpoint(responder)
        source = inspect.getsource(inspect.unwrap(responder))
        for word in (".media", ".bounded_stream", ".stream.read"):
            assert f"req{word}" not in source, f"{route}: the body is read by its endpoint"
        if "context.body" in source:
            assert declared is not None, route
            assert declared.body is not None, f"{route}: reads a body without a schema"


def _constants(folder: Path) -> dict[str, str]:
    """Return text → the name it has as a module's constant, of all modules below ``folder``."""
    return {
        node.value.value: target.id
        for path in modules(folder)
        for node in tree_of(path).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


@TABLES
def test_every_rule_is_asked_by_somebody(table: Any, rules: Any, conf: cfg.ConfigOpts) -> None:
    """A rule that nobody asks promises an operator a say that they do not have."""
    asked = {
        name
        for _, responder in responders(table(conf))
        if (endpoint := declared_endpoint(responder)) is not None
        for name in endpoint.policy
    }
    folder = PACKAGE / ("placement" if table is placement_routes else "api")
    named = _constants(folder / "policies")
    words = {
        getattr(node, "attr", getattr(node, "id", getattr(node, "value", None)))
        for path in modules(folder)
        if "policies" not in name_of(path)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute | ast.Name | ast.Constant)
    }
    asked |= {rule.name for rule in rules() if words & {rule.name, named.get(rule.name, rule.name)}}
    assert sorted({rule.name for rule in rules()} - asked) == []


@pytest.mark.parametrize(
    ("table", "stories"),
    [
        pytest.param(compute_routes, "compute_api", id="compute"),
        pytest.param(placement_routes, "placement_api", id="placement"),
    ],
)
def test_every_noun_has_its_story(table: Any, stories: str, conf: cfg.ConfigOpts) -> None:
    nouns = {type(handler).__module__.rsplit(".", 1)[1] for handler in table(conf).values()}
    nouns.add(versions.__name__.rsplit(".", 1)[1] if table is compute_routes else "root")
    told = {path.stem.removeprefix("test_") for path in (TREE / "tests" / "functional" / stories).glob("test_*.py")}
    assert sorted(nouns - told) == []


@pytest.mark.parametrize(
    ("definitions", "table"),
    [pytest.param(SUPER_WORKFLOWS, roads.ABOVE, id="above"), pytest.param(CELL_WORKFLOWS, roads.IN_CELL, id="cell")],
)
def test_roads_are_those_the_conductor_goes(
    definitions: dict[str, Definition[Any]], table: dict[str, roads.Road]
) -> None:
    gone: dict[str, roads.Road] = {}
    for kind, definition in definitions.items():
        steps = [(step, step.detour if isinstance(step, Step) else None) for step in definition.steps]
        road: list[str | tuple[str, ...] | roads.InCell] = []
        for step, detour in steps:
            road.append(step.name)
            if detour is not None:
                road.append(tuple(aside.name for aside in detour.steps))
        gone[kind] = tuple(road)
        assert [stop.step.name for stop in definition.road] == [name for name, _ in roads.stops(gone[kind])]
    told = {kind: tuple(each for each in road if not isinstance(each, roads.InCell)) for kind, road in table.items()}
    assert told == gone, "put the steps of your workflow into nova_lite/model/roads.py"
