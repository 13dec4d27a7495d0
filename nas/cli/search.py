"""Command ``nas-search``: search for an architecture, or rank architectures by a zero-cost proxy."""

from __future__ import annotations

import hydra
from omegaconf import DictConfig

from nas.cli.main import launch, run_with_error_handling
from nas.cli.overrides.conf_dir import CONF


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="search")
def _hydra_main(cfg: DictConfig) -> float | None:
    return run_with_error_handling(cfg)


def main() -> None:
    """Run search.py with the arguments of the process."""
    launch(_hydra_main, "search")


if __name__ == "__main__":
    # other processes, such as those of a launcher, import the job from this module and not from __main__
    from nas.cli.search import main as run

    run()
