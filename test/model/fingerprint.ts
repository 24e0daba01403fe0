import type { MintRecord, Operation } from './protocol.ts';
import type { Replica, World } from './world.ts';

/**
 * Two worlds with the same fingerprint behave alike. Replicas are interchangeable, so they are
 * sorted; an operation matters only while a replica still has it, so it is named by that replica's
 * place; every other operation is called x, as nobody can ask for it again.
 */
export function fingerprint(world: World): string {
  const replicas = world.replicas
    .map((replica) => ({ replica, text: describe(replica) }))
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
  const names = new Map<Operation, string>();
  replicas.forEach(({ replica }, place) => {
    if ('op' in replica) names.set(replica.op, String.fromCharCode(97 + place));
  });
  const { spent, orphans } = world;
  return [
    ...replicas.map(({ text }) => text),
    ...[world.record, ...world.past].map((record) => describeRecord(record, names)),
    [...orphans].sort().join(),
    `${world.epoch},${world.mints},${world.dueUpTo},${world.urgentUpTo},${world.expiredUpTo}`,
    `${spent.windows},${spent.faults},${spent.failovers}`,
  ].join('|');
}

function describe(replica: Replica): string {
  const start = replica.asleep ? '-' : '+';
  switch (replica.at) {
    case 'idle':
      return 'i';
    case 'judged':
      return `${start}j${replica.seq},${String(replica.needed)}`;
    case 'begun':
      return `${start}b${replica.begin},${replica.epoch},${replica.age}`;
    case 'checked':
      return `${start}c${replica.begin},${replica.epoch},${replica.slept}`;
    case 'sent': {
      const { begin, epoch, slept, age, left, value } = replica;
      return `${start}s${begin},${epoch},${slept},${age},${left},${value}`;
    }
    case 'answered':
      return `${start}a${replica.begin},${replica.epoch},${replica.slept},${replica.value}`;
    case 'gaveUp':
      return `${start}g${replica.begin},${replica.epoch},${replica.slept},${String(replica.maybe)}`;
    case 'unsure':
      return `${start}u${replica.begin},${replica.epoch},${replica.value}`;
  }
}

function describeRecord(r: MintRecord, names: ReadonlyMap<Operation, string>): string {
  const name = (op: Operation): string => names.get(op) ?? 'x';
  const lock = r.lock === undefined ? '' : `${name(r.lock.op)}${r.lock.left}`;
  const intents = r.intents.map(({ op, left }) => `${name(op)}${left}`).sort();
  return (
    `${r.value},${r.seq},${r.clock},${r.committed},${name(r.committedOp)},${lock},` +
    `${intents.join('+')},${r.suspect},${r.settle},${r.quarantine},${r.epoch}`
  );
}
