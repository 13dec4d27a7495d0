"""Search for an architecture: python search.py method=gdas space=nas_bench_201 dataset=digits (see --help)."""

import hydra
from omegaconf import DictConfig

from nas.cli.main import guarded, launch


@hydra.main(version_base="1.3", config_path="conf", config_name="search")
def main(cfg: DictConfig) -> float | None:
    from nas.cli.jobs.search import run

    return guarded(run, cfg)


if __name__ == "__main__":
    launch(main, "search")
