"""Networks in a notebook: `net = snnrun.load("net.yaml"); results = net.simulate(seed=3)`.

A network is not changed: `net.changed({...})` is another one. What both have in common, edges above all, is drawn once.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snnrun import check, document
from snnrun.document import Override, SpecError
from snnrun.notebook import OpenResults, open_results
from snnrun.terminal import visible

Changes = Mapping[str, Any]


class NetworkError(ValueError):
    """What is wrong with a network file: the same text as on the command line, and each mistake as a dictionary."""

    def __init__(self, text: str, errors: list[dict[str, Any]]) -> None:
        super().__init__(text)
        self.errors = errors


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except SpecError as error:
        if error.document is None:
            raise
        text = document.render(error.document, error.faults)
        raise NetworkError(text, document.as_objects(error.document, error.faults)) from None


def load(path: Path | str, changes: Changes | None = None) -> "Network":
    """A network file, checked, with some values replaced: `load("net.yaml", {"populations.E.tau": "10 ms"})`.

    Paths are those of `--set`; values are texts, numbers, lists and dictionaries as they may stand in the file. Raises
    NetworkError with every mistake at its place, and OSError. JAX is not loaded.
    """
    from snnrun.run import Again

    with _told():
        return Network(document.read(Path(path).expanduser()), Path(path).stem, dict(changes or {}), Again())


class Network:
    """A network that can be run."""

    def __init__(self, read: document.Document, stem: str, changes: dict[str, Any], again: Any) -> None:
        self._read, self._stem, self._again = read, stem, again
        self._changes = changes
        with _told():
            self._loaded = check.of_document(read, stem, _overrides(changes))

    @property
    def name(self) -> str:
        return self._loaded.spec.name

    @property
    def changes(self) -> dict[str, Any]:
        """What was replaced in the file."""
        return dict(self._changes)

    @property
    def populations(self) -> dict[str, int]:
        """Names and sizes."""
        return check.selection_sizes(self._loaded.spec)

    @property
    def network(self) -> dict[str, Any]:
        """The network file as a dictionary, with what was replaced."""
        return self._loaded.document.tree

    @property
    def yaml(self) -> str:
        """Text of the network file."""
        return self._read.text

    @property
    def warnings(self) -> list[str]:
        found = self._loaded.warnings
        return [f"{document.dotted(w.path)}: {w.message}{f': {w.hint}' if w.hint else ''}" for w in found]

    def changed(self, changes: Changes) -> "Network":
        """The same network with some values replaced. Raises NetworkError."""
        return Network(self._read, self._stem, {**self._changes, **changes}, self._again)

    def simulate(self, output: Path | str | None = None, *, seed: int | None = None, duration: str | None = None,
                 overwrite: bool = False, kernel: str = "auto", device: str = "auto", threads: int | None = None,
                 ) -> OpenResults:  # fmt: skip
        """Run it. Results go to a file, or, where none is named, are gone when nothing refers to them any more.

        They have the bits of `snnrun simulate` with the same seed and values. Raises NetworkError; request.Refused where
        something is in the way, results.Exists where the file is there, engine.NumericalError.
        """
        from snnrun import run

        wanted = {key: value for key, value in (("seed", seed), ("duration", duration)) if value is not None}
        network = self.changed(wanted) if wanted else self
        texts = [f"{path}={document.text_of(value)}" for path, value in network._changes.items()]
        with _told():
            if output is not None:
                target = Path(output).expanduser()
                request = run.Request(network._loaded, target, texts, overwrite, kernel, device, threads, plot=False)
                run.simulate(request, again=self._again)
                return open_results(target)
            with tempfile.TemporaryDirectory(prefix="snnrun-") as folder:
                target = Path(folder) / f"{visible(network.name, kept='')[:60].replace('/', '_') or 'network'}.h5"
                request = run.Request(network._loaded, target, texts, False, kernel, device, threads, plot=False)
                run.simulate(request, again=self._again)
                return open_results(target)  # what is open stays when its name is gone

    def __repr__(self) -> str:
        neurons = ", ".join(f"{size:,} {name}" for name, size in self.populations.items())
        changed = f"; with {', '.join(f'{path}={value}' for path, value in self._changes.items())}" if self._changes else ""
        return visible(f"<Network {self.name}: {neurons}; {len(self._loaded.spec.projections)} projections{changed}>")


def _overrides(changes: Changes) -> list[Override]:
    texts = {path: document.text_of(value) for path, value in changes.items()}
    return [
        Override(document.path_of(path), text, f"change #{number}", f"{path}={text}")
        for number, (path, text) in enumerate(texts.items(), 1)
    ]
