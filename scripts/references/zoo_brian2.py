# ruff: noqa: E501
"""Spikes of described models by Brian2, with the same scheme: tests/zoo/*.json.

    BRIAN2/bin/python scripts/references/zoo_brian2.py tests/zoo

The equations are written out here a second time, in Brian2's words. A spike that Brian2 stamps k dt, in the step from there on,
bears the stamp (k + 1) dt in snnrun; a neuron that snnrun holds for r steps after that of its spike is refractory for r + 1 steps in
Brian2. Where snnrun takes substeps, Brian2 takes a smaller step, and spikes are looked for at the ends of snnrun's.
"""

import json
import sys
from pathlib import Path

import brian2 as b
import numpy as np

b.prefs.codegen.target = "numpy"
DT = 0.1  # ms

HH = """
dV/dt = (gL*(EL - V) + gNa*m**3*h*(ENa - V) + gK*n**4*(EK - V) + I)/C : volt
dm/dt = am*(1 - m) - bm*m : 1
dh/dt = ah*(1 - h) - bh*h : 1
dn/dt = an*(1 - n) - bn*n : 1
"""

# model: equations, threshold (or the level that V rises through), reset, method, substeps, refractory in ms, initial values,
# amplitudes in pA of a constant current and of one that steps at 100 and 200 ms
MODELS = {
    "expif": dict(
        eqs="""U = clip(V, -1*volt, -30*mV) : volt
        dV/dt = (-(U + 65*mV) + 3.48*mV*exp((U + 59.9*mV)/(3.48*mV)) + 100*Mohm*I)/(10*ms) : volt (unless refractory)""",
        threshold="V >= -30*mV", reset="V = -68*mV", init={"V": "-65*mV"}, currents=(120, (60, 200, 110)), ref=0),
    "adex": dict(
        eqs="""U = clip(V, -1*volt, 0*mV) : volt
        dV/dt = (-30*nS*(U + 70.6*mV) + 30*nS*2*mV*exp((U + 50.4*mV)/(2*mV)) - w + I)/(281*pF) : volt (unless refractory)
        dw/dt = (4*nS*(U + 70.6*mV) - w)/(144*ms) : amp""",
        threshold="V >= 0*mV", reset="V = -60*mV; w += 80.5*pA", init={"V": "-70.6*mV"}, currents=(1000, (700, 2000, 900)), ref=2),
    "qif": dict(
        eqs="""U = clip(V, -1*volt, -30*mV) : volt
        dV/dt = (0.07/mV*(U + 65*mV)*(U + 50*mV) + 100*Mohm*I)/(10*ms) : volt (unless refractory)""",
        threshold="V >= -30*mV", reset="V = -68*mV", init={"V": "-65*mV"}, currents=(60, (45, 100, 55)), ref=1),
    "adqif": dict(
        eqs="""U = clip(V, -1*volt, -30*mV) : volt
        dV/dt = (0.07/mV*(U + 65*mV)*(U + 50*mV) + 100*Mohm*(I - w))/(10*ms) : volt (unless refractory)
        dw/dt = (10*nS*(U + 65*mV) - w)/(10*ms) : amp""",
        threshold="V >= -30*mV", reset="V = -68*mV; w += 1*pA", init={"V": "-65*mV"}, currents=(250, (180, 400, 220)), ref=0),
    "izhikevich": dict(
        eqs="""dV/dt = (0.04*(V/mV)**2 + 5*V/mV + 140)*mV/ms - u + I/(1*pF) : volt
        du/dt = 0.02/ms*(0.2/ms*V - u) : volt/second""",
        threshold="V >= 30*mV", reset="V = -65*mV; u += 8*mV/ms", init={"V": "-65*mV", "u": "0.2/ms*V"}, method="euler",
        currents=(10, (5, 20, 8)), ref=0),
    "lif_cond_sfa_rr": dict(
        eqs="""dV/dt = (-28.95*nS*(V + 70*mV) - gs*(V + 70*mV) - gr*(V + 70*mV) + I)/(289.5*pF) : volt (unless refractory)
        dgs/dt = -gs/(110*ms) : siemens
        dgr/dt = -gr/(1.97*ms) : siemens""",
        threshold="V >= -57*mV", reset="V = -70*mV; gs += 14.48*nS; gr += 3214*nS", init={"V": "-70*mV"}, method="exponential_euler",
        currents=(700, (500, 1500, 600)), ref=0.5),
    "lif_sfa": dict(
        eqs="""dV/dt = -(V + 70*mV)/(20*ms) + (I - w)/(250*pF) : volt (unless refractory)
        dw/dt = -w/(100*ms) : amp""",
        threshold="V >= -55*mV", reset="V = -70*mV; w += 20*pA", init={"V": "-70*mV"}, method="exact", currents=(400, (250, 700, 300)),
        ref=2),
    "alif": dict(
        eqs="""dV/dt = -(V + 70*mV)/(20*ms) + I/(250*pF) : volt (unless refractory)
        da/dt = -a/(2*second) : 1""",
        threshold="V >= -60*mV + 1.6*mV*a", reset="V = V - (-60*mV + 1.6*mV*a + 70*mV); a += 1", init={"V": "-70*mV"}, method="exact",
        currents=(300, (200, 500, 350)), ref=2),
    "mat2": dict(
        eqs="""dV/dt = -(V + 70*mV)/(5*ms) + I/(100*pF) : volt
        dt1/dt = -t1/(10*ms) : volt
        dt2/dt = -t2/(200*ms) : volt""",
        threshold="V >= -51*mV + t1 + t2", reset="t1 += 37*mV; t2 += 2*mV", init={"V": "-70*mV"}, method="exact",
        currents=(600, (450, 1200, 500)), ref=2),
    "gif": dict(
        eqs="""dV/dt = (-(V + 70*mV) + 20*Mohm*(I + I1 + I2))/(20*ms) : volt
        dT/dt = 5*Hz*(V + 70*mV) - 10*Hz*(T + 50*mV) : volt
        dI1/dt = -200*Hz*I1 : amp
        dI2/dt = -20*Hz*I2 : amp""",
        threshold="V >= T", reset="V = -70*mV; T = clip(T, -60*mV, 1*volt); I1 = 10*pA; I2 = I2 - 50*pA",
        init={"V": "-70*mV", "T": "-50*mV"}, method="exact", currents=(1500, (1100, 2500, 1300)), ref=0,
        given="a: 5 Hz, A1: 10 pA, A2: -50 pA"),
    "glif5": dict(
        eqs="""dV/dt = (-9.43*nS*(V + 78.85*mV) + I1 + I2 + I)/(58.72*pF) : volt (unless refractory)
        dI1/dt = -3*Hz*I1 : amp (unless refractory)
        dI2/dt = -100*Hz*I2 : amp (unless refractory)
        dTs/dt = -9*Hz*Ts : volt (unless refractory)
        dTv/dt = 5*Hz*(V + 78.85*mV) - 90*Hz*Tv : volt (unless refractory)""",
        threshold="V >= -51.68*mV + Ts + Tv",
        reset="V = -78.85*mV + 0.2*(V + 78.85*mV) + 18.51*mV; I1 = exp(-3*Hz*3.8*ms)*I1 - 9.18*pA;"
        "I2 = exp(-100*Hz*3.8*ms)*I2 - 198.94*pA; Ts = exp(-9*Hz*3.8*ms)*Ts + 0.37*mV",
        init={"V": "-78.85*mV"}, method="exact", currents=(500, (350, 800, 400)), ref=3.8),
    "glif1": dict(
        eqs="dV/dt = (-9.43*nS*(V + 78.85*mV) + I)/(58.72*pF) : volt (unless refractory)",
        threshold="V >= -51.68*mV", reset="V = -78.85*mV", init={"V": "-78.85*mV"}, method="exact", currents=(350, (280, 800, 400)),
        ref=3.8),
    "glif2": dict(
        eqs="""dV/dt = (-9.43*nS*(V + 78.85*mV) + I)/(58.72*pF) : volt (unless refractory)
        dTs/dt = -9*Hz*Ts : volt (unless refractory)""",
        threshold="V >= -51.68*mV + Ts", reset="V = -78.85*mV + 0.2*(V + 78.85*mV) + 18.51*mV; Ts = exp(-9*Hz*3.8*ms)*Ts + 0.37*mV",
        init={"V": "-78.85*mV"}, method="exact", currents=(350, (280, 800, 400)), ref=3.8),
    "glif3": dict(
        eqs="""dV/dt = (-9.43*nS*(V + 78.85*mV) + I1 + I2 + I)/(58.72*pF) : volt (unless refractory)
        dI1/dt = -3*Hz*I1 : amp (unless refractory)
        dI2/dt = -100*Hz*I2 : amp (unless refractory)""",
        threshold="V >= -51.68*mV",
        reset="V = -78.85*mV; I1 = exp(-3*Hz*3.8*ms)*I1 - 9.18*pA; I2 = exp(-100*Hz*3.8*ms)*I2 - 198.94*pA",
        init={"V": "-78.85*mV"}, method="exact", currents=(500, (350, 800, 400)), ref=3.8),
    "glif4": dict(
        eqs="""dV/dt = (-9.43*nS*(V + 78.85*mV) + I1 + I2 + I)/(58.72*pF) : volt (unless refractory)
        dI1/dt = -3*Hz*I1 : amp (unless refractory)
        dI2/dt = -100*Hz*I2 : amp (unless refractory)
        dTs/dt = -9*Hz*Ts : volt (unless refractory)""",
        threshold="V >= -51.68*mV + Ts",
        reset="V = -78.85*mV + 0.2*(V + 78.85*mV) + 18.51*mV; I1 = exp(-3*Hz*3.8*ms)*I1 - 9.18*pA;"
        "I2 = exp(-100*Hz*3.8*ms)*I2 - 198.94*pA; Ts = exp(-9*Hz*3.8*ms)*Ts + 0.37*mV",
        init={"V": "-78.85*mV"}, method="exact", currents=(500, (350, 800, 400)), ref=3.8),
    "hh": dict(
        eqs=HH + """am = 1/exprel(-(V/mV + 40)/10)/ms : Hz
        bm = 4*exp(-(V/mV + 65)/18)/ms : Hz
        ah = 0.07*exp(-(V/mV + 65)/20)/ms : Hz
        bh = 1/(1 + exp(-(V/mV + 35)/10))/ms : Hz
        an = 0.1/exprel(-(V/mV + 55)/10)/ms : Hz
        bn = 0.125*exp(-(V/mV + 65)/80)/ms : Hz""",
        names=dict(C=100 * b.pF, gL=30 * b.nS, gNa=12 * b.uS, gK=3.6 * b.uS, EL=-54.387 * b.mV, ENa=50 * b.mV, EK=-77 * b.mV),
        init={"V": "-65*mV", "m": "am/(am + bm)", "h": "ah/(ah + bh)", "n": "an/(an + bn)"}, rising=-20, substeps=2,
        currents=(1000, (700, 2000, 900)), ref=0),
    "hh_traub": dict(
        eqs=HH + """v = V/mV + 63 : 1
        am = 0.32*4/exprel((13 - v)/4)/ms : Hz
        bm = 0.28*5/exprel((v - 40)/5)/ms : Hz
        ah = 0.128*exp((17 - v)/18)/ms : Hz
        bh = 4/(1 + exp((40 - v)/5))/ms : Hz
        an = 0.032*5/exprel((15 - v)/5)/ms : Hz
        bn = 0.5*exp((10 - v)/40)/ms : Hz""",
        names=dict(C=200 * b.pF, gL=10 * b.nS, gNa=20 * b.uS, gK=6 * b.uS, EL=-60 * b.mV, ENa=50 * b.mV, EK=-90 * b.mV),
        init={"V": "-60*mV", "m": "am/(am + bm)", "h": "ah/(ah + bh)", "n": "an/(an + bn)"}, rising=-20, substeps=2,
        currents=(500, (300, 900, 400)), ref=0),
    "wang_buzsaki": dict(
        eqs="""dV/dt = (-10*nS*(V + 65*mV) - 3.5*uS*m**3*h*(V - 55*mV) - 900*nS*n**4*(V + 90*mV) + I)/(100*pF) : volt
        dh/dt = 5*(ah*(1 - h) - bh*h) : 1
        dn/dt = 5*(an*(1 - n) - bn*n) : 1
        m = am/(am + bm) : 1
        am = 1/exprel(-(V/mV + 35)/10) : 1
        bm = 4*exp(-(V/mV + 60)/18) : 1
        ah = 0.07*exp(-(V/mV + 58)/20)/ms : Hz
        bh = 1/(1 + exp(-(V/mV + 28)/10))/ms : Hz
        an = 0.1/exprel(-(V/mV + 34)/10)/ms : Hz
        bn = 0.125*exp(-(V/mV + 44)/80)/ms : Hz""",
        init={"V": "-65*mV", "h": "ah/(ah + bh)", "n": "an/(an + bn)"}, rising=20, currents=(100, (50, 300, 80)), ref=0),
    "morris_lecar": dict(
        eqs="""dV/dt = (-440*nS*M*(V - 130*mV) - 800*nS*W*(V + 84*mV) - 200*nS*(V + 60*mV) + I)/(2*nF) : volt
        dW/dt = 40*Hz*(Wi - W)*cosh((V - 2*mV)/(60*mV)) : 1
        M = (1 + tanh((V + 1.2*mV)/(18*mV)))/2 : 1
        Wi = (1 + tanh((V - 2*mV)/(30*mV)))/2 : 1""",
        init={"V": "-60*mV", "W": "0.02"}, rising=10, currents=(10_000, (9_500, 12_000, 10_000)), ref=0),
    "fitzhugh_nagumo": dict(
        eqs="""dV/dt = (V - V**3/(3*mV**2) - w)/ms + I/(1*pF) : volt
        dw/dt = 80*Hz*(V + 0.7*mV - 0.8*w) : volt""",
        init={"V": "-1.1994*mV", "w": "-0.6243*mV"}, rising=1, currents=(0.5, (0.4, 0.8, 0.5)), ref=0),
    "hindmarsh_rose": dict(
        eqs="""dV/dt = (y - V**3/mV**2 + 3*V**2/mV - z)/ms + I/(1*pF) : volt
        dy/dt = (1*mV - 5*V**2/mV - y)/ms : volt
        dz/dt = 6*Hz*(4*(V + 1.6*mV) - z) : volt""",
        init={"V": "-1.6*mV", "y": "-11.8*mV"}, rising=1, currents=(2, (1.5, 3, 2)), ref=0),
    "pinsky_rinzel": dict(
        eqs="""dV/dt = (-gL*V - gNa*m**2*h*(V - 120*mV) - gDR*n*(V + 15*mV) + gc/0.5*(D - V) + I/0.5)/C : volt
        dD/dt = (-gL*D - ICa - (gAHP*q + gKC*c*chi)*(D + 15*mV) + gc/0.5*(V - D))/C : volt
        dh/dt = ah*(1 - h) - bh*h : 1
        dn/dt = an*(1 - n) - bn*n : 1
        ds/dt = s1*(1 - s) - s2*s : 1
        dc/dt = c1*(1 - c) - c2*c : 1
        dq/dt = q1*(1 - q) - 0.001/ms*q : 1
        dCa/dt = (-0.13*ICa/(100*pA) - 0.075*Ca)/ms : 1
        ICa = gCa*s**2*(D - 140*mV) : amp
        v = V/mV : 1
        u = D/mV : 1
        m = am/(am + bm) : 1
        am = 0.32*4/exprel((13.1 - v)/4) : 1
        bm = 0.28*5/exprel((v - 40.1)/5) : 1
        ah = 0.128*exp((17 - v)/18)/ms : Hz
        bh = 4/(1 + exp((40 - v)/5))/ms : Hz
        an = 0.016*5/exprel((35.1 - v)/5)/ms : Hz
        bn = 0.25*exp(0.5 - 0.025*v)/ms : Hz
        s1 = 1.6/(1 + exp(-0.072*(u - 65)))/ms : Hz
        s2 = 0.02*5/exprel((u - 51.1)/5)/ms : Hz
        f = 2*exp((6.5 - u)/27)/ms : Hz
        c1 = int(u <= 50)*exp((u - 10)/11 - (u - 6.5)/27)/18.975/ms + int(u > 50)*f : Hz
        c2 = int(u <= 50)*(f - c1) : Hz
        q1 = clip(0.00002*Ca, 0, 0.01)/ms : Hz
        chi = clip(Ca/250, 0, 1) : 1""",
        names=dict(C=300 * b.pF, gL=10 * b.nS, gNa=3 * b.uS, gDR=1.5 * b.uS, gCa=1 * b.uS, gAHP=80 * b.nS, gKC=1.5 * b.uS, gc=210 * b.nS),
        init={"V": "-4.6*mV", "D": "-4.5*mV", "h": "0.999", "n": "0.001", "s": "0.009", "c": "0.007", "q": "0.01", "Ca": "0.2"},
        rising=30, substeps=2, currents=(75, (50, 150, 90)), ref=0),
}  # fmt: skip
DURATION = 300  # ms


def spikes(model: dict, currents: list[float]) -> list[float]:
    """Stamps in ms, under a current that changes after each third of the run."""
    b.start_scope()
    method, substeps = model.get("method", "rk4"), model.get("substeps", 1)
    b.defaultclock.dt = DT / substeps * b.ms
    namespace = dict(model.get("names", {}), exprel=b.exprel)
    refractory = (model["ref"] + DT) * b.ms if model["ref"] else False
    rising = model.get("rising")
    group = b.NeuronGroup(1, model["eqs"] + "\nI : amp", method=method, namespace=namespace, threshold=model.get("threshold"),
                          reset=model.get("reset"), refractory=refractory)  # fmt: skip
    for name, value in model["init"].items():
        setattr(group, name, value)
    monitor = b.SpikeMonitor(group) if rising is None else b.StateMonitor(group, "V", True)
    network = b.Network(group, monitor)
    for current in currents:
        group.I = current * b.pA
        network.run(DURATION / len(currents) * b.ms)
    if rising is None:
        return [round((t + 1) * DT, 10) for t in np.rint(monitor.t / b.ms / DT).astype(int).tolist()]
    V = np.append(monitor.V[0] / b.mV, group.V[0] / b.mV)[::substeps]
    return [round(float(k) * DT, 10) for k in np.flatnonzero((V[1:] >= rising) & (V[:-1] < rising)) + 1]


def network(name: str, model: dict) -> str:
    constant, steps = model["currents"]
    third = DURATION // 3
    given = f", {model['given']}" if "given" in model else ""
    ref = f", tau_ref: {model['ref']} ms" if model["ref"] and not name.startswith("glif") and name != "lif_cond_sfa_rr" else ""
    return (
        f"duration: {DURATION} ms\ndt: {DT} ms\nprecision: float64\npopulations:\n"
        f"  constant: {{model: {name}, size: 1, I_e: {constant} pA{ref}{given}}}\n"
        f"  steps: {{model: {name}, size: 1{ref}{given}}}\n"
        f"inputs:\n  drive: {{model: steps, to: steps, times: [0 ms, {third} ms, {2 * third} ms], "
        f"currents: [{', '.join(f'{value} pA' for value in steps)}]}}\n"
        "monitors:\n  spikes: {model: spikes, of: [constant, steps]}\n"
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name, model in MODELS.items():
        if sys.argv[2:] and name not in sys.argv[2:]:
            continue
        constant, steps = model["currents"]
        found = {"constant": spikes(model, [constant]), "steps": spikes(model, list(steps))}
        how = f"Brian2 {b.__version__}, {model.get('method', 'rk4')}, dt {DT / model.get('substeps', 1)} ms, spike for spike"
        check = {"model": name, "against": how, "network": network(name, model), "spikes_ms": found}
        (folder / f"{name}.json").write_text(json.dumps(check, indent=1) + "\n")
        print(name, {key: len(value) for key, value in found.items()}, flush=True)
