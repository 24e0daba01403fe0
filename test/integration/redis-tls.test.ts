import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadRedis } from '../../src/config/load.ts';
import { SILENT } from '../../src/commands/doctor/installation.ts';
import { connectRedis, whenReady } from '../../src/store/redis/connection.ts';
import { expectHealed } from '../kit/expect.ts';
import { createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import type { RedisAccess } from '../kit/redis-shapes/access.ts';
import { certificateFile, OTHER_NAME } from '../kit/redis-shapes/certificates.ts';
import { startCluster, type ClusterShape } from '../kit/redis-shapes/cluster.ts';
import { startSentinel, type SentinelShape } from '../kit/redis-shapes/sentinel.ts';
import { startTls } from '../kit/redis-shapes/tls.ts';
import { toldOfRedis } from '../kit/redis-told.ts';
import { becomes, newTicketPush, post, ticketMirror } from '../kit/redis-trouble.ts';
import { POLLING } from '../kit/waiting.ts';

/** TLS to a single Redis, to Sentinels and what they name, and to a cluster: always checked, always by name. */

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function platformOn(
  redis: RedisAccess,
  env: Record<string, string> = {},
): Promise<TestPlatform> {
  const platform = await createTestPlatform({ redis: { ...redis, env: { ...redis.env, ...env } } });
  platform.redis.on('error', () => undefined);
  undo.push(() => platform.close());
  return platform;
}

/** Nothing but the settings: without the file of authorities. */
function untrusting({ env, admin }: RedisAccess): RedisAccess {
  const rest = Object.entries(env).filter(([name]) => name !== 'REDIS_TLS_CA_FILE');
  return { env: Object.fromEntries(rest), admin };
}

async function expectUse(platform: TestPlatform): Promise<void> {
  const push = newTicketPush(platform);
  await vi.waitFor(async () => expect(await post(push)).toMatchObject({ status: 200 }), POLLING);
  expect(await ticketMirror(platform)).toBe(push.ticket);
  await platform.pass(MINUTE);
  await expectHealed(platform);
}

describe('row 167: the certificate of a single Redis', () => {
  it.each([
    { what: 'nobody vouches for it', name: 'cert', trusted: false, word: /SELF_SIGNED/ },
    { what: 'it has expired', name: 'expired-cert', trusted: true, word: /CERT_HAS_EXPIRED/ },
    {
      what: 'it is for another name',
      name: 'other-name-cert',
      trusted: true,
      word: /ERR_TLS_CERT_ALTNAME_INVALID/,
    },
  ] as const)('$what: refused and named', async ({ name, trusted, word }) => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    const shape = await startTls({ certificate: name });
    undo.push(() => shape.close());
    const platform = await platformOn(trusted ? shape : untrusting(shape));
    await becomes(platform, 503);
    const { log, doctor, problem } = await toldOfRedis(platform, ['password-of-wxkeeper']);
    for (const text of [log, doctor]) expect(text).toMatch(word);
    const advice =
      name === 'expired-cert' ? /Renew it at Redis/ : /REDIS_TLS_CA_FILE.*REDIS_TLS_SERVERNAME/;
    for (const text of [log, doctor, problem.advice]) expect(text).toMatch(advice);
    vi.unstubAllEnvs();
  });

  it('is taken under the name in REDIS_TLS_SERVERNAME', async () => {
    const shape = await startTls({ certificate: 'other-name-cert' });
    undo.push(() => shape.close());
    const redis = connectRedis(
      loadRedis({ ...shape.env, REDIS_TLS_SERVERNAME: OTHER_NAME }),
      SILENT,
    );
    undo.push(() => redis.disconnect());
    expect(await whenReady(redis, POLLING.timeout)).toBe(true);
    expect(await redis.get('test1:nothing')).toBeNull();
  });

  it('is taken as that of the settings says', async () => {
    const shape = await startTls();
    undo.push(() => shape.close());
    await expectUse(await platformOn(shape));
  });
});

describe.each([
  { way: 'a cluster', start: () => startCluster({ tls: true }), secrets: [] },
  {
    way: 'Sentinels',
    start: () => startSentinel({ tls: true }),
    secrets: ['password-of-redis', 'password-of-sentinels'],
  },
])('$way with TLS', ({ start, secrets }) => {
  let shape: ClusterShape | SentinelShape;
  beforeAll(async () => {
    shape = await start();
  });
  afterAll(() => shape.close());

  it('can be used, all of it', async () => {
    await expectUse(await platformOn(shape));
  });

  it('is refused when nobody vouches for it, whatever the environment says', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    const platform = await platformOn(untrusting(shape));
    await becomes(platform, 503);
    expect(await post(newTicketPush(platform))).toMatchObject({ status: 503 });
    const { log, problem, doctor } = await toldOfRedis(platform, secrets);
    for (const text of [log, problem.advice, doctor]) expect(text).toMatch(/REDIS_TLS_CA_FILE/);
    vi.unstubAllEnvs();
  });

  it('is spoken to by those only who say TLS', async () => {
    const platform = await platformOn({
      ...untrusting(shape),
      env: { ...untrusting(shape).env, REDIS_TLS: 'false' },
    });
    await becomes(platform, 503);
    const { doctor } = await toldOfRedis(platform, secrets);
    expect(doctor).toMatch(/REDIS_TLS=false says no TLS|REDIS_SENTINEL_TLS or REDIS_TLS/);
  });
});

describe('the name that is asked for', () => {
  /** Notes the names, and speaks no Redis. */
  async function listener(): Promise<{ port: number; names: unknown[] }> {
    const [key, cert] = await Promise.all([
      readFile(certificateFile('key')),
      readFile(certificateFile()),
    ]);
    const names: unknown[] = [];
    const server = createServer({ key, cert });
    server.on('secureConnection', (socket: TLSSocket) => {
      names.push(socket.servername);
      socket.on('error', () => undefined);
      socket.end();
    });
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    undo.push(() => void server.close());
    return { port: (server.address() as AddressInfo).port, names };
  }

  const WAYS: Record<string, (host: string) => Record<string, string>> = {
    single: (host) => ({ REDIS_URL: `rediss://${host}` }),
    cluster: (host) => ({ REDIS_CLUSTER: host, REDIS_TLS: 'true' }),
    sentinel: (host) => ({
      REDIS_SENTINELS: host,
      REDIS_SENTINEL_MASTER: 'wx',
      REDIS_TLS: 'true',
    }),
  };
  it.each(Object.keys(WAYS))(
    'by the way %s: the one set, else its host, and no address',
    async (way) => {
      const settings = WAYS[way] ?? (() => ({}));
      for (const { host, name, more } of [
        { host: 'localhost', name: 'localhost', more: {} },
        { host: '127.0.0.1', name: false, more: {} },
        { host: '127.0.0.1', name: 'localhost', more: { REDIS_TLS_SERVERNAME: 'localhost' } },
      ]) {
        // All of them have one setting, and what they name are addresses.
        if (way === 'sentinel' && host === 'localhost') continue;
        const { port, names } = await listener();
        const env = {
          ...settings(`${host}:${port}`),
          REDIS_TLS_CA_FILE: certificateFile(),
          ...more,
        };
        const redis = connectRedis(loadRedis(env), SILENT);
        undo.push(() => redis.disconnect());
        await vi.waitFor(() => expect(names.length).toBeGreaterThan(0), POLLING);
        expect(new Set(names)).toEqual(new Set([name]));
      }
    },
  );
});
