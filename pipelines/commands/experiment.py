"""Report on experiments: conversion of each arm, its difference to the first, and what it would be for all.

A conversion is a click, add to cart or purchase of a recommended item within some hours; it counts for the newest
recommendation that showed the item to the user. Users are compared, since users are divided: RATE is the share of an
arm's users who converted. SNIPS is the off-policy estimate of conversions a recommendation if everybody got the arm;
it is right also where weights changed meanwhile. All intervals are those of 95 %.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pipelines.context import Context
from pipelines.core.errors import InputError
from pipelines.core.evaluation import experiment_report
from pipelines.core.evaluation.experiment_report import ArmReport, Interval
from pipelines.io import postgres
from pipelines.io.live import experiment_log, experiment_plan
from pipelines.io.live.experiment_log import Arm, Shadowed
from pipelines.settings import Settings

HEADER: Final = ("ARM", "MODEL", "SHOWN", "USERS", "CONVERTED", "RATE", "DIFFERENCE", "P", "SNIPS")
UNLIKELY: Final = 0.001
"""A p-value below which the numbers of users don't go with the weights."""


@dataclass(frozen=True)
class Found:
    """An experiment's arms, the first of them what the others are compared with."""

    name: str
    arms: Sequence[Arm]

    @property
    def reports(self) -> list[ArmReport]:
        """The figures of the arms."""
        return experiment_report.report([arm.exposures for arm in self.arms])


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare what to report on."""
    parser.add_argument("what", choices=["report"], help="what to do")
    parser.add_argument("--experiment", metavar="NAME", help="this one alone (default: all that showed something)")
    parser.add_argument(
        "--days", type=_positive, default=30, metavar="N", help="of the last N days (default %(default)s)"
    )
    parser.add_argument(
        "--hours", type=_positive, default=24, metavar="N", help="between showing and converting (default %(default)s)"
    )
    parser.add_argument("--against", metavar="ARM", help="compare with this arm (default: the first of the plan)")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(context: Context) -> None:
    """Print the figures.

    Raises:
        InputError: nothing is logged of the experiment, or it has no such arm.
        ServiceError: Postgres doesn't answer.
        ConfigError: the plan of experiments can't be read.
    """
    args = context.args
    since = datetime.now(UTC) - timedelta(days=args.days)
    with postgres.connect(context.settings) as connection:
        names = experiment_log.experiments(connection, since)
        if args.experiment and args.experiment not in names:
            there = f"there are: {', '.join(names)}" if names else "nor of any other"
            raise InputError(f"nothing is logged of {args.experiment!r} in the last {args.days:g} days; {there}")
        wanted = [args.experiment] if args.experiment else names
        window = timedelta(hours=args.hours)
        logged = {name: experiment_log.arms(connection, name, since, window) for name in wanted}
        shadows = experiment_log.shadows(connection, since)
    planned = _planned(context.settings)
    found = [Found(name, _ordered(arms, planned.get(name, []), args.against)) for name, arms in logged.items()]
    text = (
        json.dumps(_document(found, shadows, since, args.hours), indent=2) if args.json else _text(found, shadows, args)
    )
    sys.stdout.write(f"{text}\n")


def _planned(settings: Settings) -> dict[str, list[str]]:
    """Experiment -> its arms in the order of the plan."""
    if settings.experiments is None:
        return {}
    plan = experiment_plan.load(settings.root / settings.experiments)
    return {one.name: [arm.name for arm in one.arms] for one in plan.experiments}


def _ordered(arms: Sequence[Arm], planned: Sequence[str], against: str | None) -> list[Arm]:
    """The arm to compare with, then those of the plan, then others by name."""
    if against and against not in {arm.name for arm in arms}:
        raise InputError(f"nothing is logged of an arm {against!r}; there are: {', '.join(a.name for a in arms)}")
    order = {name: place for place, name in enumerate(planned)}
    return sorted(arms, key=lambda arm: (arm.name != against, order.get(arm.name, len(order)), arm.name))


def _document(found: Sequence[Found], shadows: Sequence[Shadowed], since: datetime, hours: float) -> dict[str, Any]:
    return {
        "since": since.isoformat(),
        "hours": hours,
        "experiments": [
            {
                "experiment": one.name,
                "sample_ratio_p": experiment_report.mismatch([arm.exposures for arm in one.arms]),
                "users_in_several_arms": experiment_report.in_several([arm.exposures for arm in one.arms]),
                "arms": [
                    {"arm": arm.name, "model_versions": arm.versions, **asdict(report), "by_type": arm.by_type}
                    for arm, report in zip(one.arms, one.reports, strict=True)
                ],
            }
            for one in found
        ],
        "shadows": [asdict(shadow) for shadow in shadows],
    }


def _text(found: Sequence[Found], shadows: Sequence[Shadowed], args: argparse.Namespace) -> str:
    blocks = ["\n".join(_lines(one, args)) for one in found]
    blocks += [
        f"shadow: model {one.version} scored beside {one.answers} answers; "
        f"of what they showed it would have shown {_percent(one.overlap)}"
        for one in shadows
    ]
    return "\n\n".join(blocks) or f"no experiment showed anything in the last {args.days:g} days"


def _lines(one: Found, args: argparse.Namespace) -> Iterator[str]:
    yield f"{one.name}: the last {args.days:g} days; conversions within {args.hours:g} hours"
    rows = [HEADER, *(_row(arm, report) for arm, report in zip(one.arms, one.reports, strict=True))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    exposures = [arm.exposures for arm in one.arms]
    p = experiment_report.mismatch(exposures)
    if p is not None and p < UNLIKELY:
        yield f"the numbers of users don't go with the weights (p = {p:.2g}): don't trust these figures"
    if several := experiment_report.in_several(exposures):
        yield f"{several} users are in more than one arm, since weights changed: rely on SNIPS"


def _row(arm: Arm, report: ArmReport) -> tuple[str, ...]:
    gap = report.difference
    return (
        arm.name,
        ",".join(map(str, arm.versions)),
        str(report.exposures),
        str(report.users),
        str(report.converted_users),
        _interval(report.rate),
        _interval(gap, sign="+"),
        "" if gap is None else f"{gap.p:.3f}",
        _interval(report.snips),
    )


def _interval(found: Interval | None, sign: str = "") -> str:
    if found is None:
        return ""
    return f"{found.value:{sign}.2%} ({found.low:{sign}.2%} to {found.high:{sign}.2%})"


def _percent(share: float | None) -> str:
    return "nothing" if share is None else f"{share:.0%}"


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 36_500:
        raise ValueError
    return value
