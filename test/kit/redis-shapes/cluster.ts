import { freePort } from '../../../src/sandbox/redis/launch.ts';
import { certificateFile } from './certificates.ts';
import { ask, until } from './ask.ts';
import { moveSlot } from './cluster-slots.ts';
import { nodesOf, seenBy, type ClusterNode } from './cluster-nodes.ts';
import {
  startServer,
  whole,
  type RedisShape,
  tlsEnv,
  type ShapeServer,
  type TlsShapeOptions,
  type Undo,
} from './server.ts';

/** Three masters with a replica each. */
export interface ClusterShape extends RedisShape {
  masters(): Promise<ShapeServer[]>;
  /** Of a slot, or of a key. */
  masterOf(slotOrKey: number | string): Promise<ShapeServer>;
  replicasOf(master: ShapeServer): Promise<ShapeServer[]>;
  slotOf(key: string): Promise<number>;
  /** A planned failover of this master's shard; resolves with its new master when all know it. */
  failover(master: ShapeServer): Promise<ShapeServer>;
  /**
   * As `redis-cli --cluster reshard` does it, for one slot. `halfway` runs when one half of its keys is there and
   * the other still here: then keys answer ASK.
   */
  moveSlot(slot: number, to: ShapeServer, halfway?: () => Promise<void>): Promise<void>;
  /** Another master, without slots. */
  addNode(): Promise<ShapeServer>;
  /** Resolves when all nodes are up and agree who serves which slots, and every replica follows. */
  settled(): Promise<void>;
}

const SLOTS = 16_384;
const MASTERS = 3;
/** Without an answer for this long a node is thought to be down. */
const NODE_TIMEOUT_MS = 2_000;
const START_ATTEMPTS = 3;

export function startCluster(options: TlsShapeOptions = {}): Promise<ClusterShape> {
  return whole((undo) => assemble(options, undo));
}

async function assemble(options: TlsShapeOptions, undo: Undo) {
  const servers = await Promise.all(
    Array.from({ length: 2 * MASTERS }, () => startNode(options, undo)),
  );
  const settled = () => until('the cluster is in order', () => isSettled(servers));
  await join(servers);
  await settled();
  const nodes = () => nodesOf(servers);
  const slotOf = async (key: string) =>
    Number(await Promise.any(servers.map((server) => ask(server, 'CLUSTER', 'KEYSLOT', key))));
  const addresses = servers.map(({ port }) => ({ host: '127.0.0.1', port }));
  return {
    servers,
    env: {
      REDIS_CLUSTER: addresses.map(({ host, port }) => `${host}:${port}`).join(','),
      ...tlsEnv(options.tls),
    },
    admin: { nodes: addresses, ...(options.tls === true && { caFile: certificateFile() }) },
    settled,
    slotOf,
    async masters() {
      return (await nodes()).filter((node) => node.isMaster).map((node) => node.server);
    },
    async masterOf(slotOrKey: number | string) {
      const slot = typeof slotOrKey === 'number' ? slotOrKey : await slotOf(slotOrKey);
      return masterOfSlot(await nodes(), slot);
    },
    async replicasOf(master: ShapeServer) {
      const all = await nodes();
      const { id } = nodeOf(all, master);
      return all.filter((node) => node.masterId === id).map((node) => node.server);
    },
    failover: (master: ShapeServer) => failover(servers, master),
    async moveSlot(slot: number, to: ShapeServer, halfway?: () => Promise<void>) {
      await moveSlot(await nodes(), { slot, to, halfway });
    },
    async addNode() {
      const node = await startNode(options, undo);
      servers.push(node);
      await meet(servers, node);
      await settled();
      return node;
    },
  };
}

async function startNode({ binary, tls }: TlsShapeOptions, undo: Undo): Promise<ShapeServer> {
  for (let attempt = 1; ; attempt += 1) {
    const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', String(NODE_TIMEOUT_MS)];
    // The usual one, port + 10000, would be none for most of the free ports.
    args.push('--cluster-port', String(await freePort()), '--repl-diskless-sync-delay', '0');
    if (tls === true) args.push('--tls-cluster', 'yes');
    try {
      return await startServer(undo, { ...(binary && { binary }), appendOnly: true, args, tls });
    } catch (error) {
      // Its other port the launcher chooses anew by itself; of this one it knows nothing.
      if (attempt === START_ATTEMPTS || !String(error).includes('in use')) throw error;
    }
  }
}

/** Slots for the first half of the servers, and each of the others follows one of them. */
async function join(servers: ShapeServer[]): Promise<void> {
  const masters = servers.slice(0, MASTERS);
  for (const [index, master] of masters.entries()) {
    const [from, to] = [index, index + 1].map((part) => Math.floor((part * SLOTS) / MASTERS));
    await ask(master, 'CLUSTER', 'ADDSLOTSRANGE', from ?? 0, (to ?? SLOTS) - 1);
    await ask(master, 'CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
  }
  for (const server of servers.slice(1)) await meet(servers.slice(0, 1), server);
  await until('every node knows every other', () => knowEachOther(servers));
  for (const [index, replica] of servers.slice(MASTERS).entries()) {
    const id = await ask(masters[index] ?? replica, 'CLUSTER', 'MYID');
    await ask(replica, 'CLUSTER', 'REPLICATE', String(id));
  }
}

async function meet([known]: ShapeServer[], server: ShapeServer): Promise<void> {
  const [node] = known ? await seenBy(known) : [];
  if (!known || !node) throw new Error('there is no cluster to meet');
  await ask(server, 'CLUSTER', 'MEET', '127.0.0.1', known.port, node.busPort);
}

async function knowEachOther(servers: readonly ShapeServer[]): Promise<boolean> {
  const views = await Promise.all(servers.map(seenBy));
  return views.every((view) => view.length === servers.length && view.every(isInOrder));
}

function isInOrder({ flags, isLinked }: ClusterNode): boolean {
  return isLinked && !flags.some((flag) => ['handshake', 'fail', 'fail?', 'noaddr'].includes(flag));
}

async function isSettled(servers: readonly ShapeServer[]): Promise<boolean> {
  if (!(await knowEachOther(servers))) return false;
  const layouts = new Set<string>();
  for (const server of servers) {
    const info = String(await ask(server, 'CLUSTER', 'INFO'));
    if (!/^cluster_state:ok/m.test(info)) return false;
    const role = (await ask(server, 'ROLE')) as string[];
    if (role[0] === 'slave' && role[3] !== 'connected') return false;
    const view = (await seenBy(server)).map((node) => [node.id, node.masterId, node.ranges.join()]);
    layouts.add(JSON.stringify(view.sort()));
  }
  return layouts.size === 1;
}

async function failover(servers: ShapeServer[], master: ShapeServer): Promise<ShapeServer> {
  const before = await nodesOf(servers);
  const { id } = nodeOf(before, master);
  const replica = before.find((node) => node.masterId === id)?.server;
  if (!replica) throw new Error('this node has no replica');
  await ask(replica, 'CLUSTER', 'FAILOVER');
  await until('every node that answers knows the new master', async () => {
    const views = await Promise.all(servers.map((one) => seenBy(one).catch(() => undefined)));
    return views.every(
      (view) =>
        view === undefined ||
        view.some(({ port, ranges }) => port === replica.port && ranges.length > 0),
    );
  });
  return replica;
}

function nodeOf<T extends { server: ShapeServer }>(nodes: readonly T[], server: ShapeServer): T {
  const found = nodes.find((node) => node.server === server);
  if (!found) throw new Error('this server is no node of the cluster');
  return found;
}

function masterOfSlot(nodes: Awaited<ReturnType<typeof nodesOf>>, slot: number): ShapeServer {
  const found = nodes.find(({ ranges }) => ranges.some(([from, to]) => from <= slot && slot <= to));
  if (!found) throw new Error(`nobody serves slot ${slot}`);
  return found.server;
}
