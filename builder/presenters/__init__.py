"""A difference for readers: Markdown for a pull request, one HTML page with a picture of the causes for auditors.

Pure functions of :class:`builder.compare.difference.Report`. None of them decides anything: all of it is in the report.
"""
