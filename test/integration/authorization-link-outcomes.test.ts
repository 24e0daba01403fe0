import { createHash, createHmac } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { linksOf } from '../kit/authorization-pages.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  MINUTE,
  type TestPlatform,
} from '../kit/platform.ts';

/** Which account came by which link: asked here, and not read off an address that anybody can type. */

const BACK = 'https://shop.example.com/wechat';
const OTHER = 'wx00000000000000e1';
const DAY = 86_400_000;
const SHOP = makeApiKey('shop', 'credentials:read');
const ADMIN = makeApiKey('tests', 'admin');
const PATH = `/v1/components/${COMPONENT.appid}/authorization-links`;

let platform: TestPlatform;
afterEach(() => platform.close());

async function open(): Promise<void> {
  platform = await createTestPlatform({
    ticket: true,
    links: true,
    env: { API_KEYS: `${ADMIN.entry},${SHOP.entry}`, COMPONENT_RETURN_URLS: BACK },
  });
}

const as = (key: string) => ({ authorization: `Bearer ${key}` });

interface Link {
  id: string;
  path: string;
}

async function makeLink(wanted: object, key = SHOP.key): Promise<Link> {
  const init = { method: 'POST', body: JSON.stringify(wanted), headers: as(key) };
  const answer = await platform.internal(PATH, init);
  expect(answer.status).toBe(201);
  const { id, url } = (await answer.json()) as { id: string; url: string };
  const { pathname, search } = new URL(url);
  return { id, path: `${pathname}${search}` };
}

/** Opens the link, and returns the code by which WeChat knows the visit. */
async function visit({ path }: Link): Promise<string> {
  const page = await (await fetch(platform.publicUrl(path))).text();
  await platform.settle();
  return new URL(linksOf(page)[0] ?? '').searchParams.get('pre_auth_code') ?? '';
}

function comeBack({ path }: Link, code: string): Promise<Response> {
  const query = `auth_code=${encodeURIComponent(code)}&expires_in=600`;
  const url = platform.publicUrl(`${path.replace('?', '/done?')}&${query}`);
  return fetch(url, { redirect: 'manual' });
}

async function outcome({ id }: Pick<Link, 'id'>, key = SHOP.key) {
  const answer = await platform.internal(`${PATH}/${id}`, { headers: as(key) });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
}

/** What an application does with an address at which a merchant arrives. */
function isSigned(address: URL, apiKey: string): boolean {
  const names = ['link_id', 'ts', 'component_appid', 'authorizer_appid', 'result', 'state'];
  const text = names.map((name) => address.searchParams.get(name) ?? '').join('\n');
  const key = createHash('sha256').update(apiKey).digest('hex');
  const expected = createHmac('sha256', key).update(`wxkeeper return\n${text}`).digest('hex');
  return address.searchParams.get('signature') === expected;
}

describe('row 143: an account is bound to the link that brought it', () => {
  it('the lookup says which, when, and with which state; the return is signed', async () => {
    await open();
    const link = await makeLink({ return_url: `${BACK}?page=2`, state: 'merchant-7' });
    expect(await outcome(link)).toMatchObject({
      status: 404,
      body: { error: { code: 'not_found' } },
    });
    const preAuthCode = await visit(link);
    expect((await outcome(link)).status).toBe(404);
    const at = Math.floor(platform.clock.now() / 1000) * 1000;
    const { code } = platform.simulator.grant(COMPONENT.appid, AUTHORIZER, { preAuthCode });
    const answer = await comeBack(link, code);
    expect(answer.status).toBe(303);
    const address = new URL(answer.headers.get('location') ?? '');
    expect(Object.fromEntries(address.searchParams)).toEqual({
      page: '2',
      state: 'merchant-7',
      result: 'authorized',
      link_id: link.id,
      component_appid: COMPONENT.appid,
      authorizer_appid: AUTHORIZER,
      ts: String(Math.floor(platform.clock.now() / 1000)),
      signature: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
    });
    expect(isSigned(address, SHOP.key)).toBe(true);
    const authorization = {
      authorizer_appid: AUTHORIZER,
      authorized_at: new Date(at).toISOString(),
    };
    const { status, body } = await outcome(link);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      id: link.id,
      component_appid: COMPONENT.appid,
      state: 'merchant-7',
      ...authorization,
      authorizations: [authorization],
    });
  });

  it('what a merchant types does not get there, and is signed by nobody', async () => {
    await open();
    const other = await makeLink({ return_url: BACK, state: 'merchant-8' });
    const theirs = platform.simulator.grant(COMPONENT.appid, OTHER);
    await comeBack(other, theirs.code);
    const link = await makeLink({ return_url: BACK, state: 'merchant-7' });
    const mine = platform.simulator.grant(COMPONENT.appid, AUTHORIZER);
    const answer = await comeBack(link, mine.code);
    const address = new URL(answer.headers.get('location') ?? '');
    expect(isSigned(address, SHOP.key)).toBe(true);
    for (const [name, value] of [
      ['authorizer_appid', OTHER],
      ['state', 'merchant-8'],
      ['link_id', other.id],
      ['ts', '9999999999'],
      ['result', 'failed'],
      ['component_appid', OTHER],
    ] as const) {
      const typed = new URL(address);
      typed.searchParams.set(name, value);
      expect([name, isSigned(typed, SHOP.key)]).toEqual([name, false]);
    }
    expect(isSigned(address, ADMIN.key)).toBe(false);
    expect((await outcome(link)).body).toMatchObject({ authorizer_appid: AUTHORIZER });
    expect((await outcome(other)).body).toMatchObject({ authorizer_appid: OTHER });
  });

  it('names what a link brought although the merchant never came back: the event tells it', async () => {
    await open();
    const link = await makeLink({ state: 'merchant-7' });
    const preAuthCode = await visit(link);
    const { eventCode } = platform.simulator.grant(COMPONENT.appid, AUTHORIZER, { preAuthCode });
    await platform.simulator.pushAuthorized(COMPONENT.appid, AUTHORIZER, eventCode, {
      preAuthCode,
    });
    await platform.settle();
    expect((await outcome(link)).body).toMatchObject({
      authorizer_appid: AUTHORIZER,
      state: 'merchant-7',
    });
  });

  it('when the event was first and has done all the work', async () => {
    await open();
    const link = await makeLink({ return_url: BACK });
    const { code } = platform.simulator.grant(COMPONENT.appid, AUTHORIZER);
    await platform.simulator.pushAuthorized(COMPONENT.appid, AUTHORIZER, code);
    await platform.settle();
    expect((await comeBack(link, code)).status).toBe(303);
    expect((await outcome(link)).body).toMatchObject({ authorizer_appid: AUTHORIZER, state: null });
  });

  it('when WeChat gave no usable answer at first', async () => {
    await open();
    const link = await makeLink({ return_url: BACK });
    platform.simulator.addFault({ api: 'api_query_auth', fault: { type: 'errcode', errcode: -1 } });
    const { code } = platform.simulator.grant(COMPONENT.appid, AUTHORIZER);
    const state = { answered: false };
    const page = comeBack(link, code).finally(() => (state.answered = true));
    while (!state.answered) await platform.pass(1_000);
    await page;
    await platform.pass(MINUTE);
    expect((await outcome(link)).body).toMatchObject({ authorizer_appid: AUTHORIZER });
  });

  it('shows every account that came by it, the newest first, and for how long it is known', async () => {
    await open();
    const link = await makeLink({ return_url: BACK, expires_in: 3600 });
    for (const appid of [AUTHORIZER, OTHER]) {
      const { code } = platform.simulator.grant(COMPONENT.appid, appid);
      await comeBack(link, code);
      await platform.pass(MINUTE);
    }
    const { body } = await outcome(link);
    expect(body).toMatchObject({ authorizer_appid: OTHER });
    expect(
      (body.authorizations as { authorizer_appid: string }[]).map((one) => one.authorizer_appid),
    ).toEqual([OTHER, AUTHORIZER]);
    const ttl = await platform.redis.pttl(platform.keys.linkOutcome(COMPONENT.appid, link.id));
    expect(ttl / DAY).toBeGreaterThan(29.9);
    expect(ttl / DAY).toBeLessThan(30.1);
  });

  it('is for keys that may make links there, and of the component that the link is of', async () => {
    await open();
    const link = await makeLink({ return_url: BACK });
    await comeBack(link, platform.simulator.grant(COMPONENT.appid, AUTHORIZER).code);
    expect((await outcome(link, 'wxk_shop_wrong')).status).toBe(401);
    expect((await outcome(link, ADMIN.key)).status).toBe(200);
    for (const id of [
      'nothing',
      `${link.id}x`,
      '..',
      '*',
      encodeURIComponent('a/b'),
      'x'.repeat(300),
    ]) {
      expect((await outcome({ id })).status).toBe(404);
    }
    const elsewhere = await platform.internal(
      `/v1/components/${OTHER}/authorization-links/${link.id}`,
      { headers: as(ADMIN.key) },
    );
    expect(elsewhere.status).toBe(404);
  });

  it('what was cancelled is signed as such', async () => {
    await open();
    const link = await makeLink({ return_url: BACK, state: 's' });
    const page = await fetch(platform.publicUrl(link.path.replace('?', '/done?')));
    const back = linksOf(await page.text()).find((one) => one.startsWith(BACK)) ?? '';
    expect(isSigned(new URL(back), SHOP.key)).toBe(true);
    expect((await outcome(link)).status).toBe(404);
  });
});
