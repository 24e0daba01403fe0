import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { RedisClient } from '../../src/store/redis/client.ts';
import type { Keys } from '../../src/store/redis/keys.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { logged, read, statusOf, stored } from '../kit/observe.ts';
import {
  COMPONENT,
  createTestPlatform,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { newest, tokenMints } from '../kit/redis-trouble.ts';
import { POLLING, secondsUntil } from '../kit/waiting.ts';

const RESTORED = 'Redis had lost a credential; restored from memory';
const MIRROR_RESTORED = 'the key for readers was missing or wrong; written again';
const RENUMBERED = 'a credential that Redis had lost was minted anew; its seq goes on';
const MINT_API = 'api_component_token';
/** Seconds. */
const AT_MOST = 60;

let platform: TestPlatform;
beforeEach(async () => {
  platform = await createTestPlatform();
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
  expect(await platform.simulator.pushTicket()).toMatchObject({ accepted: true });
  await platform.settle();
  await platform.pass(60_000);
});
afterEach(() => platform.close());

describe('row 6: somebody deletes or overwrites a key by hand', () => {
  const damages: {
    damage: string;
    message: string;
    harm: (redis: RedisClient, keys: Keys) => Promise<unknown>;
  }[] = [
    {
      damage: 'deletes the key that services read',
      message: MIRROR_RESTORED,
      harm: (redis, keys) => redis.del(keys.mirror(TOKEN)),
    },
    {
      damage: 'overwrites the key that services read',
      message: MIRROR_RESTORED,
      harm: (redis, keys) => redis.set(keys.mirror(TOKEN), 'somebody-elses-idea'),
    },
    {
      damage: 'deletes the record',
      message: RESTORED,
      harm: (redis, keys) => redis.del(keys.record(TOKEN)),
    },
    {
      damage: 'deletes both',
      message: RESTORED,
      harm: (redis, keys) => redis.del(keys.record(TOKEN), keys.mirror(TOKEN)),
    },
    {
      damage: 'edits the value in the record',
      message: RESTORED,
      harm: (redis, keys) => redis.hset(keys.record(TOKEN), 'value', 'somebody-elses-idea'),
    },
    {
      damage: 'takes the value out of the record',
      message: RESTORED,
      harm: (redis, keys) => redis.hdel(keys.record(TOKEN), 'value'),
    },
  ];

  it('who deletes both while a new value is being minted: its seq goes on all the same', async () => {
    const { redis, keys, simulator, clock } = platform;
    const { kept } = await stored(platform, TOKEN);
    const mints = tokenMints(platform);
    simulator.addFault({ api: MINT_API, afterMint: true, fault: { type: 'delay', ms: 2_000 } });
    const path = `/v1/credentials/${TOKEN.kind}/${TOKEN.subject}/refresh`;
    const asked = platform.internal(path, { method: 'POST' });
    await vi.waitFor(() => expect(tokenMints(platform)).toBe(mints + 1), POLLING);
    await redis.del(keys.record(TOKEN), keys.mirror(TOKEN));
    await clock.advance(2_000);
    expect((await asked).status).toBe(200);
    await platform.settle();
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: Number(kept.seq) + 1 });
    expect(logged(platform, RENUMBERED, TOKEN.kind)).toHaveLength(1);
  });

  it.each(damages)('who $damage: it is back, and WeChat is not asked', async (one) => {
    const { redis, keys, simulator } = platform;
    const before = await stored(platform, TOKEN);
    const calls = simulator.ledger.calls.length;
    await one.harm(redis, keys);
    const back = async () => expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    expect(await secondsUntil(platform, AT_MOST, back)).toBeGreaterThan(0);
    expect(before.kept).toMatchObject({ value: newest(platform), mirror: newest(platform) });
    expect(simulator.ledger.calls).toHaveLength(calls);
    const { level } = logged(platform, one.message, TOKEN.kind)[0] ?? {};
    expect(level).toBe('warn');
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      source: 'redis',
      state: 'fresh',
      value: newest(platform),
      seq: 1,
    });
    expect(await statusOf(platform, TOKEN)).toMatchObject({
      credential: { state: 'fresh', failures_in_a_row: 0 },
      problems: [],
    });
    // Said once, and nothing is left to do.
    await platform.pass(60_000);
    expect(logged(platform, one.message)).toHaveLength(1);
    expect(simulator.ledger.calls).toHaveLength(calls);
    expect(tokenMints(platform)).toBe(1);
  });

  it('who prolongs the life in the record: WeChat decides, not that person', async () => {
    const { redis, keys } = platform;
    await platform.addReplica();
    await platform.pass(15_000);
    const before = await stored(platform, TOKEN);
    await redis.hset(keys.record(TOKEN), 'expires_at', '99999999999999');
    const back = async () => expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    await secondsUntil(platform, AT_MOST, back);
    // Both replicas remember the same end, so one of them is enough.
    await platform.pass(60_000);
    expect(logged(platform, RESTORED)).toHaveLength(1);
  });

  it('puts an older one back: of many who ask at once, nobody is given it', async () => {
    const { redis, keys, simulator } = platform;
    const [record, mirror] = [keys.record(TOKEN), keys.mirror(TOKEN)];
    const older = await redis.hgetall(record);
    const path = `/v1/credentials/${TOKEN.kind}/${TOKEN.subject}`;
    await platform.pass(60_000);
    expect((await platform.internal(`${path}/refresh`, { method: 'POST' })).status).toBe(200);
    await platform.settle();
    expect(await read(platform, TOKEN)).toMatchObject({ value: newest(platform), seq: 2 });
    const calls = simulator.ledger.calls.length;
    await redis
      .multi()
      .del(record)
      .hset(record, older)
      .set(mirror, older['value'] ?? '')
      .exec();
    const all = await Promise.all(Array.from({ length: 20 }, () => read(platform, TOKEN)));
    expect(new Set(all.map(({ value }) => value))).toEqual(new Set([newest(platform)]));
    expect(simulator.ledger.calls).toHaveLength(calls);
  });

  it.each(damages)('who $damage: a service that asks meanwhile gets the value', async (one) => {
    const { redis, keys, simulator } = platform;
    const before = await stored(platform, TOKEN);
    const calls = simulator.ledger.calls.length;
    await one.harm(redis, keys);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      source: 'redis',
      value: newest(platform),
      seq: 1,
    });
    // The clock has not moved.
    expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    expect(simulator.ledger.calls).toHaveLength(calls);
  });
});

describe('row 7: somebody writes into our keys what no program of ours writes', () => {
  const SPOILED = 'a record was edited by hand; it is kept aside and made anew';
  const field = (name: string, text: string) => (redis: RedisClient, keys: Keys) =>
    redis.hset(keys.record(TOKEN), name, text);

  interface Spoiling {
    damage: string;
    harm: (redis: RedisClient, keys: Keys) => Promise<unknown>;
    /** Of the copy that is put aside. */
    type: string;
  }
  async function expectPutAside({ harm, type }: Spoiling): Promise<void> {
    const { redis, keys, simulator } = platform;
    const before = await stored(platform, TOKEN);
    const calls = simulator.ledger.calls.length;
    await harm(redis, keys);
    const back = async () => {
      expect(await redis.type(keys.record(TOKEN))).toBe('hash');
      expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
      expect(await redis.exists(keys.spoiled(TOKEN))).toBe(1);
    };
    expect(await secondsUntil(platform, AT_MOST, back)).toBeGreaterThan(0);
    expect(await redis.type(keys.spoiled(TOKEN))).toBe(type);
    expect(logged(platform, SPOILED)).toMatchObject([
      { level: 'error', ...TOKEN, key: keys.spoiled(TOKEN) },
    ]);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      source: 'redis',
      state: 'fresh',
      value: newest(platform),
      seq: 1,
    });
    expect(await statusOf(platform, TOKEN)).toMatchObject({
      credential: { state: 'fresh', failures_in_a_row: 0 },
      problems: [],
    });
    expect(simulator.ledger.calls).toHaveLength(calls);
  }

  it.each<Spoiling>([
    {
      damage: 'a list in place of the record',
      type: 'list',
      async harm(redis, keys) {
        await redis.del(keys.record(TOKEN));
        await redis.lpush(keys.record(TOKEN), 'garbage');
      },
    },
    {
      damage: 'a string in place of the record',
      type: 'string',
      harm: (redis, keys) => redis.set(keys.record(TOKEN), 'garbage'),
    },
    { damage: 'a word for a number', type: 'hash', harm: field('expires_at', 'tomorrow') },
    { damage: 'a negative number', type: 'hash', harm: field('seq', '-1') },
    { damage: 'a number too long for one', type: 'hash', harm: field('clock', '9'.repeat(40)) },
    { damage: 'no number for the value', type: 'hash', harm: field('seq', '0') },
    { damage: 'broken JSON', type: 'hash', harm: field('intents', '{"half') },
    { damage: 'JSON null', type: 'hash', harm: field('intents', 'null') },
    { damage: 'a JSON string', type: 'hash', harm: field('intents', '"x"') },
    { damage: 'JSON of another shape', type: 'hash', harm: field('intents', '{"x":"y"}') },
  ])('$damage: is put aside, a person is told, the value is there', expectPutAside);

  it.each(['HEAD', 'POST'])('a string in place of the record: %s is answered', async (method) => {
    const { redis, keys } = platform;
    await redis.set(keys.record(TOKEN), 'garbage');
    const path = `/v1/credentials/${TOKEN.kind}/${TOKEN.subject}`;
    const asked = platform.internal(method === 'POST' ? `${path}/refresh` : path, { method });
    await platform.settle();
    expect((await asked).status).toBe(200);
    expect(await redis.get(keys.spoiled(TOKEN))).toBe('garbage');
  });

  it('a list in place of the key that services read: it is a string again', async () => {
    const { redis, keys, simulator } = platform;
    const calls = simulator.ledger.calls.length;
    await redis.del(keys.mirror(TOKEN));
    await redis.lpush(keys.mirror(TOKEN), 'garbage');
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, value: newest(platform) });
    expect(await redis.get(keys.mirror(TOKEN))).toBe(newest(platform));
    expect(logged(platform, MIRROR_RESTORED)).toMatchObject([{ level: 'warn', ...TOKEN }]);
    expect(logged(platform, SPOILED)).toEqual([]);
    expect(simulator.ledger.calls).toHaveLength(calls);
  });

  it('a string in place of the record of a code: another code is minted', async () => {
    const { redis, keys } = platform;
    await redis.set(keys.record(CODE), 'garbage');
    const minted = async () => expect(await redis.hget(keys.record(CODE), 'seq')).toBe('1');
    expect(await secondsUntil(platform, AT_MOST, minted)).toBeGreaterThan(0);
    expect(await redis.get(keys.spoiled(CODE))).toBe('garbage');
    expect(logged(platform, SPOILED)).toMatchObject([{ level: 'error', ...CODE }]);
    const { status, value } = await read(platform, CODE);
    expect(status).toBe(200);
    expect(platform.simulator.isLive(CODE.kind, value ?? '')).toBe(true);
    expect((await statusOf(platform, CODE)).problems).toEqual([]);
    expect(tokenMints(platform)).toBe(1);
  });

  it('a record that nobody remembers: the value is minted anew', async () => {
    const cold = await createTestPlatform({ startApp: false });
    await cold.redis.lpush(cold.keys.record(TOKEN), 'garbage');
    await cold.app.start();
    cold.simulator.setCallbackUrl(COMPONENT.appid, cold.publicUrl());
    await cold.simulator.pushTicket();
    await cold.settle();
    expect(await read(cold, TOKEN)).toMatchObject({ status: 200, value: newest(cold), seq: 1 });
    expect(await cold.redis.lrange(cold.keys.spoiled(TOKEN), 0, -1)).toEqual(['garbage']);
    expect(logged(cold, SPOILED)).toMatchObject([{ level: 'error', ...TOKEN }]);
    expect(tokenMints(cold)).toBe(1);
    await cold.close();
  });
});
