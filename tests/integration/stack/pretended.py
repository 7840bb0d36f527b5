"""Storage that Cinder pretends to have."""

from pathlib import Path


class Pretended:
    """Pools of volumes without data; ``pretended_volumes.py`` is their driver."""

    def prepare(self, venv: Path) -> None:
        """Do nothing: Cinder's environment has all the driver imports."""

    def backend(self, pool: str) -> str:
        """Return the group of Cinder's configuration for a pool."""
        return f"""\
[{pool}]
volume_driver = tests.integration.stack.pretended_volumes.PretendedVolumes
volume_backend_name = {pool}
"""
