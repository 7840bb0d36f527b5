"""What setup.cfg promises: the wheel carries everything, commands exist, imports are declared."""

import ast
import importlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

_TREE = Path(__file__).resolve().parents[2]
_SETUP = ConfigParser()
_SETUP.read(_TREE / "setup.cfg", encoding="utf-8")
_OWNERS_OF_EXTRAS = {"libvirt": ["libvirt-python"]}
"""Projects of imported names that only an extra installs, so that they need not be here to be asked."""


def _lines(section: str, option: str) -> list[str]:
    return _SETUP[section][option].split("\n")[1:]


def _project(requirement: str) -> str:
    name = re.split(r"[\[<>=~! ;]", requirement, maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def _sources() -> list[Path]:
    package = _TREE / "nova_lite"
    return [path for path in package.rglob("*.py") if (package / "migrations") not in path.parents]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built from a copy of the tree and without any network."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("setup.cfg", "pyproject.toml", "README.rst", "LICENSE"):
        shutil.copy(_TREE / name, source)
    for name in ("nova_lite", "migrations", "etc"):
        shutil.copytree(_TREE / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-deps", "--no-index", "--no-build-isolation", "-w", str(built), str(source)]
    command = [sys.executable, "-m", "pip", "wheel", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=480, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = built.glob("nova_lite-*.whl")
    return path


def test_wheel_carries_every_module_and_migration(wheel: Path) -> None:
    files = set(zipfile.ZipFile(wheel).namelist())
    modules = {path.relative_to(_TREE).as_posix() for path in _sources()}
    histories = {
        (Path("nova_lite") / path.relative_to(_TREE)).as_posix()
        for pattern in ("*.py", "*.mako")
        for path in (_TREE / "migrations").rglob(pattern)
    }
    for database in ("api", "cell", "placement"):
        assert any(name.startswith(f"nova_lite/migrations/{database}/versions/") for name in histories), database
    assert sorted((modules | histories) - files) == []


def test_wheel_carries_the_samples(wheel: Path) -> None:
    names = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if "/share/nova_lite/" in name}
    samples = {path.name for path in (_TREE / "etc").rglob("*") if path.is_file()}
    assert samples
    assert sorted(samples - names) == []


@pytest.mark.parametrize("line", _lines("options.entry_points", "console_scripts"))
def test_command_exists(line: str) -> None:
    module, function = line.split(" = ")[1].split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_every_import_is_declared() -> None:
    declared = {_project(line) for line in _lines("options", "install_requires")}
    for extra in ("libvirt", "mysql"):
        declared |= {_project(line) for line in _lines("options.extras_require", extra)}
    owners = _OWNERS_OF_EXTRAS | dict(importlib.metadata.packages_distributions())
    undeclared = {
        f"{path.relative_to(_TREE)}: {name}"
        for path in _sources()
        for name in _imports(path)
        if name not in sys.stdlib_module_names | {"nova_lite"}
        and declared.isdisjoint(_project(owner) for owner in owners.get(name, [name]))
    }
    assert sorted(undeclared) == []


def _imports(path: Path) -> set[str]:
    """Return the top-level names a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize(
    "tool", ["tools/quickstart", "tools/test", "tools/guest_image", "tools/libvirtd", "tools/devstack"]
)
def test_tool_explains_itself_and_refuses_what_it_does_not_know(tool: str) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([_TREE / tool, *arguments], capture_output=True, text=True, timeout=480, check=False)

    explained = run("--help")
    assert (explained.returncode, explained.stderr) == (0, "")
    assert explained.stdout.startswith(f"usage: {tool} ")
    refused = run("--no-such-option")
    assert (refused.returncode, refused.stdout) == (2, "")
