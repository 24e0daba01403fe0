import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';

const SRC = new URL('../../src/', import.meta.url);

/** Which files each file names, be it for a value or for a type alone: the linter counts values only. */
const imports = new Map(
  readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => {
      const text = readFileSync(new URL(file, SRC), 'utf8');
      const named = [...text.matchAll(/(?:from |import\()'(\.[^']+)'/g)].map(([, to = '']) =>
        path.posix.join(path.posix.dirname(file), to),
      );
      return [file, named] as const;
    }),
);

/** What a file reaches by any number of steps. */
function reachedFrom(start: string): Set<string> {
  const reached = new Set<string>();
  const open = [...(imports.get(start) ?? [])];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (reached.has(file)) continue;
    reached.add(file);
    open.push(...(imports.get(file) ?? []));
  }
  return reached;
}

it('no file imports itself by way of others, types counted', () => {
  expect(imports.size).toBeGreaterThan(200);
  const circular = [...imports.keys()].filter((file) => reachedFrom(file).has(file));
  expect(circular).toEqual([]);
});
