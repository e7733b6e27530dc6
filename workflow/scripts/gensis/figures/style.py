"""The style sheet of the page."""

from gensis.figures.palette import SERIES

_PAGE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1c2326; --quiet: #5b686d; --rule: #dde3e5; --shade: #f4f7f7; --accent: #00796b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14191b; --ink: #e4eaec; --quiet: #9aa8ad; --rule: #2d373b; --shade: #1c2326; --accent: #4fc3b0;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
  overflow-wrap: anywhere; -webkit-text-size-adjust: 100%;
}
header { border-bottom: 3px solid var(--accent); margin-bottom: 1.5rem; padding-bottom: .75rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
header p { margin: .3rem 0 0; color: var(--quiet); }
h2 { font-size: 1.25rem; margin: 3rem 0 1rem; padding-bottom: .3rem; border-bottom: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 2rem 0 .5rem; }
p { margin: 0 0 .75rem; max-width: 44rem; }
a { color: var(--accent); }
small { color: var(--quiet); font-size: .8em; }
.accent { color: var(--accent); }
.note, figcaption { color: var(--quiet); font-size: .875rem; line-height: 1.45; }
figure { margin: 0 0 1.5rem; }
figcaption { margin-top: .5rem; max-width: 48rem; }
figcaption b { color: var(--ink); font-weight: 600; }
img, svg { display: block; max-width: 100%; height: auto; }
.crisp { image-rendering: pixelated; }
.scroll { overflow-x: auto; max-width: 100%; }

.answer {
  display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 20rem); gap: 1rem 2.5rem; margin-bottom: 2rem;
}
.answer p { font-size: 1.06rem; }
.answer p.note { font-size: .875rem; }
@media (max-width: 720px) { .answer { grid-template-columns: minmax(0, 1fr); } }
.strips dl {
  display: grid; grid-template-columns: fit-content(45%) minmax(0, 1fr); gap: 0 .75rem; align-items: center;
  margin: 0; font-size: .85rem;
}
.strips dt { line-height: 1.2; padding: .15rem 0; }
.strips dd { margin: 0; display: flex; align-items: center; gap: .6rem; }
.strips svg { flex: 1; min-width: 0; }
.strips circle { fill: var(--accent); }
.strips .interval { stroke: var(--accent); stroke-width: 2; opacity: .55; }
.strips .chance { stroke: var(--quiet); stroke-dasharray: 3 2; }
.forests { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1rem 2rem; }
.forest dl {
  display: grid; grid-template-columns: fit-content(38%) minmax(0, 1fr); gap: 0 .9rem; align-items: center;
  margin: 0; font-size: .85rem; max-width: 52rem;
}
.forest dt { line-height: 1.2; padding: .2rem 0; }
.forest dd { margin: 0; display: flex; align-items: center; gap: .8rem; }
.forest svg { flex: 0 1 26rem; min-width: 0; }
.forest .number { flex: 0 0 8.5rem; line-height: 1.2; }
.forest .number small { display: block; }
.forest text { font-size: 11px; fill: var(--quiet); font-variant-numeric: tabular-nums; }
.forest .zero { stroke: var(--quiet); stroke-width: 1; }
.forest .axis { stroke: var(--rule); }
.forest .interval { stroke: var(--accent); stroke-width: 2; opacity: .7; }
.forest .seed { fill: var(--quiet); opacity: .6; }
.forest .mean { fill: var(--paper); stroke: var(--accent); stroke-width: 2; }
.forest .mean.sure { fill: var(--accent); }
@media (max-width: 720px) {
  .forest dl { grid-template-columns: minmax(0, 1fr); }
  .forest dt { padding: .5rem 0 0; }
  .forest .number { flex-basis: 6.5rem; }
  .forest text { font-size: 15px; }
}
.number { font-variant-numeric: tabular-nums; }

table {
  border-collapse: collapse; width: 100%; font-size: .875rem; line-height: 1.35; font-variant-numeric: tabular-nums;
}
th, td { padding: .45rem .75rem .45rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
thead th {
  color: var(--quiet); font-weight: 500; font-size: .8rem; vertical-align: bottom; min-width: 4.5rem;
  overflow-wrap: normal;
}
tbody th { font-weight: 600; white-space: nowrap; }
td { white-space: nowrap; }
td small, tbody th small { display: block; font-weight: 400; }
@media (max-width: 720px) {
  th, td { padding-right: .6rem; }
  tbody th { white-space: normal; min-width: 7rem; }
}
.reasons td:last-child { min-width: 16rem; white-space: normal; }
@media (max-width: 720px) {
  .reasons tr { display: flex; flex-wrap: wrap; border-bottom: 1px solid var(--rule); padding-bottom: .3rem; }
  .reasons th, .reasons td { flex: 1 1 3rem; min-width: 0; border: 0; padding-bottom: 0; }
  .reasons th:first-child { flex-basis: 6.5rem; }
  .reasons :is(td, th):last-child { flex-basis: 100%; min-width: 0; padding-right: 0; }
}
details { margin: 1rem 0; }
summary { cursor: pointer; color: var(--accent); font-size: .9rem; }
pre {
  background: var(--shade); padding: 1rem; font: .8rem/1.5 ui-monospace, Menlo, Consolas, monospace;
  overflow-wrap: normal;
}

.chain {
  list-style: none; counter-reset: stage; display: grid; gap: .75rem; padding: 0; margin: 0 0 .75rem;
  grid-template-columns: repeat(auto-fit, minmax(min(8rem, 45%), 1fr));
}
.chain li {
  counter-increment: stage; background: var(--shade); border-top: 2px solid var(--accent); padding: .6rem .75rem;
  font-size: .875rem; line-height: 1.35;
}
.chain b::before { content: counter(stage) " "; color: var(--accent); }
.chain span { display: block; color: var(--quiet); margin-top: .15rem; }

.gallery {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(14rem, 100%), 1fr)); gap: 1rem; align-items: start;
}
@media (max-width: 720px) { .gallery { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
.gallery figure { margin: 0; }
.gallery img { width: 100%; border: 1px solid var(--rule); }
.gallery figcaption { font-size: .8rem; margin-top: .3rem; }

.bank .strip { display: flex; gap: .5rem; margin-bottom: .6rem; }
.bank .strip figure { flex: 1 0 3.8rem; max-width: 8.5rem; margin: 0; }
.bank .strip img { width: 100%; }
.attended { margin-top: 1.5rem; }
.bank .strip figcaption { font-size: .7rem; margin-top: .15rem; white-space: nowrap; }

.reconstruction img + img, .interpolations .strip img + img { margin-top: .3rem; }
.maps { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1rem 2rem; }
.maps > div { max-width: 32rem; }
.maps p { margin: 0 0 .3rem; }
.map { position: relative; aspect-ratio: 1; border: 1px solid var(--rule); }
.map i {
  position: absolute; left: calc(var(--x) * 1%); top: calc(var(--y) * 1%); width: 7px; height: 7px;
  margin: -3.5px 0 0 -3.5px; border-radius: 50%; background: var(--c); opacity: .75; cursor: pointer; outline: none;
  print-color-adjust: exact;
}
.map i:hover, .map i:focus { opacity: 1; z-index: 1; box-shadow: 0 0 0 2px var(--ink); }
.map i:hover::after, .map i:focus::after {
  content: ""; position: absolute; width: 96px; height: 96px; border: 2px solid var(--ink); box-sizing: content-box;
  left: calc(var(--x) * -1px); top: calc((var(--y) - 50) * -2.4px + 3.5px); transform: translateY(-50%);
  background: var(--sheet) calc(var(--u) * -96px) calc(var(--v) * -96px) / 3072px auto; pointer-events: none;
}
.map .shape1 { border-radius: 0; }
.map .shape2 { background: none; border: 2px solid var(--c); }
.legend .dot { width: 10px; }

.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); gap: 1rem 2rem; }
.charts > figure { min-width: 0; margin: 0 0 1rem; }
.charts text { font-size: 11px; fill: var(--quiet); font-variant-numeric: tabular-nums; }
.charts .axis { stroke: var(--quiet); }
.charts .grid { stroke: var(--rule); }
.charts circle[class] { fill: var(--paper); stroke-width: 2; }
.charts .level { stroke: var(--quiet); stroke-dasharray: 2 3; }
.distances svg { max-width: 46rem; width: 100%; }
.distances text { font-size: 12px; fill: var(--quiet); font-variant-numeric: tabular-nums; }
.distances .axis { stroke: var(--quiet); }
.distances .grid { stroke: var(--rule); }
.distances .level { stroke: var(--quiet); stroke-dasharray: 4 3; }
.distances .good { fill: var(--accent); opacity: .09; }
.distances .leader { stroke: var(--quiet); stroke-width: .75; }
.distances .error { stroke: var(--quiet); stroke-width: 1.5; }
.distances .reference { fill: var(--paper); stroke: var(--quiet); stroke-width: 2; }
.distances .bank { fill: var(--accent); stroke: var(--paper); }
.distances text.bank { font-weight: 600; fill: var(--ink); stroke: none; }
polyline { fill: none; stroke-width: 1.5; opacity: .85; stroke-linejoin: round; }
.dashed { stroke-dasharray: 5 3; }
.legend {
  list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1rem; padding: 0; margin: .3rem 0; font-size: .8rem;
}
.legend li { display: flex; align-items: center; gap: .4rem; }
.legend svg { width: 22px; flex: none; }

@media print {
  body { max-width: none; padding: 0; font-size: 11pt; }
  figure, .answer, .chain, tr { break-inside: avoid; }
  td { white-space: normal; }
  h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; }
}
"""

CSS = _PAGE + "".join(f".line{number} {{ stroke: {colour}; }}\n" for number, colour in enumerate(SERIES))
