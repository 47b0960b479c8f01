"""The command line: one file per verb. click and rich live here and nowhere else."""
