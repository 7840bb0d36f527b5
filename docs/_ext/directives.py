"""The directives that write what the code knows into the pages, so that a page cannot say something else.

``options``, ``commands``, ``routes``, ``versions``, ``microversions``, ``server-actions``, ``whole-api``,
``whole-versions``, ``whole-policy``, ``states``, ``workflow``, ``workflow-kinds``, ``modules``, ``audit-findings``,
``notification-events`` and ``sequence``. They need docutils only; Sphinx loads them as an extension.
"""

import sys
from collections.abc import Callable
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from docs._ext import (
    audits,
    commands,
    modules,
    notifications,
    options,
    routes,
    sequence,
    states,
    whole_api,
    whole_policy,
    workflows,
)


class Generated(Directive):
    """A directive that is replaced by reStructuredText made of its arguments."""

    optional_arguments = 2
    #: Arguments → lines.
    make: ClassVar[Callable[..., list[str]]]

    def run(self) -> list[nodes.Node]:
        """Return what the lines mean."""
        try:
            made = self.made()
        except (KeyError, TypeError, ValueError) as exc:
            raise self.error(f"{self.name} {' '.join(self.arguments)}: {exc}") from exc
        self._depend_on_code()
        parent = nodes.Element()
        self.state.nested_parse(StringList(made, source=f"<{self.name}>"), self.content_offset, parent)
        return parent.children

    def made(self) -> list[str]:
        """Return the lines."""
        return type(self).make(*self.arguments)

    def _depend_on_code(self) -> None:
        """Have pages with this written again when our code changes."""
        dependencies = self.state.document.settings.record_dependencies
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if path and name.split(".")[0] in ("nova_lite", "docs") and dependencies is not None:
                dependencies.add(path)


class Sequence(Generated):
    """``.. sequence:: TITLE`` with a line for each message."""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def made(self) -> list[str]:
        """Return the drawing."""
        return sequence.lines(" ".join(self.arguments), list(self.content))


def _state_lines(what: str) -> list[str]:
    known: dict[str, Callable[[], list[str]]] = {
        "table": states.table_lines,
        "statuses": states.status_lines,
        "success": lambda: states.picture_lines(failing=False),
        "failure": lambda: states.picture_lines(failing=True),
    }
    return known[what]()


#: Name → what makes its lines.
MAKERS: dict[str, Callable[..., list[str]]] = {
    "options": options.lines,
    "commands": commands.lines,
    "routes": routes.lines,
    "versions": routes.version_lines,
    "microversions": routes.microversion_lines,
    "server-actions": routes.action_lines,
    "whole-api": whole_api.route_lines,
    "whole-versions": whole_api.version_lines,
    "whole-policy": whole_policy.lines,
    "states": _state_lines,
    "workflow": workflows.lines,
    "workflow-kinds": workflows.kinds_lines,
    "modules": modules.lines,
    "audit-findings": audits.lines,
    "notification-events": notifications.lines,
    "notifications-not-told": notifications.not_told_lines,
}
DIRECTIVES: dict[str, type[Directive]] = {
    **{name: type(name, (Generated,), {"make": staticmethod(make)}) for name, make in MAKERS.items()},
    "sequence": Sequence,
}


def setup(app: Any) -> dict[str, bool]:
    """Register the directives with Sphinx."""
    for name, directive in DIRECTIVES.items():
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
