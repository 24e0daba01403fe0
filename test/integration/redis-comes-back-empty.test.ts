import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { authorizerToken, grantAuthorization } from '../../src/store/authorizers/authorization.ts';
import { expectHealed } from '../kit/expect.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { callsSince, logged, read, statusOf, stored } from '../kit/observe.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { becomes, newest, refusedTicket, ticketMirror, tokenMints } from '../kit/redis-trouble.ts';
import { MINT_API } from '../kit/scenario.ts';
import { secondsUntil } from '../kit/waiting.ts';

const RESTORED = 'Redis had lost a credential; restored from memory';
const RENUMBERED = 'a credential that Redis had lost was minted anew; its seq goes on';
const TICKET_RESTORED = 'Redis had lost the ticket; restored from memory';
const ASKED = 'asked WeChat to push tickets again';

let server: RedisServer;
let platform: TestPlatform;
beforeEach(async () => {
  // Without an append-only file: what it held is gone with the process.
  server = await startRedisServer();
  platform = await createTestPlatform({ redisUrl: server.url });
  platform.redis.on('error', () => undefined);
});
afterEach(async () => {
  await platform.close();
  await server.stop();
});

async function receiveTicket(): Promise<void> {
  expect(await platform.simulator.pushTicket()).toMatchObject({ accepted: true });
  await platform.settle();
  await platform.pass(60_000);
}

const ticketRecord = () => platform.redis.hgetall(platform.keys.ticketRecord(COMPONENT.appid));

/** Resolves when Redis is away, with nothing of what it knew, and the service has noticed. */
async function loseRedis(): Promise<void> {
  await server.kill();
  await becomes(platform, 503);
}

async function returnRedis(): Promise<void> {
  await server.start();
  await becomes(platform, 200);
}

describe('row 4: Redis restarts without its data', () => {
  it('has the token and the waiting ticket back at once; one mint settles the doubt', async () => {
    await receiveTicket();
    const before = await stored(platform, TOKEN);
    await loseRedis();
    const ticket = await refusedTicket(platform);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      source: 'memory',
      value: newest(platform),
      seq: 1,
    });
    await returnRedis();

    // No time has passed for the service.
    expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    expect(logged(platform, RESTORED)).toMatchObject([{ level: 'warn', kind: TOKEN.kind, seq: 1 }]);
    expect(await ticketMirror(platform)).toBe(ticket);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, source: 'redis' });
    expect(tokenMints(platform)).toBe(1);

    expect(await secondsUntil(platform, 60, () => expectHealed(platform))).toBeGreaterThan(20);
    expect(await read(platform, TOKEN)).toMatchObject({ value: newest(platform), seq: 2 });
    expect(await read(platform, CODE)).toMatchObject({ status: 200 });
    await platform.pass(5 * MINUTE);
    await platform.skip(55 * MINUTE);
    expect(tokenMints(platform)).toBe(2);
    expect(platform.logs.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('has the stored ticket back, so that refreshing goes on without a push', async () => {
    await receiveTicket();
    platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
    const ticket = await ticketMirror(platform);
    const record = await ticketRecord();
    await loseRedis();
    await returnRedis();
    expect(await ticketMirror(platform)).toBe(ticket);
    expect(await ticketRecord()).toMatchObject({ ...record, ticket: ticket ?? '' });
    expect(logged(platform, TICKET_RESTORED)).toMatchObject([
      { level: 'warn', appid: COMPONENT.appid },
    ]);
    expect(await secondsUntil(platform, 60, () => expectHealed(platform))).toBeGreaterThan(20);
    await platform.pass(5 * MINUTE);
    await platform.skip(5 * HOUR);
    await expectHealed(platform);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, source: 'redis' });
    expect(logged(platform, RESTORED)).toHaveLength(1);
  });

  it('gives an authorizer its refresh token back with the first read', async () => {
    await receiveTicket();
    const id = authorizerToken(COMPONENT.appid, AUTHORIZER);
    const { refreshToken } = platform.simulator.authorize(COMPONENT.appid, AUTHORIZER);
    const authorizedAt = platform.clock.now();
    await grantAuthorization(platform.store, id, { refreshToken, authorizedAt });
    const path = `/v1/credentials/${id.kind}/${COMPONENT.appid}/${AUTHORIZER}`;
    const readIt = async () => {
      const answer = await platform.internal(path);
      return { status: answer.status, body: (await answer.json()) as { value: string } };
    };
    const { body: before } = await readIt();
    const { refresh_token: kept } = await platform.redis.hgetall(platform.keys.record(id));
    await platform.settle();
    await loseRedis();
    expect(await readIt()).toMatchObject({ status: 200, body: { source: 'memory' } });
    await returnRedis();
    expect(await readIt()).toMatchObject({ status: 200, body: { value: before.value } });
    expect(await platform.redis.hgetall(platform.keys.record(id))).toMatchObject({
      value: before.value,
      refresh_token: kept,
    });
    expect(await platform.redis.get(platform.keys.mirror(id))).toBe(before.value);
    expect(logged(platform, RESTORED, id.kind)).toMatchObject([{ level: 'warn', seq: 1 }]);
  });
});

describe('row 6: a record is deleted and minted anew by a replica that never knew it', () => {
  it('serves the newer value, and its seq goes on from the former one', async () => {
    await receiveTicket();
    const first = newest(platform);
    await platform.redis.hset(platform.keys.record(TOKEN), 'seq', 7);
    await platform.pass(15_000);
    expect(await read(platform, TOKEN)).toMatchObject({ value: first, seq: 7 });

    await platform.redis.del(platform.keys.record(TOKEN), platform.keys.mirror(TOKEN));
    await platform.addReplica();
    await platform.settle();
    expect(tokenMints(platform)).toBe(2);
    expect(
      await secondsUntil(platform, 15, async () =>
        expect((await stored(platform, TOKEN)).kept.seq).toBe('8'),
      ),
    ).toBeGreaterThan(0);
    expect(logged(platform, RENUMBERED)).toMatchObject([{ level: 'warn', seq: 8 }]);
    expect(logged(platform, RESTORED, TOKEN.kind)).toEqual([]);
    expect(await read(platform, TOKEN)).toMatchObject({ value: newest(platform), seq: 8 });
    await expectHealed(platform);
    await platform.pass(5 * MINUTE);
    await platform.skip(55 * MINUTE);
    expect(tokenMints(platform)).toBe(2);
    expect(logged(platform, RENUMBERED)).toHaveLength(1);
  });
});

describe('row 5: Redis is empty and so is the memory of the process', () => {
  it('says no_ticket, asks WeChat for pushes once an hour, and tells a person', async () => {
    platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
    const begun = platform.clock.now();
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 503,
      retryAfter: 60,
      error: { code: 'no_ticket' },
    });
    await platform.pass(150 * 60_000);
    // A minute of patience, then once an hour.
    const asked = callsSince(platform, 'api_start_push_ticket', begun);
    expect(asked).toHaveLength(3);
    expect(asked[0]).toBeLessThanOrEqual(90);
    expect(logged(platform, ASKED).map(({ level }) => level)).toEqual(['warn', 'warn', 'warn']);
    const cries = platform.logs.filter(({ level }) => level === 'error');
    expect(cries).toHaveLength(1);
    expect(cries[0]?.message).toMatch(/^no ticket push for an hour/);
    expect(callsSince(platform, MINT_API, begun)).toEqual([]);
    const { problems } = await statusOf(platform, TOKEN);
    expect(problems.map(({ code }) => code)).toEqual(['no_ticket', 'credential_dead']);
    const { redis, keys } = platform;
    expect(await redis.exists(keys.mirror(TOKEN), keys.ticketMirror(COMPONENT.appid))).toBe(0);
  });

  it('has everything within two minutes when WeChat pushes on request', async () => {
    const whole = () => expectHealed(platform);
    expect(await secondsUntil(platform, 120, whole)).toBeGreaterThan(30);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, value: newest(platform) });
    expect(await read(platform, CODE)).toMatchObject({ status: 200 });
    expect(await ticketMirror(platform)).toMatch(/^ticket@@@/);
    expect(tokenMints(platform)).toBe(1);
    expect(logged(platform, ASKED)).toHaveLength(1);
  });
});
