import { certificateFile } from './certificates.ts';
import { ask, until } from './ask.ts';
import {
  startServer,
  whole,
  type RedisShape,
  tlsEnv,
  type ShapeServer,
  type TlsShapeOptions,
  type Undo,
} from './server.ts';

/** A master, two replicas and three sentinels. */
export interface SentinelShape extends RedisShape {
  sentinels: ShapeServer[];
  /** As the sentinels see it; the first of them that answers. */
  master(): Promise<ShapeServer>;
  /** A planned one. Resolves with the new master as soon as every sentinel names it. */
  failover(): Promise<ShapeServer>;
  /** Resolves when all sentinels see one master and two replicas in order that follow it. */
  settled(): Promise<void>;
}

export interface SentinelOptions extends TlsShapeOptions {
  /** Each data server behind a proxy, so that its network can be cut: to clients, sentinels and the others. */
  proxies?: boolean;
}

const MASTER = 'wx';
const PASSWORD = 'password-of-redis';
const SENTINEL_PASSWORD = 'password-of-sentinels';
/** Without an answer for this long a sentinel thinks that the master is down. */
const DOWN_AFTER_MS = 1_000;
const REPLICAS = 2;
const SENTINELS = 3;
const QUORUM = 2;

export function startSentinel(options: SentinelOptions = {}): Promise<SentinelShape> {
  return whole((undo) => assemble(options, undo));
}

async function assemble(options: SentinelOptions, undo: Undo) {
  const master = await startData(options, undo);
  const replicas = await Promise.all(
    Array.from({ length: REPLICAS }, () => startData(options, undo, master)),
  );
  const servers = [master, ...replicas];
  // A sentinel asks the master for its replicas every ten seconds, so they should be known before.
  await until('the replicas have what the master has', async () => {
    const roles = await Promise.all(replicas.map((server) => ask(server, 'ROLE')));
    return roles.every((role) => (role as string[])[3] === 'connected');
  });
  const sentinels = await Promise.all(
    Array.from({ length: SENTINELS }, () => startSentinelServer(options, undo, master)),
  );
  const shape = { servers, sentinels };
  const settled = () => until('the sentinels see everything in order', () => isSettled(shape));
  await settled();
  return {
    ...shape,
    env: {
      REDIS_SENTINELS: sentinels.map(({ port }) => `127.0.0.1:${port}`).join(','),
      REDIS_SENTINEL_MASTER: MASTER,
      REDIS_SENTINEL_PASSWORD: SENTINEL_PASSWORD,
      REDIS_PASSWORD: PASSWORD,
      ...tlsEnv(options.tls),
    },
    admin: {
      sentinels: sentinels.map(({ port }) => ({ host: '127.0.0.1', port })),
      name: MASTER,
      password: PASSWORD,
      sentinelPassword: SENTINEL_PASSWORD,
      ...(options.tls === true && { caFile: certificateFile() }),
    },
    settled,
    master: () => masterOf(shape),
    failover: () => failover(shape),
  };
}

/** What a failover changes stands in the configuration file, so that it outlives the process. */
function startData(
  { binary, proxies, tls }: SentinelOptions,
  undo: Undo,
  master?: ShapeServer,
): Promise<ShapeServer> {
  const config = [
    `requirepass ${PASSWORD}`,
    `masterauth ${PASSWORD}`,
    // Otherwise a master waits 5 s for further replicas before it sends the first its data.
    'repl-diskless-sync-delay 0',
    ...(master ? [`replicaof 127.0.0.1 ${master.port}`] : []),
  ];
  return startServer(undo, {
    ...(binary && { binary }),
    appendOnly: true,
    password: PASSWORD,
    tls,
    config: config.join('\n'),
    ...(proxies === true && {
      announce: (port) => [
        '--replica-announce-ip',
        '127.0.0.1',
        '--replica-announce-port',
        `${port}`,
      ],
    }),
  });
}

function startSentinelServer(
  { binary, tls }: SentinelOptions,
  undo: Undo,
  master: ShapeServer,
): Promise<ShapeServer> {
  const config = [
    `requirepass ${SENTINEL_PASSWORD}`,
    `sentinel sentinel-pass ${SENTINEL_PASSWORD}`,
    `sentinel monitor ${MASTER} 127.0.0.1 ${master.port} ${QUORUM}`,
    `sentinel auth-pass ${MASTER} ${PASSWORD}`,
    `sentinel down-after-milliseconds ${MASTER} ${DOWN_AFTER_MS}`,
    // Within twice this time no second failover by itself.
    `sentinel failover-timeout ${MASTER} 5000`,
  ];
  return startServer(undo, {
    ...(binary && { binary }),
    args: ['--sentinel'],
    password: SENTINEL_PASSWORD,
    tls,
    config: config.join('\n'),
  });
}

type Parts = Pick<SentinelShape, 'servers' | 'sentinels'>;

async function masterOf({ servers, sentinels }: Parts): Promise<ShapeServer> {
  const port = await Promise.any(sentinels.map(masterPort));
  const master = servers.find((server) => server.port === port);
  if (!master) throw new Error(`the sentinels name a master that is none of ours: port ${port}`);
  return master;
}

async function masterPort(sentinel: ShapeServer): Promise<number> {
  const address = await ask(sentinel, 'SENTINEL', 'get-master-addr-by-name', MASTER);
  return Number((address as string[])[1]);
}

async function failover(shape: Parts): Promise<ShapeServer> {
  const before = await masterOf(shape);
  await until('a sentinel takes on a failover', async () => {
    for (const sentinel of shape.sentinels) {
      const answer = await ask(sentinel, 'SENTINEL', 'FAILOVER', MASTER).catch(() => undefined);
      if (answer === 'OK') return true;
    }
    return false;
  });
  await until('every sentinel that answers names the new master', async () => {
    const answers = await Promise.allSettled(shape.sentinels.map(masterPort));
    const ports = answers.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    return ports.length > 0 && ports.every((port) => port === ports[0] && port !== before.port);
  });
  return await masterOf(shape);
}

/** Asked of the servers themselves where it can be: a sentinel looks at a replica every ten seconds only. */
async function isSettled({ servers, sentinels }: Parts): Promise<boolean> {
  const master = await masterOf({ servers, sentinels });
  for (const server of servers) {
    const role = (await ask(server, 'ROLE')) as unknown[];
    const isRight =
      server === master
        ? role[0] === 'master'
        : role[0] === 'slave' && Number(role[2]) === master.port && role[3] === 'connected';
    if (!isRight) return false;
  }
  for (const sentinel of sentinels) {
    const seen = fieldsOf(await ask(sentinel, 'SENTINEL', 'MASTER', MASTER));
    const replicas = (await ask(sentinel, 'SENTINEL', 'REPLICAS', MASTER)) as unknown[];
    const isWhole =
      Number(seen['port']) === master.port &&
      seen['flags'] === 'master' &&
      seen['num-other-sentinels'] === String(sentinels.length - 1) &&
      replicas.length === servers.length - 1 &&
      replicas.every((replica) => fieldsOf(replica)['flags'] === 'slave');
    if (!isWhole) return false;
  }
  return true;
}

/** A list of names and values in turn. */
function fieldsOf(reply: unknown): Record<string, string> {
  const list = reply as string[];
  const pairs = list.flatMap((name, index) => (index % 2 === 0 ? [[name, list[index + 1]]] : []));
  return Object.fromEntries(pairs) as Record<string, string>;
}
