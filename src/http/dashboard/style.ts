/** How the dashboard looks: one style for light and dark, from a phone's width up. */
export const STYLE = `
:root { color-scheme: light dark;
  --ground: #f4f5f7; --surface: #fff; --ink: #15191e; --soft: #545d69; --line: #d9dee4; --faint: #edf0f3;
  --ok: #0a6b35; --ok-ground: #e3f4e9; --warn: #7a4d00; --warn-ground: #fdf0d0; --warn-mark: #c77d00;
  --bad: #a81c12; --bad-ground: #fde8e6; --bad-mark: #c9261a; --link: #0b57c4; --age: #5b6b7d; --bar: #3f7fbf;
  --rest: #dfe5eb; --window: #a9d5b8; --gap: #f3b3ad; --blank: #e6e9ed; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #0f1215; --surface: #191d22; --ink: #e7eaee; --soft: #a0aab6; --line: #333b45; --faint: #232930;
  --ok: #63cf8d; --ok-ground: #12301f; --warn: #f0bd55; --warn-ground: #362a10; --warn-mark: #d99a2b;
  --bad: #ff9087; --bad-ground: #3d1714; --bad-mark: #f0584b; --link: #8bb8ff; --age: #8b9aab; --bar: #6fa8e0;
  --rest: #2e363f; --window: #2f6b46; --gap: #7a2a24; --blank: #252b32; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 0.9375rem/1.5 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%; }
h1, h2, h3, h4, p, dl, dd, figure { margin: 0; }
h1 { font-size: 1.5rem; line-height: 1.3; }
h2 { font-size: 1.125rem; line-height: 1.4; }
h3 { font-size: 1rem; }
h4 { font-size: 0.875rem; margin: 0.25rem 0 -0.25rem; }
a { color: var(--link); }
code { font: 0.8125rem/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
time { white-space: nowrap; cursor: help; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 0.5rem; top: 0.5rem; background: var(--surface); padding: 0.5rem 1rem; }
.top, main { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
.top { display: flex; flex-wrap: wrap; align-items: center; gap: 0.25rem 1rem; padding-top: 0.75rem; padding-bottom: 0.75rem;
  font-size: 0.8125rem; color: var(--soft); }
.top .brand { font-size: 1rem; font-weight: 700; color: var(--ink); margin-right: auto; }
.top form { display: contents; }
main { display: grid; grid-template-columns: minmax(0, 1fr); gap: 1rem; padding-bottom: 3rem; }
.verdict { border-radius: 0.5rem; border: 1px solid var(--line); border-left: 0.5rem solid; padding: 1.25rem 1.25rem 1.125rem;
  display: grid; gap: 0.875rem; background: var(--surface); }
.sentence { display: flex; gap: 0.75rem; align-items: flex-start; }
.sentence h1 { min-width: 0; overflow-wrap: anywhere; }
.verdict .icon { width: 2rem; height: 2rem; }
.verdict.ok { border-left-color: var(--ok); } .verdict.ok .icon { color: var(--ok); }
.verdict.critical { background: var(--bad-ground); border-color: var(--bad-mark); color: var(--bad); }
.verdict.warning { background: var(--warn-ground); border-color: var(--warn-mark); color: var(--warn); }
.verdict.info { border-left-color: var(--link); } .verdict.info .icon { color: var(--link); }
.verdict .facts { color: var(--ink); } .verdict .facts dt { color: inherit; opacity: 0.85; }
.icon { flex: none; width: 1rem; height: 1rem; fill: none; stroke: currentColor; stroke-width: 2.2; stroke-linecap: round; stroke-linejoin: round; }
.icon .solid { fill: none; }
.problems { display: grid; gap: 0.75rem; }
.problem { background: var(--surface); border: 1px solid var(--line); border-left: 0.5rem solid var(--link); border-radius: 0.5rem;
  padding: 0.875rem 1.25rem; display: grid; gap: 0.375rem; overflow-wrap: anywhere; }
.problem.critical { border-left-color: var(--bad-mark); } .problem.warning { border-left-color: var(--warn-mark); }
.problem header { display: flex; flex-wrap: wrap; gap: 0.125rem 0.75rem; align-items: baseline; }
.problem .level { display: inline-flex; gap: 0.3rem; align-items: center; align-self: center; font-size: 0.8125rem; font-weight: 700; color: var(--link); }
.problem.critical .level { color: var(--bad); } .problem.warning .level { color: var(--warn); }
.problem .where, .problem .when { color: var(--soft); font-size: 0.8125rem; }
.problem .when { margin-left: auto; }
.advice strong { margin-right: 0.25rem; }
.notice { border-radius: 0.5rem; border: 1px solid var(--line); border-left: 0.5rem solid var(--ok); background: var(--surface); padding: 0.75rem 1.25rem; font-weight: 600; }
.notice.failed { border-left-color: var(--bad-mark); color: var(--bad); }
.subject { display: grid; gap: 0.75rem; grid-template-columns: minmax(0, 1fr); margin-top: 0.75rem; }
.subject > header { display: flex; flex-wrap: wrap; gap: 0 0.75rem; align-items: baseline; }
.cards { display: grid; gap: 0.75rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }
.card { background: var(--surface); border: 1px solid var(--line); border-radius: 0.5rem; padding: 1rem 1.25rem; display: grid;
  gap: 0.75rem; align-content: start; grid-template-columns: minmax(0, 1fr); }
.card > header { display: flex; flex-wrap: wrap; gap: 0.25rem 0.625rem; align-items: center; }
.card .kind { color: var(--soft); display: block; }
.card > header .button { margin-left: auto; }
.pill { display: inline-block; padding: 0 0.5rem; border-radius: 1rem; font-size: 0.8125rem; font-weight: 600; white-space: nowrap; }
.pill.ok { background: var(--ok-ground); color: var(--ok); } .pill.warn { background: var(--warn-ground); color: var(--warn); }
.pill.bad { background: var(--bad-ground); color: var(--bad); } .pill.quiet { background: var(--faint); color: var(--soft); }
.facts { display: flex; flex-wrap: wrap; gap: 0.5rem 2rem; }
.facts dt { font-size: 0.8125rem; color: var(--soft); }
.facts dd { font-weight: 600; overflow-wrap: anywhere; }
.facts dd .by { font-weight: 400; }
.by { display: block; color: var(--soft); font-size: 0.8125rem; overflow-wrap: anywhere; }
.reading { color: var(--soft); font-size: 0.8125rem; }
figcaption { font-size: 0.8125rem; font-weight: 600; margin-bottom: 0.25rem; }
svg { display: block; }
.strip { width: 100%; height: 2.25rem; background: var(--faint); border-radius: 0.25rem; }
.strip .tick { stroke: var(--ok); stroke-width: 2; vector-effect: non-scaling-stroke; }
.strip .gap { fill: var(--gap); } .strip .blank { fill: var(--blank); }
.countdown { width: 100%; height: 0.75rem; border-radius: 0.25rem; }
.countdown .rest { fill: var(--rest); } .countdown .window { fill: var(--window); } .countdown .age { fill: var(--age); }
.countdown.warn .age { fill: var(--warn-mark); } .countdown.bad .age { fill: var(--bad-mark); }
.countdown .due { stroke: var(--ink); stroke-width: 2; vector-effect: non-scaling-stroke; }
.scale { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; font-size: 0.75rem; color: var(--soft); margin-top: 0.25rem; }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 13rem), 1fr)); }
.charts figcaption { font-weight: 400; color: var(--soft); }
.plot { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 0.375rem; }
.axis { display: flex; flex-direction: column; justify-content: space-between; text-align: right; font-size: 0.6875rem; line-height: 1; color: var(--soft); }
.chart { width: 100%; height: 5rem; }
.chart path { fill: none; vector-effect: non-scaling-stroke; }
.chart .grid { stroke: var(--line); } .chart .bar { stroke: var(--bar); stroke-width: 3; } .chart .dot { stroke: var(--bar); stroke-width: 4; stroke-linecap: round; }
.chart path.early { stroke: var(--bad-mark); }
.scale.three { display: grid; grid-template-columns: repeat(3, minmax(0, auto)); justify-content: space-between; } .scale.three :nth-child(2) { text-align: center; } .scale.three :nth-child(3) { text-align: right; }
.charts .scale { margin-left: 1.5rem; flex-wrap: nowrap; }
meter { width: 6rem; height: 0.75rem; margin-left: 0.5rem; vertical-align: baseline; }
.error { border-left: 3px solid var(--line); padding-left: 0.75rem; font-size: 0.875rem; overflow-wrap: anywhere; display: grid; gap: 0.125rem; }
.error.open { border-left-color: var(--bad-mark); } .error.over { color: var(--soft); }
.ids { font-size: 0.8125rem; color: var(--soft); }
.scroll { overflow-x: auto; position: relative; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; }
th { text-align: left; font-weight: 600; font-size: 0.8125rem; color: var(--soft); white-space: nowrap; }
th, td { padding: 0.375rem 1rem 0.375rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
td { overflow-wrap: break-word; } td code, td time, td > a, .together { white-space: nowrap; } td .by code { white-space: normal; }
tbody tr:last-child td { border-bottom: 0; }
summary { cursor: pointer; color: var(--link); font-size: 0.875rem; }
.button, button { display: inline-block; font: inherit; font-size: 0.8125rem; font-weight: 600; line-height: 1.4; padding: 0.3rem 0.75rem; border: 1px solid var(--line);
  border-radius: 0.375rem; background: var(--surface); color: var(--ink); text-decoration: none; cursor: pointer; white-space: nowrap; }
.button:hover, button:hover { border-color: var(--soft); }
button.primary { background: #0b57c4; border-color: #0b57c4; color: #fff; }
button.plain { border: 0; background: none; padding: 0; color: var(--link); text-decoration: underline; font-weight: 400; }
input, select { font: inherit; padding: 0.3rem 0.5rem; border: 1px solid var(--soft); border-radius: 0.375rem; background: var(--surface); color: var(--ink); max-width: 100%; }
.search { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; }
.search label { font-size: 0.8125rem; color: var(--soft); }
.paging { display: flex; gap: 1.5rem; justify-content: flex-end; }
.stale { color: var(--bad); font-weight: 700; }
[hidden] { display: none; }
.alone { max-width: 30rem; margin: 8vh auto 0; width: 100%; }
.alone .card { gap: 1rem; }
.alone label { display: block; font-weight: 600; margin-bottom: 0.25rem; }
.alone input { width: 100%; padding: 0.5rem 0.625rem; }
.alone button, .alone .button { font-size: 0.9375rem; padding: 0.5rem 1rem; }
.row { display: flex; flex-wrap: wrap; gap: 0.75rem; align-items: center; }
.wrong { color: var(--bad); font-weight: 600; }
@media (max-width: 40rem) { .top, main { padding-left: 0.75rem; padding-right: 0.75rem; }
  .verdict, .problem, .card { padding-left: 0.875rem; padding-right: 0.875rem; } h1 { font-size: 1.25rem; }
  .verdict .icon { width: 1.625rem; height: 1.625rem; } .problem .when { margin-left: 0; } .facts { gap: 0.5rem 1.25rem; } .strip .tick { stroke-width: 1; }
  table, tbody, tr, td { display: block; } thead { position: absolute; clip-path: inset(50%); }
  tr { padding: 0.5rem 0; border-bottom: 1px solid var(--line); } tbody tr:last-child { border-bottom: 0; }
  td { display: grid; grid-template-columns: min(6rem, 30%) minmax(0, 1fr); gap: 0 0.75rem; padding: 0.125rem 0; border: 0; }
  td::before { content: attr(data-label); color: var(--soft); font-size: 0.8125rem; grid-row: 1 / span 9; } td > * { grid-column: 2; justify-self: start; }
  td:empty { display: none; } td code { white-space: normal; } td > *, td, .facts dt, .card h3 { overflow-wrap: anywhere; }
  time, td time, td > a, .pill, .button, button, .together { white-space: normal; }
  .scale:not(.three) span:nth-child(2):nth-last-child(4), .scale:not(.three) span:nth-child(4):nth-last-child(2) { display: none; }
  .search input, .search select { flex: 1 1 60%; } .search label { flex: 1 1 100%; } .top .brand { flex: 1 1 100%; } }
@media (forced-colors: active) { .pill, .verdict { border: 1px solid; } }
`;
