import { expect, vi } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { asked } from './redis-shapes/ask.ts';
import { createTcpProxy, type TcpProxy } from './tcp-proxy.ts';
import { POLLING } from './waiting.ts';

/**
 * A real master and its real replica. They replicate through one TCP proxy and clients reach the
 * master through another, so that one REDIS_URL stays valid over a failover.
 */
export interface RedisPair {
  /** For REDIS_URL. */
  url: string;
  /** The names say how the two began; `promote` makes the replica the master. */
  master: RedisServer;
  replica: RedisServer;
  /** Between clients and whoever is master. */
  clients: TcpProxy;
  /** Between the replica, which is the client here, and the master. */
  link: TcpProxy;
  /** What the master acknowledges from now on never gets to the replica, and neither notices. */
  blackholeReplication(): void;
  /** Resolves when the replica has caught up. */
  restoreReplication(): Promise<void>;
  /** Whether the replica has all that the master has. False also when either cannot be asked. */
  inSync(): Promise<boolean>;
  /** A failover: kill -9 for the master, and clients find the replica in its place. */
  promote(): Promise<void>;
  close(): Promise<void>;
}

export interface RedisPairOptions {
  appendOnly?: boolean;
  /** More arguments for both servers. */
  args?: string[];
}

/** Otherwise a master waits 5 s for further replicas before it sends the first its data. */
const AT_ONCE = ['--repl-diskless-sync', 'yes', '--repl-diskless-sync-delay', '0'];

export async function createRedisPair(options: RedisPairOptions = {}): Promise<RedisPair> {
  const undo: (() => Promise<void>)[] = [];
  const close = async () => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    return await assemble(options, undo, close);
  } catch (error) {
    await close();
    throw error;
  }
}

async function assemble(
  { appendOnly = false, args = [] }: RedisPairOptions,
  undo: (() => Promise<void>)[],
  close: () => Promise<void>,
): Promise<RedisPair> {
  const start = async (...more: string[]) => {
    const server = await startRedisServer({
      listen: 'port',
      appendOnly,
      args: [...AT_ONCE, ...more, ...args],
    });
    undo.push(() => server.stop());
    return server;
  };
  const proxy = async (server: RedisServer) => {
    const made = await createTcpProxy({ port: server.port ?? 0 });
    undo.push(() => made.close());
    return made;
  };
  const master = await start();
  const link = await proxy(master);
  const clients = await proxy(master);
  const replica = await start('--replicaof', '127.0.0.1', String(link.port));
  const inSync = () => isCaughtUp(master, replica);
  const caughtUp = () => vi.waitFor(async () => expect(await inSync()).toBe(true), POLLING);
  await caughtUp();
  return {
    url: clients.url('redis'),
    master,
    replica,
    clients,
    link,
    inSync,
    close,
    blackholeReplication: () => link.blackhole(),
    async restoreReplication() {
      await link.heal();
      await caughtUp();
    },
    async promote() {
      await master.kill('SIGKILL');
      await asked(replica, (redis) => redis.replicaof('NO', 'ONE'));
      clients.retarget({ port: replica.port ?? 0 });
      // Those of the dead master are gone already, unless a fault in between hides it from them.
      clients.cut();
    },
  };
}

async function isCaughtUp(master: RedisServer, replica: RedisServer): Promise<boolean> {
  try {
    // In this order: the replica needs only what the master had when it was asked.
    const ahead = await replicationInfo(master);
    const behind = await replicationInfo(replica);
    return (
      behind['master_link_status'] === 'up' &&
      behind['master_replid'] === ahead['master_replid'] &&
      Number(behind['slave_repl_offset']) >= Number(ahead['master_repl_offset'])
    );
  } catch {
    return false;
  }
}

/** The fields of INFO's section on replication. */
export async function replicationInfo(
  server: Pick<RedisServer, 'url'>,
): Promise<Record<string, string>> {
  const text = await asked(server, (redis) => redis.info('replication'));
  const fields = text.split('\r\n').filter((line) => line.includes(':'));
  return Object.fromEntries(fields.map((line) => line.split(':', 2) as [string, string]));
}
