import { afterEach, describe, expect, it } from 'vitest';
import type { Service } from '../../src/service.ts';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { readAuthorizer } from '../../src/store/authorizers/profile.ts';
import { authorizationOf, AUTHORIZED, AUTHORIZER_API, mintsFor } from '../kit/authorizers.ts';
import { expectServed } from '../kit/expect.ts';
import { callsSince, logged, stored } from '../kit/observe.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  HOUR,
  type TestPlatform,
} from '../kit/platform.ts';
import { becomes, post } from '../kit/redis-trouble.ts';

/** What the event `unauthorized` does, pushed as WeChat pushes it. */

const ENDED = 'an account ended its authorization';
const CAME_LATE = 'a revocation came after a newer authorization';
const ODD = 'an event does not have its documented fields; it is stored as it is';
const SUCCESS = { status: 200, answer: 'success' };
/** Milliseconds between two rounds of a replica. */
const ROUND = 15_000;

let platform: TestPlatform;
let server: RedisServer | undefined;
afterEach(async () => {
  await platform.close();
  await server?.stop();
  server = undefined;
});

/** The account authorizes, WeChat says so, and the code becomes a token. */
async function authorizeByPush(): Promise<void> {
  const { simulator } = platform;
  const { eventCode } = simulator.grant(COMPONENT.appid, AUTHORIZER);
  const push = await simulator.pushAuthorized(COMPONENT.appid, AUTHORIZER, eventCode);
  expect(push).toMatchObject(SUCCESS);
  await platform.settle();
}

async function platformWithToken(redisUrl?: string): Promise<void> {
  platform = await createTestPlatform({
    ticket: true,
    ...(redisUrl !== undefined && { redisUrl }),
  });
  await authorizeByPush();
  await expectServed(platform, { seq: 1 });
  await platform.pass(10_000);
}

async function readFrom(app: Service, authorizer = AUTHORIZER) {
  const path = `/v1/credentials/${AUTHORIZED.kind}/${COMPONENT.appid}:${authorizer}`;
  const answer = await fetch(`http://127.0.0.1:${app.internalPort()}${path}`, {
    headers: { authorization: `Bearer ${platform.apiKey}` },
  });
  const body = (await answer.json()) as { source?: string; error?: { code: string } };
  return { status: answer.status, code: body.error?.code, source: body.source };
}

const REVOKED = { status: 410, code: 'authorizer_revoked', source: undefined };
const seconds = () => Math.floor(platform.clock.now() / 1000);
const record = () => platform.redis.hgetall(platform.keys.record(AUTHORIZED));
const entry = () => readAuthorizer(platform.store, COMPONENT.appid, AUTHORIZER);

/** The fields of every event of this InfoType in the stream. */
async function events(infoType = 'unauthorized'): Promise<Record<string, unknown>[]> {
  const entries = await platform.redis.xrange(platform.keys.events(COMPONENT.appid), '-', '+');
  return entries
    .map(([, flat]) => ({ type: flat[flat.indexOf('info_type') + 1], flat }))
    .filter(({ type }) => type === infoType)
    .map(({ flat }) => JSON.parse(flat[flat.indexOf('fields') + 1] ?? '') as object as never);
}

/** Nothing is left of the tokens, and a tombstone says since when. */
async function expectGone(revokedAt: number): Promise<void> {
  const hash = await record();
  expect(hash).toMatchObject({ revoked_at: String(revokedAt * 1000) });
  expect(hash).not.toHaveProperty('value');
  expect(hash).not.toHaveProperty('refresh_token');
  expect(await stored(platform, AUTHORIZED)).toMatchObject({ kept: { mirror: null } });
  expect(await authorizationOf(platform)).toEqual({
    refreshToken: undefined,
    lookAt: undefined,
    revoked: true,
    awaitsReauthorization: false,
  });
  expect(await entry()).toMatchObject({ state: 'revoked', stateAt: revokedAt * 1000 });
}

describe('an account that ends its authorization', () => {
  it('is answered for with 410 in the same second, everywhere, until it authorizes again', async () => {
    await platformWithToken();
    const { simulator, app, clock } = platform;
    const other = await platform.addReplica();
    expect(await readFrom(other)).toMatchObject({ status: 200 });
    const { value = '' } = await record();
    const revokedAt = seconds();
    const push = await simulator.pushUnauthorized(COMPONENT.appid, AUTHORIZER);
    expect(push).toMatchObject(SUCCESS);
    expect(await readFrom(app)).toEqual(REVOKED);
    expect(await readFrom(other)).toEqual(REVOKED);
    await platform.settle();
    await expectGone(revokedAt);
    expect(JSON.stringify(await record())).not.toContain(value);
    expect(logged(platform, ENDED)).toMatchObject([
      { level: 'info', component: COMPONENT.appid, authorizer: AUTHORIZER },
    ]);
    expect(await events()).toMatchObject([
      { AuthorizerAppid: AUTHORIZER, CreateTime: String(revokedAt) },
    ]);

    // Neither replica gives back from memory what was taken away, and nobody asks WeChat for it.
    const since = clock.now();
    await platform.pass(HOUR / 4);
    await expectGone(revokedAt);
    expect(await readFrom(other)).toEqual(REVOKED);
    expect(callsSince(platform, AUTHORIZER_API, since)).toEqual([]);

    await authorizeByPush();
    await expectServed(platform, { seq: 2 });
    expect(await readFrom(other)).toMatchObject({ status: 200 });
    expect(await entry()).toMatchObject({ state: 'authorized' });
    expect(mintsFor(platform).at(-1)).toBe((await record())['value']);
  });

  it.each([
    { where: 'where the push came', here: true },
    { where: 'elsewhere after a round', here: false },
  ])('is not served from memory either: not $where', async ({ here }) => {
    server = await startRedisServer({ appendOnly: true });
    await platformWithToken(server.url);
    platform.redis.on('error', () => undefined);
    const reader = here ? platform.app : await platform.addReplica();
    expect(await readFrom(reader)).toMatchObject({ status: 200, source: 'redis' });
    await platform.simulator.pushUnauthorized(COMPONENT.appid, AUTHORIZER);
    await platform.settle();
    if (!here) await platform.pass(ROUND);
    await server.kill();
    await becomes(platform, 503);
    expect(await readFrom(reader)).toEqual(REVOKED);
  });

  it('while Redis is away: the push is refused, and ends it when it is sent again', async () => {
    server = await startRedisServer({ appendOnly: true });
    await platformWithToken(server.url);
    platform.redis.on('error', () => undefined);
    const { simulator, app } = platform;
    const revokedAt = seconds();
    const fields = { AuthorizerAppid: AUTHORIZER };
    const { url, body } = simulator.buildPush(undefined, 'unauthorized', fields);
    simulator.unauthorize(COMPONENT.appid, AUTHORIZER);
    await server.kill();
    await becomes(platform, 503);
    const refused = await post({ url: url ?? '', body });
    expect(refused).toMatchObject({ status: 503 });
    expect(refused.text).not.toContain('success');
    expect(refused.retryAfter).toBeGreaterThan(0);
    expect(await readFrom(app)).toMatchObject({ status: 200, source: 'memory' });

    await server.start();
    await becomes(platform, 200);
    expect(await record()).not.toHaveProperty('revoked_at');
    expect(await post({ url: url ?? '', body })).toMatchObject({ status: 200, text: 'success' });
    await platform.settle();
    await expectGone(revokedAt);
    expect(await readFrom(app)).toEqual(REVOKED);
    expect(await events()).toHaveLength(1);
  });
});

describe('an event `unauthorized` that ends nothing', () => {
  it('came late: the account has authorized again since', async () => {
    await platformWithToken();
    const { simulator, app } = platform;
    const before = { record: await record(), entry: await entry() };
    const createTime = seconds() - 60;
    const event = { createTime, keep: true };
    const push = await simulator.pushUnauthorized(COMPONENT.appid, AUTHORIZER, event);
    expect(push).toMatchObject(SUCCESS);
    await platform.settle();
    expect({ record: await record(), entry: await entry() }).toEqual(before);
    expect(await readFrom(app)).toMatchObject({ status: 200 });
    await expectServed(platform, { seq: 1 });
    expect(logged(platform, CAME_LATE)).toMatchObject([
      { level: 'info', authorizer: AUTHORIZER, create_time: String(createTime) },
    ]);
    expect(logged(platform, ENDED)).toEqual([]);
    expect(await events()).toHaveLength(1);
  });

  it('is the same one again, also after the next authorization', async () => {
    await platformWithToken();
    const { simulator, clock } = platform;
    const revokedAt = seconds();
    const fields = { AuthorizerAppid: AUTHORIZER };
    const { url, body } = simulator.buildPush(undefined, 'unauthorized', fields);
    const send = async () => {
      expect(await post({ url: url ?? '', body })).toMatchObject({ status: 200, text: 'success' });
      await platform.settle();
    };
    simulator.unauthorize(COMPONENT.appid, AUTHORIZER);
    await send();
    await clock.advance(5_000);
    await send();
    await expectGone(revokedAt);
    expect(await events()).toHaveLength(1);

    await authorizeByPush();
    await send();
    await expectServed(platform, { seq: 2 });
    expect(await events()).toHaveLength(1);
    expect(logged(platform, CAME_LATE)).toHaveLength(1);
  });

  it('is about an account that nobody knows: a tombstone for it, which its authorization replaces', async () => {
    platform = await createTestPlatform({ ticket: true });
    const { simulator, clock, app } = platform;
    expect(await readFrom(app)).toMatchObject({ status: 404, code: 'not_found' });
    const revokedAt = seconds();
    const push = await simulator.pushUnauthorized(COMPONENT.appid, AUTHORIZER);
    expect(push).toMatchObject(SUCCESS);
    await platform.settle();
    await expectGone(revokedAt);
    expect(await readFrom(app)).toEqual(REVOKED);
    await clock.advance(1_000);
    await authorizeByPush();
    await expectServed(platform, { seq: 1 });
  });

  it.each([
    { name: 'names no account', fields: {}, missing: 'AuthorizerAppid' },
    {
      name: 'names what is no appid',
      fields: { AuthorizerAppid: `${AUTHORIZER}}:{x` },
      missing: 'AuthorizerAppid',
    },
  ])('$name: stored for people, with a warning', async ({ fields, missing }) => {
    await platformWithToken();
    const { simulator } = platform;
    const before = { record: await record(), entry: await entry() };
    const push = await simulator.push(undefined, 'unauthorized', fields);
    expect(push).toMatchObject(SUCCESS);
    await platform.settle();
    expect({ record: await record(), entry: await entry() }).toEqual(before);
    await expectServed(platform, { seq: 1 });
    expect(await events()).toMatchObject([fields]);
    expect(logged(platform, ODD)).toMatchObject([
      { level: 'warn', component: COMPONENT.appid, type: 'unauthorized', fields: [missing] },
    ]);
    expect(logged(platform, ENDED)).toEqual([]);
  });

  it('touches no other account', async () => {
    await platformWithToken();
    const { simulator } = platform;
    const before = await record();
    const another = 'wx00000000000000aa';
    await simulator.pushUnauthorized(COMPONENT.appid, another);
    await platform.settle();
    expect(await record()).toEqual(before);
    const tombstone = platform.keys.record(authorizerToken(COMPONENT.appid, another));
    expect(await platform.redis.hgetall(tombstone)).toHaveProperty('revoked_at');
  });
});
