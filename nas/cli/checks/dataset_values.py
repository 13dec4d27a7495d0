"""Check that an experiment or protocol does not apply values of its own data set to another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from nas.cli.overrides.parse import key_of, value_of
from nas.utils.errors import NasError
from nas.utils.import_name import import_name

PUBLISHED = ("experiment", "protocol")
"""Groups whose files choose a data set and set some of its options."""
GENERAL = frozenset(
    (
        *(
            "batch_size",
            "global_batch_size",
            "eval_batch_size",
            "bilevel",
            "hold_out",
            "seed",
            "on_device",
            "num_workers",
            "download",
        ),
        *("flip", "color_jitter", "lighting", "on_broken_image", "md5"),
        *("subset_fractions", "subset_seed", "subset_file"),
        *("test_fraction", "test_seed", "test_list_file"),
        *("test_batch_size", "bptt", "short_probability", "length_std"),
    )
)
"""Options that have the same meaning for all images, or for all texts."""
IN_PIXELS = frozenset(["pad", "cutout", "image_size", "resize", "crop", "scale"])
"""Options that depend only on the size of the images."""
ANY_SPLIT = ("halves", "nas_bench_201")
"""Values of dataset.split that every data set defines for itself."""
SYNTHETIC = "nas.data.synthetic.Synthetic"
"""Random images of any size and normalization, for tests of any configuration."""
Compose = Callable[[list[str]], DictConfig]


def check_dataset_values(arguments: Sequence[str], cfg: DictConfig, compose: Compose) -> None:
    """Raise NasError if an experiment or protocol sets statistics or files of its data set, but another one is chosen.

    Such options are the normalization, split files, lists of classes and sizes in pixels. They are accepted if the
    command line sets them, if both data sets have the same values, or if the file sets another value for the chosen
    data set than for its own.

    Args:
        arguments: the command line of one job.
        cfg: its configuration, with Hydra's part.
        compose: composes the configuration of other overrides, with Hydra's part.
    """
    named = [line for line in arguments if key_of(line) in PUBLISHED and value_of([line], key_of(line)) != "null"]
    chosen = value_of(arguments, "dataset")
    if not named or chosen is None:
        return
    required = [line for line in arguments if key_of(line) in ("genotype", "mode", "hydra.searchpath")]
    own = compose([*named, *required])
    theirs = own.hydra.runtime.choices.dataset
    if theirs == chosen or cfg.dataset.get("_target_") == SYNTHETIC:
        return
    given = [line for line in arguments if key_of(line).startswith("dataset.") and not line.startswith("~")]
    default = _plain(compose([f"dataset={chosen}", *required, *given]))
    values, own_values = _plain(cfg), _plain(own)
    wrong = [
        name
        for name, value in values.items()
        if name not in default
        or (value == own_values.get(name) != default[name] and not _fits_any(name, value, cfg, own))
    ]
    if wrong:
        keys = ", ".join(f"dataset.{name}" for name in wrong)
        fix = " ".join(_literal(name, default) for name in wrong)
        raise NasError(
            f"dataset={chosen}: {' '.join(named)} sets {keys} for dataset={theirs}. Add {fix}, or use dataset={theirs}."
        )


def _fits_any(name: str, value: Any, cfg: DictConfig, own: DictConfig) -> bool:
    """Return whether a value of the data set of ``own`` has the same meaning for the data set of ``cfg``."""
    if name in GENERAL or name == "_target_":
        return True
    if name == "split":
        return value in ANY_SPLIT or isinstance(value, int | float)
    if name not in IN_PIXELS:
        return False
    here, there = cfg.dataset.get("_target_"), own.dataset.get("_target_")
    sizes = [getattr(import_name(f"dataset._target_={target}", str(target)), "shape", None) for target in (here, there)]
    return here == there or (sizes[0] is not None and sizes[0] == sizes[1])


def _plain(cfg: DictConfig) -> dict[str, Any]:
    options: Any = OmegaConf.to_container(cfg.dataset, resolve=False)
    return dict(options)


def _literal(name: str, default: dict[str, Any]) -> str:
    """Return the override that gives an option the value that its data set has by default."""
    if name not in default:
        return f"~dataset.{name}"
    value = default[name]
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return f"dataset.{name}={text.replace(' ', '')}"
