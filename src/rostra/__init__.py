"""Live audio for the biggest conversation of the day, on the operator's own machines."""

__version__ = "0.1.0"
