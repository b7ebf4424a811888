"""The E/I network of configs/einet.yaml in BrainPy, on snnrun's graph and initial values.

    python scripts/references/brainpy_einet.py graph NET.npz        with snnrun installed: export graph and start
    python scripts/references/brainpy_einet.py run NET.npz OUT.npz  with brainpy installed: simulate, store spikes

The result is stored as tests/data/brainpy_einet.npz. Conventions of BrainPy 2.6 to 2.8 that the comparison allows for:

- a merged exponential adds arrivals before it decays, so its weights act as w exp(-dt / tau): snnrun is given these;
- a spike of step n bears the time n dt: one step less than snnrun's stamp;
- refractoriness compares times as floats: tau_ref + dt / 2 holds the wanted number of steps without rounding.
"""

import sys
from pathlib import Path

import numpy as np

STEPS, DT = 5_000, 0.1


def graph(target: str) -> None:
    from snnrun import check, connect, network

    file = Path(__file__).parents[2] / "configs" / "einet.yaml"
    built = network.build(check.load(file).spec, file.parent)
    parts = {name: connect.collect(built.projections[name].connectivity) for name in ("exc", "inh")}
    arrays = {f"{name}_{side}": getattr(edges, side) for name, edges in parts.items() for side in ("pre", "post")}
    np.savez_compressed(target, V=built.populations["N"].V, **arrays)


def run(source: str, target: str) -> None:
    import brainpy as bp
    import brainpy.math as bm

    bm.enable_x64()
    bm.set_dt(DT)
    net = np.load(source)

    class EINet(bp.DynSysGroup):
        def __init__(self):
            super().__init__()
            self.N = bp.dyn.LifRefLTC(
                4000, V_rest=-60.0, V_th=-50.0, V_reset=-60.0, tau=20.0, tau_ref=5.0 + DT / 2,
                V_initializer=bp.init.ZeroInit(),
            )  # fmt: skip
            self.N.V[:] = net["V"]
            self.delay = bp.VarDelay(self.N.spike, entries={"I": None})
            self.E = self.projection("exc", 3200, 0.6, 5.0, 0.0)
            self.I = self.projection("inh", 800, 6.7, 10.0, -80.0)

        def projection(self, name, size, weight, tau, E):
            connect = bp.conn.IJConn(net[f"{name}_pre"], net[f"{name}_post"])(pre_size=size, post_size=4000)
            return bp.dyn.HalfProjAlignPostMg(
                comm=bp.dnn.EventCSRLinear(connect, weight),
                syn=bp.dyn.Expon.desc(size=4000, tau=tau),
                out=bp.dyn.COBA.desc(E=E),
                post=self.N,
            )

        def update(self, current):
            spikes = self.delay.at("I")
            self.E(spikes[:3200])
            self.I(spikes[3200:])
            self.delay(self.N(current))
            return self.N.spike.value

    model = EINet()
    spikes = np.asarray(bm.for_loop(lambda i: model.step_run(i, 20.0), np.arange(STEPS)), bool)
    step, neuron = np.nonzero(spikes)
    np.savez_compressed(target, step=step.astype(np.uint16), neuron=neuron.astype(np.uint16), version=bp.__version__)
    print(f"brainpy {bp.__version__}: {len(step)} spikes, {len(step) / 4000 / (STEPS * DT * 1e-3):.3f} Hz")


if __name__ == "__main__":
    {"graph": graph, "run": run}[sys.argv[1]](*sys.argv[2:])
