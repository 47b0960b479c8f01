"""A report for readers: text for a terminal, SARIF and JUnit for other programs, one HTML page for auditors.

Pure functions of :class:`policies.report.Report`. None of them decides anything: the verdict is in the report.
"""
