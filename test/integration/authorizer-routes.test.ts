import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeApiKey } from '../../src/config/api-keys.ts';
import {
  authorizerToken,
  awaitReauthorization,
  revokeAuthorization,
} from '../../src/store/authorizers/authorization.ts';
import { readRecord } from '../../src/store/credentials/record.ts';
import {
  COMPONENT,
  createTestPlatform,
  type InternalRequest,
  MINUTE,
  type TestPlatform,
} from '../kit/platform.ts';
import { INFO_API } from '../kit/reconciling.ts';
import { passUnanswered } from '../kit/waiting.ts';

const BASE = `/v1/components/${COMPONENT.appid}`;
const LIST = `${BASE}/authorizers`;
const TIME: unknown = expect.stringMatching(/^2026-/);

interface Listed {
  appid: string;
  state: string;
  type: string | null;
  nick_name: string;
  profile_at: string | null;
  token: { state: string; seq: number; failures_in_a_row: number } | null;
}
interface Body {
  authorizers?: Listed[];
  next?: string | null;
  total?: number;
  reconcile?: { state: string };
  error?: { code: string; message: string };
}

let platform: TestPlatform;
let appids: string[];
const keys = {
  admin: makeApiKey('admin', 'admin'),
  status: makeApiKey('status', `status:read@${COMPONENT.appid}`),
  elsewhere: makeApiKey('elsewhere', 'status:read@wxaaaaaaaaaaaaaaaa'),
  account: makeApiKey('account', 'status:read@wxa000000000000003'),
};

/** Seven accounts with live tokens; then the second ends, and the third is to authorize again. */
beforeAll(async () => {
  const entries = Object.values(keys).map(({ entry }) => entry);
  platform = await createTestPlatform({ ticket: true, env: { API_KEYS: entries.join(',') } });
  appids = platform.simulator.populate(COMPONENT.appid, 7);
  await passUnanswered(platform, 11 * MINUTE);
  const { store, clock } = platform;
  await revokeAuthorization(store, id(1), clock.now());
  await awaitReauthorization(store, id(2), await readRecord(store, id(2)));
});
afterAll(() => platform.close());

const id = (index: number) => authorizerToken(COMPONENT.appid, appids[index] ?? '');

/** Whatever is asked: no token and no refresh token is in the answer. */
async function ask(path: string, key = keys.status.key, init: InternalRequest = {}) {
  const headers = { authorization: `Bearer ${key}` };
  const response = await platform.internal(path, { ...init, headers });
  const text = await response.text();
  for (const index of appids.keys()) {
    const { value, refreshToken } = await readRecord(platform.store, id(index));
    for (const secret of [value, refreshToken])
      expect(text).not.toContain(secret ?? 'refreshtoken');
  }
  return { status: response.status, body: JSON.parse(text) as Body & Partial<Listed> };
}

const post = (path: string, key = keys.admin.key) => ask(path, key, { method: 'POST' });

describe('the list of authorizers', () => {
  it('says what each one is, and what its token is like', async () => {
    const { status, body } = await ask(LIST);
    expect(status).toBe(200);
    expect(body).toMatchObject({ total: 7, next: null });
    const [first, second, third] = body.authorizers ?? [];
    expect(first).toMatchObject({
      appid: appids[0],
      state: 'authorized',
      type: 'official_account',
      account_status: 1,
      authorized_at: TIME,
      revoked_at: null,
      profile_at: TIME,
      token: { state: 'fresh', expires_at: TIME, seq: 1, failures_in_a_row: 0, last_error: null },
    });
    expect(first?.nick_name).not.toBe('');
    expect(second).toMatchObject({ state: 'revoked', revoked_at: TIME, token: null });
    expect(third).toMatchObject({ state: 'reauthorize', token: { state: 'fresh' } });
  });

  it('comes in pages', async () => {
    const seen: (string | undefined)[] = [];
    let after: string | null | undefined = '';
    for (let page = 0; page < 3; page += 1) {
      const more: string = after ? `&after=${after}` : '';
      const { body } = await ask(`${LIST}?limit=3${more}`);
      seen.push(...(body.authorizers ?? []).map(({ appid }) => appid));
      after = body.next;
    }
    expect(after).toBeNull();
    expect(seen).toEqual(appids);
  });

  it('is searched by name and appid, and filtered by state', async () => {
    const { body } = await ask(`${LIST}?search=${(appids[4] ?? '').toUpperCase()}`);
    expect(body.authorizers?.map(({ appid }) => appid)).toEqual([appids[4]]);
    expect((await ask(`${LIST}?search=nobody`)).body.authorizers).toEqual([]);
    expect((await ask(`${LIST}?state=unexchanged`)).body.authorizers).toEqual([]);
    expect((await ask(`${LIST}?state=authorized&limit=1`)).body.authorizers).toHaveLength(1);
  });

  it('names every fault of a query', async () => {
    const { status, body } = await ask(`${LIST}?limit=201&after=x&state=gone&page=2`);
    expect(status).toBe(400);
    expect(body.error?.code).toBe('bad_request');
    for (const word of ['limit must be', 'after must be', 'state must be', 'page is not known']) {
      expect(body.error?.message).toContain(word);
    }
    expect((await ask(`${LIST}?limit=1&limit=2`)).body.error?.message).toContain('given once');
  });
});

describe('one authorizer', () => {
  it('is shown to whoever may see it', async () => {
    const path = `${LIST}/${appids[3] ?? ''}`;
    expect(await ask(path)).toMatchObject({ status: 200, body: { appid: appids[3] } });
    expect(await ask(path, keys.account.key)).toMatchObject({ status: 200 });
    expect((await ask(`${LIST}/${appids[4] ?? ''}`, keys.account.key)).status).toBe(403);
    expect((await ask(LIST, keys.account.key)).status).toBe(403);
    expect((await ask(LIST, keys.elsewhere.key)).status).toBe(403);
  });

  it('is 404 when nobody knows it, as is a component', async () => {
    const other = 'wxbbbbbbbbbbbbbbbb';
    expect(await ask(`${LIST}/${other}`)).toMatchObject({
      status: 404,
      body: { error: { code: 'not_found' } },
    });
    const unknown = { status: 404, body: { error: { code: 'unknown_component' } } };
    for (const path of ['authorizers', `authorizers/${appids[0] ?? ''}`, 'reconcile']) {
      expect(await ask(`/v1/components/${other}/${path}`, keys.admin.key)).toMatchObject(unknown);
    }
  });

  it('is asked about anew, and a refusal comes in words', async () => {
    const path = `${LIST}/${appids[3] ?? ''}/profile`;
    expect((await post(path, keys.status.key)).status).toBe(403);
    const before = (await ask(`${LIST}/${appids[3] ?? ''}`)).body.profile_at ?? '';
    await platform.pass(1_000);
    const { status, body } = await post(path);
    expect(status).toBe(200);
    expect((body.profile_at ?? '') > before).toBe(true);
    expect((await post(`${LIST}/wxbbbbbbbbbbbbbbbb/profile`)).status).toBe(404);
    for (const [errcode, code] of [
      [-1, 'wechat_unavailable'],
      [48001, 'wechat_refused'],
    ] as const) {
      platform.simulator.addFault({ api: INFO_API, fault: { type: 'errcode', errcode } });
      const refused = await post(path);
      expect(refused).toMatchObject({ status: 503, body: { error: { code } } });
      expect(refused.body.error?.message).toMatch(/\w+\. \w+/);
    }
  });
});

describe('comparing with the list of WeChat', () => {
  it('is asked for, and its progress shown', async () => {
    expect((await post(`${BASE}/reconcile`, keys.status.key)).status).toBe(403);
    const asked = await post(`${BASE}/reconcile`);
    expect(asked).toMatchObject({ status: 202, body: { reconcile: { last_completed_at: TIME } } });
    await passUnanswered(platform, 1_000);
    expect(await ask(`${BASE}/reconcile`)).toMatchObject({
      status: 200,
      body: { reconcile: { state: 'done', cause: 'request', total: 7 } },
    });
  });
});

it('other methods are refused', async () => {
  for (const [path, method] of [
    [LIST, 'POST'],
    [`${LIST}/${appids[0] ?? ''}`, 'DELETE'],
    [`${LIST}/${appids[0] ?? ''}/profile`, 'GET'],
    [`${BASE}/reconcile`, 'PUT'],
  ] as const) {
    expect(await ask(path, keys.admin.key, { method })).toMatchObject({
      status: 405,
      body: { error: { code: 'method_not_allowed' } },
    });
  }
});
