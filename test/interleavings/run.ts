import { FAULT_NAMES } from './faults.ts';
import { MEANING } from './invariants.ts';
import { MUTATIONS, type Tamper } from './mutations.ts';
import { PLACES, type Place } from './place.ts';
import { runSchedule, type Outcome } from './schedule.ts';

/**
 * Runs seeded schedules of two real replicas on a real Redis. Exit code 1 on a violation.
 * `--count N` schedules (10000) `--from N` the first seed (1) `--seed N` that one only, with its trace
 * `--mutation NAME` with one rule taken out; `--mutations` with each in turn, until it is noticed, and
 * exit code 1 when one is not
 * `--shape cluster` on a cluster of three masters, where a failover moves their slot to another shard
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

function tamperNamed(name: string | undefined): Tamper | undefined {
  if (name === undefined) return undefined;
  const tamper = MUTATIONS[name];
  if (tamper === undefined) throw new Error(`no such mutation: ${name}`);
  return tamper;
}

interface Totals {
  schedules: number;
  steps: number;
  mints: number;
  violations: number;
  /** Simulated seconds. */
  slowest: number;
  perFault: Map<string, number>;
  /** Schedules by their number of faults. */
  perCount: number[];
}

interface Range {
  from: number;
  count: number;
}

async function runSchedules(place: Place, { from, count }: Range, tamper: Tamper | undefined) {
  const totals: Totals = {
    schedules: 0,
    steps: 0,
    mints: 0,
    violations: 0,
    slowest: 0,
    perCount: [0, 0, 0, 0],
    perFault: new Map(FAULT_NAMES.map((name) => [name, 0])),
  };
  const started = performance.now();
  for (let seed = from; seed < from + count; seed += 1) {
    const outcome = await runSchedule(place, seed, tamper);
    add(totals, outcome);
    if (count === 1) tell(outcome);
    else if (outcome.violation !== undefined) {
      if (totals.violations <= MOST_TRACES) tell(outcome);
      else say(`seed ${seed}: ${outcome.violation.message}`);
    }
    if (totals.schedules % REPORT_EVERY === 0 || totals.schedules === count) {
      const seconds = (performance.now() - started) / 1000;
      const { schedules, violations } = totals;
      say(`${schedules} schedules in ${seconds.toFixed(1)} s, ${violations} violations`);
    }
  }
  return totals;
}

function add(totals: Totals, { faults, steps, mints, quietAfter, violation }: Outcome): void {
  const { perFault, perCount } = totals;
  for (const name of faults) perFault.set(name, (perFault.get(name) ?? 0) + 1);
  perCount[faults.length] = (perCount[faults.length] ?? 0) + 1;
  totals.schedules += 1;
  totals.steps += steps;
  totals.mints += mints;
  totals.slowest = Math.max(totals.slowest, quietAfter);
  if (violation !== undefined) totals.violations += 1;
}

function sum({ steps, mints, slowest, perCount, perFault }: Totals): void {
  say(`\n${steps} steps, ${mints} mints`);
  say(`quiet again ${slowest.toFixed(0)} s after the last fault at the latest (simulated)`);
  say(`schedules with 0, 1, 2, 3 faults: ${perCount.join(', ')}`);
  for (const [name, times] of perFault) say(`  ${name}: ${times}`);
  say('checked');
  for (const [invariant, meaning] of Object.entries(MEANING)) say(`  ${invariant}: ${meaning}`);
}

/** @returns how many mutations no schedule noticed */
async function runMutations(place: Place, { from, count }: Range): Promise<number> {
  let survivors = 0;
  for (const [name, tamper] of Object.entries(MUTATIONS)) {
    let seed = from;
    let violation = (await runSchedule(place, seed, tamper)).violation;
    while (violation === undefined && seed < from + count - 1) {
      seed += 1;
      violation = (await runSchedule(place, seed, tamper)).violation;
    }
    if (violation === undefined) survivors += 1;
    const found = violation && `noticed by seed ${seed}, ${violation.invariant}`;
    say(`${name}: ${found ?? `not noticed in ${count} schedules`}`);
  }
  return survivors;
}

const shape = flag('shape') ?? 'single';
if (!(shape in PLACES)) throw new Error(`no such shape: ${shape}`);
const place = await PLACES[shape as keyof typeof PLACES]();
try {
  const only = flag('seed');
  const from = Number(only ?? flag('from') ?? 1);
  const range = { from, count: only === undefined ? Number(flag('count') ?? 10_000) : 1 };
  if (process.argv.includes('--mutations')) {
    process.exitCode = (await runMutations(place, range)) > 0 ? 1 : 0;
  } else {
    const totals = await runSchedules(place, range, tamperNamed(flag('mutation')));
    sum(totals);
    process.exitCode = totals.violations > 0 ? 1 : 0;
  }
} finally {
  await place.close();
}
