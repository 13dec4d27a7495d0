"""Catalog of all data sets and benchmark tables: their files, licenses and sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.data.pipeline.archive import Archive
from nas.data.published import (
    CIFAR10,
    CIFAR100,
    IMAGENET16,
    PENN_TREEBANK,
    SPLIT_LISTS,
    SVHN_EXTRA,
    SVHN_TEST,
    SVHN_TRAIN,
    WIKITEXT2,
)
from nas.utils.remote_file import RemoteFile

_NO_IMAGENET = "https://image-net.org/download-images (free account, 16 x 16)"


@dataclass(frozen=True)
class DriveFile:
    """A release of a benchmark on Google Drive, which ``python -m nas convert`` turns into a table."""

    name: str
    identifier: str

    @property
    def url(self) -> str:
        """Address of the page of the file."""
        return f"https://drive.google.com/file/d/{self.identifier}/view"


@dataclass(frozen=True)
class Entry:
    """A data set or a benchmark table.

    Args:
        license: license or terms, in a few words.
        size: bytes to download, or of the files that the user has to provide; 0 if there are none.
        files: published files, each downloaded on its own.
        archive: archive that holds the files instead.
        folder: directory of files that are not downloaded, in the data directory.
        checksums: md5 sums of the files in ``folder``, by name; empty if unknown.
        notation: notation of the space of a benchmark; "" for a data set.
        table: name of the file of a converted benchmark; "" for its notation.
        drive: release of a benchmark.
        convert: published file or directory of a benchmark that the user downloads.
        source: address of files that a program cannot download.
        note: remark on data that needs no download.
    """

    license: str
    size: int = 0
    files: tuple[RemoteFile, ...] = ()
    archive: Archive | None = None
    folder: str = ""
    checksums: Mapping[str, str] | None = None
    notation: str = ""
    table: str = ""
    drive: DriveFile | None = None
    convert: str = ""
    source: str = ""
    note: str = ""

    @property
    def table_name(self) -> str:
        """Name of the file of a converted benchmark."""
        return self.table or f"{self.notation}.parquet"

    @property
    def downloadable(self) -> bool:
        """True if ``data get`` provides it."""
        return bool(self.files or self.archive or self.drive)


def _size(*files: RemoteFile) -> int:
    return sum(file.size for file in files)


CATALOG: Mapping[str, Entry] = {
    "digits": Entry("BSD-3-Clause (scikit-learn)", note="installed with scikit-learn"),
    "synthetic": Entry("none needed", note="generated"),
    "cifar10": Entry("none stated, cite the report", CIFAR10.size, archive=CIFAR10),
    "cifar100": Entry("none stated, cite the report", CIFAR100.size, archive=CIFAR100),
    "splits": Entry("MIT (AutoDL-Projects)", _size(*SPLIT_LISTS), SPLIT_LISTS),
    "svhn": Entry("non-commercial use only", _size(SVHN_TRAIN, SVHN_TEST), (SVHN_TRAIN, SVHN_TEST)),
    "svhn_extra": Entry("non-commercial use only", _size(SVHN_EXTRA), (SVHN_EXTRA,)),
    "imagenet16_120": Entry(
        "ImageNet terms of access", 1_020_000_000, folder="ImageNet16", checksums=IMAGENET16, source=_NO_IMAGENET
    ),
    "imagenet": Entry(
        "ImageNet terms of access",
        145_000_000_000,
        folder="imagenet",
        source="https://image-net.org/download.php (train/CLASS/*, val/CLASS/*)",
    ),
    "text_synthetic": Entry("none needed", note="generated"),
    "ptb": Entry("research use (LDC treebank)", _size(*PENN_TREEBANK), PENN_TREEBANK),
    "wikitext2": Entry("CC BY-SA 3.0, GFDL", _size(*WIKITEXT2), WIKITEXT2),
    "nas_bench_201": Entry(
        "MIT",
        notation="nas_bench_201",
        drive=DriveFile("NATS-tss-v1_0-3ffb9.pickle.pbz2", "1vzyK0UVH2D3fTpa1_dSWnp1gvGpAxRul"),
    ),
    "nats_size": Entry(
        "MIT",
        notation="nats_size",
        drive=DriveFile("NATS-sss-v1_0-50262.pickle.pbz2", "1IabIvzWeDdDAWICBzFtTCMXxYWPIOIOX"),
    ),
    "nas_bench_101": Entry(
        "Apache-2.0",
        notation="nas_bench_101",
        source="https://storage.googleapis.com/nasbench/nasbench_only108.tfrecord",
        convert="nasbench_only108.tfrecord",
    ),
    **{
        f"transnas_{space}": Entry(
            "MIT",
            notation=f"trans_nas_bench_101_{space}",
            source="https://drive.google.com/drive/folders/1HlLr2ihZX_ZuV3lJX_4i7q4w-ZBdhJ6o",
            convert=f"transnas-bench_v10141024.pth --space trans_nas_bench_101_{space}",
        )
        for space in ("micro", "macro")
    },
    "nas_bench_301": Entry(
        "Apache-2.0",
        notation="darts",
        table="nas_bench_301.parquet",
        source="https://figshare.com/articles/software/nasbench301_models_v1_0_zip/13061510",
        convert="nb_models",
    ),
}
"""All entries by name, in the order of the listing."""
