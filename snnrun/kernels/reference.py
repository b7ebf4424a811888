"""Delivery as a dense product in int64: slow and obviously right. Every other kernel is held against it."""

from typing import Any, NamedTuple

import numpy as np

from snnrun.kernels import Edges, Transit


class Layout(NamedTuple):
    delays: Any  # [delays]
    weights: Any  # int64 [delays, sources, targets]: sums of the weights of all edges between two places


def prepare(pathways: list[Edges], sources: int, targets: int) -> Layout:
    every = [np.unique(np.broadcast_to(p.delay, p.source.shape)) for p in pathways]
    delays = np.unique(np.concatenate(every)) if every else np.empty(0, np.int64)
    weights = np.zeros((len(delays), sources, targets), np.int64)
    for p in pathways:
        rank = np.searchsorted(delays, np.broadcast_to(p.delay, p.source.shape))
        np.add.at(weights, (rank, p.source, p.target), p.weight)
    return Layout(delays, weights)


def deliver(layout: Layout, transit: Transit, step: int) -> Any:
    depth, targets = transit.words.shape[0], layout.weights.shape[2]
    sums = np.zeros(targets, np.int64)
    for delay, weights in zip(layout.delays, layout.weights, strict=True):
        row = np.ascontiguousarray(np.asarray(transit.words)[(step - delay) % depth])
        fired = np.unpackbits(row.view(np.uint8), bitorder="little")[: weights.shape[0]]
        sums += fired.astype(np.int64) @ weights
    return sums
