import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { ConfigError } from '../../src/config/faults.ts';
import { loadConfig, secretsOf } from '../../src/config/load.ts';

const REDIS_URL = 'redis://127.0.0.1:6379';
const COMPONENT = {
  appid: 'wxaaaaaaaaaaaaaaaa',
  appsecret: 'secretOfTheComponent',
  token: 'callbackToken',
  encoding_aes_key: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG',
};
const ACCOUNT = { appid: 'wxcccccccccccccccc', appsecret: 'secretOfTheAccount' };
const OTHER_APPID = 'wxdddddddddddddddd';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wxkeeper-accounts-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function envWith(content: unknown): Record<string, string> {
  files += 1;
  const path = join(folder, String(files));
  writeFileSync(path, JSON.stringify(content));
  return { REDIS_URL, CONFIG_FILE: path };
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

describe('own accounts in CONFIG_FILE', () => {
  it('are enough without any component: stable tokens and no tickets unless told', () => {
    const config = loadConfig(envWith({ accounts: [ACCOUNT] }));
    expect(config.components).toEqual([]);
    expect(config.accounts).toEqual([{ ...ACCOUNT, accessToken: 'stable', tickets: [] }]);
  });

  it('say how their token comes and which tickets are kept', () => {
    const full = { ...ACCOUNT, access_token: 'classic', tickets: ['wx_card', 'jsapi'] };
    const plain = { appid: OTHER_APPID, appsecret: ACCOUNT.appsecret, access_token: 'stable' };
    const config = loadConfig(envWith({ components: [COMPONENT], accounts: [full, plain] }));
    expect(config.components.map(({ appid }) => appid)).toEqual([COMPONENT.appid]);
    expect(config.accounts).toEqual([
      { ...ACCOUNT, accessToken: 'classic', tickets: ['wx_card', 'jsapi'] },
      { appid: OTHER_APPID, appsecret: ACCOUNT.appsecret, accessToken: 'stable', tickets: [] },
    ]);
  });

  it('are missed in a file that names neither them nor a component', () => {
    const apiKeys = [makeApiKey('shop', 'admin').entry];
    for (const content of [{}, { accounts: [] }, { components: [] }, { api_keys: apiKeys }]) {
      expect(faultsOf(envWith(content))).toEqual([
        'set COMPONENT_APPID and its companions, or CONFIG_FILE: no component and no account is known',
      ]);
    }
  });

  const broken: [string, Record<string, unknown>, RegExp][] = [
    ['lack the appid', { appid: undefined }, /^CONFIG_FILE accounts\.1\.appid /],
    ['lack the secret', { appsecret: undefined }, /^CONFIG_FILE accounts\.1\.appsecret /],
    ['have a wrong appid', { appid: 'canary' }, /^CONFIG_FILE accounts\.1\.appid must be wx/],
    ['have a short secret', { appsecret: 'canary' }, /^CONFIG_FILE accounts\.1\.appsecret must be/],
    [
      'have a number for a secret',
      { appsecret: 1234567890123456 },
      /^CONFIG_FILE accounts\.1\.appsecret /,
    ],
    ['have an unknown field', { secret: 'canary' }, /^CONFIG_FILE accounts\.1 .*"secret"/],
    [
      "have a component's field",
      { encoding_aes_key: 'canary' },
      /^CONFIG_FILE accounts\.1 .*encoding_aes_key/,
    ],
    [
      'want an unknown token',
      { access_token: 'canary' },
      /^CONFIG_FILE accounts\.1\.access_token must be stable or classic$/,
    ],
    [
      'want an unknown ticket',
      { tickets: ['jsapi', 'canary'] },
      /^CONFIG_FILE accounts\.1\.tickets\.1 must be jsapi or wx_card$/,
    ],
    [
      'want a ticket twice',
      { tickets: ['jsapi', 'wx_card', 'jsapi'] },
      /^CONFIG_FILE accounts\.1\.tickets names a ticket twice$/,
    ],
    ['want tickets as text', { tickets: 'canary' }, /^CONFIG_FILE accounts\.1\.tickets /],
  ];
  it.each(broken)(
    'that %s are refused with the place and without the value',
    (_w, change, fault) => {
      const second = { ...ACCOUNT, appid: OTHER_APPID, ...change };
      const [first = '', ...others] = faultsOf(envWith({ accounts: [ACCOUNT, second] }));
      expect(first).toMatch(fault);
      expect(others).toEqual([]);
      expect(first).not.toMatch(/canary|1234567890123456/);
      expect(first).not.toContain(ACCOUNT.appsecret);
    },
  );

  it('that are no list are refused', () => {
    expect(faultsOf(envWith({ accounts: ACCOUNT }))).toEqual([
      expect.stringMatching(/^CONFIG_FILE accounts /),
    ]);
  });

  it('may not be configured twice', () => {
    const again = { ...ACCOUNT, access_token: 'classic' };
    expect(faultsOf(envWith({ accounts: [ACCOUNT, again] }))).toEqual([
      'an account appid is configured twice',
    ]);
  });

  it('may not be components too, of the file or of the environment', () => {
    const fault = 'an appid is configured as component and as account';
    const component = { ...COMPONENT, appid: ACCOUNT.appid };
    expect(faultsOf(envWith({ accounts: [ACCOUNT], components: [component] }))).toEqual([fault]);
    const env = {
      COMPONENT_APPID: component.appid,
      COMPONENT_APPSECRET: component.appsecret,
      COMPONENT_TOKEN: component.token,
      COMPONENT_ENCODING_AES_KEY: component.encoding_aes_key,
    };
    expect(faultsOf({ ...env, ...envWith({ accounts: [ACCOUNT] }) })).toEqual([fault]);
  });

  it('have a secret that a log must hide', () => {
    const second = { appid: OTHER_APPID, appsecret: 'secretOfTheSecondAccount' };
    const config = loadConfig(envWith({ accounts: [ACCOUNT, second] }));
    expect(secretsOf(config)).toEqual([ACCOUNT.appsecret, second.appsecret]);
  });
});
