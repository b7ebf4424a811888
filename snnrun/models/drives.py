"""Sums of what synapses bring. The receptors of a neuron are added one by one, in their order, so that it does not matter
which populations lie side by side."""

import operator
from typing import Any

from snnrun.lazy import jax, lax
from snnrun.models.interface import Drive

UNROLLED = 8  # rows that are added one by one in the program; more in a loop, which keeps their order and compiles as fast as one


def plus(total: Drive, more: Drive) -> Drive:
    gates = total.gates + more.gates
    pairs = zip(total._replace(gates=None), more._replace(gates=None), strict=True)
    return Drive(*(a if b is None else b if a is None else jax.tree.map(operator.add, a, b) for a, b in pairs))._replace(
        gates=gates
    )


def rows_added(total: Drive, brought: Drive, rows: int) -> Drive:
    """With each row of arrays [rows, neurons]."""
    total, gates = total._replace(gates=()), total.gates + brought.gates
    brought = brought._replace(gates=())

    def add(row: Any, total: Drive) -> Drive:
        return plus(total, jax.tree.map(lambda values: values[row], brought))

    if all(part is None for part in brought[:-1]):
        rows = 0
    if rows <= UNROLLED:
        for row in range(rows):
            total = add(row, total)
        return total._replace(gates=gates)
    return lax.fori_loop(1, rows, add, add(0, total))._replace(gates=gates)


def gate(drive: Any, const: Any, x: Any) -> Drive:
    """What an output brings by drive(const, x, V), once V is known."""
    return Drive(gates=(jax.tree_util.Partial(drive, const, x),))


def at(drive: Drive, V: Any) -> Drive:
    """A drive with what depends on V, at a V."""
    total = drive._replace(gates=())
    for gate in drive.gates:
        brought = gate(V)
        total = rows_added(total, brought, brought.conductance.shape[0])
    return total
