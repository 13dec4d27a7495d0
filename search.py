"""Search for an architecture: python search.py method=gdas space=nas_bench_201 dataset=digits (see --help)."""

import sys

import hydra
from omegaconf import DictConfig

from nas.app.launch import guarded, prepare


@hydra.main(version_base="1.3", config_path="conf", config_name="search")
def main(cfg: DictConfig) -> float | None:
    from nas.app.search import run

    return guarded(run, cfg)


def continue_run(arguments: list[str]) -> list[str]:
    """Imported only where it is needed: it needs torch, and --help should not wait for that."""
    if not any(argument.lstrip("+").startswith("ckpt_path=") for argument in arguments):
        return arguments
    from nas.app.resume import continue_run as complete

    return complete(arguments)


if __name__ == "__main__":
    prepare(sys.argv, continue_run)
    main()
