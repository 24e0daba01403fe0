import { PassThrough } from 'node:stream';
import { listen } from '../../src/http/server.ts';
import { createInternalApp } from '../../src/http/internal/app.ts';
import { makeApiKey, parseApiKeyEntry } from '../../src/config/api-keys.ts';
import { startRedisServer } from '../../src/sandbox/redis/launch.ts';
import { createLog } from '../../src/lib/log.ts';
import { authorizerToken, revokeAuthorization } from '../../src/store/authorizers/authorization.ts';
import { SECRET, sendMessage } from './delivering.ts';
import { NO_HANDLERS } from './handlers.ts';
import { newestEvents } from './public-listener.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  type InternalRequest,
  MINUTE,
  type TestPlatform,
} from './platform.ts';
import { INFO_API } from './reconciling.ts';
import { passUnanswered } from './waiting.ts';

/**
 * Takes one answer for each operation of the internal API and each status it is documented with, from a
 * running service and WeChat's simulator. What is random or secret is made up afterwards.
 */

/** Bodies by operation and status; `*` is for what any operation answers. */
export type Examples = Record<string, Record<string, unknown>>;

const UNKNOWN = 'wxffffffffffffffff';
const HERE = `/v1/components/${COMPONENT.appid}`;
const TOKEN = `/v1/credentials/component_access_token/${COMPONENT.appid}`;
const POST = { method: 'POST' };
/** Authorizers of the simulator; the last one ends its authorization. */
const ACCOUNTS = 3;

type Ask = (path: string, init?: InternalRequest) => Promise<Response>;

/** A request whose answer is an example: operation, status, path, and how it is sent. */
type Step = readonly [operation: string, status: number, path: string, init?: InternalRequest];

const send = (body: unknown): InternalRequest => ({ ...POST, body: JSON.stringify(body) });

export async function takeExamples(): Promise<Examples> {
  const taken: Examples = {};
  for (const part of [healthy, withoutRedis, withoutTicket, broken]) await part(taken);
  return taken;
}

async function take(taken: Examples, ask: Ask, steps: readonly Step[]): Promise<void> {
  for (const [operation, status, path, init] of steps) {
    const answer = await ask(path, init);
    const body = await answer.text();
    if (answer.status !== status) {
      throw new Error(`${operation}: ${answer.status} instead of ${status}: ${body}`);
    }
    const isJson = answer.headers.get('content-type')?.startsWith('application/json');
    (taken[operation] ??= {})[status] = isJson ? madeUp(JSON.parse(body)) : excerptOf(body);
  }
}

/** A day on which everything goes well, and the mistakes that a client can make. */
async function healthy(taken: Examples): Promise<void> {
  const narrow = makeApiKey('narrow', `credentials:read@${UNKNOWN}`);
  const admin = makeApiKey('tests', 'admin');
  const platform = await createTestPlatform({
    ticket: true,
    links: true,
    routes: ROUTES,
    env: { API_KEYS: `${admin.entry},${narrow.entry}` },
  });
  const as = (key: string | undefined) => asking(platform, key);
  try {
    const appids = platform.simulator.populate(COMPONENT.appid, ACCOUNTS);
    await passUnanswered(platform, 11 * MINUTE);
    const [one = '', , ended = ''] = appids;
    await revokeAuthorization(
      platform.store,
      authorizerToken(COMPONENT.appid, ended),
      platform.clock.now(),
    );
    await sendMessage(platform);
    await take(taken, as(admin.key), successes(one));
    const [{ id = '' } = {}] = await newestEvents(platform);
    await take(taken, as(admin.key), ofDeliveries(id));
    await passUnanswered(platform, 6 * MINUTE);
    await take(taken, as(admin.key), [
      ['refreshCredential', 200, `${TOKEN}/refresh`, POST],
      ['refreshCredentialOfAuthorizer', 200, `${tokenOf(one)}/refresh`, POST],
    ]);
    await take(taken, as(admin.key), mistakes(ended));
    await take(taken, as(narrow.key), forbidden(one));
    const link = await broughtLink(platform, as(admin.key));
    await take(taken, as(admin.key), [['readAuthorizationLink', 200, link]]);
    platform.simulator.addFault({ api: INFO_API, fault: { type: 'errcode', errcode: -1 } });
    await take(taken, as(admin.key), [
      ['refreshAuthorizerProfile', 503, `${HERE}/authorizers/${one}/profile`, POST],
    ]);
    await take(taken, as(undefined), [['*', 401, '/status']]);
    for (let wrong = 0; wrong < 9; wrong += 1) await as(undefined)('/status');
    await take(taken, as(undefined), [['*', 429, '/status']]);
  } finally {
    await platform.close();
  }
}

/** Where it is told what a link has brought. */
async function broughtLink(platform: TestPlatform, ask: Ask): Promise<string> {
  const made = await ask(`${HERE}/authorization-links`, send({ state: 'merchant-7' }));
  const { id, url } = (await made.json()) as { id: string; url: string };
  const { pathname, search } = new URL(url);
  const { code } = platform.simulator.grant(COMPONENT.appid, AUTHORIZER);
  const query = `auth_code=${encodeURIComponent(code)}&expires_in=600`;
  await fetch(platform.publicUrl(`${pathname}/done${search}&${query}`));
  return `${HERE}/authorization-links/${id}`;
}

const tokenOf = (appid: string) =>
  `/v1/credentials/authorizer_access_token/${COMPONENT.appid}/${appid}`;

const successes = (one: string): readonly Step[] => [
  ['livez', 200, '/livez'],
  ['readyz', 200, '/readyz'],
  ['readStatus', 200, '/status'],
  ['readMetrics', 200, '/metrics'],
  ['readCredential', 200, TOKEN],
  ['readCredentialOfAuthorizer', 200, tokenOf(one)],
  ['rejectCredential', 200, `${TOKEN}/rejected`, send({ seq: 1, errcode: 40001 })],
  ['rejectCredentialOfAuthorizer', 200, `${tokenOf(one)}/rejected`, send(REPORT)],
  ['createAuthorizationLink', 201, `${HERE}/authorization-links`, send({ lang: 'zh' })],
  ['listAuthorizers', 200, `${HERE}/authorizers?limit=1`],
  ['readAuthorizer', 200, `${HERE}/authorizers/${one}`],
  ['refreshAuthorizerProfile', 200, `${HERE}/authorizers/${one}/profile`, POST],
  ['readReconciliation', 200, `${HERE}/reconcile`],
  ['startReconciliation', 202, `${HERE}/reconcile`, POST],
  ['startPushTicket', 202, `${HERE}/start-push-ticket`, POST],
];
const ofDeliveries = (push: string): readonly Step[] => [
  ['readPush', 200, `${HERE}/pushes/${push}`],
  ['readDeliveries', 200, `${HERE}/deliveries/shop`],
  ['resumeDeliveries', 200, `${HERE}/deliveries/shop/resume`, POST],
  ['replayDeliveries', 200, `${HERE}/deliveries/shop/replay`, send({ all: true })],
  ['discardDeliveries', 200, `${HERE}/deliveries/shop/discard`, send({ all: true })],
];
/** Nobody listens there. */
const ROUTES = [
  { name: 'shop', target: 'http://127.0.0.1:9/wechat', mode: 'json', secrets: [SECRET] },
];
const NO_PUSH = '00000000-0000-4000-8000-000000000000';
const REPORT = { seq: 1, errcode: 42001 };

const mistakes = (ended: string): readonly Step[] => {
  const nobody = `/v1/components/${UNKNOWN}`;
  const code = `/v1/credentials/pre_auth_code/${COMPONENT.appid}`;
  return [
    ['readCredential', 404, `/v1/credentials/component_access_token/${UNKNOWN}`],
    ['readCredentialOfAuthorizer', 404, tokenOf(UNKNOWN)],
    ['readCredentialOfAuthorizer', 410, tokenOf(ended)],
    ['rejectCredential', 400, `${TOKEN}/rejected`, send({ seq: 1 })],
    [
      'rejectCredential',
      404,
      `/v1/credentials/access_token/${UNKNOWN}/rejected`,
      send({ seq: 1, errcode: 40001 }),
    ],
    ['rejectCredentialOfAuthorizer', 400, `${tokenOf(ended)}/rejected`, send({ seq: -1 })],
    ['rejectCredentialOfAuthorizer', 404, `${tokenOf(UNKNOWN)}/rejected`, send(REPORT)],
    ['rejectCredentialOfAuthorizer', 410, `${tokenOf(ended)}/rejected`, send(REPORT)],
    ['refreshCredential', 400, `${code}/refresh`, POST],
    ['refreshCredential', 404, `/v1/credentials/access_token/${UNKNOWN}/refresh`, POST],
    ['refreshCredentialOfAuthorizer', 404, `${tokenOf(UNKNOWN)}/refresh`, POST],
    ['refreshCredentialOfAuthorizer', 410, `${tokenOf(ended)}/refresh`, POST],
    ['createAuthorizationLink', 400, `${HERE}/authorization-links`, send({ expires_in: 1 })],
    ['createAuthorizationLink', 404, `${nobody}/authorization-links`, POST],
    ['readAuthorizationLink', 404, `${HERE}/authorization-links/nothing`],
    ['listAuthorizers', 400, `${HERE}/authorizers?limit=1000`],
    ['listAuthorizers', 404, `${nobody}/authorizers`],
    ['readAuthorizer', 404, `${HERE}/authorizers/${UNKNOWN}`],
    ['refreshAuthorizerProfile', 404, `${HERE}/authorizers/${UNKNOWN}/profile`, POST],
    ['readReconciliation', 404, `${nobody}/reconcile`],
    ['startReconciliation', 404, `${nobody}/reconcile`, POST],
    ['readPush', 404, `${HERE}/pushes/${NO_PUSH}`],
    ['readDeliveries', 404, `${HERE}/deliveries/nobody`],
    ['resumeDeliveries', 404, `${nobody}/deliveries/shop/resume`, POST],
    ['replayDeliveries', 400, `${HERE}/deliveries/shop/replay`, send({})],
    ['replayDeliveries', 404, `${HERE}/deliveries/nobody/replay`, send({ all: true })],
    ['discardDeliveries', 400, `${HERE}/deliveries/shop/discard`, send({ ids: [] })],
    ['discardDeliveries', 404, `${HERE}/deliveries/nobody/discard`, send({ all: true })],
    ['startPushTicket', 404, `${nobody}/start-push-ticket`, POST],
    ['startPushTicket', 429, `${HERE}/start-push-ticket`, POST],
  ];
};

/** With a key for the credentials of something else. */
const forbidden = (one: string): readonly Step[] => [
  ['readStatus', 403, '/status'],
  ['readMetrics', 403, '/metrics'],
  ['readOpenapi', 403, '/openapi.json'],
  ['readCredential', 403, TOKEN],
  ['readCredentialOfAuthorizer', 403, tokenOf(one)],
  ['rejectCredential', 403, `${TOKEN}/rejected`, POST],
  ['rejectCredentialOfAuthorizer', 403, `${tokenOf(one)}/rejected`, POST],
  ['refreshCredential', 403, `${TOKEN}/refresh`, POST],
  ['refreshCredentialOfAuthorizer', 403, `${tokenOf(one)}/refresh`, POST],
  ['createAuthorizationLink', 403, `${HERE}/authorization-links`, POST],
  ['readAuthorizationLink', 403, `${HERE}/authorization-links/nothing`],
  ['listAuthorizers', 403, `${HERE}/authorizers`],
  ['readAuthorizer', 403, `${HERE}/authorizers/${one}`],
  ['refreshAuthorizerProfile', 403, `${HERE}/authorizers/${one}/profile`, POST],
  ['readReconciliation', 403, `${HERE}/reconcile`],
  ['startReconciliation', 403, `${HERE}/reconcile`, POST],
  ['readPush', 403, `${HERE}/pushes/${NO_PUSH}`],
  ['readDeliveries', 403, `${HERE}/deliveries/shop`],
  ['resumeDeliveries', 403, `${HERE}/deliveries/shop/resume`, POST],
  ['replayDeliveries', 403, `${HERE}/deliveries/shop/replay`, POST],
  ['discardDeliveries', 403, `${HERE}/deliveries/shop/discard`, POST],
  ['startPushTicket', 403, `${HERE}/start-push-ticket`, POST],
];

async function withoutRedis(taken: Examples): Promise<void> {
  const server = await startRedisServer();
  const platform = await createTestPlatform({ redisUrl: server.url, routes: ROUTES });
  try {
    await server.kill();
    const one = `${HERE}/authorizers/${UNKNOWN}`;
    await take(taken, asking(platform, platform.apiKey), [
      ['readyz', 503, '/readyz'],
      ['readCredentialOfAuthorizer', 503, tokenOf(UNKNOWN)],
      ['rejectCredentialOfAuthorizer', 503, `${tokenOf(UNKNOWN)}/rejected`, send(REPORT)],
      ['refreshCredentialOfAuthorizer', 503, `${tokenOf(UNKNOWN)}/refresh`, POST],
      ['readAuthorizationLink', 503, `${HERE}/authorization-links/nothing`],
      ['listAuthorizers', 503, `${HERE}/authorizers`],
      ['readAuthorizer', 503, one],
      ['readReconciliation', 503, `${HERE}/reconcile`],
      ['startReconciliation', 503, `${HERE}/reconcile`, POST],
      ['readPush', 503, `${HERE}/pushes/${NO_PUSH}`],
      ['readDeliveries', 503, `${HERE}/deliveries/shop`],
      ['resumeDeliveries', 503, `${HERE}/deliveries/shop/resume`, POST],
      ['replayDeliveries', 503, `${HERE}/deliveries/shop/replay`, send({ all: true })],
      ['discardDeliveries', 503, `${HERE}/deliveries/shop/discard`, send({ all: true })],
    ]);
  } finally {
    await platform.close();
    await server.stop();
  }
}

/** The first minutes, with a wrong AppSecret and without PUBLIC_BASE_URL. */
async function withoutTicket(taken: Examples): Promise<void> {
  const platform = await createTestPlatform();
  const fault = { type: 'errcode', errcode: 40125 } as const;
  platform.simulator.addFault({ api: 'api_start_push_ticket', times: 'forever', fault });
  try {
    await take(taken, asking(platform, platform.apiKey), [
      ['readCredential', 503, TOKEN],
      ['rejectCredential', 503, `${TOKEN}/rejected`, send({ seq: 0, errcode: 40001 })],
      ['refreshCredential', 503, `${TOKEN}/refresh`, POST],
      ['createAuthorizationLink', 503, `${HERE}/authorization-links`, POST],
      ['startPushTicket', 503, `${HERE}/start-push-ticket`, POST],
    ]);
  } finally {
    await platform.close();
  }
}

/** A fault of ours. */
async function broken(taken: Examples): Promise<void> {
  const { key, entry } = makeApiKey('tests', 'admin');
  const parsed = parseApiKeyEntry(entry);
  const app = createInternalApp({
    handlers: NO_HANDLERS,
    apiKeys: parsed === undefined ? [] : [parsed],
    log: createLog({ level: 'error', stream: new PassThrough().resume() }),
  });
  const listener = await listen(app, '127.0.0.1', 0);
  const ask: Ask = (path) =>
    fetch(`http://127.0.0.1:${listener.port}${path}`, {
      headers: { authorization: `Bearer ${key}` },
    });
  await take(taken, ask, [['*', 500, '/status']]);
  await listener.close(0);
}

function asking(platform: TestPlatform, key: string | undefined): Ask {
  return (path, init) =>
    platform.internal(path, {
      ...init,
      headers: { authorization: key === undefined ? '' : `Bearer ${key}`, ...init?.headers },
    });
}

/** Of the metrics, one that is the same in every run. */
function excerptOf(text: string): string {
  const lines = text.split('\n').filter((line) => /^(# \w+ )?wxkeeper_redis_up\b/.test(line));
  return lines.map((line) => `${line}\n`).join('');
}

/** What differs from run to run, by the name of its field. */
const MADE_UP: Readonly<Record<string, unknown>> = {
  value: 'EXAMPLE-not-a-real-value',
  request_id: '00000000-0000-4000-8000-000000000000',
  replica: 'host-1-0a1b',
  obtained_by: 'host-1-0a1b',
  id: 'host-1-0a1b',
  host: 'host',
  version: '1.0.0',
  rid: '00000000-00000000-00000000',
  latency_ms: 0.4,
  took_ms: 35,
};
const LINK_ID = /^[\w-]{16}$/;
const TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;

/** The same answer with made-up values for what is random, depends on the time, or is secret. */
function madeUp(value: unknown, name = ''): unknown {
  if (value === null) return null;
  if (name === 'id' && typeof value === 'string' && LINK_ID.test(value)) return '2Zr1wHlfYv0qS8aB';
  if (name in MADE_UP) return MADE_UP[name];
  if (Array.isArray(value)) return value.map((one) => madeUp(one));
  if (typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, madeUp(one, key)]));
  }
  if (typeof value !== 'string') return value;
  if (TIME.test(value)) return '2026-11-21T06:48:01.212Z';
  return value.replace(/link=[\w.-]+/, 'link=EXAMPLE');
}
