import type { Express } from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  makeApiKey,
  parseApiKeyEntry,
  type ApiKey,
  type Scope,
} from '../../src/config/api-keys.ts';
import { createParts, loadTheRest, type Parts } from '../../src/parts.ts';
import { createInternalApp, type InternalAppOptions } from '../../src/http/internal/app.ts';
import type { Route } from '../../src/http/internal/route.ts';
import { ROUTES } from '../../src/http/internal/routes.ts';
import { listen, type Listener } from '../../src/http/server.ts';
import { createLog } from '../../src/lib/log.ts';
import { loadConfig } from '../../src/config/load.ts';
import { NO_HANDLERS } from '../kit/handlers.ts';
import { COMPONENT, createTestPlatform, platformEnv, type TestPlatform } from '../kit/platform.ts';

/** Every route of the internal API, asked with every kind of key. */

const HERE = COMPONENT.appid;
const ELSEWHERE = 'wxffffffffffffffff';
const ACCOUNT = 'wxa000000000000000';
const SCOPES: readonly Scope[] = [
  'credentials:read',
  'credentials:refresh',
  'status:read',
  'admin',
];

/** A caller: its scope, and what the scope is narrowed to. */
interface Caller {
  name: string;
  scope: Scope | undefined;
  appid: string | undefined;
  key: string;
  entry: string;
}

const callers: Caller[] = SCOPES.flatMap((scope, index) =>
  [undefined, HERE, ACCOUNT, ELSEWHERE].map((appid, place) => {
    const granted = appid === undefined ? scope : `${scope}@${appid}`;
    return { name: granted, scope, appid, ...makeApiKey(`key-${index}-${place}`, granted) };
  }),
);
const wrong = { name: 'a wrong key', scope: undefined, appid: undefined };
const keyless: Caller = { ...wrong, name: 'no key', key: '', entry: '' };
const strangers: Caller[] = [
  keyless,
  // The id of a key that is known, with other bytes.
  { ...wrong, ...makeApiKey('key-3-0', 'admin') },
];

const routes: readonly Route[] = ROUTES;

/** What should come of it, from the words of the documentation rather than from the code. */
function expected(route: (typeof routes)[number], { scope, appid }: Caller): 'yes' | 401 | 403 {
  if (route.scope === 'none') return 'yes';
  if (scope === undefined) return 401;
  if (scope !== route.scope && scope !== 'admin') return 403;
  if (appid === undefined || !route.path.includes(':')) return 'yes';
  if (appid === HERE) return 'yes';
  return appid === ACCOUNT && route.path.includes(':authorizer') ? 'yes' : 403;
}

let platform: TestPlatform;
let app: Express;
let listener: Listener;
let parts: Parts;

beforeAll(async () => {
  platform = await createTestPlatform({ startApp: false });
  const env = platformEnv(
    platform.simulator,
    platform.config.redis.url ?? '',
    platform.config.redisKeyPrefix,
  );
  const config = loadConfig({ ...env, API_KEYS: callers.map(({ entry }) => entry).join(',') });
  // Nothing is started: no ticket comes, so whoever is let in is told that there is none.
  parts = createParts(config, { clock: platform.clock, log: createLog({ level: 'error' }) });
  app = (await loadTheRest(config, parts)).app;
  listener = await listen(app, '127.0.0.1', 0);
});
afterAll(async () => {
  await listener.close(0);
  await parts.keeper.stop();
  await parts.reconciler.stop();
  parts.deps.store.redis.disconnect();
  await platform.close();
});

function pathOf(path: string): string {
  return path
    .replace(':kind', path.includes(':authorizer') ? 'authorizer_access_token' : 'pre_auth_code')
    .replace(':component', HERE)
    .replace(':authorizer', ACCOUNT);
}

/** Enough for requests that never come to a handler. */
function anyParts(): InternalAppOptions {
  const keys = callers.map(({ entry }) => parseApiKeyEntry(entry));
  const apiKeys = keys.filter((key): key is ApiKey => key !== undefined);
  return { apiKeys, log: parts.deps.log, handlers: NO_HANDLERS };
}

async function ask(method: string, path: string, { key }: Caller, port = listener.port) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: method.toUpperCase(),
    headers: key === '' ? {} : { authorization: `Bearer ${key}` },
  });
  const code = /"code":"(\w+)"/.exec(await response.text())?.[1];
  return { status: response.status, code, headers: response.headers };
}

describe.each(routes.map((route) => [`${route.method} ${route.path}`, route] as const))(
  '%s',
  (_name, route) => {
    const path = pathOf(route.path);
    it.each(callers.map((caller) => [caller.name, caller] as const))(
      'with %s',
      async (_caller, caller) => {
        const { status, code } = await ask(route.method, path, caller);
        const wanted = expected(route, caller);
        if (wanted === 'yes') expect([401, 403]).not.toContain(status);
        else expect([status, code]).toEqual([wanted, 'forbidden']);
      },
    );

    it('without a key, and with a wrong one', async () => {
      // An app of its own: after ten wrong keys an address is told to wait.
      const own = await listen(createInternalApp(anyParts()), '127.0.0.1', 0);
      for (const caller of strangers) {
        for (const method of route.method === 'get' ? ['get', 'head'] : ['post']) {
          const { status, headers } = await ask(method, path, caller, own.port);
          if (route.scope === 'none') expect([401, 403]).not.toContain(status);
          else expect([status, headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
        }
      }
      await own.close(0);
    });

    it('with another method', async () => {
      const served = routes.filter((one) => one.path === route.path).map(({ method }) => method);
      const allow = served.map((method) => (method === 'get' ? 'GET, HEAD' : 'POST')).join(', ');
      for (const method of ['get', 'post', 'put', 'delete', 'patch', 'options']) {
        if (served.some((one) => one === method)) continue;
        const { status, code, headers } = await ask(method, path, keyless);
        expect([status, code]).toEqual([405, 'method_not_allowed']);
        expect(headers.get('allow')).toBe(allow);
      }
    });
  },
);

describe('the table', () => {
  /** As Express keeps them; its types do not name them all. */
  interface Layer {
    route?: { path: unknown; methods: Record<string, boolean> };
    handle: { stack?: Layer[] };
    /** It takes whatever comes, as what was registered without a path does. */
    slash: boolean;
  }
  const layers = () => (app as unknown as { router: { stack: Layer[] } }).router.stack;

  it('is all that is registered, but for the dashboard', () => {
    const registered = layers().flatMap(({ route }) =>
      route === undefined
        ? []
        : Object.keys(route.methods)
            .filter((method) => method !== '_all')
            .map((method) => `${method} ${String(route.path)}`),
    );
    expect(registered.sort()).toEqual(routes.map(({ method, path }) => `${method} ${path}`).sort());
    // Those of the gateway, of WeChat's own calls and of the dashboard, which have tests of their own; they
    // can take nothing away from the table.
    const nested = layers().filter(({ handle }) => handle.stack !== undefined);
    expect(nested.length).toBeLessThanOrEqual(3);
    const ofPaths = layers().filter(({ route, slash }) => route === undefined && !slash);
    expect(ofPaths).toEqual([]);
    if (nested[0] !== undefined) expect(layers().indexOf(nested[0])).toBeGreaterThan(routes.length);
  });

  it('lets nobody in without a key but to the probes', () => {
    const open = routes.filter(({ scope }) => scope === 'none').map(({ path }) => path);
    expect(open).toEqual(['/livez', '/readyz']);
  });
});
