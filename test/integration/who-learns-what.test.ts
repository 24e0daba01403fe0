import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeApiKey, type Scope } from '../../src/config/api-keys.ts';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { ROUTES } from '../../src/http/internal/routes.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { authorize } from '../kit/authorizers.ts';
import { logIn, type Person } from '../kit/dashboard.ts';
import {
  CLASSIC,
  COMPONENT,
  createTestPlatform,
  MINUTE,
  STABLE,
  type TestPlatform,
} from '../kit/platform.ts';

/** All routes of the internal API and all pages, with live values behind them: who may learn what. */

/** None of these is in an example of the API's document. */
const OWN = { ...COMPONENT, appid: 'wx00000000000000c1' };
const FOREIGN = { ...COMPONENT, appid: 'wx00000000000000c2' };
const OWN_AUTHORIZER = 'wx00000000000000d1';
const FOREIGN_AUTHORIZER = 'wx00000000000000d2';
/** What the narrowed keys must never be shown. */
const HIDDEN = [FOREIGN.appid, FOREIGN_AUTHORIZER, STABLE.appid, CLASSIC.appid];

const SCOPES: readonly Scope[] = [
  'credentials:read',
  'credentials:refresh',
  'status:read',
  'admin',
];
const idOf = (scope: Scope, appid?: string) =>
  `${scope.replace(':', '-')}${appid === undefined ? '' : '-own'}`;
const KEYS = new Map(
  SCOPES.flatMap((scope) =>
    [undefined, OWN.appid].map((appid) => {
      const granted = appid === undefined ? scope : `${scope}@${appid}`;
      return [granted, makeApiKey(idOf(scope, appid), granted)] as const;
    }),
  ),
);
const keyOf = (granted: string) => KEYS.get(granted)?.key ?? '';
const NARROWED = SCOPES.map((scope) => `${scope}@${OWN.appid}`);

interface Place {
  component: string;
  authorizer: string;
  account: string;
}
const HERE: Place = { component: OWN.appid, authorizer: OWN_AUTHORIZER, account: OWN.appid };
const THERE: Place = {
  component: FOREIGN.appid,
  authorizer: FOREIGN_AUTHORIZER,
  account: STABLE.appid,
};

interface Request {
  method: string;
  path: string;
  body?: string;
}

/** Every route of the table with these appids in its path, and with whatever it takes. */
function requestsFor({ component, authorizer, account }: Place): Request[] {
  const kinds = ['component_access_token', 'pre_auth_code', 'access_token', 'jsapi_ticket', 'x'];
  return ROUTES.flatMap(({ method, path }) => {
    const ofAuthorizer = path.includes(':authorizer');
    const some = ofAuthorizer ? ['authorizer_access_token', 'x'] : kinds;
    const paths = path.includes(':kind') ? some.map((kind) => path.replace(':kind', kind)) : [path];
    const bodies = path.endsWith('/rejected') ? [0, 1, 2, 3, 99] : [undefined];
    return paths.flatMap((one) =>
      bodies.map((seq) => ({
        method: method.toUpperCase(),
        path: one
          .replace(
            ':component',
            /access_token\/|ticket\//.test(one) && !ofAuthorizer && !one.includes('component_')
              ? account
              : component,
          )
          .replace(':authorizer', authorizer)
          .replace(':link', 'AAAAAAAAAAAAAAAA'),
        ...(seq !== undefined && { body: JSON.stringify({ seq, errcode: 40001 }) }),
      })),
    );
  });
}

async function openPlatform(redisUrl?: string): Promise<TestPlatform> {
  const file = join(mkdtempSync(join(tmpdir(), 'wxkeeper-test-')), 'config.json');
  const { token, encodingAesKey } = COMPONENT;
  const components = [OWN, FOREIGN].map(({ appid, secret: appsecret }) => ({
    appid,
    appsecret,
    token,
    encoding_aes_key: encodingAesKey,
  }));
  const accounts = [
    { appid: STABLE.appid, appsecret: STABLE.secret, tickets: ['jsapi', 'wx_card'] },
    { appid: CLASSIC.appid, appsecret: CLASSIC.secret, access_token: 'classic' },
  ];
  writeFileSync(file, JSON.stringify({ components, accounts }));
  const env = Object.fromEntries(
    [
      'APPID',
      'APPSECRET',
      'TOKEN',
      'ENCODING_AES_KEY',
      'PREVIOUS_TOKEN',
      'PREVIOUS_ENCODING_AES_KEY',
    ].map((name) => [`COMPONENT_${name}`, '']),
  );
  const platform = await createTestPlatform({
    ...(redisUrl !== undefined && { redisUrl }),
    env: {
      ...env,
      CONFIG_FILE: file,
      PUBLIC_BASE_URL: 'https://platform.example.com',
      API_KEYS: [...KEYS.values()].map(({ entry }) => entry).join(','),
    },
    simulator: { components: [OWN, FOREIGN], accounts: [STABLE, CLASSIC] },
    startApp: false,
  });
  platform.redis.on('error', () => undefined);
  await platform.app.start();
  for (const { appid } of [OWN, FOREIGN]) {
    platform.simulator.setCallbackUrl(appid, platform.publicUrl(`/callback/${appid}`));
    await platform.simulator.pushTicket(appid);
  }
  await platform.settle();
  await authorize(platform, authorizerToken(OWN.appid, OWN_AUTHORIZER));
  await authorize(platform, authorizerToken(FOREIGN.appid, FOREIGN_AUTHORIZER));
  for (const place of [HERE, THERE]) {
    for (const { path } of requestsFor(place).filter(({ path: one }) =>
      /^\/v1\/cred.*\/wx\w+$/.test(one),
    )) {
      await platform.internal(path, { headers: { authorization: `Bearer ${keyOf('admin')}` } });
    }
  }
  await platform.pass(2 * MINUTE);
  return platform;
}

async function ask(
  platform: TestPlatform,
  { method, path, body }: Request,
  key: string | undefined,
) {
  const answer = await platform.internal(path, {
    method,
    redirect: 'manual',
    headers: { authorization: key === undefined ? '' : `Bearer ${key}` },
    ...(body !== undefined && { body }),
  });
  await platform.settle();
  return { status: answer.status, text: await textOf(answer) };
}

/** All that an answer tells: status line apart. */
async function textOf(answer: Response): Promise<string> {
  return `${JSON.stringify([...answer.headers])}\n${await answer.text()}`;
}

/** Pages and forms of the dashboard. What one types oneself comes back in links: so none types a secret. */
const PAGES = [
  '/',
  '/?lang=zh',
  '/login',
  '/nothing',
  '/dashboard/refresh.js',
  '/?search=wx&state=authorized',
];
/** Those whose address names somebody. */
const ACTIONS = ['reconcile', 'tickets', 'refresh'].flatMap((name) =>
  [OWN.appid, FOREIGN.appid].map((subject) => ({ name, subject })),
);

async function pagesOf(person: Person): Promise<string[]> {
  const texts: string[] = [];
  for (const path of PAGES)
    texts.push(await textOf(await person.get(path, { accept: 'text/html' })));
  texts.push(await textOf(await person.get('/', { 'x-refresh': '1' })));
  for (const { name, subject } of ACTIONS) {
    const query = `subject=${subject}&kind=component_access_token`;
    const page = await textOf(await person.get(`/dashboard/${name}?${query}`));
    texts.push(page.replaceAll(query, '').replaceAll(query.replaceAll('&', '&amp;'), ''));
    texts.push(
      await textOf(
        await person.send(`/dashboard/${name}`, { subject, kind: 'component_access_token' }),
      ),
    );
  }
  texts.push(await textOf(await person.get('/')));
  return texts;
}

const shown = (texts: readonly string[], hidden: readonly string[]) =>
  hidden.filter((one) => texts.some((text) => text.includes(one)));

describe('row 144: a key that is narrowed to an appid sees no other one', () => {
  describe.each(['while Redis is there', 'while Redis is away'])('%s', (when) => {
    let platform: TestPlatform;
    let server: RedisServer;
    beforeAll(async () => {
      server = await startRedisServer();
      platform = await openPlatform(server.url);
      if (when.endsWith('away')) await server.kill();
    });
    afterAll(async () => {
      await platform.close();
      await server.stop();
    });

    it.each(NARROWED)('in no answer, with %s', async (granted) => {
      for (const request of [...requestsFor(HERE), ...requestsFor(THERE)]) {
        const { text } = await ask(platform, request, keyOf(granted));
        expect([request, shown([text], HIDDEN)]).toEqual([request, []]);
      }
    });

    it.each([`status:read@${OWN.appid}`, `admin@${OWN.appid}`])(
      'on no page, with %s',
      async (granted) => {
        const person = await logIn(platform.app.internalPort(), keyOf(granted));
        const texts = await pagesOf(person);
        expect(shown(texts, HIDDEN)).toEqual([]);
        expect(shown(texts, [OWN.appid])).toEqual([OWN.appid]);
      },
    );

    it('which an open key does see, so there was something to hide', async () => {
      const person = await logIn(platform.app.internalPort(), keyOf('admin'));
      const texts = [await (await person.get('/')).text()];
      for (const { appid } of [FOREIGN, STABLE]) expect(shown(texts, [appid])).toEqual([appid]);
    });
  });
});

describe('row 146: a value is learnt by whoever may read it, and by nobody else', () => {
  let platform: TestPlatform;
  let secrets: string[];
  /** Whatever was a value at some time. */
  const learn = async () => {
    const values = platform.simulator.ledger.mints.map(({ value }) => value);
    const tickets = await platform.redis.mget(
      ...[OWN, FOREIGN].map(({ appid }) => platform.keys.ticketMirror(appid)),
    );
    secrets = [...values, ...tickets.filter((one) => one !== null)];
  };
  beforeAll(async () => {
    platform = await openPlatform();
    await learn();
  });
  afterAll(() => platform.close());

  const mayRead = (granted: string | undefined, { component }: Place, request: Request) =>
    granted !== undefined &&
    /^(?:credentials:read|admin)/.test(granted) &&
    (!granted.includes('@') || component === OWN.appid) &&
    request.path.startsWith('/v1/credentials/');

  it.each([undefined, ...KEYS.keys()])('over all routes, with %s', async (granted) => {
    const key = granted === undefined ? undefined : keyOf(granted);
    let learnt = 0;
    for (const place of [HERE, THERE]) {
      for (const request of requestsFor(place)) {
        const { text } = await ask(platform, request, key);
        await learn();
        const found = shown([text], secrets);
        if (mayRead(granted, place, request)) learnt += found.length;
        else expect([request, found]).toEqual([request, []]);
      }
    }
    const reader = granted !== undefined && /^(?:credentials:read|admin)/.test(granted);
    expect(learnt > 0).toBe(reader);
  });

  it('and no page shows one', async () => {
    const person = await logIn(platform.app.internalPort(), keyOf('admin'));
    const texts = await pagesOf(person);
    await learn();
    expect(shown(texts, secrets)).toEqual([]);
  });

  const TOKEN = `/v1/credentials/component_access_token/${OWN.appid}`;
  const report = (seq: number, granted: string) =>
    ask(
      platform,
      { method: 'POST', path: `${TOKEN}/rejected`, body: JSON.stringify({ seq, errcode: 40001 }) },
      keyOf(granted),
    );

  it('whoever may only report learns what came of it, with all but the value', async () => {
    const { seq } = JSON.parse(
      (await ask(platform, { method: 'GET', path: TOKEN }, keyOf('admin'))).text.split('\n')[1] ??
        '',
    ) as { seq: number };
    const { status, text } = await report(seq, 'credentials:refresh');
    expect(status).toBe(200);
    const told = JSON.parse(text.split('\n')[1] ?? '') as Record<string, unknown>;
    expect(Object.keys(told)).toEqual([
      ...['outcome', 'kind', 'subject', 'expires_at', 'expires_in', 'seq', 'state', 'source'],
    ]);
  });

  it.each([
    [0, 'credentials:refresh', 400],
    [0, 'admin', 400],
    [1_000_000, 'credentials:refresh', 400],
    // Redis may have lost it with its value; this one may read the current one anyway.
    [1_000_000, 'admin', 200],
  ])('a seq that nobody was given (%d) is no complaint, with %s', async (seq, granted, status) => {
    const answer = await report(seq, granted);
    expect(answer.status).toBe(status);
    if (status === 400)
      expect(answer.text).toContain(`No value with seq ${seq} was given out here`);
  });
});
