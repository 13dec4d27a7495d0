"""Program ``nas-train``: train the network of a genotype from scratch; evaluate or export a trained one."""

from __future__ import annotations

import sys

import hydra
from omegaconf import DictConfig

from nas.cli.main import launch, run_with_error_handling
from nas.cli.overrides.conf_dir import CONF
from nas.zoo.listing import run_list_flag


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def _hydra_main(cfg: DictConfig) -> float | None:
    return run_with_error_handling(cfg)


def main() -> None:
    """Run train.py with the arguments of the process; ``--list`` prints the published architectures instead."""
    code = run_list_flag(sys.argv[1:])
    if code is not None:
        raise SystemExit(code)
    launch(_hydra_main, "train")
