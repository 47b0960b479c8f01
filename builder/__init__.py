"""bedplate: measured-boot OS images for inference nodes, from definition to signed release."""

__version__ = "0.1.0"
