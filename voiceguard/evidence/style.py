"""The style sheet of a report: light and dark on a screen, always light on paper (A4)."""

from __future__ import annotations

from typing import Final

from voiceguard.evidence.timeline import LEVEL_COLOURS, STYLE

PAGE_STYLE: Final = (
    STYLE
    + """
:root { color-scheme: light; --paper: #fff; --ink: #1f252c; --quiet: #5b6570; --line: #d9dee3;
  --soft: #f4f6f8; --accent: #2f5f8a; }
@media screen and (prefers-color-scheme: dark) { :root { color-scheme: dark; --paper: #171b20;
  --ink: #e6eaee; --quiet: #9aa5b0; --line: #363d45; --soft: #1f242a; --accent: #86b7e3; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 960px; padding: 2.2rem 1.4rem 3rem; background: var(--paper);
  color: var(--ink); font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC",
  "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
header { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .2rem 1.5rem;
  border-bottom: 2px solid var(--ink); padding-bottom: .9rem; }
.kicker { margin: 0; color: var(--quiet); font-size: .85rem; letter-spacing: .03em; }
h1 { margin: .1rem 0 0; font-size: 1.55rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.12rem; border-bottom: 1px solid var(--line);
  padding-bottom: .25rem; }
h3 { margin: 1.3rem 0 .4rem; font-size: .95rem; }
p { margin: .4rem 0; } a { color: var(--accent); } .quiet { color: var(--quiet); }
header .when { margin: auto 0 0; text-align: right; font-size: .85rem; color: var(--quiet); }
.short { margin-top: 1.1rem; font-size: 1.02rem; }
.figures { display: grid; grid-template-columns: repeat(4, 1fr); margin: 1rem 0 0; gap: 1px;
  background: var(--line); border: 1px solid var(--line); border-radius: 6px; overflow: hidden; }
.figures div { background: var(--paper); padding: .55rem .8rem .6rem; }
.figures dt { color: var(--quiet); font-size: .8rem; }
.figures dd { margin: 0; font-size: 1.15rem; font-weight: 600; }
.figures, td, .local, time { font-variant-numeric: tabular-nums; }
figure { margin: .8rem 0 0; } figure svg { display: block; width: 100%; height: auto; }
figcaption { color: var(--quiet); font-size: .85rem; margin-top: .4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .9rem .4rem 0;
  border-bottom: 1px solid var(--line); }
th { color: var(--quiet); font-weight: 600; font-size: .8rem; vertical-align: bottom; }
td > bdi { display: inline-block; min-width: 5.5em; max-width: 100%; overflow-wrap: anywhere;
  word-break: normal; } th, td { word-break: keep-all; }
td:last-child, th:last-child { padding-right: 0; }
td time, td .local { white-space: nowrap; }
.local, .answer { display: block; } .answer + .answer { margin-top: .35rem; }
.answer time { display: block; } .local { color: var(--quiet); font-size: .92em; }
section > dl:not(.figures) { margin: .4rem 0; }
section > dl:not(.figures) > div { display: grid; grid-template-columns: 14.5rem 1fr; gap: .8rem;
  padding: .3rem 0; border-bottom: 1px solid var(--line); }
section > dl:not(.figures) dt { color: var(--quiet); font-size: .9rem; }
section > dl:not(.figures) dd { margin: 0; overflow-wrap: anywhere; font-size: .93rem; }
code, .digest { font: .86em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono",
  monospace; overflow-wrap: anywhere; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px;
  padding: .6rem .8rem; white-space: pre-wrap; }
ul { margin: .3rem 0; padding-left: 1.2rem; } li { margin: .3rem 0; }
.level { white-space: nowrap; }
.level::before { content: ""; display: inline-block; width: .7em; height: .7em;
  border-radius: 50%; margin-right: .4em; background: var(--level, var(--quiet)); }
.no { display: inline-grid; place-items: center; min-width: 1.5em; height: 1.5em;
  padding: 0 .3em; border-radius: 1em; background: #7b1fa2; color: #fff; font-weight: 600;
  font-size: .85em; }
@media (max-width: 640px) { .figures { grid-template-columns: repeat(2, 1fr); }
  section > dl:not(.figures) > div { grid-template-columns: 1fr; gap: 0; } }
@page { size: A4; margin: 16mm 15mm 18mm; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2, h3 { break-after: avoid; } figure, .figures, tr, pre, li { break-inside: avoid; }
  .wide { overflow: visible; } thead { display: table-header-group; } .other { display: none; } }
"""
    + "\n".join(
        f".level.{level} {{ --level: {colour}; }}" for level, colour in LEVEL_COLOURS.items()
    )
    + "\n"
)
