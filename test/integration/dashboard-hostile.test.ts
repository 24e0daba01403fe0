import { mkdtempSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import {
  ADMIN,
  API_KEYS,
  createDashboardPlatform,
  csrfIn,
  HALF,
  logIn,
  NARROWED,
  type Person,
} from '../kit/dashboard.ts';
import { COMPONENT, createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { createTcpProxy } from '../kit/tcp-proxy.ts';

/** What nobody sends who means well, and settings larger than most. */

const { appid } = COMPONENT;
const FORM = 'application/x-www-form-urlencoded';

interface Answer {
  status: number | undefined;
  location: string | undefined;
  text: string;
}

/** Sends exactly this; `fetch` would put the path in order first. */
function send(
  port: number,
  [method, path]: readonly [string, string],
  headers: Record<string, string> = {},
  body = '',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => (text += part));
      const { statusCode: status } = answer;
      answer.on('end', () => resolve({ status, location: answer.headers.location, text }));
    });
    sent.on('error', reject).end(body);
  });
}

describe('the dashboard bears', () => {
  let platform: TestPlatform;
  let person: Person;
  let cookie: string;
  const port = () => platform.app.internalPort();
  beforeAll(async () => {
    platform = await createDashboardPlatform();
    person = await logIn(port(), ADMIN.key);
    cookie = [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  });
  afterAll(() => platform.close());

  it.each([
    ['//?lang=zh', '/'],
    ['//?lang=zh&search=a', '/?search=a'],
    ['http://evil.example/?lang=zh', '/'],
    ['/?lang=zh&search=%0d%0aSet-Cookie:a=b', '/?search=%0D%0ASet-Cookie%3Aa%3Db'],
    ['/login/?lang=en&next=//evil.example', '/login/?next=%2F%2Fevil.example'],
  ])('%s, which leads nowhere else', async (path, location) => {
    expect(await send(port(), ['GET', path], { cookie })).toMatchObject({ status: 303, location });
  });

  it('an address with two slashes: no link leads to another host', async () => {
    const { text } = await send(port(), ['GET', '//?search=a'], { cookie });
    expect(text).toContain('href="/?search=a"');
    expect(text).not.toMatch(/(?:href|action|src)="\/\//);
  });

  it.each([
    ['/?search=%ff%fe', 200],
    ['/?search=%ED%A0%80', 200],
    [`/?search=${'%F0%9F%98%80'.repeat(60)}`, 200],
    ['/?state=__proto__&component=constructor&after=wxzzzzzzzzzzzzzzzz', 200],
    ['/dashboard/refresh?kind=access_token', 404],
    ['/dashboard/tickets?subject=a&subject=b', 404],
    ['/logout', 404],
  ])('GET %s', async (path, status) => {
    expect((await send(port(), ['GET', path], { cookie })).status).toBe(status);
    // Nothing happens by being looked at, not even a log-out.
    expect((await person.get('/')).status).toBe(200);
  });

  it.each([
    ['a field twice', 'key=a&key=b', {}, 401],
    ['broken encoding', 'key=%&%ff=%', {}, 401],
    ['a prototype', '__proto__[key]=a', {}, 401],
    ['JSON', '{"key":"a"}', { 'content-type': 'application/json' }, 401],
    ['too many fields', Array.from({ length: 11 }, (_, at) => `a${at}=1`).join('&'), {}, 400],
    ['an unknown charset', 'key=a', { 'content-type': `${FORM}; charset=x` }, 400],
    ['a compressed form', 'key=a', { 'content-encoding': 'gzip' }, 400],
  ])('a log-in with %s', async (_what, body, headers, status) => {
    const sent = { 'content-type': FORM, 'accept-language': 'en', ...headers };
    const answer = await send(port(), ['POST', '/login'], sent, body);
    expect(answer.status).toBe(status);
    if (status === 400) expect(answer.text).toContain('This could not be understood');
  });

  it.each([
    ['none', 'x'],
    ['null', 'bnVsbA'],
    ['a prototype', Buffer.from('{"failed":"__proto__","what":"x"}').toString('base64url')],
    ['markup', Buffer.from('{"outcome":"asked","what":"<script>"}').toString('base64url')],
    ['no base64', '%%%'],
  ])('a notice that is %s', async (_what, notice) => {
    const headers = {
      cookie: `${cookie}; wxkeeper_notice=${notice}; wxkeeper_language="><script>`,
    };
    const { status, text } = await send(port(), ['GET', '/'], headers);
    expect(status).toBe(200);
    expect(text).not.toMatch(/<script>|undefined|\[object/);
  });

  it('a hundred cookies of the same name, a good one among them', async () => {
    const many = `${'wxkeeper_session=x;'.repeat(100)}${cookie}`;
    expect((await send(port(), ['GET', '/'], { cookie: many })).status).toBe(200);
  });

  it.each([
    { origin: 'null' },
    { origin: 'http://evil.example' },
    { origin: `http://127.0.0.1.evil.example` },
    { 'sec-fetch-site': 'none' },
    { 'sec-fetch-site': 'same-site' },
  ])('a form with the right token from elsewhere: $origin', async (headers) => {
    const csrf = csrfIn(await (await person.get('/')).text());
    const calls = platform.simulator.ledger.calls.length;
    const answer = await person.post('/dashboard/tickets', { subject: appid, csrf }, headers);
    expect(answer.status).toBe(403);
    const twice = `csrf=${csrf}&csrf=${csrf}&subject=${appid}`;
    const sent = { cookie, 'content-type': FORM };
    expect((await send(port(), ['POST', '/dashboard/tickets'], sent, twice)).status).toBe(403);
    expect(platform.simulator.ledger.calls).toHaveLength(calls);
  });

  it.each([
    ['component_access_token', `${appid}:wx00000000000000a1`],
    ['access_token', `wx00000000000000a1:${appid}`],
    ['access_token', 'wx00000000000000a1'],
    ['authorizer_access_token', `wx00000000000000a1:${appid}`],
    ['authorizer_access_token', `${appid}:x:y`],
  ])('a crafted %s of %s: a key for something else does nothing', async (kind, subject) => {
    const half = await logIn(port(), HALF.key);
    const calls = platform.simulator.ledger.calls.length;
    const { status } = await half.send('/dashboard/refresh', { kind, subject });
    expect([403, 404]).toContain(status);
    expect(platform.simulator.ledger.calls).toHaveLength(calls);
  });

  it('a search by a key that sees no platform: it finds nothing', async () => {
    const nora = await logIn(port(), NARROWED.key);
    for (const path of [`/?component=${appid}&search=wx`, '/?state=authorized', '/?search=wx']) {
      const page = await (await nora.get(path)).text();
      expect(page).not.toContain('class="name"');
      expect(page).not.toContain('id="authorizers-');
    }
  });
});

it('while Redis hangs, the dashboard answers in time: page, log-in and actions', async () => {
  const proxy = await createTcpProxy({ socketPath: inject('redisUrl') });
  const platform = await createDashboardPlatform({ redisUrl: proxy.url('redis') });
  platform.redis.on('error', () => undefined);
  try {
    const port = platform.app.internalPort();
    const person = await logIn(port, ADMIN.key);
    const csrf = csrfIn(await (await person.get('/')).text());
    proxy.blackhole();
    const inTime = async (work: () => Promise<Response>) => {
      const begun = performance.now();
      const answer = await work();
      const text = await answer.text();
      expect(performance.now() - begun).toBeLessThan(4_000);
      return { status: answer.status, text };
    };
    const fields = { kind: 'component_access_token', subject: appid, csrf };
    const [page, entered, acted] = await Promise.all([
      inTime(() => person.get('/', { 'accept-language': 'en' })),
      inTime(() => person.post('/login', { key: ADMIN.key })),
      inTime(() => person.post('/dashboard/refresh', fields)),
    ]);
    expect(page.text).toContain('Redis cannot be reached');
    expect([page.status, entered.status, acted.status]).toEqual([200, 303, 303]);
  } finally {
    proxy.reset();
    await proxy.heal();
    await platform.close();
    await proxy.close();
  }
});

describe('a page of less than 300 KB shows', () => {
  const appids = (count: number) =>
    Array.from({ length: count }, (_, at) => `wx${(0xa00000 + at).toString(16).padStart(16, '0')}`);
  const secret = { appsecret: 's'.repeat(32) };
  const oneComponent = { ...secret, token: 'callbackToken', encoding_aes_key: 'a'.repeat(43) };

  it.each([
    ['20 platforms', { components: appids(20).map((one) => ({ appid: one, ...oneComponent })) }],
    [
      '200 accounts and no platform',
      { accounts: appids(200).map((one) => ({ appid: one, ...secret, tickets: ['jsapi'] })) },
    ],
  ])('%s', async (_what, settings) => {
    const file = join(mkdtempSync(join(tmpdir(), 'wxkeeper-test-')), 'config.json');
    writeFileSync(file, JSON.stringify(settings));
    const names = 'APPID APPSECRET TOKEN ENCODING_AES_KEY PREVIOUS_TOKEN PREVIOUS_ENCODING_AES_KEY';
    const none = names.split(' ').map((name) => [`COMPONENT_${name}`, '']);
    const env = { ...(Object.fromEntries(none) as Record<string, string>), API_KEYS };
    const platform = await createTestPlatform({ env: { ...env, CONFIG_FILE: file } });
    try {
      const { redis, keys } = platform;
      const now = platform.clock.now();
      const write = redis.pipeline();
      for (const one of platform.config.components) {
        for (const kind of ['component_access_token', 'pre_auth_code'] as const) {
          const entries = Array.from({ length: 400 }, (_, at) => ({
            obtained_at: now - at * 1_500_000,
            expires_at: now,
            seq: 1,
            reason: 'cron',
            replica: 'gateway-2-7-c0de',
          }));
          const lines = entries.map((entry) => JSON.stringify(entry));
          write.rpush(keys.history({ kind, subject: one.appid }), ...lines);
        }
      }
      await write.exec();
      const person = await logIn(platform.app.internalPort(), ADMIN.key);
      const last = appids(20).at(-1) ?? '';
      const page = await (await person.get(`/?component=${last}`)).text();
      expect(Buffer.byteLength(page)).toBeLessThan(300_000);
      for (const one of appids(20)) expect(page).toContain(one);
      expect(page).toContain('id="replicas"');
      // The one that was asked for is there in full.
      if ('components' in settings) expect(page).toContain(`id="ticket-${last}"`);
    } finally {
      await platform.close();
    }
  });
});
