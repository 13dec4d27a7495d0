"""Train the network of a genotype from scratch, or evaluate or export a trained one: python train.py genotype=..."""

import sys

import hydra
from omegaconf import DictConfig

from nas.cli.jobs.dispatch import complete
from nas.cli.main import guarded, launch
from nas.zoo.listing import run_list_flag


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> float | None:
    from nas.cli.jobs.dispatch import run

    return guarded(run, cfg)


if __name__ == "__main__":
    code = run_list_flag(sys.argv[1:])
    if code is not None:
        raise SystemExit(code)
    launch(main, "train", complete)
