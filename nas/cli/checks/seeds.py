"""Check of ``seeds``, the seeds of several searches in one process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from nas.cli.overrides.parse import value_of
from nas.cli.overrides.run_record import saved_seeds
from nas.cli.overrides.value_type import AUTO
from nas.utils.errors import NasError
from nas.utils.user_path import user_path

FIRST, LAST = 0, 2**32 - 1


def check_seeds(cfg: DictConfig, given: Sequence[str], sweeping: bool) -> None:
    """Raise NasError unless ``seeds`` is a list of distinct seeds that no other option contradicts.

    Args:
        cfg: the composed configuration.
        given: overrides of the command line.
        sweeping: whether the command line starts a sweep.
    """
    seeds = cfg.get("seeds")
    recorded = None if cfg.get("ckpt_path") is None else _recorded_seeds(cfg, given)
    if seeds is None and recorded is None:
        return
    if seeds is None:
        raise _other_seeds(cfg, "seeds=null", recorded)
    values = OmegaConf.to_container(seeds) if isinstance(seeds, ListConfig) else None
    valid = isinstance(values, list) and all(type(seed) is int and FIRST <= seed <= LAST for seed in values)
    if not valid or not values or len(set(values)) < len(values):
        raise NasError(f"seeds={seeds}: give a list of different whole numbers from {FIRST} to {LAST}, such as [0,1].")
    text = f"seeds=[{','.join(map(str, values))}]"
    if sweeping:
        raise NasError(
            f"{text}: -m runs one job for each seed. Use seed={','.join(map(str, values))}, or leave out -m."
        )
    if value_of(given, "seed") is not None:
        raise NasError(f"seed={value_of(given, 'seed')}: {text} replaces it. Leave out one of the two.")
    repetitions = cfg.method.get("repetitions") or 1
    if repetitions != 1:
        raise NasError(f"method.repetitions={repetitions}: it repeats one search with other seeds. Leave out {text}.")
    if cfg.get("ckpt_path") is not None and recorded is None:
        raise NasError(f"ckpt_path={cfg.ckpt_path}: belongs to one search. Resume it separately, without {text}.")
    if recorded is not None and recorded != values:
        raise _other_seeds(cfg, text, recorded)
    if cfg.dataset.get("batch_size") == AUTO:
        raise NasError(f"dataset.batch_size={AUTO}: the size is found for one search. Set a number for {text}.")
    devices = cfg.trainer.devices
    single = len(devices) == 1 if isinstance(devices, ListConfig) else devices in (1, "1")
    several = "ddp" in str(cfg.trainer.strategy).lower() or cfg.trainer.num_nodes != 1
    if several or not (single or (devices == "auto" and cfg.trainer.accelerator == "cpu")):
        raise NasError(f"{text}: the searches share one device. Use trainer.devices=1, or -m seed=LIST.")


def _recorded_seeds(cfg: DictConfig, given: Sequence[str]) -> Any:
    """Return ``seeds`` of the run that is resumed, None for one search."""
    if cfg.get("seeds") is None and value_of(given, "seeds") is None:
        return None
    return saved_seeds(user_path(cfg.ckpt_path))


def _other_seeds(cfg: DictConfig, text: str, recorded: Any) -> NasError:
    earlier = f"[{','.join(map(str, recorded))}]" if isinstance(recorded, list) else recorded
    return NasError(
        f"{text}: {cfg.ckpt_path} is a run with seeds={earlier}. Leave out {text} to resume it, or ckpt_path to start "
        "from scratch."
    )
