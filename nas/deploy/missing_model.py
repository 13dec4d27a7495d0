"""Error message for a directory without model.pt, by the kind of run in it."""

from __future__ import annotations

from pathlib import Path

from nas.deploy.model import MODEL_FILE
from nas.spaces.genotype_file import GENOTYPE_FILE
from nas.utils.program import job_command

CHECKPOINT = Path("checkpoints", "last.ckpt")
HISTORY = "history.jsonl"  # file of a search, with one line per epoch


def explain_missing_model(directory: Path) -> str:
    """Return the problem and its fix for a directory without model.pt."""
    jobs = sorted(path.parent.name for path in directory.glob(f"*/{MODEL_FILE}"))
    problem = f"there is no {MODEL_FILE} in {directory}"
    if jobs:
        example = directory / jobs[0]
        return f"{problem}, but in {len(jobs)} of its directories. Name one run of the sweep, such as {example}."
    if (directory / GENOTYPE_FILE).is_file() or (directory / HISTORY).is_file():
        return f"{problem}; it is the run of a search. Train the network: {job_command('train')} genotype={directory}."
    if (directory / CHECKPOINT).is_file():
        return (
            f"{problem}; its training has not finished. Resume it, {job_command('train')} ckpt_path={directory}, or "
            f"use its last checkpoint, {directory / CHECKPOINT}."
        )
    if (directory / ".hydra").is_dir():
        return f"{problem}; its training stopped before the end of the first epoch. Start the training again."
    return f"{problem}. Name the directory of a finished training, its {MODEL_FILE}, or a file of weights."
