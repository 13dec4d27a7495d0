"""Options of the configured data sets, with another value for each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nas.data.cifar import Cifar10, Cifar100
from nas.data.digits import Digits
from nas.data.imagenet16 import ImageNet16
from nas.data.svhn import Svhn
from nas.data.synthetic import Synthetic
from nas.data.text.files import PennTreebank, WikiText2
from nas.data.text.synthetic import SyntheticText
from tests.support import data_option_tools as see
from tests.support.folder_tools import small_folder
from tests.support.option_tools import Options

IMAGES = {
    "batch_size": 3,
    "eval_batch_size": 4,
    "split": 0.25,
    "hold_out": {"hold_out": True, "bilevel": False},
    "bilevel": False,
    "cutout": 3,
    "seed": 1,
    "image_size": 12,
    "resize": {"resize": 14, "image_size": 12},
    "pad": 3,
}
COLOR = {**IMAGES, "flip": False, "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7)}


def images(kind: Any, *given: Any, **changes: Any) -> list[Options]:
    """Return the options of a data set in memory."""
    return [Options(partial(kind, *given), {"batch_size": 4}, changes, see.data_set)]


TEXT = {
    "batch_size": 3,
    "eval_batch_size": 2,
    "test_batch_size": 2,
    "bptt": 9,
    "short_probability": 0.9,
    "length_std": 4.0,
    "bilevel": False,
    "seed": 1,
}
SMALL_TEXT = {"batch_size": 4, "eval_batch_size": 3, "bptt": 12}


def texts(kind: Any, *given: Any, **changes: Any) -> list[Options]:
    """Return the options of a text data set."""
    return [Options(partial(kind, *given), SMALL_TEXT, {**TEXT, **changes}, see.text_set)]


def folder_options(root: Path, scratch: Path) -> Options:
    """Return the options of a data set of image files."""
    if root != Path():
        (scratch / "classes.txt").write_text("cat\nant\n")
        files = {part: [f"ant/ant_{n}.JPEG" for n in numbers] for part, numbers in (("train", "012"), ("valid", "34"))}
        (scratch / "subset.json").write_text(json.dumps({"format": "nas-subset", "version": 1, **files}))
    changes = {
        **{key: IMAGES[key] for key in ("batch_size", "eval_batch_size", "bilevel", "cutout", "seed")},
        "name": "other",
        "class_list": scratch / "classes.txt",
        "image_size": 12,
        "channels": 1,
        "mean": (0.1, 0.2, 0.3),
        "std": (0.5, 0.6, 0.7),
        "crop": "resize",
        "scale": (0.3, 0.4),
        "color_jitter": (0.0, 0.0, 0.0, 0.0),
        "lighting": 0.5,
        "flip": False,
        "pad": {"pad": 2, "crop": "resize"},
        "subset_fractions": (0.25, 0.75),
        "subset": scratch / "subset.json",
        "subset_seed": 1,
    }
    return Options(partial(small_folder, root), {"batch_size": 2}, changes, see.data_set)


DATA_SETS: dict[str, Sequence[Options]] = {
    "nas.data.text.files.PennTreebank": texts(see.text_in_memory(PennTreebank), "root"),
    "nas.data.text.files.WikiText2": texts(see.text_in_memory(WikiText2), "root"),
    "nas.data.text.synthetic.SyntheticText": texts(
        partial(SyntheticText, **{"words": 9, "size": 400, "eval_size": 90}), words=8, size=390, eval_size=80
    ),
    "nas.data.cifar.Cifar10": images(see.in_memory(Cifar10), "root", **COLOR),
    "nas.data.cifar.Cifar100": images(see.in_memory(Cifar100), "root", **COLOR),
    "nas.data.svhn.Svhn": images(see.in_memory(Svhn), "root", **COLOR),
    "nas.data.imagenet16.ImageNet16": [
        Options(partial(see.in_memory(ImageNet16), "root"), {"batch_size": 4, "split": "halves"}, COLOR, see.data_set)
    ],
    "nas.data.digits.Digits": images(Digits, **IMAGES, flip=True, mean=(0.1,), std=(0.5,)),
    "nas.data.synthetic.Synthetic": [
        Options(
            Synthetic,
            {"shape": (3, 8, 8), "size": 16, "test_size": 8, "batch_size": 4, "pad": 1},
            {**COLOR, "flip": True, "size": 20, "test_size": 9, "noise": 0.5, "mean": 0.1, "std": 0.5},
            see.data_set,
        )
    ],
}
