import { Redis, type Cluster } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadRedis } from '../../src/config/load.ts';
import { freePort } from '../../src/sandbox/redis/launch.ts';
import { createClient } from '../../src/store/redis/client.ts';
import { onRedis } from '../../src/store/redis/connection.ts';
import { eachMaster } from '../../src/store/redis/shards.ts';
import { authorize, AUTHORIZED, mintsFor } from '../kit/authorizers.ts';
import { expectAlive, expectHealed } from '../kit/expect.ts';
import { TOKEN } from '../kit/liveness.ts';
import { logged } from '../kit/observe.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  type TestPlatform,
  type TestPlatformOptions,
} from '../kit/platform.ts';
import { singleAccess } from '../kit/redis-shapes/access.ts';
import { ask, until } from '../kit/redis-shapes/ask.ts';
import { startCluster, type ClusterShape } from '../kit/redis-shapes/cluster.ts';
import type { ShapeServer } from '../kit/redis-shapes/server.ts';
import { startSingle } from '../kit/redis-shapes/shapes.ts';
import { connectAsService } from '../kit/redis-shapes/service-client.ts';
import { toldOfRedis } from '../kit/redis-told.ts';
import { becomes, newTicketPush, post, ticketMirror } from '../kit/redis-trouble.ts';
import { createTcpProxy } from '../kit/tcp-proxy.ts';
import { POLLING } from '../kit/waiting.ts';

/** A cluster that fails in part, that is no cluster, and one of which a slot is under way. */

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
  platform.redis.on('error', () => undefined);
  undo.push(() => platform.close());
  return platform;
}

async function clientOf(): Promise<Cluster> {
  const redis = (await connectAsService(cluster)) as Cluster;
  undo.push(() => redis.disconnect());
  return redis;
}

/** Without its replicas nobody takes its place. */
async function kill(...masters: ShapeServer[]): Promise<() => Promise<void>> {
  const replicas = await Promise.all(masters.map((one) => cluster.replicasOf(one)));
  const killed = [...replicas.flat(), ...masters];
  for (const server of killed) await server.kill();
  const back = async () => {
    for (const server of killed.splice(0)) await server.start();
    await cluster.settled();
  };
  undo.push(back);
  return back;
}

function isDown(server: ShapeServer): Promise<void> {
  return until('the cluster knows that it is down', async () =>
    String(await ask(server, 'CLUSTER', 'INFO')).includes('cluster_state:fail'),
  );
}

describe('row 166: a cluster that has lost most of its masters', () => {
  it('is told by the word for it, refuses pushes in time, and heals', async () => {
    const platform = await platformOn({ ticket: true });
    const last = await cluster.masterOf(platform.keys.events(COMPONENT.appid));
    const others = (await cluster.masters()).filter((one) => one !== last);
    const redis = await clientOf();
    const back = await kill(...others);
    await isDown(last);
    // In whose text alone the client has what was said, when it has tried for long enough.
    await expect(redis.get(platform.keys.record(TOKEN))).rejects.toMatchObject({
      name: 'ReplyError',
      message: expect.stringMatching(/^CLUSTERDOWN /) as string,
    });
    const push = newTicketPush(platform);
    expect(await post(push)).toMatchObject({ status: 503 });
    await becomes(platform, 503);
    const { log, problem, doctor } = await toldOfRedis(platform, []);
    const ports = others.map(({ port }) => port).join('|');
    expect(problem.message).toMatch(
      new RegExp(`a master of the cluster does not answer .127.0.0.1:(?:${ports})`),
    );
    expect(problem.advice).toMatch(/promote its replica/);
    expect(doctor).toMatch(/a master of the cluster does not answer: .*promote its replica/);
    expect(log + problem.advice + doctor).not.toMatch(/firewall/);
    await back();
    await becomes(platform, 200);
    await vi.waitFor(async () => {
      await platform.pass(1_000);
      expect(await ticketMirror(platform)).toBe(push.ticket);
    }, POLLING);
    platform.simulator.setPushing(true);
    await platform.skip(2 * HOUR);
    await expectHealed(platform);
  });

  it('of one shard is said once that it is away, once that a person must act, and that it is back', async () => {
    const platform = await platformOn({ ticket: true });
    const own = await cluster.masterOf(platform.keys.events(COMPONENT.appid));
    const [other] = (await cluster.masters()).filter((one) => one !== own);
    if (other === undefined) throw new Error('there is one master only');
    const told = (message: string) =>
      logged(platform, message).map(({ level, server }) => ({ level, server }));
    const AWAY = 'a master of the Redis cluster does not answer';
    const LONG_AWAY =
      'a shard of the Redis cluster has been away for 15 minutes: what it holds is neither stored nor refreshed';
    const BACK = 'a master of the Redis cluster answers again, or is none any more';
    const server = `127.0.0.1:${other.port}`;
    const back = await kill(other);
    const seen = (message: string, level: string) =>
      vi.waitFor(() => expect(told(message)).toEqual([{ level, server }]), POLLING);
    await seen(AWAY, 'warn');
    expect(told(LONG_AWAY)).toEqual([]);
    platform.clock.sleepThrough(15 * MINUTE);
    await seen(LONG_AWAY, 'error');
    await back();
    await seen(BACK, 'info');
    expect(told(AWAY)).toHaveLength(1);
    expect(told(LONG_AWAY)).toHaveLength(1);
  });
});

describe('a master that refuses connections', () => {
  it('is looked for twice a second, not as fast as it refuses', async () => {
    const [master] = await cluster.masters();
    if (master === undefined) throw new Error('there is no master');
    const redis = await clientOf();
    await kill(master);
    await vi.waitFor(async () => {
      await expect(eachMaster(redis, (one) => one.ping())).rejects.toThrow();
    }, POLLING);
    const begun = performance.now();
    let looks = 0;
    redis.on('refresh', () => (looks += 1));
    await vi.waitFor(() => expect(looks).toBeGreaterThanOrEqual(6), POLLING);
    expect(performance.now() - begun).toBeGreaterThan(1_500);
  });

  it('is missed when none of them is left', async () => {
    const masters = await cluster.masters();
    const redis = await clientOf();
    await kill(...masters);
    const asked = () => onRedis(() => eachMaster(redis, (one) => one.ping()));
    await vi.waitFor(() => expect(redis.nodes('master')).toEqual([]), POLLING);
    await expect(asked()).rejects.toMatchObject({ code: 'store_unavailable' });
  });
});

describe('a command that its caller has given up', () => {
  it('is not done when the node answers again', async () => {
    const redis = await clientOf();
    const [master] = await cluster.masters();
    if (master === undefined) throw new Error('there is no master');
    let key = '';
    for (let number = 0; key === ''; number += 1) {
      if ((await cluster.masterOf(`given-up:${number}`)) === master) key = `given-up:${number}`;
    }
    for (const replica of await cluster.replicasOf(master)) {
      await replica.kill();
      undo.push(async () => {
        await replica.start();
        await cluster.settled();
      });
    }
    master.pause();
    undo.push(() => master.resume());
    // On the connection that is silent now it may be done: Redis has it already.
    const connection = (): Redis | undefined =>
      redis.nodes('master').find(({ options }) => options.port === master.port);
    const silent = connection()?.stream;
    await vi.waitFor(async () => {
      await redis.get(key).catch(() => undefined);
      expect(connection()?.stream).not.toBe(silent);
    }, POLLING);
    await vi.waitFor(async () => {
      const before = connection();
      expect(before?.status).toBe('connect');
      const given = await Promise.allSettled(Array.from({ length: 5 }, () => redis.incr(key)));
      expect(given.map(({ status }) => status)).toEqual(Array<string>(5).fill('rejected'));
      // They wait in it.
      expect(connection()).toBe(before);
      expect(before?.status).toBe('connect');
    }, POLLING);
    master.resume();
    await vi.waitFor(() => redis.get(key), POLLING);
    expect(await redis.incr(key)).toBe(1);
  });
});

describe('row 85: a slot of which one half is here and the other there', () => {
  it('has its scripts refused by name, or done once; all is well when it has arrived', async () => {
    const platform = await platformOn({ ticket: true });
    await authorize(platform);
    await platform.pass(MINUTE);
    const node = await cluster.addNode();
    const redis = await clientOf();
    const { keys } = platform;
    for (const key of [keys.record(AUTHORIZED), keys.events(COMPONENT.appid)]) {
      const slot = await cluster.slotOf(key);
      const push = newTicketPush(platform);
      await cluster.moveSlot(slot, node, async () => {
        const { appid } = COMPONENT;
        const both =
          slot === (await cluster.slotOf(appid))
            ? [keys.ticketRecord(appid), keys.events(appid)]
            : [keys.record(AUTHORIZED), keys.mirror(AUTHORIZED)];
        const script = 'return {redis.call("EXISTS", KEYS[1]), redis.call("EXISTS", KEYS[2])}';
        const answer: unknown = await redis
          .eval(script, 2, ...both)
          .catch((error: unknown) => error);
        if (answer instanceof Error) {
          expect(answer).toMatchObject({ name: 'ReplyError' });
          expect(answer.message).toMatch(/^(?:TRYAGAIN|MOVED|ASK) /);
        } else {
          expect(answer).toEqual([1, 1]);
        }
        const { status } = await post(push);
        expect([200, 503]).toContain(status);
        await platform.app.keeper.ensureFresh(AUTHORIZED, 'patrol').catch(() => undefined);
      });
      expect(await post(push)).toMatchObject({ status: 200 });
      expect(await ticketMirror(platform)).toBe(push.ticket);
    }
    await cluster.settled();
    platform.simulator.setPushing(true);
    await platform.skip(3 * HOUR);
    await expectHealed(platform);
    await expectAlive(platform, AUTHORIZER);
    // What has another server is in doubt once, and minted anew once.
    expect(mintsFor(platform).length).toBeLessThanOrEqual(4);
  });
});

it('what asks a node that is away for a key under way fails, and nothing else does', async () => {
  const node = await cluster.addNode();
  const redis = await clientOf();
  const slot = await cluster.slotOf('moving');
  // The first look at the masters may be connecting to this one.
  await vi.waitFor(() => redis.set('moving', '1'), POLLING);
  await cluster.moveSlot(slot, node, async () => {
    await redis.get('moving');
    await node.kill();
    // A rejection that nobody looks at would fail the run.
    await expect(redis.get('{moving}other')).rejects.toThrow();
    await node.start();
    await cluster.settled();
  });
  await vi.waitFor(async () => expect(await redis.get('moving')).toBe('1'), POLLING);
  await cluster.settled();
});

describe('one for the other', () => {
  it('a single Redis in REDIS_CLUSTER is named', async () => {
    const single = await startSingle();
    undo.push(() => single.close());
    const { options } = new Redis(single.env['REDIS_URL'] ?? '', { lazyConnect: true });
    const proxy = await createTcpProxy({ socketPath: options.path ?? '' });
    undo.push(() => proxy.close());
    const platform = await platformOn({
      redis: { env: { REDIS_CLUSTER: `127.0.0.1:${proxy.port}` }, admin: single.admin },
    });
    await becomes(platform, 503);
    const { log, problem, doctor } = await toldOfRedis(platform, []);
    for (const text of [log, problem.message, doctor]) expect(text).toMatch(/is no cluster/);
    for (const text of [log, problem.advice, doctor]) {
      expect(text).toMatch(/in REDIS_URL.*instead of REDIS_CLUSTER/);
    }
  });

  it('a wrong password for a cluster is named, and so is that nobody is there', async () => {
    const wrong = {
      ...cluster,
      env: { ...cluster.env, REDIS_USERNAME: 'nobody', REDIS_PASSWORD: 'canary-77aa' },
    };
    const nobody = { ...cluster, env: { REDIS_CLUSTER: `127.0.0.1:${await freePort()}` } };
    for (const [redis, says, advice] of [
      [wrong, /WRONGPASS/, /REDIS_USERNAME and REDIS_PASSWORD/],
      [nobody, /ECONNREFUSED/, /REDIS_CLUSTER/],
    ] as const) {
      const platform = await platformOn({ redis });
      await becomes(platform, 503);
      const { problem, doctor } = await toldOfRedis(platform, ['canary-77aa']);
      expect(problem.message).toMatch(says);
      for (const text of [problem.advice, doctor]) expect(text).toMatch(advice);
    }
  });

  it('before the first connection a pipeline fails at once, as a single command does', async () => {
    const settings = loadRedis({ REDIS_CLUSTER: `127.0.0.1:${await freePort()}` });
    const redis = createClient(settings, 'commands');
    undo.push(() => redis.disconnect());
    redis.on('error', () => undefined);
    await expect(redis.get('a')).rejects.toThrow("isn't ready");
    await expect(redis.pipeline([['get', 'a']]).exec()).rejects.toThrow('Connection is closed.');
  });

  it('a node of a cluster in REDIS_URL is named', async () => {
    const [node] = cluster.servers;
    const platform = await platformOn({ redis: singleAccess(node?.url ?? '') });
    await becomes(platform, 503);
    const { log, problem, doctor } = await toldOfRedis(
      platform,
      [],
      'redis_refuses_commands',
    ).catch(() => toldOfRedis(platform, []));
    expect(problem.message + doctor).toMatch(/MOVED|runs as a cluster/);
    for (const text of [log, problem.advice, doctor]) {
      expect(text).toMatch(/Name some of its nodes in REDIS_CLUSTER/);
    }
  });
});
