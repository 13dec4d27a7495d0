"""Best trials of a study, printed after the table of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from nas.cli.run_dir.layout import STUDY_RESULTS, STUDY_TRIALS
from nas.cli.run_dir.sweep_print import short_names, short_number
from nas.utils.printable import printable


def print_results(sweep: Path) -> None:
    """Print the best trial of a study, or its Pareto front as a table; nothing for any other sweep."""
    file = sweep / STUDY_RESULTS
    if not file.is_file():
        return
    results = yaml.safe_load(file.read_text())
    console = Console(highlight=False, markup=False, emoji=False)
    counts = ", ".join(f"{number} {state}" for state, number in results["trials"].items())
    console.print(f"study          {results['storage']}: {counts or 'no trials'}", soft_wrap=True)
    if "best_value" in results:
        (name,) = results["objectives"]
        params = " ".join(f"{key}={value}" for key, value in results["best_params"].items())
        console.print(f"best           {name} {results['best_value']:.6g} (trial {results['trial']})", soft_wrap=True)
        console.print(f"parameters     {printable(params)}", soft_wrap=True)
        console.print(f"run            {results['directory']}", soft_wrap=True)
    if "solutions" in results:
        console.print("Pareto front")
        console.print(_table(results))
    console.print(f"files          {STUDY_RESULTS}, {STUDY_TRIALS} in {sweep}", soft_wrap=True)


def _table(results: Mapping[str, Any]) -> Table:
    table = Table()
    keys = list(results["solutions"][0]["params"])
    names = short_names(keys)
    for heading in (
        "trial",
        *(name.replace("_", "\n") for name in results["objectives"]),
        *(names[key] for key in keys),
    ):
        table.add_column(heading, overflow="fold")
    for solution in results["solutions"]:
        values = [short_number(f"{value:.6g}") for value in solution["values"]]
        params = [short_number(printable(str(solution["params"][key]))) for key in keys]
        table.add_row(str(solution["trial"]), *values, *params)
    return table
