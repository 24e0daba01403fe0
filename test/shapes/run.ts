import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isShapeName, SHAPES, type ShapeName } from '../kit/redis-shapes/shapes.ts';
import { STORIES, type Story } from './stories.ts';

/**
 * `npm run test:shapes -- sentinel`: the stories that must be the same on every Redis, on that one. Names of
 * stories after the shape choose some of them, `all` is each shape in turn, and `--short` a few stories on each.
 * Exit code 1 when one fails.
 */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const VITEST = join(
  dirname(createRequire(import.meta.url).resolve('vitest/package.json')),
  'vitest.mjs',
);
const EX_USAGE = 64;
/** Clusters are slower, and nobody waits for the minutes of all these stories. */
const PATIENCE = ['--testTimeout=300000', '--hookTimeout=120000'];

interface Wishes {
  shapes: readonly ShapeName[];
  stories: readonly Story[];
}

/** @throws Error that says what there is to choose from */
function readWishes(): Wishes {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { short: { type: 'boolean', default: false } },
  });
  const [shape = values.short ? 'all' : '', ...names] = positionals;
  if (shape !== 'all' && !isShapeName(shape)) {
    throw new Error(
      `${shape === '' ? 'name a shape' : `there is no shape ${shape}`}: all, ${SHAPES.join(', ')}`,
    );
  }
  for (const name of names) {
    if (STORIES.some((story) => story.name === name)) continue;
    throw new Error(
      `there is no story ${name}:\n  ${STORIES.map((story) => story.name).join('\n  ')}`,
    );
  }
  return {
    shapes: shape === 'all' ? SHAPES : [shape],
    stories: STORIES.filter(
      (story) =>
        (names.length === 0 || names.includes(story.name)) &&
        (!values.short || story.isShort === true),
    ),
  };
}

async function runOn(shape: ShapeName, stories: readonly Story[]): Promise<boolean> {
  say(`\n${shape}:`);
  const left = stories.filter((story) => story.not?.[shape] === undefined);
  for (const { name, not } of stories) {
    if (not?.[shape] !== undefined) say(`  ${name} is left out: ${not[shape]}`);
  }
  if (left.length === 0) return true;
  const files = left.map(({ name }) => `test/integration/${name}.test.ts`);
  const vitest = spawn(
    process.execPath,
    [VITEST, 'run', '--project', 'integration', ...PATIENCE, ...files],
    {
      cwd: ROOT,
      stdio: 'inherit',
      env: { ...process.env, TEST_REDIS_URL: undefined, TEST_REDIS_SHAPE: shape },
    },
  );
  const [code] = (await once(vitest, 'exit')) as [number | null];
  return code === 0;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

let wishes: Wishes;
try {
  wishes = readWishes();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exit(EX_USAGE);
}
const results: string[] = [];
for (const shape of wishes.shapes) {
  const begun = performance.now();
  const isWell = await runOn(shape, wishes.stories);
  const seconds = ((performance.now() - begun) / 1000).toFixed(0);
  results.push(`${shape.padEnd(10)} ${isWell ? 'passed' : 'FAILED'} ${seconds.padStart(5)} s`);
  if (!isWell) process.exitCode = 1;
}
say(`\n${results.join('\n')}`);
