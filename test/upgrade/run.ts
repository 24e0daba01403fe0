import { loadVersion, RELEASED } from '../soak/former.ts';
import { report } from '../soak/report.ts';
import { upgrade } from './upgrade.ts';

/**
 * A day in which one replica is of the version before. Exit code 1 on a violation.
 * `--hours N` of both versions together (24) `--seed N` (1) `--former COMMIT` (0.1.0)
 * `--verbose` faults and violations as they happen
 */

function flag(name: string): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
}

const started = performance.now();
const seed = Number(flag('seed') ?? 1);
const soak = await upgrade({
  former: await loadVersion(flag('former') ?? RELEASED),
  hours: Number(flag('hours') ?? 24),
  seed,
  verbose: process.argv.includes('--verbose'),
});
const good = report(soak, { seed, wallSeconds: (performance.now() - started) / 1_000 });
process.exitCode = good ? 0 : 1;
await soak.station.close();
