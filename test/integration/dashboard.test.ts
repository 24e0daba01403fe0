import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { addEvent, addMerchants, ADMIN, createHealthyPlatform, logIn } from '../kit/dashboard.ts';
import { TOKEN } from '../kit/liveness.ts';
import { COMPONENT, type TestPlatform } from '../kit/platform.ts';
import { becomes } from '../kit/redis-trouble.ts';
import { createTcpProxy } from '../kit/tcp-proxy.ts';

const { appid } = COMPONENT;
const ENGLISH = { 'accept-language': 'en' };

async function pageOf(platform: TestPlatform, path = '/', headers = ENGLISH): Promise<string> {
  const person = await logIn(platform.app.internalPort(), ADMIN.key);
  const answer = await person.get(path, headers);
  expect(answer.status).toBe(200);
  return (await answer.text()).replace(/\s+/g, ' ');
}

describe('the page of the dashboard', () => {
  let platform: TestPlatform;
  beforeAll(async () => {
    platform = await createHealthyPlatform();
  });
  afterAll(() => platform.close());

  it('holds no value of any credential', async () => {
    const page = await pageOf(platform);
    const { mints } = platform.simulator.ledger;
    expect(mints.length).toBeGreaterThan(6);
    for (const { value } of mints) expect(page).not.toContain(value);
    const ticket = await platform.redis.hget(platform.keys.ticketRecord(appid), 'ticket');
    expect(page).not.toContain(ticket);
    for (const { key, entry } of [ADMIN]) {
      expect(page).not.toContain(key);
      expect(page).not.toContain(entry.split(':')[1]);
    }
    expect(page).not.toContain(COMPONENT.secret);
    expect(page).not.toContain('queryauthcode');
  });

  it('is in the language that the browser asks for, unless another one was chosen', async () => {
    expect(await pageOf(platform)).toContain('<html lang="en">');
    const chinese = { 'accept-language': 'zh-CN,zh;q=0.9,en;q=0.8' };
    expect(await pageOf(platform, '/', chinese)).toContain('<html lang="zh-CN">');
    const person = await logIn(platform.app.internalPort(), ADMIN.key);
    const chosen = await person.get('/?lang=en&state=revoked&search=a%26b', chinese);
    expect(chosen.headers.get('location')).toBe('/?state=revoked&search=a%26b');
    expect(await (await person.get('/', chinese)).text()).toContain('<html lang="en">');
  });

  it('is Chinese throughout for who reads Chinese', async () => {
    const chinese = await pageOf(platform, '/', { 'accept-language': 'zh' });
    const shown = chinese.replace(/<(style|code)[^>]*>.*?<\/\1>|<[^>]*>/g, ' ');
    // But for names of WeChat's and ours.
    const names =
      /(?:\w+_(?:token|ticket)|notify_icpfiling\w+|(?:un)?authorized|(?:task_id|verify_appid|result): \w+|wx[0-9a-f]{16}|JS-SDK|ticket|token|Blue Bottle|Harbour Books|English|wxkeeper|ada|appid|Redis|gateway\S+|&\S+;|\(UTC\+8\))/g;
    expect(shown.replace(names, '').match(/[A-Za-z]{3,}/g) ?? []).toEqual([]);
  });

  it('takes an address with nonsense for one without', async () => {
    const queries = ['component=wxffffffffffffffff', 'state=x', 'after=x', 'search=a&search=b'];
    for (const query of queries) expect(await pageOf(platform, `/?${query}`)).toContain('晨光文具');
    expect(await pageOf(platform, `/?search=${'x'.repeat(3_000)}`)).toContain(
      'No authorizer matches',
    );
  });

  it('lists fifty authorizers at a time', async () => {
    await addMerchants(
      platform,
      Array.from({ length: 53 }, (_, index) => `Shop ${index}`),
      {
        principalName: 'P'.repeat(40),
      },
    );
    const person = await logIn(platform.app.internalPort(), ADMIN.key);
    const first = await (await person.get('/', ENGLISH)).text();
    expect(first.match(/class="name"/g)).toHaveLength(50);
    const [, next = ''] = /<a href="([^"]*after=[^"]*)"/.exec(first) ?? [];
    const second = await (
      await person.get(next.replaceAll('&amp;', '&').split('#')[0] ?? '')
    ).text();
    expect(second.match(/class="name"/g)).toHaveLength(3);
    expect(Buffer.byteLength(first)).toBeLessThan(150_000);
  });

  it('is drawn whatever a person has written into Redis', async () => {
    const { redis, keys, clock } = platform;
    const odd = JSON.stringify({
      obtained_at: 9e17,
      expires_at: 1,
      seq: {},
      reason: {},
      replica: [],
    });
    const real = { obtained_at: clock.now(), expires_at: 1, seq: 1, reason: null, replica: 7 };
    await redis.lpush(keys.history(TOKEN), 'no json', odd, JSON.stringify(real));
    await redis.lpush(keys.ticketArrivals(appid), 'x', '-1', '9e99');
    await redis.hset(
      keys.jobs,
      TOKEN.kind,
      JSON.stringify({ startedAt: clock.now(), summary: {} }),
    );
    await redis.hset(keys.authorizers(appid), 'wx00000000b0000001', '[1]');
    await redis.hset(keys.record(authorizerToken(appid, 'wx00000000b0000002')), 'seq', 'x');
    await redis.hset(keys.record(TOKEN), 'last_error', '{"message":7}');
    await addEvent(platform, '*', '', {});
    await redis.xadd(keys.events(appid), '*', 'fields', '{"a":');
    expect(await pageOf(platform)).toContain(`id="events-${appid}"`);
    await redis.del(keys.events(appid), keys.history(TOKEN), keys.ticketArrivals(appid));
    await redis.set(keys.events(appid), 'x');
    await redis.set(keys.history(TOKEN), 'x');
    await redis.set(keys.ticketArrivals(appid), 'x');
    expect(await pageOf(platform)).toContain(`id="events-${appid}"`);
    expect(platform.logs.filter(({ message }) => message.includes('dashboard could not'))).toEqual(
      [],
    );
  });

  it('that its own script asks for is the same, without style and search', async () => {
    const again = { ...ENGLISH, 'x-refresh': '1' };
    const page = await pageOf(platform, '/', again);
    expect(page).not.toContain('<style');
    expect(page).toContain('class="name"');
    expect(await pageOf(platform, '/?search=shop', again)).not.toContain('class="name"');
  });
});

it('the dashboard without Redis says what is wrong and what is still served, also to who logs in now', async () => {
  const proxy = await createTcpProxy({ socketPath: inject('redisUrl') });
  const platform = await createHealthyPlatform({ redisUrl: proxy.url('redis') });
  try {
    platform.redis.on('error', () => undefined);
    proxy.reset();
    proxy.refuse();
    await becomes(platform, 503);
    const page = await pageOf(platform);
    expect(page).toContain('Redis cannot be reached');
    expect(page).toMatch(
      /Platform token <code>component_access_token<\/code>.*Served from memory, ends/,
    );
    expect(page).not.toContain('pre_auth_code');
  } finally {
    await proxy.heal();
    await platform.close();
    await proxy.close();
  }
});
