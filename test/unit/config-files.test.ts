import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { ConfigError } from '../../src/config/faults.ts';
import { loadConfig, secretsOf } from '../../src/config/load.ts';
import { SETTINGS } from '../../src/config/settings.ts';

const KEY = 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG';
const OTHER_KEY = 'GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba';
const REDIS_URL = 'redis://127.0.0.1:6379';
const GOOD: Record<string, string> = {
  REDIS_URL,
  COMPONENT_APPID: 'wx0123456789abcdef',
  COMPONENT_APPSECRET: '0f1e2d3c4b5a69788796a5b4c3d2e1f0',
  COMPONENT_TOKEN: 'callbackToken',
  COMPONENT_ENCODING_AES_KEY: KEY,
  ALERT_WEBHOOK_URL: 'https://alerts.example.com/',
};
const COMPONENT = {
  appid: 'wxaaaaaaaaaaaaaaaa',
  appsecret: 'secretOfTheSecondComponent',
  token: 'secondToken',
  encoding_aes_key: OTHER_KEY,
};
/** Good values of the settings that may come from a file of their own. */
const SECRETS: Record<string, string> = {
  REDIS_URL: 'redis://:canary@127.0.0.1:6379',
  COMPONENT_APPSECRET: 'canarySecretOfThirtyTwoLetters00',
  COMPONENT_TOKEN: 'canaryToken',
  COMPONENT_ENCODING_AES_KEY: `canary${KEY.slice(6)}`,
  COMPONENT_PREVIOUS_TOKEN: 'canaryFormerToken',
  COMPONENT_PREVIOUS_ENCODING_AES_KEY: `canary${OTHER_KEY.slice(6)}`,
  API_KEYS: makeApiKey('canary', 'admin').entry,
  REFRESH_TOKEN_KEYS: `main:${'A'.repeat(43)}=`,
  ALERT_WEBHOOK_URL: 'https://robot.example.com/send?key=canaryOfTheRobot0123',
  ALERT_WEBHOOK_SECRET: 'canarySecretOfTheRobot',
  HTTPS_PROXY: 'http://user:canary@proxy.example.com:3128',
  HTTP_PROXY: 'http://user:canary@127.0.0.1:3128',
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wxkeeper-config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function fileWith(content: unknown): string {
  files += 1;
  const path = join(folder, String(files));
  const asItIs = typeof content === 'string' || Buffer.isBuffer(content);
  writeFileSync(path, asItIs ? content : JSON.stringify(content));
  return path;
}

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.sentences;
    throw error;
  }
  return [];
}

function without(name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(GOOD).filter(([other]) => other !== name));
}

describe('a secret from a file of its own', () => {
  it('is possible for every secret setting', () => {
    const names = SETTINGS.filter((one) => one.secret === true).map((one) => one.name);
    // Those of other ways to Redis, in a test of their own.
    const others = ['REDIS_SENTINEL_PASSWORD', 'REDIS_PASSWORD'];
    expect([...Object.keys(SECRETS), ...others].sort()).toEqual(names.sort());
  });

  it.each(Object.entries(SECRETS))('%s_FILE is read and trimmed', (name, value) => {
    const config = loadConfig({ ...without(name), [`${name}_FILE`]: fileWith(`\n ${value} \r\n`) });
    expect(config).toEqual(loadConfig({ ...GOOD, [name]: value }));
    expect(config).not.toEqual(loadConfig(GOOD));
  });

  it.each(Object.entries(SECRETS))('%s_FILE that is not there is named', (name) => {
    const env = { ...without(name), [`${name}_FILE`]: join(folder, 'canary-missing') };
    const [fault, ...rest] = faultsOf(env);
    expect(fault).toBe(`${name}_FILE names a file that cannot be read: there is no such file`);
    // What is required is missed as well.
    expect(rest.every((one) => one === `${name} is required`)).toBe(true);
  });

  it.each(Object.entries(SECRETS))('%s in both places is refused, not guessed', (name, value) => {
    const env = { ...GOOD, [name]: value, [`${name}_FILE`]: fileWith(value) };
    expect(faultsOf(env)).toEqual([`${name} and ${name}_FILE are both set`]);
  });

  it('an empty NAME_FILE is as good as none', () => {
    expect(faultsOf({ ...GOOD, COMPONENT_TOKEN_FILE: '' })).toEqual([]);
  });

  it('a file with a wrong value is refused without showing it', () => {
    const env = { ...without('COMPONENT_TOKEN'), COMPONENT_TOKEN_FILE: fileWith('canary token!') };
    const [fault = '', ...others] = faultsOf(env);
    expect(fault).toMatch(/^COMPONENT_TOKEN must be/);
    expect(fault).not.toContain('canary');
    expect(others).toEqual([]);
  });

  it('an empty file is refused', () => {
    const env = { ...without('COMPONENT_TOKEN'), COMPONENT_TOKEN_FILE: fileWith('\n') };
    expect(faultsOf(env)).toHaveLength(1);
  });
});

describe('CONFIG_FILE', () => {
  it('brings components and API keys, beside those of the environment', () => {
    const [one, two] = [makeApiKey('shop', 'admin'), makeApiKey('ops', 'admin')];
    const third = { ...COMPONENT, appid: 'wxbbbbbbbbbbbbbbbb' };
    const previous = { previous_token: 'formerToken', previous_encoding_aes_key: KEY };
    const returning = { return_urls: ['https://shop.example.com/wechat'] };
    const last = { ...third, ...previous, ...returning };
    const content = { components: [COMPONENT, last], api_keys: [two.entry] };
    const config = loadConfig({ ...GOOD, API_KEYS: one.entry, CONFIG_FILE: fileWith(content) });
    const appids = config.components.map(({ appid }) => appid);
    expect(appids).toEqual(['wx0123456789abcdef', 'wxaaaaaaaaaaaaaaaa', 'wxbbbbbbbbbbbbbbbb']);
    expect(config.components[2]).toEqual({
      appid: 'wxbbbbbbbbbbbbbbbb',
      appsecret: COMPONENT.appsecret,
      token: COMPONENT.token,
      encodingAesKey: OTHER_KEY,
      previousToken: 'formerToken',
      previousEncodingAesKey: KEY,
      returnUrls: ['https://shop.example.com/wechat'],
    });
    expect(config.apiKeys.map(({ id }) => id)).toEqual(['shop', 'ops']);
  });

  it('is enough without any component in the environment', () => {
    const path = fileWith({ components: [COMPONENT] });
    expect(loadConfig({ REDIS_URL, CONFIG_FILE: path }).components).toHaveLength(1);
  });

  it('may be there for API keys alone', () => {
    const path = fileWith({ api_keys: [makeApiKey('shop', 'admin').entry] });
    expect(loadConfig({ ...GOOD, CONFIG_FILE: path }).apiKeys).toHaveLength(1);
  });

  const broken: [string, unknown, RegExp][] = [
    [
      'is no JSON',
      '{"components": [{"appsecret": "canary',
      /^CONFIG_FILE is not valid JSON \(line 1, column 31\): this quote is never closed$/,
    ],
    ['is empty', '', /^CONFIG_FILE is not valid JSON \(line 1, column 1\): it is empty$/],
    ['is a list', [COMPONENT], /^CONFIG_FILE /],
    ['has an unknown key', { component: ['canary'] }, /^CONFIG_FILE .*component/],
    [
      'has an unknown key in a component',
      { components: [{ ...COMPONENT, secret: 'canary' }] },
      /^CONFIG_FILE components\.0 .*secret/,
    ],
    [
      'lacks a field of a component',
      { components: [COMPONENT, { ...COMPONENT, token: undefined }] },
      /^CONFIG_FILE components\.1\.token /,
    ],
    [
      'has a wrong secret',
      { components: [{ ...COMPONENT, appsecret: 'canary' }] },
      /^CONFIG_FILE components\.0\.appsecret must be/,
    ],
    [
      'has a return URL with a query',
      { components: [{ ...COMPONENT, return_urls: ['https://shop.example.com/?canary'] }] },
      /^CONFIG_FILE components\.0\.return_urls must be/,
    ],
    [
      'has a number for the return URLs',
      { components: [{ ...COMPONENT, return_urls: 7 }] },
      /^CONFIG_FILE components\.0\.return_urls must be/,
    ],
    [
      'has a number for a token',
      { components: [{ ...COMPONENT, token: 12345 }] },
      /^CONFIG_FILE components\.0\.token /,
    ],
    ['has a malformed API key', { api_keys: ['canary'] }, /^CONFIG_FILE api_keys entry 1 must be/],
    ['has a least life of nobody', { min_expires_in: { shop: 1560 } }, /^min_expires_in in CONF/],
    [
      'has a least life that is too long',
      { min_expires_in: { shop: 8000 } },
      /min_expires_in\.shop/,
    ],
  ];
  it.each(broken)(
    'that %s is refused with the place and without the value',
    (_w, content, text) => {
      const [fault = '', ...others] = faultsOf({ ...GOOD, CONFIG_FILE: fileWith(content) });
      expect(fault).toMatch(text);
      expect(others).toEqual([]);
      expect(fault).not.toMatch(/canary|12345/);
    },
  );

  it.each(['a folder', 'a missing file'])('that is %s cannot be read', (what) => {
    const path = what === 'a folder' ? folder : join(folder, 'missing');
    const why = what === 'a folder' ? ': it is a folder' : ': there is no such file';
    expect(faultsOf({ ...GOOD, CONFIG_FILE: path })).toEqual([`CONFIG_FILE cannot be read${why}`]);
  });

  it('names every fault in it at once', () => {
    const wrong = { ...COMPONENT, appid: 'canary', token: '!' };
    const faults = faultsOf({
      ...GOOD,
      LOG_LEVEL: 'x',
      CONFIG_FILE: fileWith({ components: [wrong] }),
    });
    expect(faults).toHaveLength(3);
  });

  it.each([
    ['within it', { REDIS_URL }, [COMPONENT, { ...COMPONENT, token: 'anotherToken' }]],
    ['that the environment has too', GOOD, [{ ...COMPONENT, appid: GOOD.COMPONENT_APPID }]],
  ])('may not configure an appid twice: %s', (_what, env, components) => {
    const faults = faultsOf({ ...env, CONFIG_FILE: fileWith({ components }) });
    expect(faults).toEqual(['a component appid is configured twice']);
  });

  it.each([
    ['token', { previous_token: COMPONENT.token }],
    ['EncodingAESKey', { previous_encoding_aes_key: OTHER_KEY }],
  ])('may not call the current %s the previous one', (name, previous) => {
    const components = [{ ...COMPONENT, ...previous }];
    const [fault = '', ...others] = faultsOf({ REDIS_URL, CONFIG_FILE: fileWith({ components }) });
    expect(fault).toMatch(new RegExp(`previous ${name} of ${COMPONENT.appid}`));
    expect(others).toEqual([]);
  });
});

describe('the secrets that a log must hide', () => {
  it('are all that is configured, wherever it came from', () => {
    const content = { components: [{ ...COMPONENT, previous_token: 'oldOfTheSecond' }] };
    const config = loadConfig({ ...GOOD, ...SECRETS, CONFIG_FILE: fileWith(content) });
    const own = Object.entries(SECRETS).filter(([name]) => name.startsWith('COMPONENT_'));
    expect(new Set(secretsOf(config))).toEqual(
      new Set([
        ...own.map(([, value]) => value),
        'canary',
        // Of the proxies, as the header has it.
        ...['user:canary', Buffer.from('user:canary').toString('base64')],
        SECRETS.REFRESH_TOKEN_KEYS?.slice('main:'.length),
        ...[SECRETS.ALERT_WEBHOOK_URL, SECRETS.ALERT_WEBHOOK_SECRET],
        ...['/send?key=canaryOfTheRobot0123', 'canaryOfTheRobot0123'],
        COMPONENT.appsecret,
        COMPONENT.token,
        OTHER_KEY,
        'oldOfTheSecond',
      ]),
    );
  });

  it.each(Object.entries(SECRETS))('come of %s', (name, value) => {
    const own = secretsOf(loadConfig(GOOD));
    const found = secretsOf(loadConfig({ ...GOOD, [name]: value }));
    const added = found.filter((secret) => !own.includes(secret));
    // Of the keys only hashes are known, which open nothing.
    if (name === 'API_KEYS') expect(added).toEqual([]);
    else expect(added.some((secret) => value.includes(secret))).toBe(true);
  });

  it.each([
    ['redis://:p4ss@h', ['p4ss']],
    ['rediss://user:p4ss@h:6380/1', ['p4ss']],
    ['redis://user:p%40ss@h', ['p%40ss', 'p@ss']],
    ['redis://user:p:ss@h', ['p%3Ass', 'p:ss']],
    ['redis://h:6379', []],
    ['/run/redis.sock', []],
  ])('of %s are %j', (url, wanted) => {
    const config = loadConfig({ ...GOOD, REDIS_URL: url });
    const own = secretsOf(loadConfig(GOOD));
    expect([...new Set(secretsOf(config).filter((secret) => !own.includes(secret)))]).toEqual(
      wanted,
    );
  });
});

describe('row 135: a file that an editor, or another system, has spoiled', () => {
  const good = JSON.stringify({ components: [COMPONENT] }, null, 2);
  const faultIn = (content: string | Buffer) => {
    const [fault = '', ...others] = faultsOf({ ...GOOD, CONFIG_FILE: fileWith(content) });
    expect(others).toEqual([]);
    expect(fault).not.toMatch(/secretOfTheSecond|secondToken/);
    return fault;
  };

  it.each([`\uFEFF${good}`, good.replaceAll('\n', '\r\n'), `\uFEFF\r\n${good}\n\n`])(
    'with a byte order mark, or line ends of Windows, it is read',
    (content) => {
      expect(loadConfig({ REDIS_URL, CONFIG_FILE: fileWith(content) }).components).toHaveLength(1);
    },
  );

  it.each([
    ['UTF-16 with a mark', Buffer.from(`\uFEFF${good}`, 'utf16le'), /^CONFIG_FILE is in UTF-16: /],
    ['UTF-16 without', Buffer.from(good, 'utf16le'), /^CONFIG_FILE is in UTF-16: /],
    [
      'GBK',
      Buffer.from(`\n\n{"a":"\xd6\xd0"}`, 'latin1'),
      /^CONFIG_FILE is not in UTF-8 \(line 3\)/,
    ],
    [
      'a comma too many',
      good.replace(/"\n/, '",\n'),
      /\(line 7, column \d+\): there is a comma too many$/,
    ],
    [
      'a comma behind a list',
      '{"api_keys": [],}',
      /\(line 1, column 16\): there is a comma too many$/,
    ],
    ['two commas', '{"api_keys": [1,,2]}', /\(line 1, column 16\): there is a comma too many$/],
    ['no comma', good.replace(',', ''), /\(line 5, column 7\): a comma is missing, or a bracket$/],
    ['a comment', `// ours\n${good}`, /\(line 1, column 1\): JSON knows no comments$/],
    ['single quotes', good.replaceAll('"', "'"), /\(line 2, column 3\): quotes must be double$/],
    [
      'typographic quotes',
      good.replace('"', '“'),
      /\(line 2, column 3\): quotes must be plain ones$/,
    ],
    [
      'a full-width comma',
      good.replace(',', '，'),
      /\(line 4, column \d+\): this is a full-width comma$/,
    ],
    [
      'a name without quotes',
      good.replace('"components"', 'components'),
      /a name must stand in double quotes$/,
    ],
    [
      'the same name twice',
      '{"api_keys": [],\n "api_keys": []}',
      /\(line 2, column 2\): this name was there before$/,
    ],
    ['a bracket too many', `${good}}`, /: there is more behind its end$/],
    ['a bracket too few', good.slice(0, -1), /\(line 1, column 1\): this bracket is never closed$/],
    [
      'a line break in a value',
      good.replace('secondT', 'second\nT'),
      /: this quote is not closed in its line$/,
    ],
    [
      'a bare backslash',
      good.replace('secondT', '\\secondT'),
      /: a backslash must be written twice$/,
    ],
    ['brackets without end', '['.repeat(100_000), /^CONFIG_FILE is not valid JSON/],
  ])('%s: is said with the place', (_what, content, text) => {
    expect(faultIn(content)).toMatch(text);
  });

  it('a wrong value is said with its line', () => {
    expect(faultIn(good.replace('secondToken', '\\"secondToken\\"'))).toMatch(
      /^CONFIG_FILE components\.0\.token must be .*; it stands in quotes: leave them out \(line 6, column 16\)$/,
    );
  });

  it.each([
    ['with a mark and a line end of Windows', '\uFEFFcallbackToken\r\n', undefined],
    ['empty', '', /^COMPONENT_TOKEN_FILE names a file that is empty$/],
    ['blank', ' \n', /^COMPONENT_TOKEN_FILE names a file that is empty$/],
    ['of two lines', 'callback\nToken', /^COMPONENT_TOKEN must be .*; it has a line break in it$/],
    ['in UTF-16', Buffer.from('callbackToken', 'utf16le'), /names a file that is in UTF-16: /],
  ])('a file for one secret, %s', (_what, content, text) => {
    const env = { ...without('COMPONENT_TOKEN'), COMPONENT_TOKEN_FILE: fileWith(content) };
    if (text === undefined) expect(loadConfig(env)).toEqual(loadConfig(GOOD));
    else expect(faultsOf(env)[0]).toMatch(text);
  });

  it('a folder in place of such a file is called one', () => {
    const env = { ...without('COMPONENT_TOKEN'), COMPONENT_TOKEN_FILE: folder };
    expect(faultsOf(env)[0]).toBe(
      'COMPONENT_TOKEN_FILE names a file that cannot be read: it is a folder',
    );
  });
});
