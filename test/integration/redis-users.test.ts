import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cluster, Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { findRedis, startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { createKeys } from '../../src/store/redis/keys.ts';
import { testStore } from '../../src/store/redis/self-test.ts';
import { singleAccess } from '../kit/redis-shapes/access.ts';
import { createTestStore } from '../kit/store.ts';
import { POLLING } from '../kit/waiting.ts';
import { readDocument } from '../unit/docs/markdown.ts';

/** The users of Redis that the documents give to people, each against a table of commands. */

/** In this order: wxkeeper's own, the one at sentinels, the reader, the consumer of events. */
const usersIn = (suffix: string) =>
  ['docs/production', 'docs/redis'].flatMap(
    (name) => readDocument(`${name}${suffix}.md`).text.match(/^ACL SETUSER .+$/gm) ?? [],
  );
const [SERVICE = '', AT_SENTINELS = '', READER = '', EVENTS = ''] = usersIn('');

const APPID = 'wx0123456789abcdef';
const TOKEN = `wx:component_access_token:{${APPID}}`;
const RECORD = `wx:record:component_access_token:{${APPID}}`;
const STREAM = `wx:events:{${APPID}}`;

/** Nobody but an administrator may stop others, look around, or change who may do what. */
const NOBODY = [
  ...['CLIENT PAUSE 60000', 'CLIENT UNPAUSE', 'CLIENT KILL TYPE normal', 'CLIENT LIST'],
  ...['CLIENT NO-EVICT on', 'CLIENT REPLY OFF', 'CONFIG GET *', 'CONFIG SET maxmemory 1'],
  ...['ACL LIST', 'ACL SETUSER x on', 'ACL DELUSER wxkeeper', 'DEBUG SLEEP 0', 'MONITOR'],
  ...['FLUSHALL', 'FLUSHDB', 'SCRIPT FLUSH', 'FUNCTION FLUSH', 'SHUTDOWN', 'SAVE', 'BGSAVE'],
  ...['REPLICAOF NO ONE', 'SWAPDB 0 1', 'CLUSTER RESET', 'CLUSTER FAILOVER', 'CLUSTER NODES'],
  ...['KEYS *', 'SCAN 0', 'RANDOMKEY', 'DBSIZE', 'SLOWLOG GET', 'LATENCY RESET', 'WAIT 1 1'],
  ...['MIGRATE a 1 wx:a 0 1', 'RESTORE wx:a 0 0', 'SORT wx:a', 'GET others', 'SET others 1'],
  ...['SUBSCRIBE others', 'PUBLISH others 1'],
];

interface User {
  line: string;
  may: string[];
  mayNot: string[];
}

const USERS: Record<string, User> = {
  wxkeeper: {
    line: SERVICE,
    may: [
      ...['PING', 'TIME', 'INFO', 'SELECT 0', 'CLUSTER INFO', 'CLUSTER SLOTS', `GET ${TOKEN}`],
      ...[`HSET ${RECORD} a 1`, `XADD ${STREAM} * a b`, `XREVRANGE ${STREAM} + -`, `DEL ${TOKEN}`],
      ...['PUBLISH wx:rotations {}', `EVAL return(1) 1 ${TOKEN}`],
    ],
    mayNot: [`XTRIM ${STREAM} MAXLEN 0`, `XGROUP DESTROY ${STREAM} shop`, `SUBSCRIBE wx:rotations`],
  },
  reader: {
    line: READER,
    may: [
      ...['PING', 'INFO', 'SELECT 0', 'CLIENT SETNAME shop', 'CLUSTER INFO', 'CLUSTER SLOTS'],
      ...[`GET ${TOKEN}`, `GETDEL wx:component_pre_auth_code:{${APPID}}`],
    ],
    mayNot: [
      ...[
        `SET ${TOKEN} a`,
        `DEL ${TOKEN}`,
        `GETDEL ${TOKEN}`,
        `GET ${RECORD}`,
        `HGETALL ${RECORD}`,
      ],
      ...[`XREADGROUP GROUP shop one STREAMS ${STREAM} >`, `XRANGE ${STREAM} - +`, `GET ${STREAM}`],
      ...['XGROUP CREATE foreign shop $ MKSTREAM', `XGROUP CREATE ${STREAM} a $ MKSTREAM`],
      ...[`EVAL return(1) 1 ${TOKEN}`, 'PUBLISH wx:rotations {}', 'GET wx:session_secret'],
    ],
  },
  events: {
    line: EVENTS,
    may: [
      ...['PING', 'INFO', 'SELECT 0', 'CLIENT SETNAME shop', 'CLUSTER INFO', 'CLUSTER SLOTS'],
      ...[`XGROUP CREATE ${STREAM} shop $ MKSTREAM`, `XPENDING ${STREAM} shop`],
      ...[`XREADGROUP GROUP shop one STREAMS ${STREAM} >`, `XAUTOCLAIM ${STREAM} shop two 0 0`],
      ...[`XACK ${STREAM} shop 1-1`, `XINFO GROUPS ${STREAM}`],
    ],
    mayNot: [
      ...[`GET ${TOKEN}`, `HGETALL ${RECORD}`, `SET ${TOKEN} a`, `XADD ${STREAM} * a b`],
      ...[`XTRIM ${STREAM} MAXLEN 0`, `XDEL ${STREAM} 1-1`, `XGROUP DESTROY ${STREAM} shop`],
      ...[`DEL ${STREAM}`, 'XGROUP CREATE wx:events:{other} shop $ MKSTREAM'],
      ...[`EVAL return(1) 1 ${STREAM}`, 'SUBSCRIBE wx:rotations', 'PUBLISH wx:rotations {}'],
    ],
  },
};

let undo: (() => unknown)[];
beforeEach(() => {
  undo = [];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

function clientOf<T extends Redis | Cluster>(client: T): T {
  client.on('error', () => undefined);
  undo.push(() => client.disconnect());
  return client;
}

async function serverWith(lines: readonly string[], ...args: string[]): Promise<RedisServer> {
  const server = await startRedisServer({ listen: 'port', args });
  undo.push(() => server.stop());
  const admin = clientOf(new Redis(server.url));
  for (const line of lines) await admin.call('ACL', ...line.split(' ').slice(1));
  return server;
}

/** A cluster of one node. */
async function clusterWith(lines: readonly string[]): Promise<RedisServer> {
  const server = await serverWith(
    lines,
    ...['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'],
  );
  const admin = clientOf(new Redis(server.url));
  await admin.cluster('ADDSLOTSRANGE', 0, 16_383);
  const isUp = async () => expect(await admin.cluster('INFO')).toContain('cluster_state:ok');
  await vi.waitFor(isUp, POLLING);
  return server;
}

/** What it was refused, by Redis's own book. */
async function refusals(admin: Redis): Promise<string[]> {
  const entries = (await admin.call('ACL', 'LOG')) as unknown[];
  return entries.map((entry) => JSON.stringify(entry));
}

const login = (username: string) => ({ username, password: 'PASSWORD' });

describe('the users that the documents name', () => {
  it('are the same in both languages, and lists of commands', () => {
    expect(usersIn('.zh-CN')).toEqual(usersIn(''));
    expect(usersIn('')).toHaveLength(4);
    for (const line of usersIn('')) {
      expect(line).toContain(' -@all ');
      expect(line).not.toMatch(/ \+(?:@|client(?!\|)|cluster(?!\|)|xgroup(?!\|)|config|acl)/);
    }
  });

  it.each(Object.entries(USERS))('%s may do what it must and no more', async (name, user) => {
    const server = await clusterWith([user.line]);
    const client = clientOf(new Redis(server.url, login(name)));
    const answers = async (commands: readonly string[]) => {
      const said: string[] = [];
      for (const line of commands) {
        const [command = '', ...args] = line.split(' ');
        const answer = await client.call(command, ...args).then(String, String);
        said.push(`${line}: ${answer}`);
      }
      return said;
    };
    for (const said of await answers(user.may)) expect(said).not.toContain('NOPERM');
    for (const said of await answers([...user.mayNot, ...NOBODY])) {
      expect(said).toMatch(/NOPERM|DEBUG command not allowed/);
    }
  });

  it('serve the client of a cluster, which is refused nothing', async () => {
    const server = await clusterWith([SERVICE, READER, EVENTS]);
    const admin = clientOf(new Redis(server.url));
    const nodes = [{ host: '127.0.0.1', port: server.port ?? 0 }];
    for (const name of Object.keys(USERS)) {
      const cluster = clientOf(new Cluster(nodes, { redisOptions: login(name) }));
      if (name === 'wxkeeper') await cluster.set(TOKEN, 'token');
      if (name === 'reader') expect(await cluster.get(TOKEN)).toBe('token');
      if (name === 'events') await cluster.xgroup('CREATE', STREAM, 'shop', '$', 'MKSTREAM');
    }
    expect(await refusals(admin)).toEqual([]);
  });

  it('serve a client that finds the primary through sentinels, which is refused nothing', async () => {
    const server = await serverWith([SERVICE]);
    const sentinel = await sentinelFor(server);
    const redis = clientOf(
      new Redis({
        sentinels: [{ host: '127.0.0.1', port: sentinel.port }],
        name: 'wx',
        sentinelUsername: 'wxkeeper',
        sentinelPassword: 'PASSWORD',
        failoverDetector: true,
        ...login('wxkeeper'),
      }),
    );
    const store = createTestStore(singleAccess(server.url));
    undo.push(() => store.close());
    const own = { ...store, redis, keys: createKeys('wx:') };
    expect(await testStore(own)).toMatchObject({ forbidden: [], refused: [] });
    const heard = async () => {
      const clients = String(await sentinel.admin.call('CLIENT', 'LIST', 'TYPE', 'pubsub'));
      expect(clients).toMatch(/ sub=1 .* user=wxkeeper /);
    };
    await vi.waitFor(heard, POLLING);
    expect(await refusals(sentinel.admin)).toEqual([]);

    const other = clientOf(new Redis(sentinel.port, login('wxkeeper')));
    for (const command of ['REMOVE wx', 'FAILOVER wx', 'MASTERS', 'SET wx quorum 9', 'RESET *']) {
      const answer = other.call('SENTINEL', ...command.split(' '));
      await expect(answer).rejects.toThrow('NOPERM');
    }
    for (const command of ['SHUTDOWN', 'ACL LIST', 'CLIENT KILL TYPE normal', 'SUBSCRIBE others']) {
      const [name = '', ...args] = command.split(' ');
      await expect(other.call(name, ...args)).rejects.toThrow('NOPERM');
    }
  });
});

/** One that watches this server, with its user. */
async function sentinelFor(server: RedisServer): Promise<{ port: number; admin: Redis }> {
  const dir = await mkdtemp(join(tmpdir(), 'wxkeeper-sentinel-'));
  undo.push(() => rm(dir, { recursive: true, force: true }));
  const file = join(dir, 'sentinel.conf');
  await writeFile(file, `bind 127.0.0.1\nsentinel monitor wx 127.0.0.1 ${server.port} 1\n`);
  const { command, libraryPath } = await findRedis();
  const port = await freePort();
  const child = spawn(command, [file, '--sentinel', '--port', String(port)], {
    stdio: 'ignore',
    env: { ...process.env, ...(libraryPath && { LD_LIBRARY_PATH: libraryPath }) },
  });
  undo.push(async () => {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  });
  const admin = clientOf(new Redis(port));
  await vi.waitFor(async () => expect(await admin.ping()).toBe('PONG'), POLLING);
  await admin.call('ACL', ...AT_SENTINELS.split(' ').slice(1));
  return { port, admin };
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
