"""Composition of the configuration of another run within a job, from the user's configuration and its overrides."""

from __future__ import annotations

import re
from pathlib import Path

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nas.cli.overrides.hydra_internals import parse_override
from nas.cli.overrides.installed import provide_choices
from nas.cli.overrides.parse import key_of
from nas.cli.overrides.run_record import check_overrides, overrides_file, saved_overrides
from nas.cli.overrides.search_path import is_group, search_path_of_run
from nas.cli.overrides.value_type import wanted_type_in_record
from nas.cli.run_dir.task_overrides import task_overrides
from nas.utils.errors import NasError, one_line


def compose_saved(job: str, directory: Path) -> DictConfig:
    """Compose the configuration of the run in ``directory``, with Hydra's part, within a running job.

    Overrides that the command line of the job has as well are trusted, such as the name of a user-defined model.

    Raises:
        NasError: if the record of the run is damaged, or has an override that must not be taken over.
    """
    file, path = overrides_file(directory), search_path_of_run()
    lines = saved_overrides(directory)
    typed = set(task_overrides()) if HydraConfig.initialized() else set()
    check_overrides([line for line in lines if line not in typed], file, path)
    provide_choices(lines)
    choices = [line for line in lines if "@" in key_of(line) or is_group(key_of(line), path)]
    try:
        defaults = compose(job, choices, return_hydra_config=True)
        cfg = compose(job, lines, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        text = re.sub(r"\s*(full_key|object_type|reference_type)[:=].*", "", one_line(error))
        raise NasError(f"{file}: {text[:300]}. Run the search again.") from None
    for line in lines:
        key, value = key_of(line), parse_override(line).value()
        default = OmegaConf.select(defaults, key, throw_on_missing=False, throw_on_resolution_failure=False)
        wanted = wanted_type_in_record(key, default, value) if line not in choices else None
        if wanted is not None:
            raise NasError(f"{file}: {line[:200]}: {key} takes {wanted}.")
    return cfg
