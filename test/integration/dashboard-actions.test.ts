import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ADMIN,
  createDashboardPlatform,
  csrfIn,
  HALF,
  logIn,
  NARROWED,
  READER,
} from '../kit/dashboard.ts';
import { TOKEN } from '../kit/liveness.ts';
import { COMPONENT, MINUTE, type TestPlatform } from '../kit/platform.ts';

const { appid } = COMPONENT;

describe('an action of the dashboard', () => {
  let platform: TestPlatform;
  const port = () => platform.app.internalPort();
  beforeAll(async () => {
    platform = await createDashboardPlatform();
    await platform.simulator.pushTicket();
    await platform.settle();
    await platform.pass(2 * MINUTE);
  });
  afterAll(() => platform.close());

  const refresh = { kind: TOKEN.kind, subject: appid };
  const seq = async () => Number(await platform.redis.hget(platform.keys.record(TOKEN), 'seq'));
  const notice = async (person: Awaited<ReturnType<typeof logIn>>) => {
    const page = await (await person.get('/', { 'accept-language': 'en' })).text();
    return /id="notice"[^>]*>([^<]*)/.exec(page)?.[1]?.trim();
  };

  it('is asked about first, and changes nothing by being looked at', async () => {
    const person = await logIn(port(), ADMIN.key);
    const before = await seq();
    const query = new URLSearchParams(refresh).toString();
    const page = await person.get(`/dashboard/refresh?${query}`);
    expect(page.status).toBe(200);
    expect(csrfIn(await page.text())).toHaveLength(43);
    await platform.settle();
    expect(await seq()).toBe(before);
  });

  it('needs the token of the form, sent from here', async () => {
    const person = await logIn(port(), ADMIN.key);
    const other = await logIn(port(), ADMIN.key);
    const csrf = csrfIn(await (await person.get('/')).text());
    const theirs = csrfIn(await (await other.get('/')).text());
    expect(theirs).not.toBe(csrf);
    const before = await seq();
    for (const fields of [{}, { csrf: '' }, { csrf: 'x' }, { csrf: theirs }]) {
      const answer = await person.post('/dashboard/refresh', { ...refresh, ...fields });
      expect(answer.status).toBe(403);
    }
    const cross = { 'sec-fetch-site': 'cross-site' };
    expect((await person.post('/dashboard/refresh', { ...refresh, csrf }, cross)).status).toBe(403);
    expect(await seq()).toBe(before);
  });

  it('refreshes, once, and says so once', async () => {
    const person = await logIn(port(), ADMIN.key);
    const before = await seq();
    const answer = await person.send('/dashboard/refresh', refresh);
    expect(answer.status).toBe(303);
    expect(await answer.text()).toBe('See Other. Redirecting to /');
    expect(await seq()).toBe(before + 1);
    expect(await notice(person)).toBe(`component_access_token (${appid}) was refreshed.`);
    expect(await notice(person)).toBeUndefined();
    await person.send('/dashboard/refresh', refresh);
    expect(await notice(person)).toContain('was not refreshed');
    expect(await seq()).toBe(before + 1);
    const value = (await platform.redis.get(platform.keys.mirror(TOKEN))) ?? '';
    expect(value.length).toBeGreaterThan(20);
    expect(await (await person.get('/')).text()).not.toContain(value);
  });

  it('asks for tickets, not twice in a minute', async () => {
    const person = await logIn(port(), HALF.key);
    await person.send('/dashboard/tickets', { subject: appid });
    expect(await notice(person)).toContain('WeChat was asked to push tickets');
    expect(platform.simulator.ledger.calls.at(-1)?.api).toBe('api_start_push_ticket');
    await person.send('/dashboard/tickets', { subject: appid });
    expect(await notice(person)).toBe(
      `Nothing was done for ${appid}: too many requests; wait a minute.`,
    );
  });

  it('starts a comparison with WeChat', async () => {
    const person = await logIn(port(), ADMIN.key);
    await person.send('/dashboard/reconcile', { subject: appid });
    expect(await notice(person)).toContain('begins within seconds');
    const run = await platform.redis.hgetall(platform.keys.reconciliation(appid));
    expect(run).toHaveProperty('requested_at');
  });

  it('says so when WeChat refuses', async () => {
    const person = await logIn(port(), ADMIN.key);
    platform.clock.sleepThrough(6 * MINUTE);
    const fault = { type: 'errcode', errcode: 40125 } as const;
    platform.simulator.addFault({ api: 'api_component_token', times: 1, fault });
    await person.send('/dashboard/refresh', refresh);
    expect(await notice(person)).toContain('was not refreshed now');
  });

  it.each([
    ['a reader', READER.key, refresh, 403],
    [
      'an admin of something else',
      HALF.key,
      { kind: 'access_token', subject: 'wx00000000000000a1' },
      403,
    ],
    [
      'an admin, of what is not kept',
      ADMIN.key,
      { ...refresh, subject: 'wxffffffffffffffff' },
      404,
    ],
    ['an admin, of what is used once', ADMIN.key, { ...refresh, kind: 'pre_auth_code' }, 404],
    ['an admin, of nonsense', ADMIN.key, { kind: '__proto__', subject: 'constructor' }, 404],
  ])('is refused to %s', async (_who, key, fields, status) => {
    const person = await logIn(port(), key);
    expect((await person.send('/dashboard/refresh', fields)).status).toBe(status);
    const query = new URLSearchParams(fields).toString();
    expect((await person.get(`/dashboard/refresh?${query}`)).status).toBe(status);
  });

  it('is offered only to those who may', async () => {
    const page = async (key: string) => (await (await logIn(port(), key)).get('/')).text();
    expect(await page(READER.key)).not.toContain('/dashboard/refresh?');
    const half = await page(HALF.key);
    expect(half).toContain(`subject=${appid}`);
    expect(half).not.toContain('subject=wx00000000000000a1');
    const narrowed = await page(NARROWED.key);
    expect(narrowed).toContain('wx00000000000000a1');
    expect(narrowed).not.toContain(appid);
    expect(narrowed).not.toContain('wx00000000000000a2');
  });
});
