"""Check, before Hydra writes anything, that a benchmark contains the accuracies that a black-box search needs."""

from __future__ import annotations

from hydra.errors import HydraException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from nas.blackbox.evaluators.benchmark import BenchmarkQuery
from nas.cli.build import build_data, build_space
from nas.cli.checks.options import check_options
from nas.cli.own_parts import own_parts_in_use
from nas.cli.run_dir.hydra_config import hydra_config_of
from nas.utils.errors import NasError


def check_benchmark_coverage(cfg: DictConfig) -> None:
    """Raise NasError if the evaluator is a benchmark whose table lacks the requested results.

    ``cfg`` includes Hydra's part. Any other mistake is left to the run, which reports it as usual.
    """
    cfg = cfg.copy()
    try:
        target = get_object(cfg.method.evaluator._target_)
        if not (isinstance(target, type) and issubclass(target, BenchmarkQuery)):
            return
        with hydra_config_of(cfg):
            with open_dict(cfg):
                del cfg["hydra"]
            check_options(OmegaConf.masked_copy(cfg, ["dataset", "space", "evaluator"]))
            with own_parts_in_use(cfg):
                space = build_space(cfg.space, build_data(cfg))
                instantiate(cfg.method.evaluator, _convert_="all")(space)
    except (HydraException, OmegaConfBaseException, ImportError, AttributeError, ValueError) as error:
        if isinstance(error.__cause__, NasError):
            raise error.__cause__ from None
