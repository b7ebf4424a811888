"""What of another tool's files cannot be read, or of a network cannot be written: all of it at once, each at its place."""

from typing import NamedTuple


class Problem(NamedTuple):
    where: str  # which file, and what in it
    message: str
    hint: str = ""

    @property
    def line(self) -> str:
        return f"{self.where}: {self.message}{f': {self.hint}' if self.hint else ''}"


class Inconvertible(Exception):
    """Why a network cannot be converted."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(problem.line for problem in problems))
        self.problems = problems
