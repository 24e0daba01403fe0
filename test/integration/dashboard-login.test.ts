import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSession } from '../../src/http/dashboard/session.ts';
import {
  ADMIN,
  BLIND,
  createDashboardPlatform,
  createPerson,
  logIn,
  READER,
  sharedSecret,
} from '../kit/dashboard.ts';
import { COMPONENT, HOUR, type TestPlatform } from '../kit/platform.ts';

const { appid } = COMPONENT;

describe('the dashboard lets in', () => {
  let platform: TestPlatform;
  const port = () => platform.app.internalPort();
  beforeAll(async () => {
    platform = await createDashboardPlatform();
    await platform.simulator.pushTicket();
    await platform.settle();
  });
  afterAll(() => platform.close());

  it('nobody who has not logged in, and shows them nothing', async () => {
    const person = createPerson(port());
    for (const path of ['/', `/dashboard/tickets?subject=${appid}`]) {
      const answer = await person.get(path);
      expect(answer.status).toBe(303);
      expect(answer.headers.get('location')).toMatch(/^\/login/);
      expect(await answer.text()).not.toContain(appid);
    }
    const refused = await person.post('/dashboard/tickets', { subject: appid });
    expect(refused.status).toBe(303);
  });

  it('whoever has a key for the status, by a cookie that no script and no other site gets', async () => {
    const person = createPerson(port());
    const answer = await person.post('/login', { key: READER.key });
    expect(answer.status).toBe(303);
    expect(answer.headers.get('location')).toBe('/');
    const [cookie = ''] = answer.headers.getSetCookie();
    expect(cookie).toMatch(
      /^wxkeeper_session=rita\.\w+\.[\w-]{22}\.[\w-]{43}; Path=\/; Max-Age=28800; HttpOnly; SameSite=Strict$/,
    );
    expect((await person.get('/')).status).toBe(200);
    expect((await person.get('/login')).headers.get('location')).toBe('/');
  });

  it('over TLS, by a cookie of this host alone', async () => {
    const person = createPerson(port());
    const tls = { 'x-forwarded-proto': 'https' };
    const answer = await person.post('/login', { key: READER.key }, tls);
    expect(answer.headers.getSetCookie()[0]).toMatch(/^__Host-wxkeeper_session=.*; Secure$/);
    expect((await person.get('/', tls)).status).toBe(200);
    // Without TLS, that cookie counts for nothing.
    expect((await person.get('/')).status).toBe(303);
  });

  it.each([
    ['an unknown key', `wxk_ada_${'x'.repeat(43)}`, 401],
    ['no key', '', 401],
    ['a key without the status', BLIND.key, 403],
  ])('nobody with %s', async (_what, key, status) => {
    const person = createPerson(port());
    const answer = await person.post('/login', { key });
    expect(answer.status).toBe(status);
    expect(answer.headers.getSetCookie()).toEqual([]);
    expect(await answer.text()).toContain('id="trouble"');
  });

  it('a right key still, after many wrong ones', async () => {
    const person = createPerson(port());
    const statuses = [];
    for (let time = 0; time < 12; time += 1) {
      statuses.push((await person.post('/login', { key: 'wrong' })).status);
    }
    expect(statuses.at(-1)).toBe(429);
    expect((await person.post('/login', { key: READER.key })).status).toBe(303);
  });

  it('nobody whose form comes from another site', async () => {
    const person = createPerson(port());
    const other = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ];
    for (const headers of other) {
      const answer = await person.post('/login', { key: READER.key }, headers);
      expect(answer.status).toBe(403);
      expect(answer.headers.getSetCookie()).toEqual([]);
    }
    const own = { origin: `http://127.0.0.1:${port()}` };
    expect((await person.post('/login', { key: READER.key }, own)).status).toBe(303);
  });

  it('nobody with a cookie that is over, changed, or of a key that was changed', async () => {
    const { apiKeys } = platform.config;
    const key = apiKeys.find(({ id }) => id === 'rita');
    if (key === undefined) throw new Error('no such key');
    const now = platform.clock.now();
    const secret = await sharedSecret(platform);
    const enter = async (cookie: string) => {
      const person = createPerson(port());
      person.cookies.set('wxkeeper_session', cookie);
      return (await person.get('/')).status;
    };
    expect(await enter(createSession(secret, key, now))).toBe(200);
    expect(await enter(createSession(secret, key, now - 8 * HOUR))).toBe(303);
    expect(await enter(createSession(secret, { ...key, sha256: '0'.repeat(64) }, now))).toBe(303);
    const good = createSession(secret, key, now);
    expect(await enter(good.replace('rita.', 'ada.'))).toBe(303);
    expect(await enter(`${good.slice(0, -1)}${good.endsWith('A') ? 'B' : 'A'}`)).toBe(303);
    const [id, , nonce, signature] = good.split('.');
    expect(await enter([id, 'zzzzzzz', nonce, signature].join('.'))).toBe(303);
    expect(await enter('x')).toBe(303);
  });

  it('a person at every replica, until they log out', async () => {
    const person = await logIn(port(), READER.key);
    const elsewhere = await platform.addReplica();
    const other = createPerson(elsewhere.internalPort());
    other.cookies.set('wxkeeper_session', person.cookies.get('wxkeeper_session') ?? '');
    expect((await other.get('/')).status).toBe(200);
    const out = await person.send('/logout', {});
    expect(out.headers.get('location')).toBe('/login');
    expect((await person.get('/')).status).toBe(303);
  });

  it('every page with headers that let nothing else in', async () => {
    const person = await logIn(port(), ADMIN.key);
    const pages = [
      '/',
      '/login?over=1',
      `/dashboard/tickets?subject=${appid}`,
      '/dashboard/tickets',
    ];
    for (const path of [...pages, '/dashboard/refresh.js']) {
      const { headers } = await person.get(path);
      const policy = headers.get('content-security-policy');
      if (path.endsWith('.js')) expect(policy).toBeNull();
      else if (headers.get('location') === null) {
        expect(policy?.replace(/nonce-[^']+/, 'nonce-N')).toBe(
          "default-src 'none'; script-src 'self'; style-src 'nonce-N'; connect-src 'self'; " +
            "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        );
        expect(headers.get('cache-control')).toBe('no-store');
      }
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('referrer-policy')).toBe('same-origin');
      expect(headers.get('x-frame-options')).toBe('DENY');
    }
    const page = await (await person.get('/')).text();
    expect(page).not.toMatch(/\sstyle=|\son\w+=|javascript:|<script>/);
    expect([...page.matchAll(/(?:src|href|action)="([^"]*)"/g)].map(([, to]) => to)).toSatisfy(
      (targets: string[]) => targets.every((to) => /^[/#](?!\/)/.test(to)),
    );
  });

  it('takes bodies of a form only, and small ones', async () => {
    const person = createPerson(port());
    const large = await person.post('/login', { key: 'x'.repeat(5_000) });
    expect(large.status).toBe(400);
    const status = await new Promise((resolve) => {
      const sent = request({ port: port(), host: '127.0.0.1', method: 'PUT', path: '/login' });
      sent.on('response', (answer) => resolve(answer.statusCode)).end();
    });
    expect(status).toBe(404);
  });
});
