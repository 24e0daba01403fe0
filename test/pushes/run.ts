import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { startRedisServer } from '../../src/commands/redis-server.ts';
import { tryPushes } from './trial.ts';

/**
 * `npm run test:pushes -- --cases 200000 --seed 1`: odd pushes through the receiver on a Redis of its
 * own. Exit code 1, and the push, when one is lost, stored twice or without its effect.
 */
const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const [cases, seed] = [Number(values.cases), Number(values.seed)];
const REPORT_EVERY = 10_000;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (!Number.isSafeInteger(cases) || !Number.isSafeInteger(seed) || cases < 1) {
  say('--cases and --seed are whole numbers');
  process.exit(64);
}
say(`seed ${seed}, ${cases} cases`);
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
