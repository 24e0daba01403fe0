import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { ADMIN, createDashboardPlatform, logIn, NARROWED, READER } from '../kit/dashboard.ts';
import { readMetrics } from '../kit/metrics.ts';
import { logged } from '../kit/observe.ts';
import { COMPONENT, MINUTE, type TestPlatform } from '../kit/platform.ts';

/** Who was refused, who did what only few may do, and who read how often. */

const SHOP = makeApiKey('shop', `credentials:read@${COMPONENT.appid}`);
const TESTS = makeApiKey('tests', 'admin');
const HERE = `/v1/components/${COMPONENT.appid}`;
const TOKEN = `/v1/credentials/component_access_token/${COMPONENT.appid}`;
const CODE = `/v1/credentials/pre_auth_code/${COMPONENT.appid}`;
const ELSEWHERE = 'wx00000000000000ff';

let platform: TestPlatform;
beforeEach(async () => {
  const entries = [ADMIN, READER, NARROWED, SHOP, TESTS].map(({ entry }) => entry);
  platform = await createDashboardPlatform({
    env: { API_KEYS: entries.join(','), PUBLIC_BASE_URL: 'https://wx.example.com' },
  });
  await platform.simulator.pushTicket();
  await platform.settle();
  platform.logs.length = 0;
});
afterEach(() => platform.close());

async function ask(path: string, key: string | undefined, method = 'GET') {
  const headers = { authorization: key === undefined ? '' : `Bearer ${key}` };
  const answer = await platform.internal(path, { method, headers });
  await answer.text();
  await platform.settle();
  return answer.status;
}

const trail = () => platform.logs.filter(({ room }) => room === 'audit');

describe('row 147: a refusal leaves a line at warn, with', () => {
  it('the key, the scope, the route, the appids and the peer', async () => {
    expect(await ask(`/v1/credentials/access_token/${ELSEWHERE}`, SHOP.key)).toBe(403);
    expect(await ask(`${HERE}/reconcile`, SHOP.key, 'POST')).toBe(403);
    expect(trail()).toMatchObject([
      {
        level: 'warn',
        message: 'access refused',
        key: 'shop',
        result: 'forbidden',
        scope: 'credentials:read',
        route: 'GET /v1/credentials/:kind/:component',
        kind: 'access_token',
        appids: [ELSEWHERE],
        address: expect.stringContaining('127.0.0.1') as unknown,
      },
      { level: 'warn', key: 'shop', scope: 'admin', appids: [COMPONENT.appid] },
    ]);
  });

  it('the id that a wrong key claims, and nothing else of it', async () => {
    const former = makeApiKey('former', 'admin');
    expect(await ask(TOKEN, former.key)).toBe(401);
    expect(await ask(TOKEN, 'a password')).toBe(401);
    expect(trail()).toMatchObject([
      { level: 'warn', message: 'wrong API key', claimed: 'former', result: 'unauthorized' },
      { level: 'warn', message: 'wrong API key' },
    ]);
    expect(JSON.stringify(platform.logs)).not.toContain(former.key.slice(-20));
  });

  it('a name that does not exist, for a narrowed key; whatever else is in a path is not repeated', async () => {
    const path = `/v1/credentials/authorizer_access_token/${COMPONENT.appid}/${encodeURIComponent('x\n"y')}`;
    expect(await ask(path, SHOP.key)).toBe(404);
    expect(await ask(`/v1/credentials/nothing/${COMPONENT.appid}`, SHOP.key)).toBe(404);
    expect(trail()).toMatchObject([
      { level: 'warn', result: 'not_found', appids: [COMPONENT.appid, 'malformed'] },
      { level: 'warn', result: 'not_found', kind: 'other' },
    ]);
  });

  it('no more than a few of them a minute, and their number when it is over', async () => {
    for (let time = 0; time < 200; time += 1) await ask(TOKEN, undefined);
    for (let time = 0; time < 20; time += 1) await ask(`${HERE}/reconcile`, SHOP.key, 'POST');
    const lines = trail();
    // Ten are told that they are wrong, the others that they are too many.
    expect(lines.filter(({ result }) => result === 'unauthorized')).toHaveLength(5);
    expect(lines.filter(({ result }) => result === 'too_many_requests')).toHaveLength(5);
    expect(lines.filter(({ key }) => key === 'shop')).toHaveLength(5);
    await platform.pass(MINUTE);
    expect(logged(platform, 'more was refused')).toMatchObject([{ level: 'warn', count: 205 }]);
    await ask(TOKEN, undefined);
    expect(trail().at(-1)).toMatchObject({ level: 'warn', address: expect.any(String) as unknown });
  });
});

describe('row 147: what only few may do leaves a line at info', () => {
  it('hand-outs of codes and links, forced mints, and what an admin asks for', async () => {
    await ask(CODE, SHOP.key);
    await ask(`${HERE}/authorization-links`, SHOP.key, 'POST');
    await platform.pass(2 * MINUTE);
    platform.logs.length = 0;
    await ask(`${TOKEN}/refresh`, TESTS.key, 'POST');
    await ask(`${HERE}/reconcile`, TESTS.key, 'POST');
    await ask(`${HERE}/start-push-ticket`, TESTS.key, 'POST');
    await ask(CODE, TESTS.key);
    await ask(CODE, TESTS.key, 'HEAD');
    await ask(TOKEN, TESTS.key);
    const common = {
      level: 'info',
      message: 'access used',
      key: 'tests',
      appids: [COMPONENT.appid],
    };
    expect(trail()).toMatchObject([
      {
        ...common,
        route: 'POST /v1/credentials/:kind/:component/refresh',
        kind: 'component_access_token',
      },
      { ...common, route: 'POST /v1/components/:component/reconcile', result: 'ok' },
      { ...common, route: 'POST /v1/components/:component/start-push-ticket' },
      { ...common, kind: 'pre_auth_code', scope: 'credentials:read', result: 'ok' },
    ]);
  });

  it('a merchant who is given a code', async () => {
    const headers = { authorization: `Bearer ${SHOP.key}` };
    const made = await platform.internal(`${HERE}/authorization-links`, {
      method: 'POST',
      headers,
    });
    const { id, url } = (await made.json()) as { id: string; url: string };
    const { pathname, search } = new URL(url);
    await fetch(platform.publicUrl(`${pathname}${search}`));
    expect(logged(platform, 'a merchant was given a code to authorize with')).toMatchObject([
      { level: 'info', link: id, key: 'shop', component: COMPONENT.appid },
    ]);
    expect(trail()).toMatchObject([{ level: 'info', key: 'shop', scope: 'credentials:read' }]);
  });

  it('log-ins, log-outs and actions of the dashboard, and what was refused there', async () => {
    const person = await logIn(platform.app.internalPort(), ADMIN.key);
    await person.send('/dashboard/reconcile', { subject: COMPONENT.appid });
    await person.send('/dashboard/reconcile', { subject: ELSEWHERE });
    await person.send('/logout', {});
    const reader = await logIn(platform.app.internalPort(), READER.key);
    await reader.send('/dashboard/tickets', { subject: COMPONENT.appid });
    await reader.post('/dashboard/tickets', { subject: COMPONENT.appid, csrf: 'x' });
    await reader.post('/login', { key: SHOP.key });
    await reader.post('/login', { key: makeApiKey('nobody', 'admin').key });
    await platform.settle();
    expect(trail()).toMatchObject([
      { level: 'info', key: 'ada', route: 'POST /login', scope: 'dashboard' },
      {
        level: 'info',
        key: 'ada',
        route: 'POST /dashboard/reconcile',
        appids: [COMPONENT.appid],
        result: 'requested',
      },
      { level: 'info', key: 'ada', route: 'POST /logout' },
      { level: 'info', key: 'rita', route: 'POST /login' },
      { level: 'warn', key: 'rita', route: 'POST /dashboard/tickets', result: 'forbidden' },
      { level: 'warn', key: 'rita', route: 'POST /dashboard/tickets', result: 'forbidden' },
      { level: 'warn', key: 'shop', route: 'POST /login', result: 'forbidden' },
      { level: 'warn', claimed: 'nobody', route: 'POST /login', result: 'unauthorized' },
    ]);
  });
});

it('row 147: reads are counted by key, kind and result', async () => {
  for (let time = 0; time < 3; time += 1) await ask(TOKEN, SHOP.key);
  await ask(TOKEN, TESTS.key, 'HEAD');
  await ask(`/v1/credentials/access_token/${ELSEWHERE}`, SHOP.key);
  await ask(`/v1/credentials/made-up/${COMPONENT.appid}`, TESTS.key);
  await ask(TOKEN, undefined);
  const metrics = await readMetrics({ ...platform, apiKey: TESTS.key });
  const reads = Object.entries(metrics).filter(([name]) => name.includes('credential_reads_total'));
  expect(Object.fromEntries(reads)).toEqual({
    'wxkeeper_credential_reads_total{key="shop",kind="component_access_token",request="read",result="ok"}': 3,
    'wxkeeper_credential_reads_total{key="shop",kind="access_token",request="read",result="forbidden"}': 1,
    'wxkeeper_credential_reads_total{key="tests",kind="other",request="read",result="not_found"}': 1,
  });
});
