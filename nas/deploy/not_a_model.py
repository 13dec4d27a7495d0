"""What a directory holds that has no trained network, and what a user can do about it."""

from __future__ import annotations

from pathlib import Path

from nas.deploy.model import MODEL_FILE
from nas.spaces.genotype_file import GENOTYPE_FILE

CHECKPOINT = Path("checkpoints", "last.ckpt")
HISTORY = "history.jsonl"  # of a search, epoch by epoch


def explain_missing_model(directory: Path) -> str:
    """One sentence for a directory without model.pt."""
    jobs = sorted(path.parent.name for path in directory.glob(f"*/{MODEL_FILE}"))
    none = f"there is no {MODEL_FILE} in {directory}"
    if jobs:
        return f"{none}, but in {len(jobs)} of its directories: it is a sweep, give one of them ({directory}/{jobs[0]})"
    if (directory / GENOTYPE_FILE).is_file() or (directory / HISTORY).is_file():
        return f"{none}: it is the run of a search, which trains no network: python train.py genotype={directory}"
    if (directory / CHECKPOINT).is_file():
        return (
            f"{none}: its training has not ended; go on with it, python train.py ckpt_path={directory}, or take its "
            f"last whole epoch, {directory / CHECKPOINT}"
        )
    if (directory / ".hydra").is_dir():
        return f"{none}: the training there was stopped before its first epoch ended; start it anew"
    return f"{none}: give the directory of a finished training, its {MODEL_FILE} or a file of weights"
