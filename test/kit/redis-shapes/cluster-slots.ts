import { ask } from './ask.ts';
import type { ClusterNode } from './cluster-nodes.ts';
import type { ShapeServer } from './server.ts';

interface Move {
  slot: number;
  to: ShapeServer;
  halfway: (() => Promise<void>) | undefined;
}

const MIGRATE_TIMEOUT_MS = 5_000;

/** The steps and their order are those of `redis-cli --cluster reshard`. */
export async function moveSlot(
  nodes: readonly (ClusterNode & { server: ShapeServer })[],
  { slot, to, halfway }: Move,
): Promise<void> {
  const target = nodes.find(({ server }) => server === to);
  const source = nodes.find(({ ranges }) => ranges.some(([a, b]) => a <= slot && slot <= b));
  if (!target || !source) throw new Error(`slot ${slot} cannot move`);
  if (target === source) throw new Error(`slot ${slot} is there already`);
  const from = source.server;
  await ask(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id);
  await ask(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id);
  const half = Math.ceil(Number(await ask(from, 'CLUSTER', 'COUNTKEYSINSLOT', slot)) / 2);
  await migrate(from, to, slot, half);
  await halfway?.();
  while (await migrate(from, to, slot, 100));
  // Who gets it first: between the two nobody would serve it.
  for (const server of [to, from]) await ask(server, 'CLUSTER', 'SETSLOT', slot, 'NODE', target.id);
  const others = nodes.filter((node) => node.isMaster && node !== source && node !== target);
  for (const { server } of others) {
    // One that is down hears of it from the others when it is back.
    await ask(server, 'CLUSTER', 'SETSLOT', slot, 'NODE', target.id).catch(() => undefined);
  }
}

/** @returns whether there was any key to move */
async function migrate(
  from: ShapeServer,
  to: ShapeServer,
  slot: number,
  count: number,
): Promise<boolean> {
  if (count === 0) return false;
  const keys = (await ask(from, 'CLUSTER', 'GETKEYSINSLOT', slot, count)) as string[];
  if (keys.length === 0) return false;
  await ask(from, 'MIGRATE', '127.0.0.1', to.port, '', 0, MIGRATE_TIMEOUT_MS, 'KEYS', ...keys);
  return true;
}
