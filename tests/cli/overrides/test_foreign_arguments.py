"""Arguments of the authors' programs: one line with the option, which exists."""

from __future__ import annotations

import re

import pytest

from nas.cli.main import prepare
from nas.cli.overrides.foreign_arguments import BOTH, SEARCH, TRAIN, TRANSLATED, foreign_argument
from nas.cli.overrides.override_type import has_key
from nas.utils.errors import NasError
from tests.support.compose_tools import choices, composed
from tests.support.error_tools import NB201

PROGRAMS = {
    "DARTS": "data batch_size learning_rate learning_rate_min momentum weight_decay report_freq gpu epochs "
    "init_channels layers model_path cutout cutout_length drop_path_prob save seed grad_clip train_portion unrolled "
    "arch_learning_rate arch_weight_decay",
    "DARTS, recurrent": "emsize nhid nhidlast lr clip bptt dropout dropouth dropoutx dropouti dropoute cuda alpha beta "
    "wdecay continue_train single_gpu arch_wdecay arch_lr",
    "DrNAS": "dataset method cutout_prob tau_max tau_min k reg_type reg_scale workers begin",
    "TENAS": "space data_path max_nodes search_space_name track_running_stats save_dir arch_nas_dataset rand_seed "
    "precision prune_number repeat timestamp init super_type",
    "AutoDL": "channel num_cells config_path model_config gradient_clip print_freq select_num tau_min time_budget "
    "controller_train_steps controller_num_aggregate controller_entropy_weight controller_bl_dec "
    "controller_num_samples ea_cycles ea_population "
    "ea_sample_size ea_fast_by_api EMA_momentum min_bandwidth num_samples random_fraction "
    "bandwidth_factor n_iters algo use_api eval_candidate_num affine overwite_epochs "
    "arch_eps drop_path_rate resume",
    "NoisyDARTS": "exp_name noise_mean noise_type noise_mixture noise_decay add_noise_skip factor_skip compute_hessian "
    "report_freq_hessian pretrained_weights frozen-epochs",
}
"""Arguments of the programs that search."""
TRAININGS = {
    "DARTS": "data batch_size learning_rate momentum weight_decay gpu epochs init_channels layers model_path auxiliary "
    "auxiliary_weight cutout cutout_length drop_path_prob save seed arch grad_clip label_smooth gamma decay_period "
    "parallel",
    "DARTS, recurrent": "emsize nhid nhidlast lr clip bptt dropout dropouth dropoutx dropouti dropoute nonmono alpha "
    "beta wdecay",
    "DrNAS": "lr_scheduler workers dataset",
    "AutoDL": "init_model model_config optim_config procedure model_source extra_model_path data_path print_freq "
    "print_freq_eval eval_frequency save_dir rand_seed",
}
"""Arguments of the programs that train or evaluate."""


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_argument_of_a_search_has_an_answer(program: str) -> None:
    assert [name for name in PROGRAMS[program].split() if foreign_argument("search", f"--{name}") is None] == []


@pytest.mark.parametrize("program", TRAININGS)
def test_each_argument_of_a_training_has_an_answer(program: str) -> None:
    assert [name for name in TRAININGS[program].split() if foreign_argument("train", f"--{name}") is None] == []


def test_options_of_the_answers_exist() -> None:
    searches = [f"method={name}" for name in ("darts_2nd", "gdas", "enas", "rsps", "te_nas", "drnas", "pc_darts")]
    searches += ["space=darts method=noisy_darts", "callbacks=curvature dataset=imagenet"]
    searches += [f"method={name} evaluator=benchmark" for name in ("bohb", "regularized_evolution", "reinforce")]
    jobs = [("search", line.split()) for line in searches] + [("train", ["genotype=x", "network=darts"])]
    jobs += [("train", ["genotype=x", "network=nas_bench_201"]), ("train", ["genotype=x", "protocol=darts_ptb"])]
    jobs += [("search", ["experiment=darts/recurrent_ptb"]), ("train", ["genotype=x", "network=recurrent"])]
    missing = {
        (name, key, value)
        for table in (SEARCH, TRAIN, BOTH)
        for name, advice in table.items()
        for key, value in re.findall(r"([\w.]+)=([\w/{}\[\]]+)", advice)
    }
    for job, overrides in jobs:
        with composed(job, *overrides) as cfg:
            missing -= {entry for entry in missing if has_key(cfg, entry[1])}
    free = ("NAME", "DIR", "RUN", "{}")
    missing -= {entry for entry in missing if entry[2] in (*choices(entry[1]), *free)} if missing else set()
    assert {entry for entry in missing if entry[1] != "hydra.run.dir"} == set()
    values = [(name, value) for name, table in TRANSLATED.items() for value in table.values()]
    groups = {"search_space": "space", "search_space_name": "space", "algo": "method"}
    switches = ("track_running_stats", "affine")
    assert [p for p in values if p[0] not in switches and p[1] not in choices(groups.get(p[0], p[0]))] == []


def test_tables_are_sorted() -> None:
    for table in (SEARCH, TRAIN, BOTH):
        assert list(table) == sorted(table)
    assert not (SEARCH.keys() | TRAIN.keys()) & BOTH.keys()


@pytest.mark.parametrize(
    ("job", "arguments", "line"),
    [
        (
            "search",
            ["--arch_learning_rate", "6e-4"],
            "--arch_learning_rate 6e-4: * Use method.arch_step.optimizer.lr=6e-4",
        ),
        (
            "search",
            ["--arch_learning_rate=6e-4"],
            "--arch_learning_rate 6e-4: * Use method.arch_step.optimizer.lr=6e-4",
        ),
        ("search", ["--unrolled", "--gpu", "0"], "--unrolled: * Use method=darts_2nd"),
        ("search", ["--gpu", "0"], "--gpu 0: * Use trainer=gpu trainer.devices=[0]"),
        ("search", ["--tau_max", "10"], "--tau_max 10: * Use method.callbacks.0.start=10"),
        ("search", ["--dataset", "ImageNet16-120"], "--dataset ImageNet16-120: * Use dataset=imagenet16_120"),
        ("search", ["--space", "nas-bench-201", "--gpu", "0"], "--space nas-bench-201: * Use space=nas_bench_201"),
        ("search", ["--method", "dirichlet"], "--method dirichlet: * Use method=drnas"),
        ("search", ["--track_running_stats", "0"], "--track_running_stats 0: * Use space.track_statistics=false"),
        ("search", ["--nas201"], "--nas201: * Use space=nas_bench_201"),
        ("search", ["--init_channels", "16"], "--init_channels 16: * Use space.channels=16"),
        ("search", ["--frozen-epochs", "5"], "--frozen-epochs 5: * Use method.arch_step.warmup_epochs=5"),
        ("search", ["method=darts", "--batch_size", "64"], "--batch_size 64: * Use dataset.batch_size=64"),
        ("search", ["arch_learning_rate=6e-4"], "arch_learning_rate=6e-4: * Use method.arch_step.optimizer.lr=6e-4"),
        ("search", ["--max_nodes", "4"], "--max_nodes 4: * Leave it out: a cell of NAS-Bench-201 has 4 nodes."),
        ("train", ["--init_channels", "36"], "--init_channels 36: * Use network.channels=36"),
        ("train", [f"genotype={NB201}", "init_channels=36"], "init_channels=36: * Use network.channels=36"),
        ("train", ["--auxiliary", "--cutout"], "--auxiliary: * Use network.auxiliary=true"),
        ("train", ["--arch", "DARTS"], "--arch DARTS: * Use genotype=DARTS"),
        ("train", ["--wdecay", "5e-7"], "--wdecay 5e-7: * Use text_training.optimizer.weight_decay=5e-7"),
        ("train", ["--save"], "--save: * Use hydra.run.dir=VALUE"),
    ],
)
def test_argument_is_answered_with_the_option(job: str, arguments: list[str], line: str) -> None:
    with pytest.raises(NasError) as error:
        prepare(job, arguments)
    assert str(error.value) == line.replace("*", "an argument of another program.")


def test_other_unknown_options_are_answered_as_before() -> None:
    with pytest.raises(NasError, match="unknown option --foo. Overrides are key=value"):
        prepare("search", ["--foo", "1"])
    with pytest.raises(NasError, match="unknown key 'lr': did you mean .*optimizer.lr"):
        prepare("search", ["lr=1"])
    with pytest.raises(NasError, match="^budget.macs: an option of .*search.*, which .*train.* does not have"):
        prepare("train", [f"genotype={NB201}", "budget.macs=1e6"])
    with pytest.raises(NasError, match="^training.clip_norm: an option of .*train"):
        prepare("search", ["training.clip_norm=1"])
    with pytest.raises(NasError, match="^unknown key 'seed.foo': "):  # both programs have the seed
        prepare("search", ["seed.foo=1"])
    with pytest.raises(NasError, match="unknown key 'auxiliary': did you mean network.auxiliary"):
        prepare("train", [f"genotype={NB201}", "auxiliary=true"])
