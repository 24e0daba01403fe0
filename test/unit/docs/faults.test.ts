import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

const root = new URL('../../../', import.meta.url);
const rows = readFileSync(new URL('docs/faults.md', root), 'utf8')
  .split('\n')
  .map((line) => /^\| (\d+) \|.*\(\.\.\/(test\/[^)]+)\) \|$/.exec(line))
  .filter((match) => match !== null);

describe('the table of faults', () => {
  it('has a row for each fault that is handled', () => {
    expect(rows.length).toBeGreaterThanOrEqual(25);
    const numbers = rows.map(([, number]) => Number(number));
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  });

  it.each(rows.map(([, number, file]) => ({ number, file: file ?? '' })))(
    'row $number points to a test: $file',
    ({ file }) => {
      const url = new URL(file, root);
      expect(existsSync(url)).toBe(true);
      expect(readFileSync(url, 'utf8')).toMatch(/\bit(?:\.each)?[.(<]/);
    },
  );
});
