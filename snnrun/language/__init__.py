"""The language in which the equations of a neuron model are written.

`expression` makes a tree of a text, `dimension` checks its units, `walk` computes it or takes it apart into what is linear,
`lift` moves to the host what does not change during a run, and `removable` finds quotients that are 0/0 for no need.
"""
