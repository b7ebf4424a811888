"""HDF5 layout of a run: the only module that knows paths in a results file.

One run writes one file, which is a SONATA spike file and report file as well (schema "snnrun-results/1"):

    /                                    attrs magic, version (SONATA), schema, status: "partial" or "complete"
    /spikes/<pop>                        timestamps (ms), node_ids: the first spikes monitor of the population
    /report/<pop>                        data, mapping: the first state monitor that records V there
    /nodes/<pop>                         node_id, ..., 0/x, 0/y, 0/z (um): where the neurons are, of a population with a layout
    /snnrun/config                       attrs yaml, resolved (JSON), overrides, fingerprint (JSON, see checkpoint.py)
    /snnrun/populations/<pop>            attrs size, model
    /snnrun/monitors/<name>              attr model; below it, by population:
        spikes   <pop>/{timestamps, node_ids}
        state    <pop>/<variable>/{data, mapping}
        input    <pop>/<receptor>/{data, mapping}
        rate     <pop>/rate, in Hz per neuron; attrs start, bin (ms)
        weights  <projection>/{pre, post, delay, last} and, at intervals, {data, time}; attrs units, synapses (there are)
    /snnrun/provenance                   attrs: versions, device, seed, timings ...

Groups under /spikes and /report are hard links: nothing is stored twice, but a float32 copy of V in runs of float64,
because SONATA's readers refuse float64 there. Every dataset has checksums (HDF5's filter fletcher32). A run writes
`<name>.partial`, with the changes of each chunk of steps made in one go (store.py), and renames it when it is complete.
"""

from snnrun.results.layout import partial_path
from snnrun.results.reader import (
    Rate,
    Results,
    ResultsError,
    Samples,
    Series,
    Stored,
    StoredTrain,
    Train,
    Weights,
    mean_rate,
    measured,
)
from snnrun.results.store import recover
from snnrun.results.writer import Exists, Meta, Position, WriteError, Writer, refuse_existing, sync_folder

__all__ = [
    "Exists",
    "Meta",
    "Position",
    "Rate",
    "Results",
    "ResultsError",
    "Samples",
    "Series",
    "Stored",
    "StoredTrain",
    "Train",
    "Weights",
    "WriteError",
    "Writer",
    "mean_rate",
    "measured",
    "partial_path",
    "recover",
    "refuse_existing",
    "sync_folder",
]
