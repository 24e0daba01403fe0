import { Redis } from 'ioredis';
import { startRedisServer } from '../../src/commands/redis-server.ts';
import { FAULT_NAMES } from './faults.ts';
import { MEANING } from './invariants.ts';
import { MUTATIONS } from './mutations.ts';
import { runSchedule, type Outcome } from './schedule.ts';
import { loadScripts } from './shared-store.ts';

/**
 * Runs seeded schedules of two real replicas on a real Redis. Exit code 1 on a violation.
 * `--count N` schedules (10000) `--from N` the first seed (1) `--seed N` that one only, with its trace
 * `--mutation NAME` with one rule taken out
 */

const REPORT_EVERY = 1_000;
const MOST_TRACES = 3;

function flag(name: string): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function tell({ seed, violation, trace, faults }: Outcome): void {
  say(`seed ${seed}, ${faults.join(', ') || 'no fault'}`);
  for (const line of trace) say(`  ${line}`);
  say(violation === undefined ? '  no violation' : `  ${violation.message}`);
}

const server = await startRedisServer({ args: ['--enable-debug-command', 'yes'] });
const redis = new Redis(server.url);
await loadScripts(redis);

const only = flag('seed');
const from = Number(only ?? flag('from') ?? 1);
const count = only === undefined ? Number(flag('count') ?? 10_000) : 1;
const tamper = MUTATIONS[flag('mutation') ?? ''];

const perFault = new Map<string, number>(FAULT_NAMES.map((name) => [name, 0]));
const perCount = [0, 0, 0, 0];
const totals = { steps: 0, mints: 0, violations: 0, slowest: 0 };
const started = performance.now();
for (let seed = from; seed < from + count; seed += 1) {
  const outcome = await runSchedule(redis, seed, tamper);
  for (const name of outcome.faults) perFault.set(name, (perFault.get(name) ?? 0) + 1);
  perCount[outcome.faults.length] = (perCount[outcome.faults.length] ?? 0) + 1;
  totals.steps += outcome.steps;
  totals.mints += outcome.mints;
  totals.slowest = Math.max(totals.slowest, outcome.quietAfter);
  if (outcome.violation !== undefined) {
    totals.violations += 1;
    if (totals.violations <= MOST_TRACES) tell(outcome);
    else say(`seed ${seed}: ${outcome.violation.message}`);
  } else if (only !== undefined) tell(outcome);
  const done = seed - from + 1;
  if (done % REPORT_EVERY === 0 || done === count) {
    const seconds = (performance.now() - started) / 1000;
    const speed = `${(done / seconds).toFixed(0)} a second`;
    say(`${done} schedules in ${seconds.toFixed(1)} s, ${speed}, ${totals.violations} violations`);
  }
}

say(`\n${totals.steps} steps, ${totals.mints} mints`);
say(`quiet again ${totals.slowest.toFixed(0)} s after the last fault at the latest (simulated)`);
say(`schedules with 0, 1, 2, 3 faults: ${perCount.join(', ')}`);
for (const [name, times] of perFault) say(`  ${name}: ${times}`);
say('checked');
for (const [invariant, meaning] of Object.entries(MEANING)) say(`  ${invariant}: ${meaning}`);
redis.disconnect();
await server.stop();
process.exitCode = totals.violations > 0 ? 1 : 0;
