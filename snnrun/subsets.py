"""Selections of neurons at random: `E[random 100]`, or `{random: 100, of: E, name: stimulated}`.

They are drawn before anything else looks at the file: in their place stand the numbers of the neurons, so that the rest of
the program, and the results, know which these are. Each neuron has a random word, which depends on the seed, its number and the
name of the draw; those with the smallest words are chosen. The name is that of the place in the file, like `monitors/V/of`, if
none is given. Draws of one name from one population are therefore the same, or the smaller one is a part of the larger.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np

from snnrun import random
from snnrun.document import Document, Fault, Key
from snnrun.quantities import NAME
from snnrun.selections import RANDOM

_PLACES = {"inputs": ("to",), "projections": ("pre", "post"), "monitors": ("of",)}
_TEXT = re.compile(rf"\s*({NAME[1:-1]}){RANDOM}\s*")
_FORM = "write it like {random: 100, of: E}, with a name: ... where several are to be the same"


def chosen(size: int, count: int, seed: int, name: str) -> list[int]:
    """The numbers of so many of some neurons, ascending."""
    words, _ = random.blocks(random.key(seed, f"selection/{name}"), np.arange(size), 0)
    return sorted(np.argsort(words, kind="stable")[:count].tolist())


def drawn(document: Document) -> tuple[Document, list[Fault]]:
    """A document whose random selections are lists of neurons, and what is wrong with those that are left as they were."""
    tree, faults = document.tree, []
    if not isinstance(tree, dict):
        return document, faults
    found = dict(tree)
    for section, fields in _PLACES.items():
        if isinstance(tree.get(section), dict):
            found[section] = {
                name: {
                    key: _selection(value, (section, name, key), tree, faults) if key in fields else value
                    for key, value in entry.items()
                }
                if isinstance(entry, dict)
                else entry
                for name, entry in tree[section].items()
            }
    return replace(document, tree=found), faults


def _selection(value: Any, path: Key, tree: Mapping[str, Any], faults: list[Fault]) -> Any:
    if isinstance(value, list):
        return [_one(part, (*path, i), tree, faults) for i, part in enumerate(value)]
    return _one(value, path, tree, faults)


def _one(value: Any, path: Key, tree: Mapping[str, Any], faults: list[Fault]) -> Any:
    """What stands for a population or a part of one: its text, with numbers in place of a draw."""
    name = "/".join(map(str, path))
    if isinstance(value, dict):
        read = _mapping(value, path, faults)
        if read is None:
            return value
        population, count, name = *read[:2], read[2] or name
    elif isinstance(value, str) and (match := _TEXT.fullmatch(value)):
        population, count = match[1], int(match[2])
    else:
        return value
    entry = (tree.get("populations") or {}).get(population) if isinstance(tree.get("populations"), dict) else None
    size, seed = entry.get("size") if isinstance(entry, dict) else None, tree.get("seed", 0)
    if not (_whole(size) and _whole(seed) and 0 <= seed < 2**64 and 0 < count <= size < 2**31):
        return f"{population}[random {count}]"  # whoever reads it says what is wrong
    return f"{population}[{', '.join(map(str, chosen(size, count, seed, name)))}]"


def _whole(number: Any) -> TypeGuard[int]:
    return isinstance(number, int) and not isinstance(number, bool)


def _mapping(value: dict[str, Any], path: Key, faults: list[Fault]) -> tuple[str, int, str | None] | None:
    """Population, number and name of a draw; None, with a fault, where it is none."""
    for key in value:
        if key not in ("random", "of", "name"):
            faults.append(Fault((*path, key), "unknown key", "known: random, of, name", at_key=True))
            return None
    count, population, name = value.get("random"), value.get("of"), value.get("name")
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        faults.append(Fault((*path, "random") if "random" in value else path, "random is the number of neurons to draw", _FORM))
    elif not isinstance(population, str) or not re.fullmatch(NAME, population):
        faults.append(Fault((*path, "of") if "of" in value else path, "of is the population to draw from", _FORM))
    elif name is not None and not isinstance(name, str):
        faults.append(Fault((*path, "name"), "a name is a text", _FORM))
    else:
        return population, count, name
    return None
