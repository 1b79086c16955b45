"""Writes what was found as a page, and draws how costs grow."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from bench.comparison import Finding, shown

_BEGIN, _END = (
    "<!-- measured: `make bench` writes what stands here -->\n",
    "<!-- end of what was measured -->\n",
)
_COLOURS = ("#2563eb", "#c2410c", "#15803d", "#7c3aed", "#b91c1c")
_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 300, 200, 44, 34, 30


def write(page: Path, findings: Sequence[Finding], machine: Mapping[str, str], *, is_short: bool) -> None:
    """Put a table of all findings into the page, between its two marks.

    Raises:
        ValueError: the page has no such marks.
    """
    before, _, rest = page.read_text().partition(_BEGIN)
    _, found, after = rest.partition(_END)
    if not found:
        raise ValueError(f"{page}: expected the lines {_BEGIN!r} and {_END!r}")
    lines = [
        "",
        "| | what | bar | measured | least to most | figures |",
        "|---|---|---|---|---|---|",
        *(_line(finding) for finding in findings),
        "",
        "Measured with " + ", ".join(f"{name} {value}" for name, value in machine.items()) + ".",
        *(["By `python -m bench --short`: few events, few turns."] if is_short else []),
        "",
    ]
    page.write_text(before + _BEGIN + "\n".join(lines) + "\n" + _END + after)


def _line(finding: Finding) -> str:
    unit, sign = finding.unit, "≤" if finding.at_most else "≥"
    low, high = (shown(value) for value in finding.spread)
    mark = "" if finding.is_met else " **missed**"
    return (
        f"| {finding.row} | {finding.what} | {sign} {finding.bar:g}{unit} "
        f"| {shown(finding.value)}{unit}{mark} | {low} to {high} | {finding.figures} |"
    )


def draw(findings: Sequence[Finding]) -> str:
    """Return a picture of what an event costs, against what grows, with the bars as dashed lines."""
    rows: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.growth:
            rows.setdefault(finding.row, []).append(finding)
    panels = [_panel(row, found, place) for place, (row, found) in enumerate(rows.items())]
    width = _GAP + len(rows) * (_LEFT + _WIDTH + _GAP)
    height = _TOP + _HEIGHT + 40 + 16 * max(map(len, rows.values()))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join(panels) + "\n</svg>\n"
    )


def _panel(row: str, findings: Sequence[Finding], place: int) -> str:
    """Draw one row: the cost as a multiple of that with the least."""
    sizes = [size for finding in findings for size, _ in finding.growth]
    first, last = math.log10(min(sizes)), math.log10(max(sizes))
    lines = [[(size, cost / finding.growth[0][1]) for size, cost in finding.growth] for finding in findings]
    top = 0.5 * math.ceil(2 * max(2.0, *(ratio for line in lines for _, ratio in line)))
    left = _GAP + place * (_LEFT + _WIDTH + _GAP) + _LEFT

    def x(size: float) -> float:
        return round(left + _WIDTH * (math.log10(size) - first) / (last - first), 1)

    def y(ratio: float) -> float:
        return round(_TOP + _HEIGHT * (1 - ratio / top), 1)

    parts = [
        f'<text x="{left}" y="18" font-weight="bold">{row}: cost of an event, times that at first</text>'
    ]
    for step in range(round(2 * top) + 1):
        ratio = step / 2
        parts.append(
            f'<path d="M{left} {y(ratio)}h{_WIDTH}" stroke="#e5e7eb"/>'
            f'<text x="{left - 6}" y="{y(ratio) + 4}" text-anchor="end">{ratio:g}</text>'
        )
    parts += [
        f'<text x="{x(10.0**power)}" y="{_TOP + _HEIGHT + 16}" text-anchor="middle">{10**power:,}</text>'
        for power in range(math.ceil(first), math.floor(last) + 1)
    ]
    parts += [
        f'<path d="M{left} {y(bar)}h{_WIDTH}" stroke="#6b7280" stroke-dasharray="4 3"/>'
        for bar in {finding.bar for finding in findings}
    ]
    for number, (finding, line) in enumerate(zip(findings, lines, strict=True)):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(f"{x(size)},{y(ratio)}" for size, ratio in line)
        below = _TOP + _HEIGHT + 36 + 16 * number
        parts += [
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>',
            *(f'<circle cx="{x(size)}" cy="{y(ratio)}" r="3" fill="{colour}"/>' for size, ratio in line),
            f'<text x="{left}" y="{below}" fill="{colour}">{escape(finding.what.rpartition(", ")[0])}</text>',
        ]
    return "\n".join(parts)
