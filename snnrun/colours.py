"""Colours of populations, the same in every picture: ten that colour-blind readers can tell apart, too (Petroff, 2021)."""

COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
