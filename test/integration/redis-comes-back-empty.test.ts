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
let station: TestPlatform;
beforeEach(async () => {
  // Without an append-only file: what it held is gone with the process.
  server = await startRedisServer();
  station = await createTestPlatform({ redisUrl: server.url });
  station.redis.on('error', () => undefined);
});
afterEach(async () => {
  await station.close();
  await server.stop();
});

async function receiveTicket(): Promise<void> {
  expect(await station.simulator.pushTicket()).toMatchObject({ accepted: true });
  await station.settle();
  await station.pass(60_000);
}

const ticketRecord = () => station.redis.hgetall(station.keys.ticketRecord(COMPONENT.appid));

/** Resolves when Redis is away, with nothing of what it knew, and the service has noticed. */
async function loseRedis(): Promise<void> {
  await server.kill();
  await becomes(station, 503);
}

async function returnRedis(): Promise<void> {
  await server.start();
  await becomes(station, 200);
}

describe('row 4: Redis restarts without its data', () => {
  it('has the token and the waiting ticket back at once; one mint settles the doubt', async () => {
    await receiveTicket();
    const before = await stored(station, TOKEN);
    await loseRedis();
    const ticket = await refusedTicket(station);
    expect(await read(station, TOKEN)).toMatchObject({
      status: 200,
      source: 'memory',
      value: newest(station),
      seq: 1,
    });
    await returnRedis();

    // No time has passed for the service.
    expect((await stored(station, TOKEN)).kept).toEqual(before.kept);
    expect(logged(station, RESTORED)).toMatchObject([{ level: 'warn', kind: TOKEN.kind, seq: 1 }]);
    expect(await ticketMirror(station)).toBe(ticket);
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, source: 'redis' });
    expect(tokenMints(station)).toBe(1);

    expect(await secondsUntil(station, 60, () => expectHealed(station))).toBeGreaterThan(20);
    expect(await read(station, TOKEN)).toMatchObject({ value: newest(station), seq: 2 });
    expect(await read(station, CODE)).toMatchObject({ status: 200 });
    await station.pass(5 * MINUTE);
    await station.skip(55 * MINUTE);
    expect(tokenMints(station)).toBe(2);
    expect(station.logs.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('has the stored ticket back, so that refreshing goes on without a push', async () => {
    await receiveTicket();
    station.simulator.addFault(NO_PUSHES_ON_REQUEST);
    const ticket = await ticketMirror(station);
    const record = await ticketRecord();
    await loseRedis();
    await returnRedis();
    expect(await ticketMirror(station)).toBe(ticket);
    expect(await ticketRecord()).toMatchObject({ ...record, ticket: ticket ?? '' });
    expect(logged(station, TICKET_RESTORED)).toMatchObject([
      { level: 'warn', appid: COMPONENT.appid },
    ]);
    expect(await secondsUntil(station, 60, () => expectHealed(station))).toBeGreaterThan(20);
    await station.pass(5 * MINUTE);
    await station.skip(5 * HOUR);
    await expectHealed(station);
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, source: 'redis' });
    expect(logged(station, RESTORED)).toHaveLength(1);
  });

  it('gives an authorizer its refresh token back with the first read', async () => {
    await receiveTicket();
    const id = authorizerToken(COMPONENT.appid, AUTHORIZER);
    const { refreshToken } = station.simulator.authorize(COMPONENT.appid, AUTHORIZER);
    const authorizedAt = station.clock.now();
    await grantAuthorization(station.store, id, { refreshToken, authorizedAt });
    const path = `/v1/credentials/${id.kind}/${COMPONENT.appid}/${AUTHORIZER}`;
    const readIt = async () => {
      const answer = await station.internal(path);
      return { status: answer.status, body: (await answer.json()) as { value: string } };
    };
    const { body: before } = await readIt();
    const { refresh_token: kept } = await station.redis.hgetall(station.keys.record(id));
    await station.settle();
    await loseRedis();
    expect(await readIt()).toMatchObject({ status: 200, body: { source: 'memory' } });
    await returnRedis();
    expect(await readIt()).toMatchObject({ status: 200, body: { value: before.value } });
    expect(await station.redis.hgetall(station.keys.record(id))).toMatchObject({
      value: before.value,
      refresh_token: kept,
    });
    expect(await station.redis.get(station.keys.mirror(id))).toBe(before.value);
    expect(logged(station, RESTORED, id.kind)).toMatchObject([{ level: 'warn', seq: 1 }]);
  });
});

describe('row 6: a record is deleted and minted anew by a replica that never knew it', () => {
  it('serves the newer value, and its seq goes on from the former one', async () => {
    await receiveTicket();
    const first = newest(station);
    await station.redis.hset(station.keys.record(TOKEN), 'seq', 7);
    await station.pass(15_000);
    expect(await read(station, TOKEN)).toMatchObject({ value: first, seq: 7 });

    await station.redis.del(station.keys.record(TOKEN), station.keys.mirror(TOKEN));
    await station.addReplica();
    await station.settle();
    expect(tokenMints(station)).toBe(2);
    expect(
      await secondsUntil(station, 15, async () =>
        expect((await stored(station, TOKEN)).kept.seq).toBe('8'),
      ),
    ).toBeGreaterThan(0);
    expect(logged(station, RENUMBERED)).toMatchObject([{ level: 'warn', seq: 8 }]);
    expect(logged(station, RESTORED, TOKEN.kind)).toEqual([]);
    expect(await read(station, TOKEN)).toMatchObject({ value: newest(station), seq: 8 });
    await expectHealed(station);
    await station.pass(5 * MINUTE);
    await station.skip(55 * MINUTE);
    expect(tokenMints(station)).toBe(2);
    expect(logged(station, RENUMBERED)).toHaveLength(1);
  });
});

describe('row 5: Redis is empty and so is the memory of the process', () => {
  it('says no_ticket, asks WeChat for pushes once an hour, and tells a person', async () => {
    station.simulator.addFault(NO_PUSHES_ON_REQUEST);
    const begun = station.clock.now();
    expect(await read(station, TOKEN)).toMatchObject({
      status: 503,
      retryAfter: 60,
      error: { code: 'no_ticket' },
    });
    await station.pass(150 * 60_000);
    // A minute of patience, then once an hour.
    const asked = callsSince(station, 'api_start_push_ticket', begun);
    expect(asked).toHaveLength(3);
    expect(asked[0]).toBeLessThanOrEqual(90);
    expect(logged(station, ASKED).map(({ level }) => level)).toEqual(['warn', 'warn', 'warn']);
    const cries = station.logs.filter(({ level }) => level === 'error');
    expect(cries).toHaveLength(1);
    expect(cries[0]?.message).toMatch(/^no ticket push for an hour/);
    expect(callsSince(station, MINT_API, begun)).toEqual([]);
    const { problems } = await statusOf(station, TOKEN);
    expect(problems.map(({ code }) => code)).toEqual(['no_ticket', 'credential_dead']);
    const { redis, keys } = station;
    expect(await redis.exists(keys.mirror(TOKEN), keys.ticketMirror(COMPONENT.appid))).toBe(0);
  });

  it('has everything within two minutes when WeChat pushes on request', async () => {
    const whole = () => expectHealed(station);
    expect(await secondsUntil(station, 120, whole)).toBeGreaterThan(30);
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, value: newest(station) });
    expect(await read(station, CODE)).toMatchObject({ status: 200 });
    expect(await ticketMirror(station)).toMatch(/^ticket@@@/);
    expect(tokenMints(station)).toBe(1);
    expect(logged(station, ASKED)).toHaveLength(1);
  });
});
