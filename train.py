"""Train the network of a genotype from scratch and test it: python train.py genotype=... (see --help)."""

import sys

import hydra
from omegaconf import DictConfig

from nas.app.launch import guarded, prepare
from nas.app.same_data import same_data


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> float | None:
    from nas.app.train import run

    return guarded(run, cfg)


def continue_run(arguments: list[str]) -> list[str]:
    """Imported only where it is needed: it needs torch, and --help should not wait for that."""
    if not any(argument.lstrip("+").startswith("ckpt_path=") for argument in arguments):
        return arguments
    from nas.app.resume import continue_run as complete

    return complete(arguments)


if __name__ == "__main__":
    prepare(sys.argv, continue_run, same_data)
    main()
