import type { Soak } from './soak.ts';
import { ALL, CODE, type Kept } from './station.ts';

/** The table at the end. */

/**
 * Seconds between two mints of one kind that nothing but time calls for: a life less the window in
 * which a read may renew it, and less the tick before which it may not. Account tickets are asked for again
 * and again in their last minutes, which WeChat answers with the same one.
 */
function leastInterval(kept: Kept): number {
  return kept === CODE ? 900 : 6_300;
}

export function report(soak: Soak, run: { seed: number; wallSeconds: number }): boolean {
  const { station, judge } = soak;
  const seconds = station.clock.monotonic() / 1_000;
  const { ledger } = station.simulator;
  for (const kept of ALL) {
    const { mints, most } = mintsOf(soak, kept, seconds);
    if (mints > most)
      judge.violate(`${kept.id.kind}: ${mints} mints, ${most} at most are explained`);
  }
  const tickets = ledger.pushes.filter(({ infoType }) => infoType === 'component_verify_ticket');
  const accepted = tickets.filter((push) => push.accepted).length;
  const faults = [...soak.faults].sort(([a], [b]) => a.localeCompare(b));
  const total = faults.reduce((sum, [, count]) => sum + count, 0);
  const lines = [
    '',
    row('seed', run.seed),
    row('simulated days', (seconds / 86_400).toFixed(2)),
    row('real seconds', run.wallSeconds.toFixed(0)),
    row('looks at Redis', judge.samples),
    row('reads over HTTP', judge.reads),
    row('codes handed out', soak.visits),
    row('ticket pushes sent', tickets.length),
    row('  acknowledged', accepted),
    row('calls to WeChat', ledger.calls.length),
    row('  spoilt', ledger.calls.filter(({ fault }) => fault !== undefined).length),
    row('faults', total),
    ...faults.map(([name, count]) => row(`  ${name}`, count)),
    'mints: made, needed by time alone, explained at most',
    ...ALL.map((kept) => {
      const { mints, most, needed } = mintsOf(soak, kept, seconds);
      return row(`  ${kept.id.kind}`, `${mints}, ${needed}, ${most}`);
    }),
    ...deliveryRows(soak),
    'seconds without a live value (by look), where, what and why',
    ...[...judge.secondsDead].sort().map(([cause, count]) => row(`  ${cause}`, Math.round(count))),
    'warnings and errors of the service',
    ...[...station.journal.counts].sort().map(([text, count]) => row(`  ${text}`, count)),
    row('violations', judge.violations.length),
  ];
  for (const { at, message, tail } of judge.violations) {
    lines.push(`VIOLATION, seed ${run.seed}, ${new Date(at).toISOString()}: ${message}`);
    lines.push(...tail.map((line) => `    ${line}`));
  }
  process.stdout.write(`${lines.join('\n')}\n`);
  return judge.violations.length === 0;
}

/** What became of what the routes take. */
function deliveryRows({ deliveries: { judged }, messages }: Soak): string[] {
  if (judged.length === 0) return [];
  const sent = [...messages.sent.values()];
  return [
    row('pushes to be delivered', sent.length),
    row('  acknowledged', sent.filter(({ acknowledged }) => acknowledged).length),
    ...judged.flatMap(({ target, counts, open }) => {
      const { twice, ...others } = counts;
      const again = [...twice].sort();
      const of = (place: string, count: number) => row(`  ${target.route}: ${place}`, count);
      return [
        ...Object.entries(others).map(([name, count]) => of(name, count)),
        of('still waiting', [...open].filter(({ place }) => place !== 'dead').length),
        of('still dead letters', [...open].filter(({ place }) => place === 'dead').length),
        ...again.map(([why, count]) => of(`sent again after it was taken: ${why}`, count)),
      ];
    }),
  ];
}

function mintsOf({ station, judge }: Soak, kept: Kept, seconds: number) {
  const { mints } = station.simulator.ledger;
  const made = mints.filter(
    ({ kind, foreign }) => kind === kept.id.kind && foreign !== true,
  ).length;
  const needed = Math.ceil(seconds / leastInterval(kept));
  return { mints: made, needed, most: needed + 1 + (judge.allowed.get(kept.id.kind) ?? 0) };
}

function row(name: string, value: string | number): string {
  return `${name.slice(0, 90).padEnd(92)} ${value}`;
}
