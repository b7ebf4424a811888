"""Attacks on the program, one part per file: each yields an Outcome for every try, and the same ones for the same seed."""
