import type { Cluster } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { testStore } from '../../src/store/redis/self-test.ts';
import { whenBack } from '../../src/store/redis/shards.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import type { Store } from '../../src/store/redis/store.ts';
import { authorize, AUTHORIZER_API, mintsFor } from '../kit/authorizers.ts';
import { examinePlatform, lines } from '../kit/doctor.ts';
import { expectAlive, expectHealed } from '../kit/expect.ts';
import { TOKEN } from '../kit/liveness.ts';
import { read } from '../kit/observe.ts';
import {
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  type TestPlatform,
  type TestPlatformOptions,
} from '../kit/platform.ts';
import { ask, asked } from '../kit/redis-shapes/ask.ts';
import { startCluster, type ClusterShape } from '../kit/redis-shapes/cluster.ts';
import type { ShapeServer } from '../kit/redis-shapes/server.ts';
import { connectAsService } from '../kit/redis-shapes/service-client.ts';
import { newest, newTicketPush, post, readiness, ticketMirror } from '../kit/redis-trouble.ts';
import { POLLING, secondsUntil } from '../kit/waiting.ts';

/** What is many servers in a cluster: all of them are used, looked at and heard. */

let cluster: ClusterShape;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster.close());

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function platformOn(options: TestPlatformOptions = {}): Promise<TestPlatform> {
  const platform = await createTestPlatform({ redis: cluster, ...options });
  undo.push(() => platform.close());
  return platform;
}

/** A client as the service has it. */
async function clientOf(purpose?: 'blocking'): Promise<Cluster> {
  const redis = (await connectAsService(cluster, purpose)) as Cluster;
  undo.push(() => redis.disconnect());
  return redis;
}

/** Two authorizers on each shard, with which one it is. */
async function authorizersEverywhere({ keys }: Pick<TestPlatform, 'keys'>) {
  const found = new Map<ShapeServer, string[]>((await cluster.masters()).map((one) => [one, []]));
  for (let number = 0; [...found.values()].some(({ length }) => length < 2); number += 1) {
    const appid = `wx${number.toString(16).padStart(16, 'c')}`;
    const shard = await cluster.masterOf(keys.record(authorizerToken(COMPONENT.appid, appid)));
    const appids = found.get(shard);
    if (appids !== undefined && appids.length < 2) appids.push(appid);
  }
  return [...found.values()].flat();
}

describe('authorizers on all shards', () => {
  it('have their tokens refreshed, and get back what a shard has lost', async () => {
    const platform = await platformOn({ ticket: true });
    const { redis, keys, simulator } = platform;
    const appids = await authorizersEverywhere(platform);
    const ids = appids.map((appid) => authorizerToken(COMPONENT.appid, appid));
    for (const id of ids) await authorize(platform, id);
    await platform.pass(MINUTE);
    for (const appid of appids) await expectAlive(platform, appid);
    const minted = () => ids.map((id) => mintsFor(platform, id).length);
    const before = minted();

    // Of each shard one loses its record, and the other what is for readers.
    const values = await Promise.all(ids.map((id) => redis.get(keys.mirror(id))));
    for (const [index, id] of ids.entries()) {
      await redis.del(index % 2 === 0 ? keys.record(id) : keys.mirror(id));
    }
    await secondsUntil(platform, 60, async () => {
      for (const [index, id] of ids.entries()) {
        expect(await redis.get(keys.mirror(id))).toBe(values[index]);
        expect(await redis.hget(keys.record(id), 'value')).toBe(values[index]);
      }
    });
    expect(minted()).toEqual(before);

    simulator.setPushing(true);
    await platform.skip(2 * HOUR);
    expect(minted()).toEqual(before.map((count) => count + 1));
    for (const appid of appids) await expectAlive(platform, appid);
    await expectHealed(platform);
    expect(simulator.ledger.calls.filter(({ api }) => api === AUTHORIZER_API)).not.toHaveLength(0);
  });
});

describe('each master is looked at', () => {
  type Change = (master: ShapeServer) => Promise<() => Promise<unknown>>;
  const configured =
    (name: string, value: string): Change =>
    async (master) => {
      const [, former = ''] = (await ask(master, 'CONFIG', 'GET', name)) as string[];
      await ask(master, 'CONFIG', 'SET', name, value);
      return () => ask(master, 'CONFIG', 'SET', name, former);
    };
  const forbidden: Change = async (master) => {
    await ask(master, 'ACL', 'SETUSER', 'default', '-zadd');
    return () => ask(master, 'ACL', 'SETUSER', 'default', '+zadd');
  };
  it.each([
    { what: 'has no memory left', change: configured('maxmemory', '1'), finds: { refuses: 'OOM' } },
    {
      what: 'may throw keys away',
      change: configured('maxmemory-policy', 'allkeys-lru'),
      finds: { evicts: true },
    },
    { what: 'forbids a command', change: forbidden, finds: { forbidden: ['ZADD'] } },
  ])('whichever of them $what, the self-test finds it', async ({ change, finds }) => {
    const platform = await platformOn({ startApp: false });
    const store: Store = { ...platform.store, redis: await clientOf() };
    const well = { forbidden: [], evicts: false, refuses: undefined, refused: [], spoiled: [] };
    for (const master of await cluster.masters()) {
      const changeBack = await change(master);
      undo.push(changeBack);
      expect(await testStore(store, [COMPONENT.appid])).toMatchObject({ ...well, ...finds });
      await changeBack();
    }
    expect(await testStore(store, [COMPONENT.appid])).toMatchObject(well);
  });

  it('one that refuses is a finding, and no push is taken where it would be lost', async () => {
    const platform = await platformOn({ ticket: true });
    const master = await cluster.masterOf(platform.keys.events(COMPONENT.appid));
    undo.push(await configured('maxmemory', '1')(master));
    expect((await post(newTicketPush(platform))).status).toBe(503);
    await platform.pass(10 * MINUTE);
    expect(await readiness(platform)).toBe(503);
    const { problems } = (await (await platform.internal('/status')).json()) as {
      problems: { code: string; message: string }[];
    };
    expect(problems).toContainEqual(expect.objectContaining({ code: 'redis_refuses_writes' }));
  });

  it('the doctor names the one without a file, and asks each for its time and its latency', async () => {
    const platform = await platformOn({ ticket: true });
    const [, , third] = await cluster.masters();
    if (third === undefined) throw new Error('there are fewer than three masters');
    undo.push(await configured('appendonly', 'no')(third));
    const masters = (platform.redis as Cluster).nodes('master');
    for (const master of masters) await master.config('RESETSTAT');
    const checks = await examinePlatform(platform);
    const [persistence] = lines(checks, 'redis', 'persistence');
    expect(persistence).toMatchObject({ state: 'warn' });
    expect(persistence?.seen.en).toContain(`127.0.0.1:${third.port}: no append-only file`);
    for (const master of masters) {
      const stats = await master.info('commandstats');
      // One of each is the self-test's.
      for (const [name, least] of [
        ['time', 2],
        ['ping', 21],
      ] as const) {
        const [, calls] = new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats) ?? [];
        expect(Number(calls), name).toBeGreaterThanOrEqual(least);
      }
    }
    for (const master of masters) await master.config('RESETSTAT');
    await platform.internal('/status');
    for (const master of masters) expect(await master.info('commandstats')).toContain('stat_ping');
  });
});

describe('row 165: a shard with another master', () => {
  /** Looks of the client, and all that comes of them. */
  async function looks(redis: Cluster, times: number): Promise<void> {
    for (let time = 0; time < times; time += 1) {
      await new Promise<void>((resolve, reject) => {
        redis.refreshSlotsCache((error) => (error ? reject(error) : resolve()));
      });
      // An answer to what was sent after the question means that the question was answered.
      for (const node of redis.nodes('master')) await node.ping();
      await new Promise(setImmediate);
    }
  }

  it('is heard of after a failover and after a restart, and never at rest', async () => {
    const redis = await clientOf();
    let heard = 0;
    whenBack(redis, () => (heard += 1));
    await looks(redis, 5);
    expect(heard).toBe(0);
    const [first] = await cluster.masters();
    if (first === undefined) throw new Error('there is no master');
    const other = await cluster.failover(first);
    await vi.waitFor(async () => {
      await looks(redis, 1);
      expect(heard).toBe(1);
    }, POLLING);
    await cluster.settled();
    await looks(redis, 5);
    expect(heard).toBe(1);

    await other.kill();
    await other.start();
    await vi.waitFor(async () => {
      await looks(redis, 1);
      expect(heard).toBeGreaterThan(1);
    }, POLLING);
    await cluster.settled();
  });

  it('is asked for its own scripts: another node knows none of them', async () => {
    const platform = await platformOn({ ticket: true });
    const master = await cluster.masterOf(platform.keys.events(COMPONENT.appid));
    for (let round = 0; round < 2; round += 1) {
      const push = newTicketPush(platform);
      expect((await post(push)).status).toBe(200);
      expect(await ticketMirror(platform)).toBe(push.ticket);
      await ask(master, 'SCRIPT', 'FLUSH');
    }
    const { scripts, ...known } = await asked(master, async (one) => ({
      scripts: await one.script('EXISTS', '0'.repeat(40)),
      memory: /number_of_cached_scripts:(\d+)/.exec(await one.info('memory'))?.[1],
    }));
    expect(scripts).toEqual([0]);
    expect(known.memory).toBe('0');
    await platform.pass(2 * MINUTE);
    await expectHealed(platform);
  });

  it('takes pushes and refreshes on, and nothing is lost', async () => {
    const platform = await platformOn({ ticket: true });
    const master = await cluster.masterOf(platform.keys.record(TOKEN));
    await cluster.failover(master);
    await vi.waitFor(async () => {
      const push = newTicketPush(platform);
      expect((await post(push)).status).toBe(200);
      expect(await ticketMirror(platform)).toBe(push.ticket);
    }, POLLING);
    // The last writes may be gone with the old master, so the token is in doubt; it is served all the same.
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, value: newest(platform) });
    platform.simulator.setPushing(true);
    await platform.skip(2 * HOUR);
    await expectHealed(platform);
    await cluster.settled();
  });
});
