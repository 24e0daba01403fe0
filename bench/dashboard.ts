import { randomBytes } from 'node:crypto';
import { makeApiKey } from '../src/config/api-keys.ts';
import { createService } from '../src/service.ts';
import type { RedisServer } from '../src/sandbox/redis/launch.ts';
import { loadConfig } from '../src/config/load.ts';
import { createSimulator } from '../src/sandbox/wechat/simulator.ts';
import { authorizerToken } from '../src/store/authorizers/authorization.ts';
import { createKeys } from '../src/store/redis/keys.ts';
import { connectRedis, whenReady } from '../src/store/redis/connection.ts';
import { createManualClock } from '../test/kit/clock.ts';
import { COMPONENT } from './rig/component.ts';
import type { Report } from './rig/report.ts';
import { SILENT } from './rig/silent.ts';

/**
 * What the dashboard of a platform with a hundred thousand authorizers costs: the whole service on real
 * Redis, pages asked for over HTTP one after the other. The time is of this machine.
 */

interface DashboardMeasurement {
  name: string;
  bytes: number;
  p50Ms: number;
  p99Ms: number;
}

const KIND = 'authorizer_access_token';
const PREFIX = 'bench:dashboard:';
const DASHBOARD_AUTHORIZERS = 100_000;
/** Authorizers written to Redis in one go. */
const CHUNK = 2_000;
const MINUTE = 60_000;
const HALF_APPID = `wx${String(DASHBOARD_AUTHORIZERS / 2).padStart(16, '0')}`;

const PAGES: readonly [name: string, path: string, times: number][] = [
  ['the page', '/', 100],
  ['the page fifty thousand authorizers further', `/?after=${HALF_APPID}`, 100],
  ['a name that one of them has', '/?search=shop%2099999', 20],
  ['a name that nobody has', '/?search=nobody', 20],
  ['those who must authorize again', '/?state=reauthorize', 20],
];

/** A page that is larger takes long on a phone. */
const MAX_BYTES = 300_000;

export async function measureDashboard(server: RedisServer): Promise<Report> {
  const measured = await measurePages(server);
  const authorizers = DASHBOARD_AUTHORIZERS.toLocaleString('en');
  return {
    bench: 'dashboard',
    title: {
      en: `The dashboard of a platform with ${authorizers} authorizers`,
      zh: `拥有 ${authorizers} 个授权方的平台的管理页面`,
    },
    tables: [
      {
        columns: ['KB', 'p50 ms', 'p99 ms'],
        rows: measured.map(({ name, bytes, p50Ms, p99Ms }) => [name, bytes / 1000, p50Ms, p99Ms]),
      },
    ],
    lines: [],
    notes: [],
    failed: measured.some(({ bytes }) => bytes >= MAX_BYTES),
  };
}

async function measurePages(server: RedisServer): Promise<DashboardMeasurement[]> {
  const clock = createManualClock();
  const simulator = createSimulator({ components: [COMPONENT], clock, pushing: false });
  await simulator.start();
  const { key, entry } = makeApiKey('bench', 'admin');
  const config = loadConfig({
    REDIS_URL: server.url,
    REDIS_KEY_PREFIX: PREFIX,
    WECHAT_API_BASE_URLS: simulator.url,
    PUBLIC_HOST: '127.0.0.1',
    PUBLIC_PORT: '0',
    INTERNAL_PORT: '0',
    API_KEYS: entry,
    COMPONENT_APPID: COMPONENT.appid,
    COMPONENT_APPSECRET: COMPONENT.secret,
    COMPONENT_TOKEN: COMPONENT.token,
    COMPONENT_ENCODING_AES_KEY: COMPONENT.encodingAesKey,
  });
  const app = createService(config, { log: SILENT, clock, startCron: () => NEVER });
  await app.start();
  try {
    await fillUp(server, clock.now());
    const origin = `http://127.0.0.1:${app.internalPort()}`;
    const cookie = await logIn(origin, key);
    const measured: DashboardMeasurement[] = [];
    for (const [name, path, times] of PAGES) {
      measured.push({ name, ...(await measure(`${origin}${path}`, cookie, times)) });
    }
    return measured;
  } finally {
    await app.stop();
    await simulator.stop();
  }
}

async function fillUp({ url }: RedisServer, now: number): Promise<void> {
  const redis = connectRedis({ url, protocol: 3 }, SILENT);
  await whenReady(redis, 5_000);
  const keys = createKeys(PREFIX);
  const { appid } = COMPONENT;
  for (let from = 0; from < DASHBOARD_AUTHORIZERS; from += CHUNK) {
    const pipeline = redis.pipeline();
    for (let index = from; index < from + CHUNK; index += 1) {
      const authorizer = `wx${String(index).padStart(16, '0')}`;
      const entry = {
        state: index % 5_000 === 0 ? 'reauthorize' : 'authorized',
        state_at: now,
        type: 'official_account',
        nick_name: `Shop ${index}`,
        user_name: `gh_${index}`,
        alias: '',
        principal_name: `Company number ${index} of Guangzhou`,
        signature: '',
        head_img: `https://wx.qlogo.cn/mmopen/${index}/0`,
        permission_sets: '1,2,3',
        profile_at: now,
      };
      pipeline.hset(keys.authorizers(appid), authorizer, JSON.stringify(entry));
      pipeline.zadd(keys.authorizerIndex(appid), 0, authorizer);
      pipeline.zadd(keys.due(KIND, appid), now + 60 * MINUTE, authorizer);
      pipeline.hset(keys.record(authorizerToken(appid, authorizer)), {
        value: randomBytes(96).toString('base64url'),
        seq: 9,
        obtained_at: now,
        expires_at: now + 120 * MINUTE,
        refresh_token: `refreshtoken@@@${index}`,
        authorized_at: now,
      });
    }
    await pipeline.exec();
  }
  redis.disconnect();
}

async function logIn(origin: string, key: string): Promise<string> {
  const body = new URLSearchParams({ key });
  const answer = await fetch(`${origin}/login`, { method: 'POST', body, redirect: 'manual' });
  const [cookie] = answer.headers.getSetCookie();
  if (cookie === undefined) throw new Error(`log-in answered ${answer.status}`);
  return cookie.split(';')[0] ?? '';
}

async function measure(url: string, cookie: string, times: number) {
  const took: number[] = [];
  let bytes = 0;
  for (let time = 0; time < times; time += 1) {
    const begun = performance.now();
    const answer = await fetch(url, { headers: { cookie } });
    const page = await answer.arrayBuffer();
    took.push(performance.now() - begun);
    if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}`);
    bytes = page.byteLength;
  }
  took.sort((a, b) => a - b);
  const quantile = (share: number) => Math.round(took[Math.floor(share * (times - 1))] ?? 0);
  return { bytes, p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}

/** No tick disturbs the measurement. */
const NEVER = { nextTicks: () => [], stop: () => undefined };
