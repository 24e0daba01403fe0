import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const root = new URL('../../../', import.meta.url);
const rows = readFileSync(new URL('docs/faults.md', root), 'utf8')
  .split('\n')
  .map((line) => /^\| (\d+) \|.*\(\.\.\/(test\/[^)]+)\) \|$/.exec(line))
  .filter((match) => match !== null)
  .map(([, number, file]) => ({ number: Number(number), file: file ?? '' }));

/** From the first to the last of each range. */
const HANDLED: readonly (readonly [number, number])[] = [
  ...[[1, 61] as const, [64, 76] as const],
  ...[[82, 82] as const, [84, 85] as const, [87, 88] as const],
  ...[[101, 113] as const, [121, 129] as const, [131, 138] as const, [141, 153] as const],
  ...[[161, 182] as const],
];

describe('the table of faults', () => {
  it('has one row for each fault that is handled, in order', () => {
    const handled = HANDLED.flatMap(([first, last]) =>
      Array.from({ length: last - first + 1 }, (_, index) => first + index),
    );
    expect(rows.map(({ number }) => number)).toEqual(handled);
  });

  it.each(rows)('row $number points to a test that names it: $file', ({ number, file }) => {
    const url = new URL(file, root);
    expect(existsSync(url)).toBe(true);
    const text = readFileSync(url, 'utf8');
    expect(text).toMatch(/\bit(?:\.each)?[.(<]/);
    // In the title of a group, `row 5: …` or `rows 57, 60 and 61: …`, or in a table of cases.
    const titles = [...text.matchAll(/rows? ([\d, and]+):|\brow: (\d+)/g)];
    const named = titles.flatMap(([, listed, single]) => (listed ?? single ?? '').match(/\d+/g));
    expect(named.map(Number)).toContain(number);
  });
});
