"""Kill runs and resume them, start two on one directory, read hostile files, and mistype command lines.

    python tools/campaign.py                                  # the whole campaign, under 20 minutes on two cores
    python tools/campaign.py --seed 7 --kills 20 --fuzz 0     # other random choices, a part of it

Prints N of M for each part. The exit code is 1 if a trial fails; its directory is kept.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the trials are tests, which no installation contains

from tests.campaign.plan import PARTS, Campaign  # noqa: E402

COUNTS = {"kills": 100, "locks": 24, "hostile": 1000, "fuzz": 300}
RIGHT = {
    "kills": "resumed with equal results or refused in one line",
    "locks": "left one run in the directory",
    "hostile": "refused in one line, none executed",
    "fuzz": "refused in one line or right",
}


def main() -> int:
    """Run the campaign and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for part, count in COUNTS.items():
        parser.add_argument(f"--{part}", type=int, default=count, metavar="N", help=f"trials, {count} by default")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random choices")
    parser.add_argument("--workers", type=int, default=2, help="number of processes")
    options = vars(parser.parse_args())
    folder = Path(tempfile.mkdtemp(prefix="campaign-"))
    start, passed, tried = time.monotonic(), Counter[str](), Counter[str]()
    for outcome in Campaign(folder, options["seed"], workers=options["workers"]).run({p: options[p] for p in PARTS}):
        tried[outcome.part] += 1
        passed[outcome.part] += outcome.fault is None
        if outcome.fault is not None:
            print(f"FAILED {outcome.trial}\n  {outcome.fault}", flush=True)
    for part in tried:
        print(f"{part:<8} {passed[part]} of {tried[part]} {RIGHT[part]}")
    print(f"seed {options['seed']}, {time.monotonic() - start:.0f} s, files of failed trials in {folder}")
    return 0 if passed == tried else 1


if __name__ == "__main__":
    raise SystemExit(main())
