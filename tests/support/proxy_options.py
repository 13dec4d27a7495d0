"""Options of zero-cost proxies, with another value for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nas.proxies import (
    az_nas,
    epe_nas,
    gradient_based,
    jacob_cov,
    linear_regions,
    meco,
    naswot,
    ntk,
    params_macs,
    swap,
    synflow,
    wrcor,
    zen,
    zico,
)
from nas.proxies.fisher import Fisher
from tests.support import option_tools as see
from tests.support.option_tools import Options


def proxies(kind: Any, **changes: Any) -> list[Options]:
    """Return the options of a proxy."""
    return [Options(kind, {"batch_size": 6} if "batch_size" in changes else {}, changes, see.score)]


PROXIES: dict[str, Sequence[Options]] = {
    "nas.proxies.fisher.Fisher": proxies(Fisher, batch_size=5),
    "nas.proxies.gradient_based.GradNorm": proxies(gradient_based.GradNorm, batch_size=5),
    "nas.proxies.gradient_based.Snip": proxies(gradient_based.Snip, batch_size=5, signed=True),
    "nas.proxies.gradient_based.Grasp": proxies(gradient_based.Grasp, batch_size=5),
    "nas.proxies.jacob_cov.JacobCov": proxies(jacob_cov.JacobCov, batch_size=5, k=1e-2),
    "nas.proxies.linear_regions.LinearRegions": proxies(linear_regions.LinearRegions, batch_size=5),
    "nas.proxies.naswot.Naswot": proxies(naswot.Naswot, batch_size=5, also=["ReluConvNorm"]),
    "nas.proxies.ntk.Ntk": proxies(ntk.Ntk, batch_size=5, float64=False),
    "nas.proxies.params_macs.Macs": proxies(params_macs.Macs, bias=True),
    "nas.proxies.synflow.Synflow": proxies(synflow.Synflow, bn=True, keep=["Reduction"]),
    "nas.proxies.gradient_based.Plain": proxies(gradient_based.Plain, batch_size=5),
    "nas.proxies.zico.Zico": proxies(zico.Zico, batch_size=5, batches=3),
    "nas.proxies.swap.Swap": [
        Options(
            swap.Swap,
            {"batch_size": 12, "repeats": 1},  # fewer images saturate
            {"batch_size": 11, "repeats": 2, "mu": {"mu": 1.0, "sigma": 9.0}, "sigma": {"mu": 1.0, "sigma": 3.0}},
            see.score,
        )
    ],
    "nas.proxies.meco.Meco": proxies(meco.Meco, channels=2),
    "nas.proxies.epe_nas.EpeNas": proxies(epe_nas.EpeNas, batch_size=5),
    "nas.proxies.wrcor.WrCor": proxies(wrcor.WrCor, batch_size=5, also=["ReluConvNorm"]),
    "nas.proxies.az_nas.Expressivity": proxies(az_nas.Expressivity, batch_size=5),
    "nas.proxies.az_nas.Progressivity": proxies(az_nas.Progressivity, batch_size=5),
    "nas.proxies.az_nas.Trainability": proxies(az_nas.Trainability, batch_size=5),
    "nas.proxies.zen.Zen": [
        Options(
            zen.Zen,
            {"batch_size": 4, "repeats": 2},
            {"batch_size": 5, "gamma": 0.1, "repeats": 3, "carry": False},
            see.score,
        )
    ],
}
