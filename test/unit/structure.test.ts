import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = new URL('../../', import.meta.url);

/** Which files each file names; in `src` for a type alone, too. */
const imports = new Map(
  ['src', 'test', 'bench'].flatMap((folder) =>
    readdirSync(new URL(folder, ROOT), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts') && !file.includes('node_modules'))
      .map((name) => {
        const file = `${folder}/${name}`;
        const whole = readFileSync(new URL(file, ROOT), 'utf8');
        const text = folder === 'src' ? whole : whole.replaceAll(/^import type [^;]*;/gm, '');
        const named = [...text.matchAll(/(?:from |import |import\()'(\.[^']+)'/g)];
        const to = named.map(([, path = '']) => posix.join(posix.dirname(file), path));
        return [file, to] as const;
      }),
  ),
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
  expect(imports.size).toBeGreaterThan(500);
  const circular = [...imports.keys()].filter((file) => reachedFrom(file).has(file));
  expect(circular).toEqual([]);
});
