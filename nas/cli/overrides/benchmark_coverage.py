"""What a search would ask of a benchmark's table, tried before Hydra writes anything."""

from __future__ import annotations

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from nas.cli.overrides.signatures import check_options
from nas.utils.errors import NasError

QUERY = "nas.blackbox.evaluators.benchmark.BenchmarkQuery"


def check_queries(cfg: DictConfig) -> None:
    """Raises NasError where the evaluator is a benchmark, and its table does not hold what the options ask for.

    ``cfg`` holds Hydra's part too. Other mistakes are left to the run, which tells them as any other.
    """
    try:
        asks = OmegaConf.select(cfg, "method.evaluator._target_") == QUERY
    except OmegaConfBaseException:
        return
    if not asks:
        return
    # imported only here: it needs torch, and other mistakes should not wait for that
    from nas.cli.build import build_data, build_space

    hydra, before = HydraConfig.instance(), HydraConfig.instance().cfg
    cfg = cfg.copy()
    try:
        hydra.set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        check_options(OmegaConf.masked_copy(cfg, ["dataset", "space", "evaluator"]))
        space = build_space(cfg.space, build_data(cfg))
        instantiate(cfg.method.evaluator, _convert_="all")(space)
    except (HydraException, OmegaConfBaseException) as error:
        if isinstance(error.__cause__, NasError):
            raise error.__cause__ from None
    finally:
        hydra.cfg = before
