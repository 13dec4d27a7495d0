"""Tables of facts about a run: identification, results and versions."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

from nas.report.run import Run
from nas.utils.is_number import is_number
from nas.utils.program import program


class Command(NamedTuple):
    """A shell command, and its purpose."""

    purpose: str
    text: str


Fact = tuple[str, str]
PERPLEXITIES = {"test_perplexity": "test perplexity", "val_perplexity": "validation perplexity"}


def identification(run: Run) -> list[Fact]:
    """Return method, data, machine, dates and duration of a run, as far as they are known."""
    s = run.summary
    seconds = next((s[key] for key in ("search_seconds", "train_seconds") if is_number(s.get(key))), None)
    facts = [
        ("directory", run.directory),
        ("proxy" if run.kind == "rank_proxies" else "method", run.name_of("method")),
        *((part, run.name_of(part)) for part in ("space", "dataset")),
        ("experiment", run.choices.get("experiment", "")),
        ("seed", "" if run.seed is None else str(run.seed)),
        ("status", run.status),
        ("started", _date(run.started)),
        ("last written", _date(run.ended)),
        ("duration", "" if seconds is None else duration(seconds)),
        ("step", f"{1000 * s['step_seconds']:.0f} ms (median)" if is_number(s.get("step_seconds")) else ""),
        ("machine", ", ".join(str(s[key]) for key in ("device", "accelerator", "precision") if s.get(key))),
        ("peak memory", f"{s['peak_memory_bytes'] / 1e9:.2f} GB" if is_number(s.get("peak_memory_bytes")) else ""),
        ("commit", str(s.get("commit") or "")),
    ]
    return [(name, text) for name, text in facts if text]


def versions(run: Run) -> list[Fact]:
    """Return the versions of the packages."""
    recorded = run.summary.get("versions")
    return [(str(name), str(text)) for name, text in recorded.items() if text] if isinstance(recorded, dict) else []


def results(run: Run) -> list[Fact]:
    """Return size and accuracies of the final network, as far as they are known."""
    s = run.summary
    of = {"val_accuracy": s.get("val_accuracy_of"), "value": s.get("value_of")}
    of |= {f"benchmark/{split}": s.get("benchmark_of") for split in ("valid", "test")}
    kinds = {
        "test_accuracy": "test accuracy",
        "test_top5_accuracy": "test top-5 accuracy",
        "best_test_accuracy": "best test accuracy",
        "calibration_error": "calibration error",
        "benchmark/test": "benchmark test accuracy",
        "benchmark/valid": "benchmark validation accuracy",
        "val_accuracy": "validation accuracy",
    }
    facts = [
        (title, f"{s[key]:.2f} %{f' ({of[key]})' if of.get(key) else ''}")
        for key, title in kinds.items()
        if is_number(s.get(key))
    ]
    facts += [(title, f"{s[key]:.2f}{_of(s, key)}") for key, title in PERPLEXITIES.items() if is_number(s.get(key))]
    if is_number(s.get("value")):
        description = f" ({of['value']})" if of["value"] else ""
        facts.append(("value", f"{s['value']:.6g}{description}"))
    if is_number(s.get("queries")):
        facts.append(("evaluations", f"{s['queries']:.0f}, ended by {s.get('ended_by', 'unknown')}"))
    facts += [(f"{name}, mean", text) for name, text in _repetitions(s.get("table"))]
    if is_number(s.get("parameters")):
        size = f" ({s['network_size']})" if s.get("network_size") else ""
        facts.append(("parameters", f"{s['parameters'] / 1e6:.3f} M{size}"))
    if is_number(s.get("macs")):
        facts.append(("multiply-adds", f"{s['macs'] / 1e6:.2f} M (rule {s.get('macs_rule', 'macs')})"))
    facts += _budget(s.get("budget"))
    plain = {
        "spearman": "Spearman correlation",
        "kendall_tau_b": "Kendall correlation",
        "images_per_second": "images/s",
        "tokens_per_second": "tokens/s",
    }
    return facts + [(title, f"{s[key]:.4g}") for key, title in plain.items() if is_number(s.get(key))]


def commands(run: Run) -> list[Command]:
    """Return the command of a run, and those that continue from it: resume, retrain, evaluate, export."""
    commands_of_run = [Command("This run", str(run.summary["command"]))] if run.summary.get("command") else []
    job = "train" if run.kind == "train" else "search"
    if run.status != "finished" and run.resumable and run.kind in ("search", "train"):
        commands_of_run.append(Command("Resume this run", _command(job, run.resume_flags, "ckpt_path", run.directory)))
    weights = run.directory
    if run.kind in ("search", "rank_proxies") and run.genotype is not None:
        weights = f"{run.directory.rstrip('/')}-train"
        new = _option("hydra.run.dir", weights)
        train = _command("train", run.flags, "genotype", run.directory)
        commands_of_run.append(Command("Train the network from scratch", f"{train} {new}"))
    elif run.kind != "train" or run.status != "finished":
        return commands_of_run
    flags = ([*run.flags, f"mode={mode}"] for mode in ("eval", "export"))
    evaluate, export = (_command("train", given, "weights", weights) for given in flags)
    commands_of_run.append(Command("Evaluate the trained network", evaluate))
    if not _is_language_model(run):  # exported files carry no hidden states
        commands_of_run.append(Command("Export it to ONNX", export))
    return commands_of_run


def duration(seconds: float) -> str:
    """Return a duration such as ``1 h 02 min`` or ``5.2 s``."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _is_language_model(run: Run) -> bool:
    return any("perplexity" in name for name in (*run.summary, *run.epochs))


def _of(summary: Any, key: str) -> str:
    """Return the description of a result in brackets, "" without one."""
    text = summary.get(f"{key}_of")
    return f" ({text})" if text else ""


def _command(job: str, flags: Sequence[str], key: str, value: str) -> str:
    return " ".join([program(job), *flags, _option(key, value)])


def _option(key: str, value: str) -> str:
    return shlex.quote(f"{key}={value}")


def _repetitions(table: Any) -> Sequence[Fact]:
    facts = []
    for name, row in table.items() if isinstance(table, dict) else ():
        if isinstance(row, dict) and is_number(row.get("mean")):
            spread = f" ± {row['std']:.2f}" if is_number(row.get("std")) else ""
            facts.append((str(name), f"{row['mean']:.2f}{spread} (n = {row.get('n')})"))
    return facts


def _budget(budget: Any) -> Sequence[Fact]:
    """Return each limited cost beside its limit."""
    facts = []
    for name, cost in budget.items() if isinstance(budget, dict) else ():
        numbers = [cost.get(key) for key in ("value", "limit")] if isinstance(cost, dict) else [None]
        if all(map(is_number, numbers)):
            value, limit = (f"{number:,}" if isinstance(number, int) else f"{number:.4g}" for number in numbers)
            facts.append((f"limit of {name}", f"{value} of at most {limit}"))
    return facts


def _date(time: Any) -> str:
    return f"{time:%Y-%m-%d %H:%M}" if time is not None else ""
