"""What a measurement gives and how it stands in the table: figures, bars, medians. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bench.scale import Scale

Figures = Mapping[str, float]
"""What one run has measured, by name."""


@dataclass(frozen=True)
class Line:
    """One line of the table: a figure of ours beside that of the bare part, or beside nothing.

    With `bare`, `least` and `aim` speak of ours divided by bare; without, of ours. `more_is_better` says
    which side of them is good.
    """

    what: str
    ours: str
    unit: str
    bare: str | None = None
    bare_unit: str | None = None
    least: float | None = None
    aim: float | None = None
    more_is_better: bool = False

    def of(self, scale: Scale) -> "Line":
        """Return it with the loads' sizes where it speaks of them."""
        return replace(self, what=self.what.format(scale=scale))


HEAD = (
    "| | ours | bare part | ratio | at least | aim | |",
    "|---|---|---|---|---|---|---|",
)


def printed(line: Line, runs: Sequence[Figures]) -> str:
    """Return the line of the table for several runs: medians, and the median of the runs' ratios."""
    ours = median(run[line.ours] for run in runs)
    cells = [line.what, _amount(ours, line.unit)]
    if line.bare is None:
        cells += ["", ""]
        judged = ours
    else:
        judged = median(run[line.ours] / run[line.bare] for run in runs)
        bare = median(run[line.bare] for run in runs)
        cells += [_amount(bare, line.bare_unit or line.unit), f"{judged:.2f}"]
    unit = "×" if line.bare is not None else line.unit
    cells += [_amount(bar, unit) if bar is not None else "" for bar in (line.least, line.aim)]
    return f"| {' | '.join([*cells, verdict(line, judged)])} |"


def verdict(line: Line, judged: float) -> str:
    """Return how a figure or ratio stands to its bars."""
    if line.least is None or line.aim is None:
        return ""
    sign = 1 if line.more_is_better else -1
    if sign * judged >= sign * line.aim:
        return "aim"
    return "bar" if sign * judged >= sign * line.least else "below"


def _amount(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    figure = f"{value:,.{digits}f}".replace(",", "\N{NO-BREAK SPACE}")
    return f"{figure} {unit}"
