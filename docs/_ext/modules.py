"""Every module of the package with the first sentence it says of itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docs._ext import markup

PACKAGE = Path(__file__).resolve().parents[2] / "nova_lite"


def packages() -> dict[str, dict[str, str]]:
    """Return folder → module → what it says it holds; the histories of the databases are left out."""
    found: dict[str, dict[str, str]] = {}
    for path in _modules():
        folder = path.parent.relative_to(PACKAGE.parent).as_posix()
        found.setdefault(folder, {})[path.name] = _first_sentence(path)
    return found


def lines() -> list[str]:
    """Return a table for each folder."""
    written: list[str] = []
    for folder, modules in packages().items():
        rows = [(markup.code(name), markup.text(about)) for name, about in modules.items()]
        written += markup.rubric(f"{folder}/")
        written += markup.table(("module", "what lives there"), rows, widths=(28, 72))
    return written


def _modules() -> Iterator[Path]:
    for path in sorted(PACKAGE.rglob("*.py"), key=lambda path: (path.parent, path.name)):
        if path.name != "__init__.py" and PACKAGE / "migrations" not in path.parents:
            yield path


def _first_sentence(path: Path) -> str:
    said = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())
    return re.split(r"(?<=[.!?]) (?=[A-Z])", said, maxsplit=1)[0]
