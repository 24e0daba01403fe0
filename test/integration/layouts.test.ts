import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { handleOf } from '../../src/credentials/refresh-token-handle.ts';
import { lookAtPublished, putPublished } from '../../src/store/layouts/published.ts';
import { phpSerialize } from '../../src/layouts/encode.ts';
import { AUTHORIZED } from '../kit/authorizers.ts';
import { logged, read } from '../kit/observe.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  STABLE,
  type TestPlatform,
  type TestPlatformOptions,
} from '../kit/platform.ts';
import { createTcpProxy, type TcpProxy } from '../kit/tcp-proxy.ts';
import { makeApiKey } from '../../src/config/api-keys.ts';

/** Keys that applications find in their own caches, whatever happens to them. */

const C = COMPONENT.appid;
const TOKEN = { kind: 'component_access_token', subject: C } as const;
const OWN = { kind: 'access_token', subject: STABLE.appid } as const;
const CODE = { kind: 'pre_auth_code', subject: C } as const;
const SECRET = 'wxk_shop_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG';
const OVERWRITTEN =
  'an application has written into a key that wxkeeper publishes; restored, its value is not used';
const FAILING = 'a layout cannot be published';
/** Milliseconds between two rounds. */
const ROUND = 15_000;

let platform: TestPlatform;
let prefix: string;
const open: { close(): unknown }[] = [];
beforeEach(() => {
  prefix = `app${randomBytes(6).toString('hex')}:`;
});
afterEach(async () => {
  await platform.close();
  for (const one of open.splice(0).reverse()) await one.close();
});

const wxjava = () => ({ preset: 'wxjava-open', prefix: prefix.slice(0, -1), appids: '*' });
const easywechat = (fields: object = {}) => ({
  preset: 'easywechat-6',
  appids: '*',
  secret: SECRET,
  prefix,
  ...fields,
});
const yii = () => ({ preset: 'yii', appids: [C], prefix });

async function start(layouts: object[], options: TestPlatformOptions = {}): Promise<void> {
  platform = await createTestPlatform({ layouts, ticket: true, ...options });
}

const names = () => ({
  token: `${prefix}wechat_component_access_token:${C}`,
  ticket: `${prefix}wechat_component_verify_ticket:${C}`,
  authorizer: `${prefix}wechat_authorizer_access_token:${C}:${AUTHORIZER}`,
  refresh: `${prefix}wechat_authorizer_refresh_token:${C}:${AUTHORIZER}`,
  own: `${prefix}official_account.access_token.${STABLE.appid}.${SECRET}.0`,
  code: `${prefix}component_pre_auth_code:${C}`,
});

async function authorize(): Promise<void> {
  const { simulator } = platform;
  const { eventCode } = simulator.grant(C, AUTHORIZER);
  await simulator.pushAuthorized(C, AUTHORIZER, eventCode);
  await platform.settle();
}

interface Status {
  problems: { code: string; kind: string | null; component: string | null; message: string }[];
  layouts: {
    name: string;
    state: string;
    keys: number;
    restored: number;
    overwritten: number;
    failure: string | null;
  }[];
}

async function status(key?: string): Promise<Status> {
  const headers = key === undefined ? undefined : { authorization: `Bearer ${key}` };
  return (await (await platform.internal('/status', headers && { headers })).json()) as Status;
}

const problems = async () => (await status()).problems.map(({ code }) => code);

/** What WeChat takes now. */
const newest = (kind: 'component_access_token' | 'access_token', appid = C) =>
  platform.simulator.latestMint(kind, appid)?.value;

describe('rows 177, 178 and 182: a published key', () => {
  it('is there before the answer that carries its value, each time that it changes', async () => {
    await start([wxjava()]);
    const { redis } = platform;
    for (const seq of [1, 2, 3]) {
      const answer = await platform.internal(`/v1/credentials/${TOKEN.kind}/${C}`);
      const { value } = (await answer.json()) as { value: string };
      expect(value).toBe(newest('component_access_token'));
      expect(await redis.get(names().token)).toBe(value);
      const body = JSON.stringify({ seq, errcode: 40001 });
      const path = `/v1/credentials/${TOKEN.kind}/${C}/rejected`;
      const reported = await platform.internal(path, { method: 'POST', body });
      expect(reported.status).toBe(200);
      expect(await redis.get(names().token)).toBe(newest('component_access_token'));
      await platform.skip(10 * MINUTE);
    }
    expect(await problems()).not.toContain('layout_overwritten');
  });

  it('follows rotations, and ends with its token', async () => {
    await start([wxjava(), easywechat()], { accounts: true });
    await authorize();
    for (const rotation of [2, 3, 4]) {
      platform.clock.sleepThrough(100 * MINUTE);
      await platform.simulator.pushTicket();
      await platform.pass(11 * MINUTE);
      const [component, own, authorizer] = await Promise.all(
        [TOKEN, OWN, AUTHORIZED].map((id) => read(platform, id)),
      );
      const { redis } = platform;
      expect(component?.seq).toBe(rotation);
      expect(await redis.get(names().token)).toBe(component?.value);
      expect(await redis.get(names().own)).toBe(phpSerialize(own?.value ?? ''));
      expect(await redis.get(names().authorizer)).toBe(authorizer?.value);
      const lifeMs = await redis.pttl(names().token);
      expect(Math.abs(lifeMs / 1000 - (component?.expires_in ?? 0))).toBeLessThan(40);
    }
    expect(await problems()).toEqual([]);
    expect(await status()).toMatchObject({ layouts: [{ overwritten: 0 }, { overwritten: 0 }] });
  });

  it('that an application deletes or lets expire is there again after a round', async () => {
    await start([wxjava()]);
    await platform.pass(ROUND);
    const { redis } = platform;
    const value = await redis.get(names().token);
    await redis.del(names().token, names().ticket);
    await platform.pass(ROUND);
    expect(await redis.get(names().token)).toBe(value);
    expect(await redis.get(names().ticket)).toMatch(/^ticket@@@wxkeeper-/);
    await redis.persist(names().token);
    await platform.pass(ROUND);
    expect(await redis.pttl(names().token)).toBeGreaterThan(0);
    expect((await status()).layouts).toMatchObject([{ state: 'ok', restored: 2, keys: 2 }]);
    expect(await problems()).toEqual([]);
  });

  it('that an application overwrites is restored and told of, and its value is not adopted', async () => {
    await start([wxjava()]);
    await platform.pass(ROUND);
    const { redis } = platform;
    const before = await read(platform, TOKEN);
    await redis.set(names().token, 'minted-by-the-application', 'EX', 7000);
    await platform.pass(ROUND);
    expect(await redis.get(names().token)).toBe(before.value);
    expect(await read(platform, TOKEN)).toMatchObject({ value: before.value, seq: before.seq });
    expect((await status()).problems).toMatchObject([
      { code: 'layout_overwritten', kind: 'wxjava-open', component: C },
    ]);
    await redis.del(names().token);
    await redis.hset(names().token, 'value', 'of another type');
    await platform.pass(ROUND);
    expect(await redis.get(names().token)).toBe(before.value);
    expect((await status()).layouts).toMatchObject([{ overwritten: 2 }]);
    expect(logged(platform, OVERWRITTEN)).toHaveLength(2);
    expect(JSON.stringify(platform.logs)).not.toContain('minted-by-the-application');
    await platform.skip(HOUR + MINUTE);
    expect(await problems()).not.toContain('layout_overwritten');
  });

  it('is not taken for overwritten when a replica comes to it late, or is new', async () => {
    await start([wxjava()]);
    await platform.redis.set(names().token, 'what the application had before');
    const other = await platform.addReplica();
    await platform.pass(ROUND);
    expect(await platform.redis.get(names().token)).toBe(newest('component_access_token'));
    const body = JSON.stringify({ seq: 1, errcode: 40001 });
    const path = `/v1/credentials/${TOKEN.kind}/${C}/rejected`;
    await platform.internal(path, { method: 'POST', body }, other);
    expect(await platform.redis.get(names().token)).toBe(newest('component_access_token'));
    await platform.pass(2 * ROUND);
    expect(await platform.redis.get(names().token)).toBe(newest('component_access_token'));
    const { layouts } = await status();
    // The one that was there since the first round of the first replica may be told.
    expect(layouts[0]?.overwritten).toBeLessThanOrEqual(1);
    expect(logged(platform, OVERWRITTEN).length).toBe(layouts[0]?.overwritten);
  });

  it('that was deleted while wxkeeper was stopped is there again at its start', async () => {
    await start([wxjava()]);
    await authorize();
    const { redis } = platform;
    const before = await Promise.all([redis.get(names().token), redis.get(names().authorizer)]);
    await platform.app.stop();
    await redis.del(names().token, names().authorizer, names().refresh);
    await platform.addReplica();
    await platform.settle();
    const after = await Promise.all([redis.get(names().token), redis.get(names().authorizer)]);
    expect(after).toEqual(before);
    expect(before).not.toContain(null);
    expect(await redis.get(names().refresh)).toBe(handleOf(C, AUTHORIZER));
  });
});

describe('row 181: an authorizer', () => {
  it('has its keys, with a handle for its refresh token, until the authorization ends', async () => {
    await start([wxjava()]);
    await authorize();
    const { redis, simulator } = platform;
    const { authorizer, refresh } = names();
    expect(await redis.get(authorizer)).toBe((await read(platform, AUTHORIZED)).value);
    expect(await redis.get(refresh)).toBe(handleOf(C, AUTHORIZER));
    await simulator.pushUnauthorized(C, AUTHORIZER);
    await platform.settle();
    expect(await redis.exists(authorizer, refresh)).toBe(0);
    // Somebody who does not know writes it again.
    await redis.set(refresh, 'refreshtoken@@@old');
    await platform.pass(ROUND);
    expect(await redis.exists(authorizer, refresh)).toBe(0);
    await platform.pass(MINUTE);
    await authorize();
    expect(await redis.get(authorizer)).toBe((await read(platform, AUTHORIZED)).value);
    expect(await problems()).toEqual([]);
  });

  it('that ended while wxkeeper was stopped loses its keys at the start', async () => {
    await start([wxjava()]);
    await authorize();
    const { redis, simulator } = platform;
    const kept = await redis.get(names().authorizer);
    await simulator.pushUnauthorized(C, AUTHORIZER);
    await platform.settle();
    await platform.app.stop();
    await redis.set(names().authorizer, kept ?? '', 'EX', 7_000);
    await platform.addReplica();
    await platform.settle();
    expect(await redis.exists(names().authorizer)).toBe(0);
  });
});

describe('the ticket', () => {
  it('is never in a key unless the layout wants it', async () => {
    await start([wxjava()]);
    const ticket = platform.simulator.latestMint('component_verify_ticket')?.value;
    const published = await platform.redis.get(names().ticket);
    expect(published).not.toBe(ticket);
    expect(published).toMatch(/^ticket@@@wxkeeper-[0-9a-f]{32}$/);
  });

  it('is followed by what is named after it', async () => {
    const powerwechat = { preset: 'powerwechat', appids: '*', secret: SECRET, prefix };
    await start([{ ...powerwechat, ticket: 'real' }]);
    const { redis, simulator } = platform;
    const tokenBehind = async () => {
      const ticket = JSON.parse(
        (await redis.get(`${prefix}powerwechat.open_platform.verify_ticket.${C}`)) ?? '""',
      ) as string;
      const { hash } = await import('node:crypto');
      const name = `${prefix}powerwechat.access_token.${hash('md5', C + SECRET + ticket)}`;
      const text = (await redis.get(name)) ?? '{}';
      return { ticket, ...(JSON.parse(text) as { component_access_token?: string }) };
    };
    for (const minutes of [10, 20, 30]) {
      await simulator.pushTicket();
      await platform.settle();
      expect(await tokenBehind(), `${minutes} min`).toMatchObject({
        ticket: simulator.latestMint('component_verify_ticket')?.value,
        component_access_token: newest('component_access_token'),
      });
      await platform.pass(10 * MINUTE);
    }
    expect(await problems()).toEqual([]);
  });
});

describe('a pre_auth_code', () => {
  const published = async () =>
    /"(preauthcode[^"]*)"/.exec((await platform.redis.get(names().code)) ?? '')?.[1];

  it('that is handed out is in no key any more', async () => {
    await start([yii()]);
    const first = await published();
    expect(first).toBeDefined();
    expect(await read(platform, CODE)).toMatchObject({ value: first });
    expect(await published()).not.toBe(first);
    expect(await published()).toBe(await platform.redis.get(platform.keys.mirror(CODE)));
  });

  it('that an application takes out of its key is nobody else’s', async () => {
    await start([yii()]);
    await platform.pass(ROUND);
    const taken = await published();
    await platform.redis.del(names().code);
    await platform.pass(ROUND);
    expect(await published()).toBeDefined();
    expect(await published()).not.toBe(taken);
    expect((await read(platform, CODE)).value).not.toBe(taken);
  });
});

describe('row 179: another Redis', () => {
  let server: RedisServer;
  let proxy: TcpProxy;
  let there: Redis;
  const elsewhere = () => ({ ...wxjava(), redis_url: proxy.url('redis') });

  async function startElsewhere(): Promise<void> {
    server = await startRedisServer({ listen: 'port' });
    open.push({ close: () => server.stop() });
    proxy = await createTcpProxy({ port: Number(new URL(server.url).port) });
    open.push(proxy);
    there = new Redis(server.url);
    open.push({ close: () => there.disconnect() });
  }

  it('away, or silent, holds nothing up; back, it has what it missed at once', async () => {
    await startElsewhere();
    await start([elsewhere()]);
    await platform.pass(ROUND);
    expect(await there.get(names().token)).toBe(newest('component_access_token'));
    proxy.blackhole();
    const body = JSON.stringify({ seq: 1, errcode: 40001 });
    const path = `/v1/credentials/${TOKEN.kind}/${C}/rejected`;
    const reported = await platform.internal(path, { method: 'POST', body });
    expect(await reported.json()).toMatchObject({ value: newest('component_access_token') });
    proxy.refuse();
    proxy.reset();
    await platform.skip(HOUR + 50 * MINUTE);
    const seen = await read(platform, TOKEN);
    expect(seen).toMatchObject({ status: 200, value: newest('component_access_token') });
    expect(await there.get(names().token)).not.toBe(seen.value);
    expect((await status()).layouts).toMatchObject([{ state: 'failing', failure: 'ECONNREFUSED' }]);
    expect((await status()).problems).toMatchObject([{ code: 'layout_failing', component: null }]);
    expect(logged(platform, FAILING)).toHaveLength(1);
    await proxy.heal();
    await expect.poll(() => there.get(names().token), { timeout: 10_000 }).toBe(seen.value);
    await platform.pass(ROUND);
    expect(await problems()).toEqual([]);
  });

  it('is not there at the start: the service is', async () => {
    await startElsewhere();
    proxy.refuse();
    await start([elsewhere()]);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200 });
    expect(await platform.internal('/readyz')).toMatchObject({ status: 200 });
    await platform.pass(ROUND);
    expect(await problems()).toEqual(['layout_failing']);
  });
});

describe('a Redis user that may not write the keys', () => {
  it('makes the layout fail, and nothing else', async () => {
    const server = await startRedisServer({ listen: 'port' });
    open.push({ close: () => server.stop() });
    const admin = new Redis(server.url);
    open.push({ close: () => admin.disconnect() });
    await admin.call('ACL', 'SETUSER', 'keeper', 'on', '>p', '~test*', '&*', '+@all');
    const url = new URL(server.url);
    await start([wxjava()], { redisUrl: `redis://keeper:p@${url.host}` });
    await platform.pass(ROUND);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200 });
    expect((await platform.internal('/readyz')).status).toBe(200);
    expect(await problems()).toEqual(['layout_failing']);
    const [layout] = (await status()).layouts;
    expect(layout?.failure).toMatch(/^NOPERM/);
    await admin.call('ACL', 'SETUSER', 'keeper', `~${prefix}*`);
    await platform.pass(ROUND);
    expect(await problems()).toEqual([]);
  });
});

describe('what is seen of layouts', () => {
  it('names no account that the key may not see', async () => {
    const narrow = makeApiKey('narrow', `status:read@${STABLE.appid}`);
    const all = makeApiKey('all', 'admin');
    await start([{ ...yii(), name: 'of-the-platform' }, easywechat({ appids: [STABLE.appid] })], {
      accounts: true,
      env: { API_KEYS: `${narrow.entry},${all.entry}` },
    });
    await platform.pass(ROUND);
    await platform.redis.set(`${prefix}component_access_token:${C}`, 'theirs');
    await platform.pass(ROUND);
    const seen = await status(narrow.key);
    expect(seen.layouts.map(({ name }) => name)).toEqual(['easywechat-6']);
    expect(JSON.stringify(seen)).not.toContain(C);
    expect((await status(all.key)).problems).toMatchObject([{ code: 'layout_overwritten' }]);
  });

  it('has neither the secret nor a value in it', async () => {
    await start([easywechat()], { accounts: true });
    await platform.pass(ROUND);
    await platform.redis.set(names().own, 'theirs');
    await platform.pass(ROUND);
    expect(await problems()).toEqual(['layout_overwritten']);
    const text = JSON.stringify([await status(), platform.logs]);
    expect(text).not.toContain(SECRET);
    expect(text).not.toContain('"theirs"');
    const metrics = await (await platform.internal('/metrics')).text();
    expect(metrics).toMatch(/wxkeeper_layout_overwritten_total\{layout="easywechat-6"\} 1/);
    expect(metrics).not.toContain(SECRET);
  });
});

describe('row 180: of two who write', () => {
  it('the one that knows less is never the last', async () => {
    await start([wxjava()]);
    const { redis } = platform;
    const name = `${prefix}one`;
    await redis.set(name, 'older');
    const found = (await lookAtPublished(redis, [name])).get(name)?.held ?? '-';
    expect(await putPublished(redis, name, found, '=newer', 60_000)).toBe(true);
    expect(await putPublished(redis, name, found, '=older still', 60_000)).toBe(false);
    expect(await putPublished(redis, name, '-', '=older still', 60_000)).toBe(false);
    expect(await putPublished(redis, name, '!', '-', 1)).toBe(false);
    expect(await redis.get(name)).toBe('newer');
    expect(await putPublished(redis, name, '=newer', '-', 1)).toBe(true);
    expect(await redis.exists(name)).toBe(0);
  });
});
