import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../src/config/faults.ts';
import { loadConfig, loadRedis, secretsOf } from '../../src/config/load.ts';
import { REDIS } from '../../src/config/redis.ts';

/** One way to Redis, and what belongs to it. */

const COMPONENT = {
  COMPONENT_APPID: 'wx0123456789abcdef',
  COMPONENT_APPSECRET: '0f1e2d3c4b5a69788796a5b4c3d2e1f0',
  COMPONENT_TOKEN: 'callbackToken',
  COMPONENT_ENCODING_AES_KEY: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG',
};
const SERVER = { REDIS_URL: 'redis://127.0.0.1:6379' };
const SENTINELS = { REDIS_SENTINELS: 's1:26379, [::1]:26380', REDIS_SENTINEL_MASTER: 'wx' };
const CLUSTER = { REDIS_CLUSTER: '10.0.0.1:6379,node-2.example:6380' };
const CERTIFICATE = fileURLToPath(
  new URL('../fixtures/tls/localhost-test-cert.pem', import.meta.url),
);

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig({ ...COMPONENT, ...env });
  } catch (error) {
    if (error instanceof ConfigError) return error.sentences;
    throw error;
  }
  return [];
}

describe('the three ways to Redis', () => {
  it('is a server', () => {
    for (const url of ['redis://u:p@h:1/2', 'rediss://h', '/run/redis.sock']) {
      expect(loadConfig({ ...COMPONENT, REDIS_URL: url }).redis).toEqual({ url, protocol: 3 });
    }
  });

  it('is Sentinels, with a login of their own', () => {
    const env = {
      ...SENTINELS,
      REDIS_SENTINEL_USERNAME: 'watcher',
      REDIS_SENTINEL_PASSWORD: 'sentinel#pass@word',
      REDIS_SENTINEL_TLS: 'false',
      REDIS_USERNAME: 'wxkeeper',
      REDIS_PASSWORD: 'p@ss/word%',
      REDIS_TLS: 'true',
      REDIS_TLS_CA_FILE: CERTIFICATE,
      REDIS_TLS_SERVERNAME: 'redis.internal',
      REDIS_PROTOCOL: '2',
    };
    const config = loadConfig({ ...COMPONENT, ...env });
    expect(config.redis).toEqual({
      sentinels: [
        { host: 's1', port: 26_379 },
        { host: '::1', port: 26_380 },
      ],
      sentinelMaster: 'wx',
      sentinelUsername: 'watcher',
      sentinelPassword: 'sentinel#pass@word',
      sentinelTls: false,
      username: 'wxkeeper',
      password: 'p@ss/word%',
      tls: true,
      tlsCa: readFileSync(CERTIFICATE, 'utf8'),
      tlsServername: 'redis.internal',
      protocol: 2,
    });
    expect(secretsOf(config)).toEqual(expect.arrayContaining(['sentinel#pass@word', 'p@ss/word%']));
    expect(loadRedis(env)).toEqual(config.redis);
  });

  it('is a cluster', () => {
    expect(loadRedis(CLUSTER)).toEqual({
      cluster: [
        { host: '10.0.0.1', port: 6379 },
        { host: 'node-2.example', port: 6380 },
      ],
      protocol: 3,
    });
  });

  it('takes user and password beside a URL that names none', () => {
    const { redis } = loadConfig({
      ...COMPONENT,
      ...SERVER,
      REDIS_USERNAME: 'wxkeeper',
      REDIS_PASSWORD: 'canary-pass',
    });
    expect(redis).toMatchObject({ username: 'wxkeeper', password: 'canary-pass' });
  });

  it('takes its passwords from files, too', () => {
    const folder = mkdtempSync(join(tmpdir(), 'wxkeeper-test-'));
    const [own, sentinel] = ['own', 'sentinel'].map((name) => {
      const path = join(folder, name);
      writeFileSync(path, `canary-${name}\n`);
      return path;
    }) as [string, string];
    const settings = loadRedis({
      ...SENTINELS,
      REDIS_PASSWORD_FILE: own,
      REDIS_SENTINEL_PASSWORD_FILE: sentinel,
    });
    expect(settings).toMatchObject({
      password: 'canary-own',
      sentinelPassword: 'canary-sentinel',
    });
    rmSync(folder, { recursive: true });
  });

  it('says nothing of other settings to a program that wants Redis alone', () => {
    expect(loadRedis({ ...SERVER, PUBLIC_PORT: 'canary' })).toMatchObject({
      url: SERVER.REDIS_URL,
    });
    expect(() => loadRedis({ REDIS_CLUSTER: 'canary' })).toThrow(ConfigError);
  });
});

describe('row 168: more than one thing said', () => {
  it.each<[string, Record<string, string>, string[]]>([
    [
      'no way',
      {},
      ['REDIS_URL is required, or REDIS_SENTINELS with REDIS_SENTINEL_MASTER, or REDIS_CLUSTER'],
    ],
    [
      'two ways',
      { ...SERVER, ...CLUSTER },
      ['REDIS_URL and REDIS_CLUSTER are set together: one way to Redis, please'],
    ],
    [
      'three ways',
      { ...SERVER, ...SENTINELS, ...CLUSTER },
      [
        'REDIS_URL and REDIS_SENTINELS and REDIS_CLUSTER are set together: one way to Redis, please',
      ],
    ],
    [
      'Sentinels without a master',
      { REDIS_SENTINELS: 's1:26379' },
      ['REDIS_SENTINELS needs REDIS_SENTINEL_MASTER'],
    ],
    [
      'a master without Sentinels',
      { ...SERVER, REDIS_SENTINEL_MASTER: 'wx' },
      ['REDIS_SENTINEL_MASTER needs REDIS_SENTINELS'],
    ],
    [
      'logins of Sentinels that are not there',
      { ...CLUSTER, REDIS_SENTINEL_PASSWORD: 'canary', REDIS_SENTINEL_TLS: 'true' },
      ['REDIS_SENTINEL_PASSWORD needs REDIS_SENTINELS', 'REDIS_SENTINEL_TLS needs REDIS_SENTINELS'],
    ],
    [
      'users without passwords',
      { ...SENTINELS, REDIS_USERNAME: 'a', REDIS_SENTINEL_USERNAME: 'b' },
      [
        'REDIS_USERNAME needs REDIS_PASSWORD',
        'REDIS_SENTINEL_USERNAME needs REDIS_SENTINEL_PASSWORD',
      ],
    ],
    [
      'a login twice',
      { REDIS_URL: 'redis://u:p@h:1', REDIS_USERNAME: 'a', REDIS_PASSWORD: 'canary' },
      [
        'REDIS_USERNAME and the user in REDIS_URL are both set',
        'REDIS_PASSWORD and the password in REDIS_URL are both set',
      ],
    ],
    [
      'a user in the URL and no password',
      { REDIS_URL: 'redis://user@h:1' },
      ['REDIS_URL names a user and no password: put it there, or into REDIS_PASSWORD'],
    ],
    [
      'TLS to a URL without',
      { ...SERVER, REDIS_TLS: 'true' },
      ['REDIS_TLS is true, and REDIS_URL begins with redis://'],
    ],
    [
      'no TLS to a URL with',
      { REDIS_URL: 'rediss://h:1', REDIS_TLS: 'false' },
      ['REDIS_TLS is false, and REDIS_URL begins with rediss://'],
    ],
    [
      'TLS to a socket',
      { REDIS_URL: '/run/redis.sock', REDIS_TLS: 'true' },
      ['REDIS_TLS is true, and REDIS_URL is the path of a socket'],
    ],
    [
      'certificates without TLS',
      { ...CLUSTER, REDIS_TLS_CA_FILE: CERTIFICATE, REDIS_TLS_SERVERNAME: 'redis.internal' },
      [
        'REDIS_TLS_CA_FILE is set, and REDIS_TLS is not true',
        'REDIS_TLS_SERVERNAME is set, and REDIS_TLS is not true',
      ],
    ],
    [
      'certificates beside a URL without TLS',
      { ...SERVER, REDIS_TLS_CA_FILE: CERTIFICATE },
      ['REDIS_TLS_CA_FILE is set, and REDIS_URL does not begin with rediss://'],
    ],
  ])('%s', (_, env, faults) => {
    expect(faultsOf(env)).toEqual(faults);
  });
});

const BAD = [
  ['REDIS_SENTINEL_USERNAME', 'can ary'],
  ['REDIS_SENTINEL_PASSWORD', '"canary"'],
  ['REDIS_SENTINELS', 's1'],
  ['REDIS_SENTINELS', 's1:26379,'],
  ['REDIS_SENTINELS', 'redis://s1:26379'],
  ['REDIS_SENTINELS', ':canary@s1:26379'],
  ['REDIS_SENTINELS', 's1:0'],
  ['REDIS_SENTINELS', 's1:99999'],
  ['REDIS_SENTINELS', '::1:26379'],
  ['REDIS_CLUSTER', '10.0.0.1:6379;10.0.0.2:6379'],
  ['REDIS_CLUSTER', 'tcp://10.0.0.1:6379'],
  ['REDIS_SENTINEL_MASTER', 'my master'],
  ['REDIS_USERNAME', '"wxkeeper"'],
  ['REDIS_PASSWORD', "'canary'"],
  ['REDIS_PASSWORD', 'can ary'],
  ['REDIS_TLS', 'yes'],
  ['REDIS_SENTINEL_TLS', '1'],
  ['REDIS_TLS_CA_FILE', '/nowhere/canary.pem'],
  ['REDIS_TLS_CA_FILE', fileURLToPath(import.meta.url)],
  ['REDIS_TLS_SERVERNAME', 'redis://canary'],
  ['REDIS_TLS_SERVERNAME', '10.0.0.1'],
] as const;

describe('what is wrong by itself', () => {
  it.each<[string, RegExp]>([
    ['redis+sentinel://:canary@s1:26379/wx', /REDIS_URL is for one server: set REDIS_SENTINELS/],
    ['redis-sentinel://s1:26379,s2:26379/wx', /REDIS_SENTINELS and REDIS_SENTINEL_MASTER/],
    ['rediss+sentinel://s1:26379', /REDIS_SENTINELS/],
    ['redis://s1:26379?sentinelMasterId=canary', /REDIS_SENTINELS/],
    ['redis+cluster://n1:6379', /REDIS_URL is for one server: set REDIS_CLUSTER/],
    ['redis-cluster://n1:6379,n2:6379', /REDIS_CLUSTER/],
    ['redis://n1:6379,n2:6379', /names more than one server/],
    ['n1:6379,n2:6379', /names more than one server/],
    ['redis://:canary@n1:6379,redis://:canary@n2:6379', /names more than one server/],
    ['redis://:can@ary@n1:6379', /percent-encoded \(REDIS_PASSWORD takes a password as it is\)/],
    ['redis://:can#ary@n1:6379', /percent-encoded \(REDIS_PASSWORD takes a password as it is\)/],
    ['redis://:can/ary@n1:6379', /percent-encoded \(REDIS_PASSWORD takes a password as it is\)/],
  ])('REDIS_URL=%s', (url, fault) => {
    const faults = faultsOf({ REDIS_URL: url });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(fault);
    expect(faults[0]).not.toContain('canary');
  });

  it('is looked for in every setting, here or beside the others', () => {
    const names = new Set([...BAD.map(([name]) => name), 'REDIS_URL', 'REDIS_PROTOCOL']);
    expect([...names].sort()).toEqual(
      Object.values(REDIS)
        .map((one) => one.name)
        .sort(),
    );
  });

  it.each(BAD)('%s=%s is told by its name', (name, text) => {
    const way = name.startsWith('REDIS_SENT') ? { ...SENTINELS, ...CLUSTER } : CLUSTER;
    const faults = faultsOf({ ...way, [name]: text }).filter((one) => one.startsWith(`${name} `));
    expect(faults[0]).toMatch(/ must | names a file that /);
    expect(faults.join()).not.toContain('canary');
  });
});
