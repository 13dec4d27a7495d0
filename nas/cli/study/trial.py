"""Trial in the process of its job: values after each epoch, and pruning."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from nas.cli.overrides.parse import quote

if TYPE_CHECKING:
    import pytorch_lightning as pl


def trial_overrides(file: Path, number: int) -> list[str]:
    """Return the overrides of Hydra that give a job its trial."""
    return [f"hydra.sweeper.storage={quote(str(file))}", f"hydra.sweeper.trial={number}"]


def build_trial_callbacks(cfg: DictConfig) -> list[pl.Callback]:
    """Build the callback that reports the epochs of a job to its study, none for a job that is no trial.

    Trials with several objectives or several seeds do not report epochs.
    """
    node = HydraConfig.get().sweeper if HydraConfig.initialized() else None
    if node is None or OmegaConf.select(node, "trial") is None or cfg.get("seeds") is not None:
        return []
    from nas.callbacks.guards.prune_trial import PruneTrial

    # the pruner may refer to options of the job, such as the number of epochs
    root: Any = OmegaConf.create(OmegaConf.to_container(cfg, resolve=False))
    root.hydra = {"sweeper": {"pruner": OmegaConf.to_container(node.pruner, resolve=False)}}
    pruner: Any = OmegaConf.to_container(root.hydra.sweeper.pruner, resolve=True)
    report = TrialReport(Path(node.storage), str(node.study_name), int(node.trial), pruner)
    return [] if report.several else [PruneTrial(report, node.monitor)]


class TrialReport:
    """Function that reports a value of an epoch to the study and returns whether the trial is pruned.

    Args:
        file: journal of the study.
        study: name of the study.
        number: number of the trial.
        pruner: configuration of the pruner.
    """

    def __init__(self, file: Path, study: str, number: int, pruner: dict[str, Any]) -> None:
        import optuna

        from nas.cli.study.shared_study import open_storage

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._storage = open_storage(file)
        self._pruner = instantiate(pruner)
        self._study = optuna.load_study(study_name=study, storage=self._storage, pruner=self._pruner)
        study_id = self._storage.get_study_id_from_name(study)
        self._trial = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        self.several = len(self._study.directions) > 1
        """Flag of a study with several objectives, whose trials Optuna does not prune."""

    def __call__(self, epochs: int, value: float) -> bool:
        self._storage.set_trial_intermediate_value(self._trial, epochs, value)
        return bool(self._pruner.prune(self._study, self._storage.get_trial(self._trial)))
