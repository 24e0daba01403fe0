import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { startRedisServer } from '../../src/sandbox/redis/launch.ts';
import { tryPushes } from './trial.ts';
import { compareVerdicts, type Verdicts } from './verdicts.ts';

/**
 * `npm run test:pushes -- --cases 200000 --seed 1`: odd pushes through the receiver on a Redis of its
 * own. Exit code 1, and the push, when one is lost, stored twice or without its effect.
 *
 * `npm run test:pushes -- --verdicts 1000000 --seed 1`: mutated pushes through the short way for usual
 * ones and the strict one. Exit code 1, and the push, when the two do not agree.
 */
const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    verdicts: { type: 'string' },
  },
});
const [cases, seed] = [Number(values.verdicts ?? values.cases), Number(values.seed)];
const REPORT_EVERY = 10_000;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (!Number.isSafeInteger(cases) || !Number.isSafeInteger(seed) || cases < 1) {
  say('--cases, --verdicts and --seed are whole numbers');
  process.exit(64);
}
say(`seed ${seed}, ${cases} cases`);
if (values.verdicts !== undefined) process.exit(printVerdicts(compareVerdicts(cases, seed)));
const server = await startRedisServer();
const redis = new Redis(server.url);
try {
  const started = performance.now();
  const { violation, counts } = await tryPushes(redis, {
    cases,
    seed,
    onProgress(done) {
      if (done % REPORT_EVERY !== 0 && done !== cases) return;
      say(`${done} cases in ${((performance.now() - started) / 1000).toFixed(1)} s`);
    },
  });
  for (const [name, count] of Object.entries(counts)) say(`  ${name}: ${count}`);
  if (violation === undefined) say('each was stored exactly once and had its effect');
  else {
    say(`seed ${seed}, case ${violation.number}: ${violation.what}`);
    say(JSON.stringify(violation, null, 2));
    process.exitCode = 1;
  }
} finally {
  redis.disconnect();
  await server.stop();
}

/** @returns the exit code */
function printVerdicts({ taken, left, refused, difference }: Verdicts): number {
  say(`  taken the short way: ${taken}; left to the strict one: ${left}; refused: ${refused}`);
  if (difference === undefined) {
    say('both ways agree on each');
    return 0;
  }
  say(JSON.stringify(difference, null, 2));
  return 1;
}
