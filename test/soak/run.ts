import { FAULTS, type Fault } from './faults.ts';
import { watchCalls } from './faults-wechat.ts';
import { startReplica } from './replicas.ts';
import { report } from './report.ts';
import { createSoak, type Soak } from './soak.ts';
import { ALL, createStation } from './station.ts';

/**
 * Weeks in the life of two replicas, with faults. Exit code 1 on a violation.
 * `--days N` simulated days (30) `--seed N` (1) `--quiet-days N` the first ones without faults (0.25)
 * `--only PART` faults whose name contains PART `--without PART` not those
 * `--verbose` faults and violations as they happen
 */

const DAY = 86_400;
/** Seconds between two faults, most of the time; now and then one follows at the heels of another. */
const QUIET = { least: 300, most: 7_200 };
const AT_ONCE = 0.15;

function flag(name: string): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
}

function progress({ station, faults, judge }: Soak): void {
  const real = ((performance.now() - started) / 1_000).toFixed(0);
  const at = new Date(station.clock.now()).toISOString();
  const count = [...faults.values()].reduce((sum, one) => sum + one, 0);
  process.stderr.write(
    `${at} after ${real} s: ${count} faults, ${judge.violations.length} violations\n`,
  );
}

function chosenFaults(): Fault[] {
  const only = flag('only');
  const without = flag('without');
  return FAULTS.filter(
    ({ name }) =>
      (only === undefined || name.includes(only)) &&
      (without === undefined || !name.includes(without)),
  );
}

async function live(soak: Soak, days: number, quietDays: number): Promise<void> {
  const { station, judge } = soak;
  const { random, clock } = station;
  const faults = chosenFaults();
  const begun = judge.open(ALL, 'before the first ticket');
  for (const replica of station.replicas) await startReplica(soak, replica);
  await soak.go(1, 1);
  station.simulator.setPushing(true);
  await soak.passing.settle();
  await soak.go(5, 5);
  begun.close(0);
  const left = () => days * DAY - clock.monotonic() / 1_000;
  await soak.go(Math.min(quietDays * DAY, left()), 30);
  while (left() > 0 && faults.length > 0) {
    const { least, most } = QUIET;
    const quiet = random.chance(AT_ONCE) ? 5 : random.between(least, most);
    await soak.go(Math.min(quiet, left()), 30);
    if (left() > 0) await random.pickWeighted(faults).run(soak);
    if (verbose) progress(soak);
  }
  if (left() > 0) await soak.go(left(), 30);
  await soak.deliveries.look();
}

const verbose = process.argv.includes('--verbose');
const started = performance.now();
const days = Number(flag('days') ?? 30);
const seed = Number(flag('seed') ?? 1);
const quietDays = Number(flag('quiet-days') ?? 0.25);
const station = await createStation(seed, verbose);
const soak = createSoak(station, seed);
watchCalls(soak);
try {
  await live(soak, days, quietDays);
} catch (error) {
  soak.judge.violate(`the run broke: ${error instanceof Error ? String(error.stack) : 'unknown'}`);
}
const good = report(soak, { seed, wallSeconds: (performance.now() - started) / 1_000 });
process.exitCode = good ? 0 : 1;
await station.close();
