"""Arguments of the authors' programs, with the options that replace them.

Sources: D-X-Y/AutoDL-Projects, VITA-Group/TENAS, xiaomi-automl/NoisyDARTS, xiangning-chen/DrNAS and quark0/darts.
docs/from_other_code.md has their commands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nas.utils.errors import NasError

DATASETS = {"ImageNet16-120": "imagenet16_120", "imagenet16-120": "imagenet16_120", "imagenet-1k": "imagenet"}
SPACES = {"nas-bench-201": "nas_bench_201", "tss": "nas_bench_201", "sss": "nats_size"}
METHODS = {
    **{"dirichlet": "drnas", "darts-v1": "darts", "darts-v2": "darts_2nd", "random": "rsps"},
    **{"mask_gumbel": "mask_gumbel", "mask_rl": "mask_rl"},
}
SWITCH = {"0": "false", "1": "true"}

PUBLISHED = "Leave it out: experiment=NAME and protocol=NAME select published settings."
NOT_USED = "Leave it out: the program defines it, and its search does not use it."
IN_MEMORY = "Use dataset.num_workers={} with dataset=imagenet or folder; other images are in memory."
BUDGET = "Leave it out: method.budget.seconds ends the search."
FORMAT = "Leave it out: files of runs have fixed names (docs/reference.md)."

SEARCH: Mapping[str, str] = {
    "EMA_momentum": "method.strategy.momentum={}",
    "add_noise_skip": "method=noisy_darts",
    "affine": "space.affine={}",
    "algo": "method={}",
    "alpha": "space.activation_penalty={}",
    "arch_eps": "method.arch_step.optimizer.eps={}",
    "arch_learning_rate": "method.arch_step.optimizer.lr={}",
    "arch_lr": "method.arch_step.optimizer.lr={}",
    "arch_nas_dataset": "Use paths.benchmark=DIR, a directory with the table (docs/benchmarks.md).",
    "arch_wdecay": "method.arch_step.optimizer.weight_decay={}",
    "arch_weight_decay": "method.arch_step.optimizer.weight_decay={}",
    "bandwidth_factor": "Leave it out: it applies to numerical decisions, which the spaces do not have.",
    "begin": "method.arch_step.warmup_epochs={}",
    "beta": "space.temporal_penalty={}",
    "channel": "space.channels={}",
    "clip": "method.weight_step.clip_norm={}",
    "compute_hessian": "callbacks=curvature",
    "controller_bl_dec": "method.callbacks.0.baseline_decay={}",
    "controller_entropy_weight": "method.callbacks.0.entropy_weight={}",
    "controller_num_aggregate": "method.callbacks.0.samples={}",
    "controller_num_samples": "method.callbacks.1.final={}",
    "controller_train_steps": "method.callbacks.0.steps={}",
    "drop_path_prob": NOT_USED,
    "drop_path_rate": "Use nas.callbacks.schedules.drop_path.SupernetDropPath in method.callbacks.",
    "dropout": "space.output_dropout={}",
    "dropoute": "space.word_dropout={}",
    "dropouth": "space.hidden_dropout={}",
    "dropouti": "space.embedding_dropout={}",
    "dropoutx": "space.input_dropout={}",
    "ea_cycles": BUDGET,
    "ea_fast_by_api": "evaluator=benchmark",
    "ea_population": "method.strategy.population={}",
    "ea_sample_size": "method.strategy.sample={}",
    "emsize": "space.hidden_size={}",
    "eval_candidate_num": "method.callbacks.0.final={}",
    "factor_skip": "method.edge.scale={}",
    "frozen_epochs": "method.arch_step.warmup_epochs={}",
    "grad_clip": "method.weight_step.clip_norm={}",
    "gradient_clip": "method.weight_step.clip_norm={}",
    "init": "method.init={}",
    "init_channels": "space.channels={}",
    "k": "method.edge.channel_divisor={}",
    "layers": "space.layers={}",
    "learning_rate": "method.weight_step.optimizer.lr={}",
    "learning_rate_min": "method.weight_step.scheduler.eta_min={}",
    "lr": "method.weight_step.optimizer.lr={}",
    "max_nodes": "Leave it out: a cell of NAS-Bench-201 has 4 nodes.",
    "method": "method={}",
    "min_bandwidth": "method.strategy.min_bandwidth={}",
    "model_path": "hydra.run.dir={}",
    "momentum": "method.weight_step.optimizer.momentum={}",
    "n_iters": BUDGET,
    "nas201": "space=nas_bench_201",
    "nhid": "space.hidden_size={}",
    "nhidlast": "space.hidden_size={}",
    "noise_decay": "Use experiment=noisy_darts/g, h, i or j, whose noise decays.",
    "noise_mean": "method.edge.mean={}",
    "noise_mixture": "method.edge.mode={}",
    "noise_type": "method.edge.distribution={}",
    "num_cells": "space.cells_per_stage={}",
    "num_samples": "method.strategy.num_samples={}",
    "precision": "Leave it out: changes of the proxies are rounded to 3 digits, as there.",
    "prune_number": "method.prune_number={}",
    "random_fraction": "method.strategy.random_fraction={}",
    "reg_scale": "method.relaxation.reg_scale={}",
    "reg_type": "method.relaxation.regularizer={}",
    "repeat": "method.repeats={}",
    "report_freq_hessian": "callbacks.curvature.every={}",
    "search_space": "space={}",
    "search_space_name": "space={}",
    "select_num": "method.callbacks.0.final={}",
    "space": "space={}",
    "super_type": "Leave it out: space=NAME selects the supernet.",
    "tau_max": "method.callbacks.0.start={}",
    "tau_min": "method.callbacks.0.end={}",
    "time_budget": "method.budget.seconds={}",
    "track_running_stats": "space.track_statistics={}",
    "train_portion": "dataset.split={}",
    "unrolled": "method=darts_2nd",
    "use_api": "Use paths.benchmark=DIR, a directory with the table (docs/benchmarks.md).",
    "wdecay": "method.weight_step.optimizer.weight_decay={}",
    "weight_decay": "method.weight_step.optimizer.weight_decay={}",
}
"""Arguments of programs that search: an override, whose {} is the value, or advice."""

TRAIN: Mapping[str, str] = {
    "alpha": "text_training.activation_penalty={}",
    "arch": "genotype={}",
    "auxiliary": "network.auxiliary=true",
    "auxiliary_weight": "training.auxiliary_weight={}",
    "beta": "text_training.temporal_penalty={}",
    "channel": "network.channels={}",
    "clip": "text_training.clip_norm={}",
    "decay_period": "Leave it out: training.scheduler.schedule=exponential changes the rate after each epoch.",
    "drop_path_prob": "training.drop_path={}",
    "dropout": "network.output_dropout={}",
    "dropoute": "network.word_dropout={}",
    "dropouth": "network.hidden_dropout={}",
    "dropouti": "network.embedding_dropout={}",
    "dropoutx": "network.input_dropout={}",
    "emsize": "network.hidden_size={}",
    "eval_frequency": "trainer.check_val_every_n_epoch={}",
    "extra_model_path": "Use genotype=RUN, the run directory of the search.",
    "gamma": "training.scheduler.gamma={}",
    "grad_clip": "training.clip_norm={}",
    "init_channels": "network.channels={}",
    "init_model": "init_weights={}",
    "label_smooth": "training.label_smoothing={}",
    "layers": "network.layers={}",
    "learning_rate": "training.optimizer.lr={}",
    "learning_rate_min": "training.scheduler.eta_min={}",
    "lr": "training.optimizer.lr={}",
    "lr_scheduler": "training.scheduler.schedule={}",
    "model": "genotype={}",
    "model_path": "Use mode=eval weights={} to evaluate these weights, or hydra.run.dir=DIR to name the run directory.",
    "model_source": PUBLISHED,
    "momentum": "training.optimizer.momentum={}",
    "nhid": "network.hidden_size={}",
    "nhidlast": "network.hidden_size={}",
    "nonmono": "text_training.patience={}",
    "num_cells": "network.cells_per_stage={}",
    "optim_config": PUBLISHED,
    "print_freq_eval": FORMAT,
    "procedure": PUBLISHED,
    "train_portion": "dataset.split={}",
    "wdecay": "text_training.optimizer.weight_decay={}",
    "weight_decay": "training.optimizer.weight_decay={}",
}
"""Arguments of programs that train or evaluate a network."""

BOTH: Mapping[str, str] = {
    "batch_size": "dataset.batch_size={}",
    "bptt": "dataset.bptt={}",
    "config_path": PUBLISHED,
    "continue_train": "Use ckpt_path=RUN, the run directory of the interrupted run.",
    "cuda": "trainer=gpu",
    "cutout": "dataset.cutout=16",
    "cutout_length": "dataset.cutout={}",
    "cutout_prob": "Use experiment=r_darts/dp, whose probability of cutout rises, or dataset.cutout=SIDE.",
    "data": "paths.data={}",
    "data_path": "paths.data={}",
    "dataset": "dataset={}",
    "epochs": "epochs={}",
    "exp_name": "hydra.run.dir={}",
    "gpu": "trainer=gpu trainer.devices=[{}]",
    "model_config": PUBLISHED,
    "overwite_epochs": "epochs={}",
    "parallel": "trainer=ddp",
    "pretrained_weights": "init_weights={} is an option of train.py. A search starts from new weights.",
    "print_freq": "callbacks.curves.every={}",
    "rand_seed": "seed={}",
    "report_freq": "callbacks.curves.every={}",
    "resume": "ckpt_path={}",
    "save": "hydra.run.dir={}",
    "save_dir": "hydra.run.dir={}",
    "seed": "seed={}",
    "single_gpu": "trainer=gpu",
    "timestamp": FORMAT,
    "workers": IN_MEMORY,
}
"""Arguments of both kinds of programs."""

TRANSLATED = {
    **dict.fromkeys(("dataset",), DATASETS),
    **dict.fromkeys(("space", "search_space", "search_space_name"), SPACES),
    **dict.fromkeys(("method", "algo"), METHODS),
    **dict.fromkeys(("track_running_stats", "affine"), SWITCH),
}
"""Values of the authors' programs with the names of this project, by argument."""


def foreign_argument(job: str, name: str, value: str | None = None) -> NasError | None:
    """Return the error for an argument of another program, with the option to use; None if it is unknown.

    Args:
        job: "search" or "train".
        name: the argument, with or without leading dashes.
        value: its value; None if it has none.
    """
    key = name.lstrip("-").replace("-", "_")
    advice = (SEARCH if job == "search" else TRAIN).get(key) or BOTH.get(key)
    if advice is None:
        return None
    given = "VALUE" if value is None else TRANSLATED.get(key, {}).get(value, value)
    fix = advice.replace("{}", given)
    written = name if value is None else f"{name} {value}" if name.startswith("-") else f"{name}={value}"
    sentence = fix if fix.endswith(".") else f"Use {fix}"
    return NasError(f"{written}: an argument of another program. {sentence}")


def foreign_flag(job: str, flag: str, arguments: Sequence[str]) -> NasError | None:
    """Return the error for a flag of another program, which may be ``--name=value`` or precede its value."""
    name, equals, value = flag.partition("=")
    if equals:
        return foreign_argument(job, name, value)
    place = arguments.index(flag) + 1 if flag in arguments else len(arguments)
    following = arguments[place] if place < len(arguments) else ""
    has_value = bool(following) and not following.startswith("--") and "=" not in following
    return foreign_argument(job, name, following if has_value else None)
