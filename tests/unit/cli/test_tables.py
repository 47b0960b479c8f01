from __future__ import annotations

import io

from rich import box
from rich.console import Console
from rich.table import Table

from builder.cli.output import plain_table

COLUMNS = ("PCR", "bank", "value")
ROWS = (("4", "sha256", "ab" * 32), ("11 ready", "sha384", "[x]"), ("", "", "  predicted"))


def test_a_table_for_a_pipe_looks_as_rich_would_print_it() -> None:
    table = Table(*COLUMNS, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in ROWS:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    output = io.StringIO()
    Console(file=output, width=400).print(table)
    assert plain_table(COLUMNS, ROWS) == "".join(f"{line.rstrip()}\n" for line in output.getvalue().splitlines())


def test_a_row_is_never_folded_in_a_pipe() -> None:
    assert plain_table(("a", "b"), [("x", "y" * 1000)]).splitlines()[2] == f"x   {'y' * 1000}"


def test_a_table_without_rows_still_names_its_columns() -> None:
    assert plain_table(("a", "bc"), []) == "a   bc\n──────\n"
