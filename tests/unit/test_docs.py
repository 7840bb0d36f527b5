"""The directives of the documentation: each renders, and lists all that the code knows."""

import ast
import configparser
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import directives as known_directives

from docs._ext import commands, modules, options, routes, sequence, states, whole_api, whole_policy, workflows
from docs._ext.directives import DIRECTIVES
from nova_lite import config
from nova_lite.api.handlers import server_actions
from nova_lite.api.microversions import NEGOTIATION
from nova_lite.model.states import ACTIONS, VmState
from nova_lite.placement.microversions import MICROVERSIONS

TREE = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _registered() -> None:
    for name, directive in DIRECTIVES.items():
        known_directives.register_directive(name, directive)


def rendered(source: str) -> nodes.document:
    """Return a page with ``source`` on it; fails on anything docutils minds."""
    document = publish_doctree(source, settings_overrides={"report_level": 2, "halt_level": 2})
    assert document.children, source
    return document


@functools.cache
def shown(source: str) -> str:
    return rendered(source).astext()


def used() -> Iterator[tuple[str, str]]:
    """Yield page and line of every use of our directives in the documentation."""
    for page in sorted((TREE / "docs").glob("*.rst")):
        for line in page.read_text().splitlines():
            name = line.removeprefix(".. ").partition("::")[0]
            if line.startswith(".. ") and name in DIRECTIVES and name != "sequence":
                yield page.name, line


@pytest.mark.parametrize("line", sorted({line for _, line in used()}))
def test_every_use_on_a_page_renders(line: str) -> None:
    assert len(shown(line)) + len(list(rendered(line).findall(nodes.raw))) > 0


def test_every_directive_is_used() -> None:
    names = {line.removeprefix(".. ").partition("::")[0] for _, line in used()}
    assert names == set(DIRECTIVES) - {"sequence"}


def test_a_wrong_argument_is_told() -> None:
    with pytest.raises(Exception, match="no-such-api"):
        rendered(".. routes:: no-such-api")


# -- options ----------------------------------------------------------------------------------------------------------


def test_every_option_is_listed_with_its_group() -> None:
    listed = {(group, option.name) for group, found in options.groups().items() for option in found}
    for group, opts in config.list_opts():
        for opt in opts:
            assert {(f"[{group}]", opt.dest), (options.SHARED, opt.dest)} & listed, f"[{group}] {opt.dest}"
    text = shown(".. options::")
    for group, found in options.groups().items():
        assert group in text
        assert all(option.name in text for option in found)


def test_options_say_unit_and_default() -> None:
    [lease] = [option for option in options.groups()["[conductor]"] if option.name == "lease"]
    assert (lease.unit, lease.default) == ("seconds", "15.0")
    [executor] = [option for option in options.groups()["[service]"] if option.name == "executor"]
    assert executor.unit == "one of threading, eventlet"


def test_no_default_is_of_the_machine_that_builds_the_pages() -> None:
    [host] = [option for option in options.groups()["[DEFAULT]"] if option.name == "host"]
    assert host.default == "<name of this machine>"
    assert str(Path.home()) not in "\n".join(commands.lines("cloud"))


def _attributes(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (of what, which) of every attribute read in a module; of plain names without their underscores."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute | ast.Name):
            of = node.value.attr if isinstance(node.value, ast.Attribute) else node.value.id
            yield of.lstrip("_"), node.attr


def test_options_said_to_be_unread_are_unread() -> None:
    package = TREE / "nova_lite"
    modules = [path for path in package.rglob("*.py") if package / "migrations" not in path.parents]
    read = {pair for path in modules for pair in _attributes(path)}
    assert ("conf", "report_interval") in read
    assert ("conductor", "lease") in read
    declared = {(group, opt.dest) for group, opts in config.list_opts() for opt in opts}
    for group, name in options.NOT_READ_YET:
        assert (group, name) in declared
        assert ("conf" if group == "DEFAULT" else group, name) not in read, "it is read now: say so"


# -- commands ---------------------------------------------------------------------------------------------------------


def test_every_command_is_listed_with_its_codes() -> None:
    words = {command.words for command in commands.manage_commands()}
    categories = {"api_db sync", "api_db version", "db sync", "db version", "placement_db sync", "placement_db version"}
    categories |= {"db archive_deleted_rows", "db purge", "db online_data_migrations"}
    categories |= {"placement_db online_data_migrations", "placement audit", "placement heal_allocations"}
    cells = {"map_cell0", "create_cell", "list_cells", "simple_cell_setup", "discover_hosts", "list_hosts"}
    cells |= {"update_cell", "delete_cell", "delete_host", "map_cell_and_hosts", "map_instances", "verify_instance"}
    expected = {f"nova-lite-manage {each}" for each in categories | {f"cell_v2 {cell}" for cell in cells}}
    assert words >= expected
    for name, found in (
        ("manage", commands.manage_commands()),
        ("status", commands.status_commands()),
        ("cloud", commands.cloud_commands()),
        ("daemons", commands.daemons()),
    ):
        text = shown(f".. commands:: {name}")
        for command in found:
            assert command.about, command.words
            assert "0" in command.exit_codes, command.words
            assert command.words in text
            assert all(typed in text for typed in command.arguments)


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        pytest.param("nova-lite-manage cell_v2 create_cell", {"0", "1", "2", "127"}, id="own codes"),
        pytest.param("nova-lite-manage api_db sync", {"0", "1", "2"}, id="usual codes"),
        pytest.param("nova-lite-manage placement audit", {"0", "1", "3", "4", "5", "127"}, id="codes of three digits"),
        pytest.param("nova-lite-manage db archive_deleted_rows", {"0", "1", "2", "3", "4", "127", "255"}, id="archive"),
        pytest.param("nova-lite-status upgrade check", {"0", "1", "2", "127", "255"}, id="status"),
        pytest.param("nova-lite up", {"0", "1", "2", "3", "4", "5", "6"}, id="up"),
        pytest.param("nova-lite-compute", {"0", "1", "2"}, id="daemon"),
    ],
)
def test_exit_codes_are_read_from_where_they_are_told(words: str, codes: set[str]) -> None:
    found = [*commands.manage_commands(), *commands.status_commands(), *commands.cloud_commands(), *commands.daemons()]
    [command] = [each for each in found if each.words == words]
    assert set(command.exit_codes) == codes


def test_a_description_is_shown_in_paragraphs_and_its_example_as_code() -> None:
    written = commands.lines("manage")
    start = written.index(".. rubric:: nova-lite-manage placement audit")
    section = written[start : written.index(".. rubric:: nova-lite-manage placement heal_allocations", start)]
    assert section[section.index("Example::") + 2] == "    nova-lite-manage placement audit --delete --repair"
    assert sum(line.startswith("Looks for ") for line in section) == 2


def test_every_program_of_the_package_is_listed() -> None:
    found = [*commands.manage_commands(), *commands.status_commands(), *commands.cloud_commands(), *commands.daemons()]
    scripts = {
        line.partition(" = ")[0].strip()
        for line in (TREE / "setup.cfg").read_text().splitlines()
        if " = nova_lite.cmd." in line and ":main" in line
    }
    assert scripts == {command.words.partition(" ")[0] for command in found}


# -- URLs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "found", "some"),
    [
        pytest.param("compute", routes.compute_routes, ("POST", "/servers", "2.1", "2.104"), id="compute"),
        pytest.param(
            "placement", routes.placement_routes, ("GET", "/allocation_candidates", "1.10", "1.39"), id="placement"
        ),
    ],
)
def test_every_url_is_listed(api: str, found: object, some: tuple[str, str, str, str]) -> None:
    assert callable(found)
    listed = found()
    assert some in {(route.method, route.path, str(route.since), str(route.until)) for route in listed}
    text = shown(f".. routes:: {api}")
    for route in listed:
        assert f"{route.method} {route.path}" in text
        assert all(rule in text for rule in route.rules)


def test_urls_that_ended_say_when() -> None:
    [statistics] = [route for route in routes.compute_routes() if route.path == "/os-hypervisors/statistics"]
    assert (str(statistics.since), str(statistics.until)) == ("2.1", "2.87")


def test_every_version_of_placement_is_listed_with_what_it_brought() -> None:
    page = shown(".. microversions:: placement")
    for version, what in MICROVERSIONS.items():
        assert f"{version}\n\n{what}" in page


def test_every_error_code_of_placement_is_listed() -> None:
    code = re.compile(r"placement(?:\.[a-z_]+){1,2}")
    raised = {
        node.value
        for file in (TREE / "nova_lite" / "placement").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and code.fullmatch(node.value)
    }
    page = (TREE / "docs" / "placement.rst").read_text()
    assert set(re.findall(rf"^   \* - ``({code.pattern})``$", page, re.MULTILINE)) == raised


def test_every_server_action_is_listed() -> None:
    text = shown(".. server-actions::")
    assert all(name in text for name in server_actions.ACTIONS)


def test_every_rule_is_as_elsewhere_or_explained() -> None:
    here, known, text = whole_policy.here(), whole_policy.known(), shown(".. whole-policy::")
    for name, check in known.items():
        if name in here:
            assert whole_policy.is_same(check, here[name].check_str), f"{name} has another default elsewhere"
            assert here[name].scope_types == (["project"] if ":" in name else None), name
        else:
            assert whole_policy.reason(name, whole_policy.WHY_NOT), f"{name} is not here: say why"
        assert name in text
    ours = here.keys() - known.keys()
    assert all(whole_policy.reason(name, whole_policy.OURS) for name in ours), ours
    used = {whole_policy.reason(name, whole_policy.WHY_NOT) for name in known.keys() - here.keys()}
    assert used == set(whole_policy.WHY_NOT)
    assert {whole_policy.reason(name, whole_policy.OURS) for name in ours} == set(whole_policy.OURS)


def test_of_the_whole_api_all_is_served_gone_or_explained() -> None:
    here, gone, text = whole_api.served(), whole_api.refused_as_gone(), shown(".. whole-api::")
    for each in whole_api.known():
        place = each.name.removesuffix(f" {each.action}")
        assert each.name in text
        if each.name in whole_api.OURS:
            continue
        assert (each.name in gone or place in gone) == each.is_gone, each.name
        if each.name in here:
            assert here[each.name] == (each.since, each.until), each.name
            assert whole_api.reason(each) is None, f"{each.name} works: take its excuse away"
        elif not each.is_gone:
            assert whole_api.reason(each) is not None, f"{each.name} is not served: say why"


def test_nothing_is_served_that_is_known_nowhere_but_what_is_ours() -> None:
    known = {each.name for each in whole_api.known()}
    documents = {"GET /", "GET /v2", "GET /v2.1", "GET /openapi.json"}
    ours = {"GET /servers/{}/operations", "GET /servers/{}/operations/{}", "GET /servers/{}/scheduling"}
    ours |= {"GET /servers/{}/deletion-protection", "PUT /servers/{}/deletion-protection"}
    assert set(whole_api.served()) - known == documents | ours
    places = {each.name.removesuffix(f" {each.action}") for each in whole_api.known() if each.is_gone}
    assert whole_api.refused_as_gone() - known <= places


def test_no_excuse_is_left_over() -> None:
    used = {whole_api.reason(each) for each in whole_api.known()} - {None}
    assert used == set(whole_api.WHY_NOT)


def _dated_in_the_api() -> set[str]:
    """Return the microversions at which the code does something else than before."""
    found: set[str] = set()
    for path in (TREE / "nova_lite" / "api").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        ends = [node.value for node in nodes if isinstance(node, ast.keyword) and node.arg == "until"]
        for node in nodes:
            if isinstance(node, ast.Constant) and re.fullmatch(r"2\.\d+", str(node.value)):
                minor = int(str(node.value).removeprefix("2.")) + (node in ends)
                found.add(f"2.{minor}")
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Version" and len(node.args) == 2:
                found.add(".".join(ast.unparse(number) for number in node.args))
    return found


def test_every_microversion_is_listed_and_what_works_is_in_the_code() -> None:
    changes, dated, text = whole_api.changes(), _dated_in_the_api(), shown(".. whole-versions::")
    span = NEGOTIATION
    assert [each.version.minor for each in changes] == list(range(span.minimum.minor, span.maximum.minor + 1))
    for each in changes:
        version = str(each.version)
        assert f"{version}\n\n" in text
        assert each.state in ("works", "always", "nothing", "missing"), version
        assert each.state != "works" or version in dated, f"{version}: the code makes no difference there"


# -- states and workflows ---------------------------------------------------------------------------------------------


def test_every_action_and_state_is_listed() -> None:
    assert all(name in shown(".. states:: table") for name in ACTIONS)
    statuses = shown(".. states:: statuses")
    assert all(str(state) in statuses for state in VmState)


@pytest.mark.parametrize(("picture", "failing"), [("success", False), ("failure", True)])
def test_the_picture_has_every_change_of_state(picture: str, failing: bool) -> None:
    [raw] = rendered(f".. states:: {picture}").findall(nodes.raw)
    drawn = raw.astext()
    edges = states.edges(failing=failing)
    assert all(", ".join(edge.actions) in drawn for edge in edges)
    changing = {name for name, rule in ACTIONS.items() if (rule.fails_in if failing else rule.ends_in) is not None}
    assert {name for edge in edges for name in edge.actions} == changing


def test_states_nothing_leads_to_are_not_drawn() -> None:
    assert VmState.DELETED in states.reachable()
    ends = {end for rule in ACTIONS.values() for end in (rule.ends_in, rule.fails_in) if end}
    assert set(states.reachable()) <= ends | {VmState.BUILDING}


@pytest.mark.parametrize(("role", "kind"), [(role, kind) for role, kinds in workflows.ROLES.items() for kind in kinds])
def test_every_step_is_listed(role: str, kind: str) -> None:
    text = shown(f".. workflow:: {role} {kind}")
    for step in (stop.step for stop in workflows.ROLES[role][kind].road):
        assert step.name in text
    assert kind in shown(".. workflow-kinds::")


# -- the house --------------------------------------------------------------------------------------------------------


def test_every_module_is_listed_with_what_it_says() -> None:
    found = modules.packages()
    assert "nova_lite/model" in found
    assert found["nova_lite/model"]["states.py"].startswith("Every state a server can be in")
    silent = [f"{folder}/{name}" for folder, held in found.items() for name, about in held.items() if not about]
    assert silent == []


def test_the_map_has_every_package() -> None:
    house = (TREE / "docs" / "map.rst").read_text()
    package = TREE / "nova_lite"
    names = {path.name for path in package.iterdir() if (path / "__init__.py").exists()} - {"migrations"}
    names |= {path.name for path in package.glob("*.py")} - {"__init__.py"}
    missing = [name for name in names if f" {name if name.endswith('.py') else name + '/'}" not in house]
    assert missing == []


def test_the_map_shows_the_layers_that_are_checked() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(TREE / "setup.cfg")
    checked = contracts["importlinter:contract:down"]["layers"].split("\n")[1:]
    shown_there = (TREE / "docs" / "map.rst").read_text().partition("contracts in ``setup.cfg``::\n\n")[2]
    assert [line.strip() for line in shown_there.partition("\n\n")[0].strip().splitlines()] == checked


def test_the_readme_names_every_program_and_extra() -> None:
    package = configparser.ConfigParser()
    package.read(TREE / "setup.cfg")
    programs = package["options.entry_points"]["console_scripts"].split("\n")[1:]
    readme = (TREE / "README.rst").read_text()
    wanted = [*(line.partition(" = ")[0] for line in programs), *package["options.extras_require"]]
    assert [name for name in wanted if f"``{name}``" not in readme] == []


# -- drawings of who says what ----------------------------------------------------------------------------------------


def test_a_sequence_is_drawn() -> None:
    source = ".. sequence:: How\n\n   api -> conductor: wake & <go>\n   conductor: a note\n   conductor --> api: done\n"
    [raw] = rendered(source).findall(nodes.raw)
    assert "wake &amp; &lt;go&gt;" in raw.astext()
    assert "a note" in raw.astext()
    assert raw.astext().count("stroke-dasharray") == 1


def test_a_note_ends_within_the_drawing() -> None:
    drawn = "\n".join(sequence.lines("How", ["a -> b: x", f"b: {'long ' * 12}"]))
    width = float(re.search(r'viewBox="0 0 ([\d.]+) ', drawn)[1])  # type: ignore[index]
    notes = re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="20"', drawn)
    assert len(notes) == 1
    assert all(float(x) > 0 for x, _ in notes)
    assert float(notes[0][0]) + float(notes[0][1]) <= max(width, float(notes[0][1]) + 2)


def test_a_line_that_says_nothing_is_told() -> None:
    with pytest.raises(ValueError, match="hm"):
        sequence.parsed(["hm"])
