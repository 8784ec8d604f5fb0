"""Charts as SVG, drawn by the server: bars, lines, sparklines, histograms, strips of slots.

The outer picture is as wide as its place and keeps its text size. The inner one has only the shapes and is
stretched. Colours come from the stylesheet by class, and sizes are attributes, so that no inline style is needed.
`aria-label` has the text for screen readers, `data-tips` the tooltips, one for each bar.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from duey.monitor.web.display.formats import number
from duey.monitor.web.display.text import Html, inert

Event = tuple[float, str]  # where it is from left (0) to right (1), and its text: a deploy

STEP, BAR, HEIGHT = 10, 8, 100  # of the inner picture, per bar
LEAST = 2.5  # smallest height of a value above 0, so that it is visible
# Marks of a logarithmic time scale: milliseconds and label.
MARKS_MS = (
    (1, "1 ms"),
    (10, "10 ms"),
    (100, "100 ms"),
    (1e3, "1 s"),
    (1e4, "10 s"),
    (6e4, "1 min"),
    (6e5, "10 min"),
    (3.6e6, "1 h"),
    (3.6e7, "10 h"),
)


def stacked(
    bars: Sequence[tuple[float, float]],
    tips: Sequence[str],
    axis: Sequence[str],
    label: str,
    height: int = 120,
    unfinished: bool = True,
    events: Sequence[Event] = (),
) -> Html:
    """Return bars of (done, failed), failed at the bottom; the last one is dashed. `axis`: 2 or 3 texts."""
    most = max([sum(bar) for bar in bars] or [0]) or 1
    done, failed = [], []
    for n, (good, bad) in enumerate(bars):
        foot = max(LEAST, bad / most * HEIGHT) if bad else 0
        rise = max(LEAST, good / most * HEIGHT) if good else 0
        failed.append(_bar(n, 0, foot))
        done.append(_bar(n, foot, min(rise, HEIGHT - foot)))
    body = f'<path class="done" d="{"".join(done)}"/><path class="failed" d="{"".join(failed)}"/>'
    if unfinished and bars:
        total = max(8.0, sum(bars[-1]) / most * HEIGHT)
        body += f'<path class="filling" d="{_bar(len(bars) - 1, 0, total)}"/>'
    return _picture(body, len(bars) * STEP, height, label, tips, axis, [(HEIGHT, number(most))], events)


def lines(
    series: Sequence[tuple[str, Sequence[float | None]]],
    tips: Sequence[str],
    axis: Sequence[str],
    label: str,
    level: float | None = None,
    height: int = 120,
    events: Sequence[Event] = (),
) -> Html:
    """Return lines of durations in ms by class name, on a logarithmic scale. `level` is a dashed line."""
    values = [value for _, line in series for value in line if value is not None] + ([level] if level else [])
    top = math.log10(max([*values, 1.0]) * 1.3 + 1)

    def rise(ms: float) -> float:
        return math.log10(max(ms, 0) + 1) / top * HEIGHT

    length = max((len(line) for _, line in series), default=0)
    body = "".join(f'<path class="{name}" d="{_line(line, rise)}"/>' for name, line in series)
    if level is not None:
        body += f'<path class="level" d="M0 {HEIGHT - rise(level):.1f}H{length * STEP}"/>'
    marks: list[tuple[float, str]] = []
    for ms, mark in reversed(MARKS_MS):  # from the top, without marks too near to another
        if rise(ms) <= HEIGHT and (not marks or marks[-1][0] - rise(ms) >= 24) and rise(ms) >= 24:
            marks.append((rise(ms), mark))
    return _picture(body, length * STEP, height, label, tips, axis, marks, events)


def histogram(counts: Sequence[int], tips: Sequence[str], axis: Sequence[str], label: str, height: int = 120) -> Html:
    """Return bars of one kind, one for each bucket."""
    most = max([*counts, 1])
    bars = "".join(_bar(n, 0, max(LEAST, each / most * HEIGHT)) for n, each in enumerate(counts) if each)
    return _picture(
        f'<path class="plain" d="{bars}"/>', len(counts) * STEP, height, label, tips, axis, [(HEIGHT, number(most))]
    )


def heat(
    columns: Sequence[Sequence[int]], label: str, axis: tuple[str, str], ends: tuple[str, str], height: int = 118,
    events: Sequence[Event] = (),
) -> Html:  # fmt: skip
    """Return a heat map: buckets upwards, time to the right. There are five shades, each one path. `axis`: the texts
    of the first and the last column, `ends`: of the lowest and the highest bucket."""
    most = max((each for column in columns for each in column), default=0) or 1
    rows = max((len(column) for column in columns), default=1)
    shades: dict[int, list[str]] = {}
    for x, column in enumerate(columns):
        for y, each in enumerate(column):
            if each:
                shade = 1 + min(4, int(5 * math.log1p(each) / math.log1p(most) * 0.999))
                shades.setdefault(shade, []).append(f"M{x * 4} {(rows - 1 - y) * 4}h4v4h-4z")
    body = "".join(f'<path class="heat{shade}" d="{"".join(cells)}"/>' for shade, cells in sorted(shades.items()))
    body += _marked(events, len(columns) * 4, rows * 4)
    label += "".join(f"; {text}" for _, text in events)
    texts = [("0", 11, "start", ends[1]), ("0", height - 24, "start", ends[0])]
    texts += [("0", height - 4, "start", axis[0]), ("100%", height - 4, "end", axis[1])]
    captions = "".join(f'<text x="{x}" y="{y}" text-anchor="{at}">{inert(text)}</text>' for x, y, at, text in texts)
    return Html(
        f'<svg class="chart heat" role="img" aria-label="{inert(label)}" width="100%" height="{height}">'
        f'<svg width="100%" height="{height - 18}" viewBox="0 0 {len(columns) * 4} {rows * 4}" '
        f'preserveAspectRatio="none">{body}</svg>{captions}</svg>'
    )


def spark(values: Sequence[float], bad: Sequence[float] = (), label: str = "", width: int = 90) -> Html:
    """Return small bars for a table row. `bad` is the failed part of each."""
    most = max([*values, 1])
    tall = 18.0
    bars = "".join(_small(n, each / most * tall) for n, each in enumerate(values) if each)
    feet = "".join(_small(n, max(1.5, each / most * tall)) for n, each in enumerate(bad) if each)
    body = f'<path d="{bars}"/>' + (f'<path class="failed" d="{feet}"/>' if feet else "")
    return Html(
        f'<svg class="spark" role="img" aria-label="{inert(label)}" viewBox="0 0 {max(1, len(values)) * 3} 18" '
        f'width="{width}" height="18" preserveAspectRatio="none">{body}</svg>'
    )


def strip(outcomes: Sequence[tuple[str, str]], label: str) -> Html:
    """Return a bar for each slot, oldest first, as (class, tip). Bad ones are taller, not only of another colour."""
    bars = "".join(
        f'<rect class="{name}" x="{n * 5}" y="{6 if name == "on_time" else 0}" width="4" '
        f'height="{12 if name == "on_time" else 18}"><title>{inert(tip)}</title></rect>'
        for n, (name, tip) in enumerate(outcomes)
    )
    width = len(outcomes) * 5
    return Html(
        f'<svg class="strip" role="img" aria-label="{inert(label)}" viewBox="0 0 {width} 18" width="{width}" '
        f'height="18">{bars}</svg>'
    )


def meter(part: float, whole: float, label: str) -> Html:
    """Return a bar that is filled from left to right."""
    share = min(100.0, 100 * part / whole) if whole > 0 else 0
    return Html(
        f'<svg class="meter" role="img" aria-label="{inert(label)}" viewBox="0 0 100 6" width="100%" height="6" '
        f'preserveAspectRatio="none"><rect width="100" height="6"/>'
        f'<rect class="part" width="{share:.1f}" height="6"/></svg>'
    )


def _picture(
    body: str,
    width: int,
    height: int,
    label: str,
    tips: Sequence[str],
    axis: Sequence[str],
    marks: Sequence[tuple[float, str]],
    events: Sequence[Event] = (),
) -> Html:
    grid = "".join(f"M0 {HEIGHT - rise:.1f}H{width}" for rise, _ in marks) + f"M0 {HEIGHT}H{width}"
    texts = []
    for rise, caption in marks:
        texts.append(f'<text x="0" y="{12 + (HEIGHT - rise) / HEIGHT * (height - 32) - 3:.0f}">{inert(caption)}</text>')
    places = (
        (("0", "start"), ("50%", "middle"), ("100%", "end")) if len(axis) == 3 else (("0", "start"), ("100%", "end"))
    )
    for (x, anchor), caption in zip(places, axis, strict=True):
        texts.append(f'<text x="{x}" y="{height - 4}" text-anchor="{anchor}">{inert(caption)}</text>')
    tip = inert("|".join(tips))
    body += _marked(events, width, HEIGHT)
    label += "".join(f"; {text}" for _, text in events)
    focus = ' tabindex="0"' if tips else ""
    return Html(
        f'<svg class="chart" role="img" aria-label="{inert(label)}" data-tips="{tip}"{focus} width="100%" '
        f'height="{height}"><svg x="0" y="12" width="100%" height="{height - 32}" '
        f'viewBox="0 0 {max(width, 1)} {HEIGHT}" preserveAspectRatio="none"><path class="grid" d="{grid}"/>{body}</svg>'
        f"{''.join(texts)}</svg>"
    )


def _marked(events: Sequence[Event], width: int, height: int) -> str:
    return "".join(
        f'<path class="event" d="M{_short(share * width)} 0V{height}"><title>{inert(text)}</title></path>'
        for share, text in events
    )


def _bar(n: int, foot: float, rise: float) -> str:
    return f"M{n * STEP + 1} {_short(HEIGHT - foot)}v-{_short(rise)}h{BAR}v{_short(rise)}z" if rise else ""


def _small(n: int, rise: float) -> str:
    return f"M{n * 3} 18v-{_short(rise)}h2v{_short(rise)}z"


def _line(values: Sequence[float | None], rise: Callable[[float], float]) -> str:
    path, pen = [], "M"
    for n, value in enumerate(values):
        if value is None:
            pen = "M"
        else:
            path.append(f"{pen}{n * STEP + STEP // 2} {_short(HEIGHT - rise(value))}")
            if pen == "M" and values[n + 1 : n + 2] in ([], [None]):
                path.append(f"m-{STEP // 2} 0h{STEP}")  # a point without neighbours would not be visible
            pen = "L"
    return "".join(path)


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
