"""What train.py does: train a network, or evaluate or export a trained one."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig

from nas.cli.overrides.inherit_from_search import same_data
from nas.cli.overrides.inherit_from_training import same_test
from nas.cli.overrides.inherit_in_sweep import complete_sweep, with_own_data
from nas.cli.overrides.parse import override
from nas.utils.errors import NasError, unknown

MODES = ("train", "eval", "export")


def check_mode(arguments: Sequence[str]) -> None:
    """Raises NasError for an unknown mode, and for what means nothing in the chosen one."""
    asked = (override(arguments, "mode") or "train").split(",")
    for mode in asked:
        if mode not in MODES:
            raise unknown("mode", mode, MODES)
    weights = override(arguments, "weights")
    if "train" in asked and weights not in (None, "null"):
        raise NasError(
            f"weights={weights}: a training begins with new weights; mode=eval evaluates, mode=export exports these; "
            "initial=... trains them further"
        )
    if asked != ["train"] and override(arguments, "genotype") is None and weights in (None, "null"):
        raise NasError(
            f"weights is missing: python train.py mode={asked[0]} weights=X with X the run directory of a training, "
            "its model.pt, or a published state_dict together with its genotype=..."
        )
    initial = override(arguments, "initial")
    if asked != ["train"] and initial not in (None, "null"):
        raise NasError(
            f"initial={initial}: weights to train further, with mode=train; for mode={asked[0]} give weights=..."
        )
    if asked != ["train"] and override(arguments, "ckpt_path") not in (None, "null"):
        raise NasError(
            f"mode={','.join(asked)} does not go on with a run: give its directory as weights=..., not as ckpt_path"
        )


def complete(arguments: list[str]) -> list[str]:
    """The command line with the data set that follows from the run it names, or the runs, where it chooses none."""
    return complete_sweep(arguments, _complete)


def _complete(arguments: list[str]) -> list[str]:
    mode = override(arguments, "mode") or "train"
    return same_data(arguments) if mode == "train" else same_test(arguments)


def run(cfg: DictConfig) -> float | None:
    """Does what ``mode`` says; the test accuracy in percent, None of an export."""
    cfg = with_own_data(cfg, _complete)
    # each imported only where it is wanted: an evaluation needs nothing of a training
    if cfg.mode == "eval":
        from nas.cli.jobs.evaluate import run as evaluate

        return evaluate(cfg)
    if cfg.mode == "export":
        from nas.cli.jobs.export import run as export

        export(cfg)
        return None
    from nas.cli.jobs.train import run as train

    return train(cfg)
