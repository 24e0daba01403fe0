import { authorize } from './authorizers.ts';
import {
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
  type TestPlatformOptions,
} from './platform.ts';
import { post } from './public-listener.ts';
import { encryptPush, ticketXml } from './push-envelope.ts';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { mergeAuthorizer } from '../../src/store/authorizers/profile.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { configuredIds } from '../../src/credentials/catalog.ts';

/** The service as the dashboard shows it, and a person in front of it without a browser. */

export const ADMIN = makeApiKey('ada', 'admin');
export const READER = makeApiKey('rita', 'status:read');
/** Sees one account of our own and no platform. */
export const NARROWED = makeApiKey('nora', 'status:read@wx00000000000000a1');
/** May act on the platform only, though it sees everything. */
export const HALF = makeApiKey('hal', `status:read+admin@${COMPONENT.appid}`);
export const BLIND = makeApiKey('bob', 'credentials:read');

export const API_KEYS = [ADMIN, READER, NARROWED, HALF, BLIND].map(({ entry }) => entry).join(',');

/** A platform and two accounts of our own, with keys for the dashboard. */
export function createDashboardPlatform(options: TestPlatformOptions = {}): Promise<TestPlatform> {
  return createTestPlatform({ accounts: true, ...options, env: { API_KEYS, ...options.env } });
}

/** Some accounts that have authorized the platform, with names. */
export async function addMerchants(
  platform: TestPlatform,
  names: readonly string[],
  change: Parameters<typeof mergeAuthorizer>[3] = {},
): Promise<string[]> {
  const appids = names.map(
    (_, index) => `wx${(0xb0000000 + index).toString(16).padStart(16, '0')}`,
  );
  for (const [index, appid] of appids.entries()) {
    await authorize(platform, authorizerToken(COMPONENT.appid, appid));
    await mergeAuthorizer(platform.store, COMPONENT.appid, appid, {
      state: 'authorized',
      stateAt: platform.clock.now(),
      profileAt: platform.clock.now(),
      type: index % 2 === 0 ? 'official_account' : 'mini_program',
      nickName: names[index] ?? '',
      ...change,
    });
  }
  return appids;
}

/**
 * A week as the service would have written it: tickets every ten minutes but for one gap, refreshes
 * every 110 minutes but for one that was asked for, a few events.
 */
export async function fillPast(platform: TestPlatform): Promise<void> {
  const { redis, keys, clock, config } = platform;
  const now = clock.now();
  const { appid } = COMPONENT;
  const arrivals = Array.from({ length: 145 }, (_, index) => now - index * 10 * MINUTE)
    // Half an hour without one, twenty hours ago.
    .filter((at) => now - at < 20 * HOUR || now - at > 20.5 * HOUR);
  const write = async (key: string, values: (string | number)[]) => {
    await redis.del(key);
    await redis.rpush(key, ...values);
  };
  await write(keys.ticketArrivals(appid), arrivals);
  const ids = configuredIds({
    components: config.components.map((one) => ({ appid: one.appid, appsecret: '' })),
    accounts: config.accounts,
  });
  for (const id of ids) {
    const every = id.kind === 'pre_auth_code' ? 25 : 110;
    const mints = Array.from({ length: Math.floor((7 * 24 * 60) / every) }, (_, index) => ({
      obtained_at: Math.round(now - (index * every + (index > 6 ? -40 : 0)) * MINUTE),
      expires_at: now,
      seq: 1000 - index,
      replica: 'gateway-2-7-c0de',
      reason: index === 5 ? 'forced' : 'cron',
    }));
    const texts = mints.map((one) => JSON.stringify(one));
    await write(keys.history(id), texts);
  }
  await redis.del(keys.events(appid));
  for (const [index, [type, fields]] of EVENTS.entries()) {
    await addEvent(platform, now - (EVENTS.length - index) * HOUR, type, fields);
  }
}

const EVENTS: readonly [type: string, fields: Record<string, string>][] = [
  ['authorized', { AuthorizerAppid: 'wx00000000b0000000', AuthorizationCode: 'queryauthcode@@@x' }],
  [
    'notify_icpfiling_verify_result',
    { task_id: '90210', verify_appid: 'wx00000000b0000001', result: '0' },
  ],
  ['unauthorized', { AuthorizerAppid: 'wx00000000b0000009' }],
];

/** As a push of WeChat's leaves it in the stream. */
export async function addEvent(
  { redis, keys, clock }: TestPlatform,
  at: number | '*',
  type: string,
  fields: Record<string, string>,
): Promise<void> {
  const entry = {
    info_type: type,
    authorizer_appid: fields['AuthorizerAppid'] ?? '',
    msg_type: '',
    event: '',
    received_at: new Date(clock.now()).toISOString(),
    fields: JSON.stringify(fields),
  };
  await redis.xadd(keys.events(COMPONENT.appid), at, ...Object.entries(entry).flat());
}

/** A service with a past, in which all is well. */
export async function createHealthyPlatform(
  options: TestPlatformOptions = {},
): Promise<TestPlatform> {
  const platform = await createDashboardPlatform(options);
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
  await addMerchants(platform, ['晨光文具', 'Blue Bottle', '老张面馆', 'Harbour Books']);
  await platform.simulator.pushTicket();
  await platform.settle();
  platform.clock.sleepThrough(30 * MINUTE);
  await platform.pass(MINUTE);
  await platform.simulator.pushTicket();
  await platform.settle();
  platform.clock.sleepThrough(2 * MINUTE);
  await platform.pass(MINUTE);
  await fillPast(platform);
  return platform;
}

const AS_ADMIN = { authorization: `Bearer ${ADMIN.key}` };
const MINT_API = 'api_component_token';

/** WeChat answers the next refresh of the platform's token, and all that follow, with this errcode. */
async function refuseMints(platform: TestPlatform, errcode: number): Promise<void> {
  platform.simulator.addFault({
    api: MINT_API,
    times: 'forever',
    fault: { type: 'errcode', errcode },
  });
  // Past the beginning of the window, with a ticket all the time.
  platform.clock.sleepThrough(79 * MINUTE);
  await platform.simulator.pushTicket();
  await platform.settle();
  await platform.pass(2 * MINUTE);
}

/** Situations that a person is called for at night; each says what is to be seen first. */
export const BROKEN = {
  async ticketExpired(platform: TestPlatform) {
    platform.clock.sleepThrough(13 * HOUR);
    await platform.pass(MINUTE);
  },
  wrongSecret: (platform: TestPlatform) => refuseMints(platform, 40125),
  /** The EncodingAESKey was changed in the console. */
  async pushesRefused(platform: TestPlatform) {
    for (let time = 0; time < 5; time += 1) {
      const timestamp = Math.floor(platform.clock.now() / 1000);
      const key = 'ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210abcdefg';
      const options = { timestamp, key, nonce: `n${time}` };
      await post(platform, encryptPush(ticketXml({ createTime: timestamp }), options));
      await platform.pass(MINUTE);
    }
  },
  quotaUsedUp: (platform: TestPlatform) => refuseMints(platform, 45009),
  async foreignRefresher(platform: TestPlatform) {
    for (let time = 0; time < 2; time += 1) {
      platform.simulator.mintElsewhere('component_access_token');
      const path = `/v1/credentials/component_access_token/${COMPONENT.appid}`;
      const { seq } = (await (await platform.internal(path, { headers: AS_ADMIN })).json()) as {
        seq: number;
      };
      await platform.internal(`${path}/rejected`, {
        method: 'POST',
        headers: { ...AS_ADMIN, 'content-type': 'application/json' },
        body: JSON.stringify({ seq, errcode: 40001 }),
      });
      await platform.settle();
      platform.clock.sleepThrough(5 * MINUTE);
      await platform.pass(MINUTE);
    }
  },
} as const;

/** A browser without a screen: keeps cookies, follows nothing by itself. */
export interface Person {
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  post(
    path: string,
    fields: Record<string, string>,
    headers?: Record<string, string>,
  ): Promise<Response>;
  /** Loads a page and takes its CSRF token along. */
  send(path: string, fields: Record<string, string>): Promise<Response>;
  cookies: Map<string, string>;
}

export function createPerson(port: number): Person {
  const cookies = new Map<string, string>();
  const ask = async (
    path: string,
    init: Omit<RequestInit, 'headers'> & { headers: Record<string, string> },
  ) => {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      redirect: 'manual',
      ...init,
      headers: { ...(cookie === '' ? {} : { cookie }), ...init.headers },
    });
    for (const line of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    return answer;
  };
  const person: Person = {
    cookies,
    get: (path, headers = {}) => ask(path, { headers }),
    post: (path, fields, headers = {}) =>
      ask(path, { method: 'POST', body: new URLSearchParams(fields), headers }),
    async send(path, fields) {
      const page = await (await person.get('/')).text();
      return person.post(path, { ...fields, csrf: csrfIn(page) });
    },
  };
  return person;
}

export async function logIn(port: number, key: string): Promise<Person> {
  const person = createPerson(port);
  const answer = await person.post('/login', { key });
  if (answer.status !== 303) throw new Error(`log-in answered ${answer.status}`);
  return person;
}

/** What the replicas share for signing sessions. */
export async function sharedSecret({ redis, keys }: TestPlatform): Promise<Buffer> {
  return Buffer.from((await redis.get(keys.sessionSecret)) ?? '', 'base64url');
}

export function csrfIn(page: string): string {
  return /name="csrf"\s+value="([^"]+)"/.exec(page)?.[1] ?? '';
}
