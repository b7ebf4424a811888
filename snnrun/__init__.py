"""snnrun: spiking neural networks from one YAML file, on JAX."""

__version__ = "0.1.0"
