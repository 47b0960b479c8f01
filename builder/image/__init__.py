"""Readers of a finished image, on bytes: no mount, no root, no process."""
