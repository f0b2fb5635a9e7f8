"""The failure-mode benchmark: labelled runs, half of them honest, through the real pipeline with the defaults.

    python tests/failures/run.py [--seeds 3] [--verbose]

Prints recall, the rate of false alarms and the calls until a loop is found, and exits with 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent))

from failures import harmful, honest
from failures.drive import Run, play_all
from failures.scripts import EXACT, VARIED, Case

RECALL = 0.95
FALSE_ALARMS = 0.02


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    runs = play_all((*harmful.CASES, *honest.CASES), range(options.seeds))
    for line in report(runs, verbose=options.verbose):
        sys.stdout.write(f"{line}\n")
    return 0 if not missed(runs) else 1


def missed(runs: Sequence[Run]) -> list[str]:
    """The bars that these runs miss."""
    bad, good = [run for run in runs if run.case.harmful], [run for run in runs if not run.case.harmful]
    found, alarms = sum(run.found for run in bad), sum(run.found for run in good)
    said = []
    if found < RECALL * len(bad):
        said.append(f"recall {found}/{len(bad)} is below {RECALL:.0%}")
    if alarms > FALSE_ALARMS * len(good):
        said.append(f"{alarms}/{len(good)} honest runs were disturbed, more than {FALSE_ALARMS:.0%}")
    late = [run for run in bad if run.found and not run.right]
    said += [f"{run.case.name!r} (seed {run.seed}) took {run.looped} calls, its bar is {run.case.bar}" for run in late]
    return said


def report(runs: Sequence[Run], *, verbose: bool) -> Iterable[str]:
    by_detector: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_detector[run.case.detector or "honest"].append(run)
    cases = {run.case.name for run in runs}
    yield f"{len(runs)} runs of {len(cases)} kinds; bars: recall {RECALL:.0%}, false alarms {FALSE_ALARMS:.0%},"
    yield f"exact repeats found by call {EXACT}, varied ones by call {VARIED}"
    yield ""
    yield f"{'harmful by':<16}{'runs':>6}{'found':>7}{'calls to detection':>22}  by"
    for detector, group in by_detector.items():
        if detector != "honest":
            yield _row(detector, group)
    bad = [run for run in runs if run.case.harmful]
    good = [run for run in runs if not run.case.harmful]
    alarms = [run for run in good if run.found]
    yield ""
    yield f"recall        {sum(run.found for run in bad) / len(bad):7.1%}  of {len(bad)} harmful runs"
    yield f"false alarms  {len(alarms) / len(good):7.1%}  of {len(good)} honest runs"
    yield from _details(runs, verbose=verbose)
    yield from (f"MISSED: {bar}" for bar in missed(runs))


def _row(detector: str, group: Sequence[Run]) -> str:
    calls = [run.looped for run in group if run.looped is not None]
    spread = f"{min(calls)} / {median(calls):g} / {max(calls)}" if calls else "-"
    rules = sorted({run.rule for run in group if run.rule})
    return f"{detector:<16}{len(group):>6}{len(calls):>7}{spread:>22}  {', '.join(rules)}"


def _details(runs: Sequence[Run], *, verbose: bool) -> Iterable[str]:
    for run in runs:
        if verbose or not run.right:
            mark = "  " if run.right else "! "
            what = f"{run.verdict} by {run.rule} at call {run.calls} ({run.looped})" if run.found else "nothing said"
            yield f"{mark}{_label(run.case)} seed {run.seed}: {what}, of {run.length}"


def _label(case: Case) -> str:
    return f"{'harmful' if case.harmful else 'honest '}  {case.name}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="variations of each kind of run")
    parser.add_argument("--verbose", action="store_true", help="a line for each run")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
