import { afterEach, describe, expect, it } from 'vitest';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { authorize, AUTHORIZED } from '../kit/authorizers.ts';
import { authorizedEvent, donePage, exchangesAsked } from '../kit/authorizing.ts';
import {
  addReplicaWithKeys,
  createEncryptingPlatform,
  keysThatHold,
  newKey,
  OLD,
} from '../kit/encrypted-tokens.ts';
import {
  accountOf,
  C,
  CODE_NEEDS_PERSON,
  EXCHANGED,
  exchangesKept,
  NOT_YET,
  opened,
  QUERY,
  secondsUntilAlive,
} from '../kit/exchanging.ts';
import { callsSince, logged, read } from '../kit/observe.ts';
import {
  AUTHORIZER,
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';

describe('row 88: there is no ticket, and thus no token to exchange a code with', () => {
  let platform: TestPlatform;
  afterEach(async () => platform.close());

  it('waits, and works as soon as a ticket comes', async () => {
    platform = await createTestPlatform({
      env: { PUBLIC_BASE_URL: 'https://platform.example.com' },
    });
    const { simulator, clock } = platform;
    simulator.addFault(NO_PUSHES_ON_REQUEST);
    const { code } = simulator.grant(C, AUTHORIZER);
    expect((await authorizedEvent(platform, code)).status).toBe(200);
    await platform.settle();
    const page = await donePage(platform, code, { lang: 'en' });
    expect(await opened(platform, page)).toContain('Your authorization was received');
    await platform.pass(4 * MINUTE);
    expect(exchangesAsked(platform)).toEqual([]);
    expect(logged(platform, NOT_YET)[0]).toMatchObject({
      level: 'warn',
      authorizer: AUTHORIZER,
      failure: { class: 'retry' },
    });
    expect(await read(platform, AUTHORIZED)).toMatchObject({
      status: 503,
      error: { code: 'no_ticket' },
    });
    expect(await exchangesKept(platform)).toMatchObject([{ maybe_used: false }]);
    const since = clock.now();
    await simulator.pushTicket();
    await platform.settle();
    expect(await secondsUntilAlive(platform, 20)).toBeLessThanOrEqual(16);
    expect(callsSince(platform, QUERY, since)).toHaveLength(1);
    expect(exchangesAsked(platform)).toEqual([0]);
    expect(await opened(platform, page)).toContain('The account is authorized');
  });
});

describe('refresh tokens that are sealed', () => {
  let platform: TestPlatform;
  afterEach(async () => platform.close());
  const event = async (account = AUTHORIZER) => {
    const { code } = platform.simulator.grant(C, account);
    expect((await platform.simulator.pushAuthorized(C, account, code)).status).toBe(200);
    await platform.settle();
    return code;
  };

  it('the one that an exchange brings is sealed', async () => {
    platform = await createEncryptingPlatform(OLD);
    await platform.pass(MINUTE);
    await event();
    await platform.pass(1_000);
    const record = await platform.redis.hgetall(platform.keys.record(AUTHORIZED));
    expect(record.refresh_token).toMatch(/^sealed:v1:old:/);
    const refreshToken = platform.simulator.refreshTokenOf(C, AUTHORIZER) ?? '';
    expect(refreshToken).not.toBe('');
    expect(await keysThatHold(platform, refreshToken)).toEqual([]);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, value: record.value });
    expect(exchangesAsked(platform)).toEqual([0]);
  });

  it('under a wrong key the code is not used up, and works when the key is right', async () => {
    platform = await createEncryptingPlatform(OLD);
    const { redis, keys } = platform;
    await authorize(platform);
    await platform.pass(MINUTE);
    const known = await redis.hgetall(keys.sealKeys);
    await platform.app.stop();
    // As if Redis had been away at the start: what it knows of keys comes back after it.
    await redis.del(keys.sealKeys);
    const wrong = await addReplicaWithKeys(platform, newKey('old'));
    await redis.hset(keys.sealKeys, known);
    await platform.pass(2 * MINUTE);
    const account = accountOf(1);
    await event(account);
    await platform.pass(MINUTE);
    expect(exchangesAsked(platform)).toEqual([]);
    expect(
      wrong.logs.filter(({ message }) => message === CODE_NEEDS_PERSON).length,
    ).toBeGreaterThan(1);
    const id = authorizerToken(C, account);
    const path = `/v1/credentials/${id.kind}/${id.subject}`;
    expect((await wrong.internal(path)).status).toBe(404);
    expect(await exchangesKept(platform)).toMatchObject([{ maybe_used: false }]);
    await wrong.stop();

    const right = await addReplicaWithKeys(platform, OLD);
    await platform.pass(20_000);
    expect(exchangesAsked(platform)).toEqual([0]);
    const answer = await right.internal(path);
    expect(answer.status).toBe(200);
    const { value } = (await answer.json()) as { value: string };
    expect(platform.simulator.isLive(id.kind, value)).toBe(true);
    expect(await redis.hget(keys.record(id), 'refresh_token')).toMatch(/^sealed:v1:old:/);
  });
});

describe('codes and tokens of an authorization', () => {
  let platform: TestPlatform;
  afterEach(async () => platform.close());

  it('are in no log line, no event, no status and no page, whatever goes wrong', async () => {
    platform = await createTestPlatform({ ticket: true, links: true });
    const { simulator, redis, keys, internal } = platform;
    const said: string[] = [];
    const secrets: string[] = [];
    const page = async (code: string) => {
      said.push(await opened(platform, await donePage(platform, code, { lang: 'en' })));
    };
    for (const fault of [
      { type: 'errcode', errcode: -1 },
      { type: 'errcode', errcode: 61004, errmsg: 'not in whitelist' },
      { type: 'truncate' },
      { type: 'status', status: 502 },
    ] as const) {
      simulator.addFault({ api: QUERY, afterMint: true, fault });
      const { code } = simulator.grant(C, AUTHORIZER);
      secrets.push(code);
      await authorizedEvent(platform, code);
      await page(code);
      await platform.pass(2 * MINUTE);
      secrets.push(simulator.refreshTokenOf(C, AUTHORIZER) ?? '');
    }
    const { code } = simulator.grant(C, AUTHORIZER);
    secrets.push(code);
    await page(code);
    // What WeChat sends is not always as documented: it is stored as it is, but for the code.
    await simulator.push(C, 'authorized', { AuthorizerAppid: 'odd', AuthorizationCode: code });
    await redis.set(keys.record(authorizerToken(C, accountOf(1))), 'spoiled');
    const spoiled = simulator.grant(C, accountOf(1)).code;
    secrets.push(spoiled);
    await simulator.pushAuthorized(C, accountOf(1), spoiled);
    await platform.settle();
    for (const { value, kind } of simulator.ledger.mints) {
      if (kind !== 'component_verify_ticket') secrets.push(value);
    }
    for (const path of ['/status', '/readyz', `/v1/components/${C}/authorizers`]) {
      said.push(await (await internal(path)).text());
    }
    const events = JSON.stringify(await redis.xrange(keys.events(C), '-', '+'));
    const log = platform.logs.map((line) => JSON.stringify(line)).join('\n');
    expect(events).toContain('AuthorizerAppid');
    expect(log).toContain(EXCHANGED);
    for (const secret of secrets) {
      expect(secret.length).toBeGreaterThan(10);
      expect(log).not.toContain(secret);
      expect(events).not.toContain(secret);
      expect(said.join('\n')).not.toContain(secret);
    }
    // What has ended keeps no code either.
    const kept = await exchangesKept(platform);
    for (const one of kept) if (one.outcome !== undefined) expect(one).not.toHaveProperty('code');
  });
});
