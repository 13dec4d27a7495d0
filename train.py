"""Train the network of a genotype from scratch and test it: python train.py genotype=... (see --help)."""

import sys

import hydra
from omegaconf import DictConfig

from nas.app.launch import guarded, launch
from nas.app.same_data import same_data
from nas.zoo.listing import listed


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> float | None:
    from nas.app.train import run

    return guarded(run, cfg)


if __name__ == "__main__":
    code = listed(sys.argv[1:])
    if code is not None:
        raise SystemExit(code)
    launch(main, "train", same_data)
