"""Campaign of kills, competing processes, hostile files and mistyped lines: a short share, and slow the whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.campaign.kills import RUNS
from tests.campaign.plan import Campaign

pytestmark = pytest.mark.slow

SHARE = {"kills": 6, "locks": 3, "hostile": 8, "fuzz": 20}
WHOLE = {"kills": 100, "locks": 24, "hostile": 1000, "fuzz": 300}
SHORT_RUNS = ("gdas", "drnas", "rank_proxies", "train")


def check(campaign: Campaign, counts: dict[str, int]) -> None:
    """Run the trials and assert that none has a fault."""
    outcomes = list(campaign.run(counts))
    faults = [f"{outcome.trial}: {outcome.fault}" for outcome in outcomes if outcome.fault is not None]
    assert not faults, "\n".join(faults)
    tried = Counter(outcome.part for outcome in outcomes)
    assert all(tried[part] >= min(count, 40) for part, count in counts.items()), tried


def test_campaign_share(tmp_path: Path) -> None:
    check(Campaign(tmp_path, seed=1, runs=SHORT_RUNS, workers=1), SHARE)


@pytest.mark.slow
def test_campaign(tmp_path: Path) -> None:
    assert len(RUNS) >= 12
    check(Campaign(tmp_path, seed=0), WHOLE)
