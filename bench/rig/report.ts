/** What a bench has found, for people, for programs and for the documents. */
export interface Report {
  bench: string;
  title: Text;
  tables: Table[];
  /** The claims, each with its goal. */
  lines: GoalLine[];
  /** What was left out, and why; what else must be known to read the figures. */
  notes: string[];
  /** Something went wrong that makes the figures worthless. */
  failed?: boolean;
}

export interface Text {
  en: string;
  zh: string;
}

export interface Table {
  columns: readonly string[];
  rows: readonly (readonly [string, ...(number | string)[]])[];
}

export interface GoalLine {
  what: Text;
  measured: string;
  /** As it is written, such as `≥ 3 ×`. */
  goal: string;
  met: boolean;
}

interface Ratio {
  what: Text;
  /** What was measured, and what it is compared with. */
  of: number;
  to: number;
  atLeast?: number;
  atMost?: number;
}

/** A goal that is a ratio within one run. */
export function ratio({ what, of, to, atLeast, atMost }: Ratio): GoalLine {
  const value = of / to;
  const limit = atLeast ?? atMost ?? NaN;
  const met = atLeast === undefined ? value <= limit : value >= limit;
  const goal = `${atLeast === undefined ? '≤' : '≥'} ${limit} ×`;
  return { what, measured: `${value.toFixed(2)} ×`, goal, met };
}

/** A goal that is a number. */
export function figure(what: Text, value: number, unit: string, atMost: number): GoalLine {
  const shown = `${shorten(value)} ${unit}`.trim();
  return { what, measured: shown, goal: `≤ ${atMost} ${unit}`.trim(), met: value <= atMost };
}

export function shorten(value: number | string): string {
  if (typeof value === 'string') return value;
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(Math.abs(value) >= 10 ? 3 : 2)));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[sorted.length >> 1]];
  return ((low ?? NaN) + (high ?? NaN)) / 2;
}

export function print({ title, tables, lines, notes }: Report): void {
  console.log(`\n${title.en}\n`);
  for (const { columns, rows } of tables) {
    printRow(['', ...columns]);
    for (const [name, ...cells] of rows) printRow([name, ...cells.map(shorten)]);
    console.log('');
  }
  for (const { what, measured, goal, met } of lines) {
    console.log(`${met ? 'met   ' : 'MISSED'}  ${what.en}: ${measured} (goal ${goal})`);
  }
  for (const note of notes) console.log(`note    ${note}`);
}

function printRow([name = '', ...cells]: readonly string[]): void {
  console.log(name.padEnd(40) + cells.map((cell) => cell.padStart(11)).join(''));
}
