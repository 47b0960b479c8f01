"""Exports: a release's reference values in the formats that other verifiers read.

Pure: values in, text or bytes out. One module per format; ``formats`` lists them.
"""
