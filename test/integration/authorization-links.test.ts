import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeApiKey, parseApiKeyEntry, type ApiKey } from '../../src/config/api-keys.ts';
import { openLink } from '../../src/authorizers/link.ts';
import { createInternalApp } from '../../src/http/internal/app.ts';
import { authorizationLinkHandlers } from '../../src/http/internal/handlers/authorization-links.ts';
import { listen, type Listener } from '../../src/http/server.ts';
import { createLog } from '../../src/lib/log.ts';
import { CLOCK_START, createManualClock } from '../kit/clock.ts';
import { NO_HANDLERS } from '../kit/handlers.ts';
import { AUTHORIZER, COMPONENT } from '../kit/platform.ts';

const BASE = 'https://wx.example.com';
const BACK = 'https://shop.example.com/wechat';
const DAY = 24 * 3600;
const OTHER = 'wxaaaaaaaaaaaaaaaa';
const keys = {
  reader: makeApiKey('reader', 'credentials:read'),
  narrow: makeApiKey('narrow', `credentials:read@${COMPONENT.appid}`),
  elsewhere: makeApiKey('elsewhere', `credentials:read@${OTHER}`),
  account: makeApiKey('account', `credentials:read@${AUTHORIZER}`),
  admin: makeApiKey('admin', 'admin'),
  status: makeApiKey('status', 'status:read'),
};

let listener: Listener;
let publicBaseUrl: string | undefined;

beforeEach(async () => {
  publicBaseUrl = BASE;
  const components = [{ appid: COMPONENT.appid, appsecret: COMPONENT.secret, returnUrls: [BACK] }];
  const app = createInternalApp({
    apiKeys: Object.values(keys)
      .map(({ entry }) => parseApiKeyEntry(entry))
      .filter((key): key is ApiKey => key !== undefined),
    handlers: {
      ...NO_HANDLERS,
      ...authorizationLinkHandlers({
        components,
        get publicBaseUrl() {
          return publicBaseUrl;
        },
        clock: createManualClock(),
        readOutcome: () => Promise.resolve(undefined),
      }),
    },
    log: createLog({ level: 'error' }),
  });
  listener = await listen(app, '127.0.0.1', 0);
});
afterEach(() => listener.close(0));

interface Answer {
  status: number;
  body: { url?: string; expires_at?: string; error?: { code: string; message: string } };
}

async function post(body?: unknown, key = keys.reader.key, component = COMPONENT.appid) {
  const path = `/v1/components/${component}/authorization-links`;
  const response = await fetch(`http://127.0.0.1:${listener.port}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}` },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() } as Answer;
}

function opened({ body }: Answer) {
  const url = new URL(body.url ?? '');
  expect(`${url.origin}${url.pathname}`).toBe(`${BASE}/authorize/${COMPONENT.appid}`);
  const token = url.searchParams.get('link') ?? '';
  return openLink(COMPONENT.secret, COMPONENT.appid, token, CLOCK_START);
}

describe('a link for a merchant', () => {
  it('needs nothing said', async () => {
    for (const body of [undefined, {}]) {
      const answer = await post(body);
      expect(answer.status).toBe(201);
      expect(Object.keys(answer.body)).toEqual(['id', 'url', 'expires_at']);
      expect(answer.body.expires_at).toBe(new Date(CLOCK_START + DAY * 1000).toISOString());
      expect(opened(answer)).toMatchObject({ authType: 3, categoryIds: [], returnUrl: undefined });
    }
  });

  it('carries whatever was said', async () => {
    const answer = await post({
      auth_type: 2,
      biz_appid: AUTHORIZER,
      category_id_list: [1, 19],
      lang: 'en',
      return_url: `${BACK}/done?a=b`,
      state: 'order "7"',
      expires_in: 60,
    });
    expect(answer.body.expires_at).toBe(new Date(CLOCK_START + 60_000).toISOString());
    expect(opened(answer)).toMatchObject({
      authType: 2,
      bizAppid: AUTHORIZER,
      categoryIds: [1, 19],
      language: 'en',
      returnUrl: `${BACK}/done?a=b`,
      state: 'order "7"',
      expiresAt: CLOCK_START + 60_000,
    });
  });

  it.each([
    ['auth_type', 7],
    ['auth_type', '3'],
    ['auth_type', null],
    ['biz_appid', 'wx0123456789ABCDEF'],
    ['biz_appid', 7],
    ['category_id_list', [0]],
    ['category_id_list', [1.5]],
    ['category_id_list', ['1']],
    ['category_id_list', '1|2'],
    ['category_id_list', Array.from({ length: 101 }, (_, index) => index + 1)],
    ['return_url', 'https://evil.example/'],
    ['return_url', `${BACK}@evil.example`],
    ['return_url', `${BACK}/../x`],
    ['return_url', 7],
    ['state', 'x'.repeat(513)],
    ['state', 'a\nb'],
    ['state', '订单'],
    ['state', 7],
    ['expires_in', 59],
    ['expires_in', 604_801],
    ['expires_in', 60.5],
    ['expires_in', '60'],
    ['lang', 'fr'],
    ['colour', 'red'],
  ])('is not made with %s %j', async (name, value) => {
    const { status, body } = await post({ [name]: value });
    expect(status).toBe(400);
    expect(body.error?.code).toBe('bad_request');
    expect(body.error?.message).toContain(name);
  });

  it('names every fault at once', async () => {
    const wrong = { auth_type: 7, state: 'é', lang: 'fr', return_url: 'https://evil.example' };
    const { body } = await post(wrong);
    for (const name of Object.keys(wrong)) expect(body.error?.message).toContain(name);
  });

  it.each(['{', '[]', '"x"', '7', JSON.stringify({ state: 'x'.repeat(5000) })])(
    'is not made from %.20s',
    async (body) => expect((await post(body)).status).toBe(400),
  );

  it('says so when the body is not JSON', async () => {
    expect((await post('{"lang": "zh",}')).body.error?.message).toBe(
      'The body must be a JSON object.',
    );
  });

  it.each([
    ['reader', 201],
    ['narrow', 201],
    ['admin', 201],
    ['elsewhere', 403],
    ['account', 403],
    ['status', 403],
  ] as const)('for the key "%s" is %d', async (name, status) => {
    expect((await post({}, keys[name].key)).status).toBe(status);
  });

  it('is for those with a key, and for components there are', async () => {
    expect((await post({}, 'wxk_reader_x')).status).toBe(401);
    const unknown = await post({}, keys.reader.key, OTHER);
    expect([unknown.status, unknown.body.error?.code]).toEqual([404, 'unknown_component']);
  });

  it('needs PUBLIC_BASE_URL', async () => {
    publicBaseUrl = undefined;
    const { status, body } = await post({});
    expect([status, body.error?.code]).toEqual([503, 'not_configured']);
    expect(body.error?.message).toContain('PUBLIC_BASE_URL');
  });

  it('is not to be had with GET', async () => {
    const path = `/v1/components/${COMPONENT.appid}/authorization-links`;
    const response = await fetch(`http://127.0.0.1:${listener.port}${path}`);
    expect(response.status).toBe(405);
  });
});
