"""Options without a value in the tables, with the reason or the test files that name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

GIVEN = {"space", "cells", "network", "optimizer", "shape", "classes", "ops", "channels", "stride", "options", "device"}
GIVEN |= {"data", "cell", "scores", "edge_scores"}
"""Arguments that the program passes, or that other rows of the table contain."""

IMAGE_OPTIONS = (
    "bilevel",
    "cutout",
    "eval_batch_size",
    "flip",
    "hold_out",
    "image_size",
    "pad",
    "resize",
    "seed",
    "std",
)
NO_DIFFERENCE: dict[str, Mapping[str, str]] = {
    "any": {
        "name": "the name of a part in messages and files",
        "directory": "the place of files",
        "save_dir": "the place of files",
        "run_dir": "the place of a file",
        "split_record": "the place of a file",
        "executor": "the place of evaluations; the values are the same: tests/executors/test_contract.py",
        "on_device": "the place of the images; the batches are the same",
        "num_workers": "the processes that decode; the batches are the same",
        "fused": "the same results up to rounding: tests/nn/test_fused_cell_graph.py",
        "rows": "three ways to the same kernel: tests/proxies/test_ntk.py",
    },
    "HuggingFace": {
        **dict.fromkeys((*IMAGE_OPTIONS, "test_split"), "passed to ImageData in one call, as those of Cifar10"),
        **dict.fromkeys(("data_dir", "revision"), "arguments of datasets.load_dataset"),
    },
    "Svhn": {"test_split": "a file, as of Cifar100", "extra": "tests/data/test_svhn.py"},
    "Cifar10": {"test_split": "its split does not halve the test images"},
    "Cifar100": {"test_split": "a file: test_split_files_make_a_difference"},
    "Synthetic": {"test_split": "a file: test_split_files_make_a_difference"},
    "Digits": {"test_split": "a file, as of Synthetic"},
    "ImageNet16": {"test_split": "a file: tests/data/test_imagenet16.py", "md5": "tests/data/test_imagenet16.py"},
    "Folder": {
        **dict.fromkeys(
            ("test_folder", "test_fraction", "test_seed", "test_list", "test_list_file"),
            "of folders without val: tests/data/splits/test_flat_split.py",
        ),
        "subset_file": "written by a search: tests/data/test_folder_runs.py",
        "on_broken_image": "tests/data/test_folder_runs.py",
    },
    "BenchmarkAccuracy": dict.fromkeys(("root", "dataset", "task"), "tests/callbacks/recording/test_benchmark.py"),
    "ChannelsLast": {"mode": "tests/callbacks/test_channels_last.py"},
    "FoldWeights": {"mode": "tests/callbacks/test_fold_weights.py"},
    "CudaGraphs": {"mode": "a GPU: tests/gpu/test_simulated.py"},
    "CompileEdges": dict.fromkeys(("mode", "backend"), "tests/callbacks/test_compile.py"),
    "CompileNetwork": dict.fromkeys(("mode", "backend"), "tests/callbacks/test_compile_network.py"),
    "DrnasProgressive": {"keep": "tests/callbacks/schedules/test_stages.py"},
    "EarlyFixing": {"margin": "tests/callbacks/schedules/test_early_fixing.py"},
    "PDartsStages": dict.fromkeys(("keep", "init_std"), "tests/callbacks/schedules/test_p_darts.py"),
    "RecalibrateBatchNorm": {"seed": "of dropout and drop path"},
    "supernet_accuracy": {"supernet_dir": "tests/blackbox/evaluators/test_supernet.py"},
    "Naswot": {"dead": "all ReLUs of the small network are alive: tests/proxies/test_naswot.py"},
    "EpeNas": {"classes": "of more than 100 classes: tests/proxies/test_epe_nas.py"},
    "LinearRegions": {"chunk": "tests/proxies/test_linear_regions.py"},
    "LanguageModelTraining": {
        **dict.fromkeys(("averaging", "patience", "skip_recent"), "tests/training/test_language_model.py"),
        "seed": "of several ranks",
    },
    "Training": {"drop_path": "tests/training/test_network_training.py", "seed": "of several ranks"},
}
"""Options without a difference in the observations above, with the reason."""
STEPS = ("tests/searches/test_steps.py", "tests/conf/published.yaml")
QUERIES = ("tests/blackbox/test_search.py", "tests/blackbox/test_search_refused.py", "tests/blackbox/test_ask_tell.py")
QUERIES += (
    "tests/blackbox/test_parallel.py",
    "tests/blackbox/test_search_repetitions.py",
    "tests/blackbox/test_search_fidelities.py",
)
PARETO = tuple(f"tests/blackbox/pareto/test_{name}.py" for name in ("search", "pick", "objectives", "latency"))
SELECTION = ("tests/callbacks/selection/test_select_best.py",)
STAGES = ("tests/callbacks/schedules/test_stages.py", "tests/callbacks/schedules/test_stages_runs.py")
RANKINGS = ("tests/proxies/ranking/test_ranking.py", "tests/proxies/ranking/test_runs.py")
RANKINGS += (
    "tests/proxies/ranking/test_shards.py",
    "tests/proxies/ranking/test_report.py",
    "tests/support/ranking_tools.py",
)
EXECUTORS = ("tests/executors/test_contract.py", "tests/executors/test_options.py")
LOGGERS = tuple(f"tests/cli/run_dir/test_{name}.py" for name in ("loggers", "wandb_run", "wandb_files"))
PRUNING = ("tests/searches/pruning/test_measure.py", "tests/searches/pruning/test_search.py")
ELSEWHERE: dict[str, Sequence[str]] = {
    "nas.searches.weight_step.WeightStep": STEPS,
    "nas.searches.arch_step.ArchStep": STEPS,
    "nas.searches.gradient.GradientSearch": (*STEPS, "tests/searches/test_gradient.py"),
    "nas.searches.pruning.search.PruningSearch": (*PRUNING, "tests/conf/published.yaml"),
    "nas.data.hugging_face.HuggingFace": ("tests/data/test_hugging_face.py",),
    "nas.blackbox.ask_tell.Budget": QUERIES,
    "nas.blackbox.search.BlackBoxSearch": QUERIES,
    "nas.blackbox.pareto.cost_sources.CostSources": (*PARETO, "tests/cli/test_budget_hardware.py"),
    "nas.blackbox.pareto.search.ParetoSearch": (*PARETO, *QUERIES, "tests/cli/test_budget_hardware.py"),
    "nas.benchmarks.hardware_source.HardwareSource": ("tests/benchmarks/test_hardware_source.py",),
    "nas.blackbox.pareto.pick.PickRule": PARETO,
    "nas.blackbox.evaluators.benchmark.BenchmarkQuery": ("tests/blackbox/evaluators/test_benchmark.py", *QUERIES),
    "nas.blackbox.evaluators.training.ShortTraining": ("tests/blackbox/evaluators/test_training.py", *QUERIES),
    "nas.blackbox.evaluators.zero_cost.ZeroCost": ("tests/blackbox/evaluators/test_zero_cost.py", *QUERIES),
    "nas.callbacks.schedules.anneal.Anneal": ("tests/callbacks/schedules/test_anneal.py",),
    "nas.callbacks.enas_controller_training.ControllerTraining": ("tests/callbacks/test_enas_controller_training.py",),
    "nas.callbacks.shapley_steps.ShapleySteps": ("tests/callbacks/test_shapley_steps.py",),
    "nas.callbacks.guards.collapse.EntropyCollapse": ("tests/callbacks/guards/test_collapse.py",),
    "nas.callbacks.guards.collapse.SkipCollapse": ("tests/callbacks/guards/test_collapse.py",),
    "nas.callbacks.guards.cpu_budget.CpuBudget": ("tests/callbacks/guards/test_cpu_budget.py",),
    "nas.callbacks.guards.non_finite.StopOnNonFinite": ("tests/callbacks/guards/test_non_finite.py",),
    "nas.callbacks.recalibrate_bn.RecalibrateBatchNorm": ("tests/callbacks/test_recalibrate_bn.py",),
    "nas.callbacks.recording.accuracy_range.AccuracyRangeRecorder": (
        "tests/callbacks/recording/test_accuracy_range.py",
    ),
    "nas.callbacks.recording.benchmark.BenchmarkAccuracy": ("tests/callbacks/recording/test_benchmark.py",),
    "nas.callbacks.recording.cell_plots.CellPlots": ("tests/searches/pruning/test_search.py",),
    "nas.callbacks.recording.curves.Curves": ("tests/callbacks/recording/test_curves.py",),
    "nas.callbacks.recording.step_timer.StepTimer": ("tests/callbacks/recording/test_step_timer.py",),
    "nas.objectives.cell_alignment.CellAlignment": ("tests/objectives/test_cell_alignment.py",),
    "nas.relaxations.topology.Topology": ("tests/relaxations/test_topology.py",),
    "nas.relaxations.exponentiated_gradient.ExponentiatedGradient": (
        "tests/relaxations/test_exponentiated_gradient.py",
    ),
    "nas.callbacks.schedules.excluded_ops.ExcludedOps": ("tests/callbacks/schedules/test_excluded_ops.py",),
    "nas.callbacks.schedules.greedy_decisions.GreedyDecisions": ("tests/callbacks/schedules/test_greedy_decisions.py",),
    "nas.callbacks.schedules.dots.DotsStages": ("tests/callbacks/schedules/test_dots.py",),
    "nas.callbacks.schedules.low_rank.LowRankAdaptation": (
        *("tests/callbacks/schedules/test_low_rank.py", "tests/nn/test_low_rank.py"),
    ),
    "nas.callbacks.schedules.op_early_stopping.OpEarlyStopping": (
        "tests/callbacks/schedules/test_op_early_stopping.py",
    ),
    "nas.callbacks.schedules.split_edges.SplitEdges": ("tests/callbacks/schedules/test_split_edges.py",),
    "nas.callbacks.schedules.drnas_progressive.DrnasProgressive": STAGES,
    "nas.callbacks.schedules.drop_path.SupernetDropPath": ("tests/callbacks/schedules/test_drop_path.py",),
    "nas.callbacks.schedules.early_fixing.EarlyFixing": ("tests/callbacks/schedules/test_early_fixing.py",),
    "nas.callbacks.schedules.p_darts.PDartsStages": ("tests/callbacks/schedules/test_p_darts.py", *STAGES),
    "nas.callbacks.selection.early_stopping.HessianEigenvalue": ("tests/callbacks/selection/test_early_stopping.py",),
    "nas.callbacks.selection.perturbation_selection.PerturbationSelection": (
        "tests/callbacks/selection/test_perturbation_selection.py",
    ),
    "nas.callbacks.selection.select_best.SelectBest": SELECTION,
    "nas.callbacks.selection.select_best.SelectHighestScores": SELECTION,
    "nas.callbacks.selection.select_best.SelectSampled": SELECTION,
    "nas.cli.jobs.load_supernet.supernet_accuracy": ("tests/blackbox/evaluators/test_supernet.py",),
    "nas.cli.run_dir.loggers.MlflowRun": LOGGERS,
    "nas.cli.run_dir.wandb_run.WandbRun": LOGGERS,
    "nas.executors.futures.Futures": EXECUTORS,
    "nas.executors.processes.Processes": EXECUTORS,
    "nas.executors.ray_cluster.RayCluster": EXECUTORS,
    "nas.blackbox.predictors.botorch_gp.BoTorchGaussianProcess": ("tests/blackbox/predictors/test_botorch_gp.py",),
    "nas.proxies.combined.Combined": ("tests/proxies/test_combined.py",),
    "nas.proxies.ranking.ranking.ProxyRanking": RANKINGS,
    "nas.proxies.ranking.report.RankingReport": RANKINGS,
}
"""Test files that name the options of a class."""
