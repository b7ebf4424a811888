"""Network -> Plan: time becomes steps, equations become coefficients, names become places in memory.

The passes, in their order:

1. merge      projections and inputs that share a receptor (receptors.py);
2. place      populations and receptors that are alike side by side (groups.py);
3. quantise   each receptor's quantum, and weights as whole multiples of it (quantise.py);
4. edges      pathways on the merged axes, arranged by a kernel: those with a delay, and those without;
5. record     what is taken, as places (recording.py);
6. constants  coefficients of every model for this time step (constants.py).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnrun import kernels, receptors, units
from snnrun.document import uncollected
from snnrun.kernels import Axis, Pathway
from snnrun.lower import constants, graded, groups, plasticity, quantise, recording, releases
from snnrun.lower.groups import Placed
from snnrun.models import connect
from snnrun.models.interface import cast
from snnrun.network import Network
from snnrun.plan import Constants, Noise, PathwayReport, Plan, Program, Stack, Structure
from snnrun.receptors import output_of
from snnrun.selections import Part


@uncollected()
def lower(
    network: Network,
    merge: bool = True,
    kernel: str = "xla",
    threads: int = 1,
    procedural_if_needed: bool = False,
    again: bool = False,
    earlier: Plan | None = None,
) -> Plan:
    """The plan of a network for a kernel and a number of threads; with `procedural_if_needed`, edges that can be drawn again are
    not stored. With `again`, plans of other networks may be made of this one, as the `earlier` one: what it knows of edges that
    are the same is taken from it.

    Without `merge` every projection has receptors of its own, to test that it makes no difference.
    """
    spec, module = network.spec, kernels.module(kernel)
    found = receptors.receptors(spec, merge)
    placed = groups.place(network, found)
    feeds = receptors.Feeds(spec, found)
    quanta = quantise.quanta(network, found)
    axis, order = _axis(placed)
    sources = sum(group.padded for group in placed.groups)
    redrawn = (kernels.KERNELS[kernel].can_redraw, procedural_if_needed)
    released = releases.released(network, placed)
    plastic, changing = plasticity.changing(network, placed)
    acting = graded.lowered(network, placed, feeds)
    pathways = [
        _pathway(network, name, feeds, placed, quanta, redrawn)._replace(
            release=released.of.get(name), changing=changing.get(name)
        )
        for name in network.projections
        if name not in acting.found
    ]
    before = None if earlier is None or earlier.program.kernel != kernel else earlier.arranged
    arranged = module.arrange(pathways, sources, axis, threads, again, before)
    sent = {p.connectivity.name: f for p, f in zip(pathways, arranged.found, strict=True)}
    every = sent | acting.found
    reports = tuple(
        PathwayReport(name, found.synapses, (found.shortest, found.longest), found.stored)
        for name in network.projections
        for found in (every[name],)
    )
    noise, of_noise = _noise(network, feeds, placed)
    stacks = _reached(feeds, placed, [report for report in reports if report.name in sent], [stack for stack, _ in of_noise])
    lowered = constants.lowered(network, placed)
    driving = lowered.driving
    recorded = recording.recording(spec, found, placed, released.places, acting.places, driving.places)
    program = Program(
        precision=spec.precision,
        groups=tuple(group._replace(layers=own) for group, own in zip(placed.groups, driving.of_groups, strict=True)),
        layers=driving.layers,
        stacks=stacks,
        noise=noise,
        sources=sources,
        targets=axis.places,
        depth=max((f.longest for f in sent.values()), default=0) or 1,
        kernel=kernel,
        takes=recorded.takes,
        tapped=recorded.tapped,
        releases=released.releases,
        plasticity=plastic._replace(weights=sum(f.synapses for p, f in zip(pathways, arranged.found, strict=True) if p.changing)),
        graded=acting.program,
    )
    draws = constants.noise(network, [(name, i, quanta[receptor]) for _, (name, i, receptor) in of_noise])
    delivery = module.bind(arranged, program, draws, axis, tuple(quanta[i] for i in order))
    structure = Structure(
        spec.dt, spec.precision, units.whole(spec.duration, spec.dt), placed.populations, placed.receptors, driving.places,
        recorded.samples, recorded.taps, released.places, acting.places,
        recording.weights(spec, {report.name: report.synapses for report in reports}),
    )  # fmt: skip
    outputs = tuple(
        const if i not in acting.totals or not hasattr(const, "total") else const._replace(
            total=cast(acting.totals[i], placed.groups[placed.stacks[i].group].precision)
        )
        for i, const in enumerate(lowered.outputs)
    )  # fmt: skip
    known = Constants(
        lowered.neurons, driving.constants, lowered.synapses, lowered.instants, outputs, lowered.gains,
        np.float64(0.0), recorded.taken, delivery, released.const, acting.opening, acting.brought,
    )  # fmt: skip
    return Plan(
        structure,
        program,
        known,
        lowered.initial,
        lowered.held,
        acting.gates,
        driving.initial,
        released.initial,
        reports,
        arranged,
        acting.nbytes,
    )


def _axis(placed: Placed) -> tuple[Axis, list[int]]:
    """The axis of targets, and the receptors in their order on it."""
    rows = tuple((s.first + r * s.padded, s.padded) for s in placed.stacks for r in range(s.rows))
    starts = np.array([placed.stacks[r.stack].first + r.first for r in placed.receptors], np.int64)
    order = np.argsort(starts)
    return Axis(rows, starts[order]), order.tolist()


def _pathway(network: Network, name: str, feeds: receptors.Feeds, placed: Placed, quanta: list[float],
             redrawn: tuple[bool, bool]) -> Pathway:  # fmt: skip
    """A projection on the merged axes.

    A synapse that moves V itself acts one step later where there is no delay, because the threshold of this instant has been
    tested already. `redrawn` says whether the kernel can draw edges again, and whether it is to where it may.
    """
    spec, projection = network.spec, network.projections[name]
    can_redraw, if_needed = redrawn
    own = feeds.of("projections", name)
    return Pathway(
        projection.connectivity,
        _places(projection.pre, [_source(placed, feeds.index[part.population]) for part in projection.pre]),
        _places([part for _, part, _ in own], [_target(placed, receptor) for receptor, _, _ in own]),
        quanta[own[0][0]],
        spec.precision == "float64",
        output_of(spec.projections[name]) is None,
        can_redraw and spec.projections[name].stdp is None and connect.procedural(projection.connectivity, if_needed),
    )


def _source(placed: Placed, population: int) -> int:
    place = placed.populations[population]
    return placed.groups[place.group].first + place.first


def _target(placed: Placed, receptor: int) -> int:
    place = placed.receptors[receptor]
    return placed.stacks[place.stack].first + place.first


def _places(selection: list[Part], firsts: list[int]) -> NDArray[np.int32]:
    """Place on a merged axis of each neuron of a selection."""
    found = [(f + p.numbers).astype(np.int32) for p, f in zip(selection, firsts, strict=True)]
    return found[0] if len(found) == 1 else np.concatenate(found)


def _noise(network: Network, feeds: receptors.Feeds, placed: Placed) -> tuple[tuple[Noise, ...], list[Any]]:
    """Poisson inputs part by part, each on a run of neurons in which all of the part lie; and for each its stack, name, number of
    the part, and receptor. Those of a stack follow each other as in the file."""
    plans, of = [], []
    for name in network.noise:
        for i, (receptor, part, _) in enumerate(feeds.of("inputs", name)):
            place = placed.receptors[receptor]
            plans.append(Noise(place.first, part.start, part.stop))
            of.append((place.stack, (name, i, receptor)))
    return tuple(plans), of


def _reached(feeds: receptors.Feeds, placed: Placed, reports: Any, noise: list[int]) -> tuple[Stack, ...]:
    """Stacks with the word whether edges with and without a delay reach them, and noise: what nothing reaches costs nothing."""
    due, instant = set(), set()
    for report in reports:
        if report.synapses:
            for receptor, _, _ in feeds.of("projections", report.name):
                stack = placed.receptors[receptor].stack
                due |= {stack} if report.delays[1] > 0 else set()
                instant |= {stack} if report.delays[0] == 0 else set()
    inputs: dict[int, list[int]] = {}
    for i, stack in enumerate(noise):
        inputs.setdefault(stack, []).append(i)
    return tuple(
        stack._replace(due=i in due, instant=i in instant, noise=tuple(inputs.get(i, ())))
        for i, stack in enumerate(placed.stacks)
    )
