"""What writing and reading share: the schema's name, and where an unfinished run lies."""

from pathlib import Path

SCHEMA = "snnrun-results/1"


def partial_path(path: Path) -> Path:
    return path.with_name(path.name + ".partial")
