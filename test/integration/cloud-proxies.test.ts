import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { connectTo, close } from '../../src/commands/doctor/installation.ts';
import { examineRedis } from '../../src/commands/doctor/redis.ts';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { CLOUD_PROFILES, type CloudProfile } from '../kit/cloud-profiles.ts';
import { createCloudProxy, type CloudProxy } from '../kit/cloud-proxy.ts';
import { MACHINE, troubles } from '../kit/doctor.ts';
import { TOKEN } from '../kit/liveness.ts';
import { logged, read } from '../kit/observe.ts';
import {
  COMPONENT,
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { becomes, newest, newTicketPush, post, readiness } from '../kit/redis-trouble.ts';
import { POLLING } from '../kit/waiting.ts';

/** Redis as clouds sell it, behind proxies that refuse some of it: told at the start, and nothing half done. */

/** Milliseconds of real time after which a person must know. */
const TOLD_IN = { ...POLLING, timeout: 10_000 };
const PASSWORD = 'canary-71c5';
const REFUSES = 'Redis refuses what wxkeeper needs';

let undo: (() => unknown)[];
beforeEach(() => {
  undo = [];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

interface Cloud {
  server: RedisServer;
  proxy: CloudProxy;
  admin: Redis;
}

async function cloud(profile: CloudProfile, args: string[] = []): Promise<Cloud> {
  const server = await startRedisServer({ listen: 'port', args });
  undo.push(() => server.stop());
  const proxy = await createCloudProxy(profile, server);
  undo.push(() => proxy.close());
  const admin = new Redis(server.url, args.length === 0 ? {} : { password: PASSWORD });
  undo.push(() => admin.disconnect());
  return { server, proxy, admin };
}

async function platformOn(
  { proxy }: Cloud,
  { login = '', ...env }: { login?: string } & Record<string, string> = {},
): Promise<TestPlatform> {
  const platform = await createTestPlatform({
    redisUrl: `redis://${login}127.0.0.1:${proxy.port}`,
    env,
  });
  // The test's own client looks at Redis itself.
  platform.redis.on('error', () => undefined);
  platform.redis.disconnect();
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
  undo.push(() => platform.close());
  return platform;
}

interface Problem {
  code: string;
  message: string;
  advice: string;
}

async function problems(platform: TestPlatform): Promise<Problem[]> {
  const answer = await platform.internal('/status');
  return ((await answer.json()) as { problems: Problem[] }).problems;
}

/** Its lines about Redis that are not well. */
async function doctor(platform: TestPlatform) {
  const installation = await connectTo(platform.config, { env: {}, machine: MACHINE });
  onTestFinished(() => close(installation));
  const checks = await examineRedis(installation);
  const bad = checks.filter(({ state }) => state === 'failed');
  return { lines: troubles(bad), text: JSON.stringify(bad) };
}

/** What is said of it by `/readyz`, the status, the log and the doctor. */
async function expectTold(
  platform: TestPlatform,
  told: { code: string; reason: string; words: RegExp; advice: RegExp; doctor: string },
): Promise<void> {
  await vi.waitFor(async () => {
    const answer = await platform.internal('/readyz');
    expect(await answer.json()).toMatchObject({ status: 'not_ready', reason: told.reason });
  }, TOLD_IN);
  await vi.waitFor(async () => {
    const problem = (await problems(platform)).find(({ code }) => code === told.code);
    expect(problem?.message).toMatch(told.words);
    expect(problem?.advice).toMatch(told.advice);
  }, TOLD_IN);
  const line = platform.logs.find(
    ({ level, advice }) => level === 'error' && told.advice.test(String(advice)),
  );
  expect(line?.redis_says).toMatch(told.words);
  const examined = await doctor(platform);
  expect(examined.lines).toContain(told.doctor);
  expect(examined.text).toMatch(told.advice);
}

/** Whatever was tried, nothing of a ticket or a credential is in Redis, and WeChat was not called for one. */
async function expectNothingHalfDone(platform: TestPlatform, admin: Redis): Promise<void> {
  const push = newTicketPush(platform);
  expect((await post(push)).status).toBe(503);
  await platform.pass(2 * MINUTE);
  expect((await post(push)).status).toBe(503);
  // To ask for pushes is no mint.
  const { calls } = platform.simulator.ledger;
  expect(calls.filter(({ api }) => api !== 'api_start_push_ticket')).toEqual([]);
  expect(await admin.hget(platform.keys.ticketRecord(COMPONENT.appid), 'ticket')).toBeNull();
  const keys = (await admin.keys('*')).map((key) => key.replace(/^test\w+:/, ''));
  const ours = /^(?:jobs|replicas|seal_keys|session_secret|record:component_verify_ticket:.*)$/;
  expect(keys.filter((key) => !ours.test(key))).toEqual([]);
}

/** A ticket comes in and a token goes out. */
async function expectAllWorks(platform: TestPlatform): Promise<void> {
  await becomes(platform, 200);
  expect(await platform.simulator.pushTicket()).toMatchObject({ accepted: true });
  await platform.settle();
  await platform.pass(MINUTE);
  expect(await read(platform, TOKEN)).toMatchObject({ status: 200, value: newest(platform) });
  expect(await readiness(platform)).toBe(200);
}

async function expectAllWell(platform: TestPlatform): Promise<void> {
  await expectAllWorks(platform);
  expect(await problems(platform)).toEqual([]);
  expect(platform.logs.filter(({ level }) => level === 'error')).toEqual([]);
  expect((await doctor(platform)).lines).toEqual([]);
}

describe('row 161: a cluster of Alibaba Cloud behind its proxy', () => {
  it('works: keys and commands stand in scripts as its check wants them', async () => {
    const { proxy, ...rest } = await cloud(CLOUD_PROFILES['aliyun-cluster']);
    await expectAllWell(await platformOn({ proxy, ...rest }));
    expect(proxy.refused).toEqual([]);
    // The check is there.
    const client = new Redis(proxy.port);
    undo.push(() => client.disconnect());
    const bad = client.eval("local key = KEYS[1] return redis.call('GET', key)", 1, 'a');
    await expect(bad).rejects.toThrow('bad lua script for redis cluster');
    await expect(client.eval('return 1', 0)).rejects.toThrow("can't be negative or zero");
    await expect(client.eval('return 1', 2, '{a}', '{b}')).rejects.toThrow('in same slot');
    await expect(client.cluster('SLOTS')).rejects.toThrow('unknown command');
  });

  it('that checks more than that: all say so, until the check is switched off', async () => {
    const { proxy, admin, server } = await cloud(CLOUD_PROFILES['aliyun-cluster-strict']);
    const platform = await platformOn({ proxy, admin, server });
    await expectTold(platform, {
      code: 'redis_forbids',
      reason: 'store_refuses',
      words: /ERR bad lua script for redis cluster/,
      advice: /script_check_enable to 0 .*standard instance/,
      doctor: 'failed redis Lua redis_forbids',
    });
    expect(logged(platform, REFUSES)).toHaveLength(1);
    await expectNothingHalfDone(platform, admin);

    proxy.become(CLOUD_PROFILES['aliyun-cluster-unchecked']);
    await platform.pass(MINUTE);
    await expectAllWorks(platform);
    expect(await problems(platform)).toEqual([]);
  });
});

describe('row 161: Tencent Cloud', () => {
  const login = `wxkeeper:${PASSWORD}@`;
  const args = ['--requirepass', PASSWORD];

  it('knows RESP2 only: REDIS_PROTOCOL=2 is advised', async () => {
    const all = await cloud(CLOUD_PROFILES.tencent, args);
    const platform = await platformOn(all, { login: `:${PASSWORD}@` });
    await expectTold(platform, {
      code: 'store_unavailable',
      reason: 'store_unavailable',
      words: /ERR unsupported protocol/,
      advice: /REDIS_PROTOCOL=2/,
      doctor: 'failed redis connection store_unavailable',
    });
    await expectNothingHalfDone(platform, all.admin);
  });

  it('knows no users: to leave the name out is advised', async () => {
    // Of ioredis.
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    onTestFinished(() => warn.mockRestore());
    const all = await cloud(CLOUD_PROFILES.tencent, args);
    const platform = await platformOn(all, { login, REDIS_PROTOCOL: '2' });
    await expectTold(platform, {
      code: 'store_unavailable',
      reason: 'store_unavailable',
      words: /NOAUTH/,
      advice: /leave the user name out/,
      doctor: 'failed redis connection store_unavailable',
    });
    expect(JSON.stringify([platform.logs, await problems(platform)])).not.toContain(PASSWORD);
    await expectNothingHalfDone(platform, all.admin);
  });

  it('works with both', async () => {
    const all = await cloud(CLOUD_PROFILES.tencent, args);
    await expectAllWell(await platformOn(all, { login: `:${PASSWORD}@`, REDIS_PROTOCOL: '2' }));
  });
});

describe('row 161: other clouds', () => {
  it('works on a proxy cluster of Huawei Cloud: all scripts have keys, in one slot', async () => {
    const all = await cloud(CLOUD_PROFILES.huawei);
    await expectAllWell(await platformOn(all));
    expect(all.proxy.refused).toEqual([]);
  });

  it("says of Oracle's sharded cluster that it runs no scripts", async () => {
    const all = await cloud(CLOUD_PROFILES['oci-sharded']);
    const platform = await platformOn(all);
    await expectTold(platform, {
      code: 'redis_forbids',
      reason: 'store_refuses',
      words: /ERR unknown command 'eval'/i,
      advice: /standard instance in place of a sharded one/,
      doctor: 'failed redis Lua redis_forbids',
    });
    await expectNothingHalfDone(platform, all.admin);
  });

  it('works on a serverless one of AWS, which forgets scripts and refuses undeclared keys', async () => {
    const all = await cloud(CLOUD_PROFILES['aws-serverless']);
    await expectAllWell(await platformOn(all));
    const forgotten = all.proxy.refused.filter((one) => one.includes('NOSCRIPT'));
    expect(forgotten.length).toBeGreaterThan(10);
    expect(all.proxy.refused.filter((one) => !one.includes('NOSCRIPT'))).toEqual([]);
  });
});

describe('row 162: a Redis whose scripts see no replication id', () => {
  const HIDES = /^Redis hides its replication id from scripts/;

  it('works, and all say that failovers are not noticed, until it is seen', async () => {
    const all = await cloud(CLOUD_PROFILES['hides-replication']);
    const platform = await platformOn(all);
    await expectAllWorks(platform);
    expect(await problems(platform)).toMatchObject([{ code: 'redis_hides_failovers' }]);
    const cries = platform.logs.filter(({ level }) => level === 'error');
    expect(cries).toMatchObject([{ message: expect.stringMatching(HIDES) as string }]);
    const { lines } = await doctor(platform);
    expect(lines).toEqual(['failed redis failovers redis_hides_failovers']);

    all.proxy.become({});
    await platform.pass(MINUTE);
    expect(await problems(platform)).not.toContainEqual(
      expect.objectContaining({ code: 'redis_hides_failovers' }),
    );
    expect((await doctor(platform)).lines).toEqual([]);
  });
});
