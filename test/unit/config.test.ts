import { describe, expect, it } from 'vitest';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { ConfigError } from '../../src/config/faults.ts';
import { loadConfig } from '../../src/config/load.ts';
import { REDIS } from '../../src/config/redis.ts';
import { GROUPS, SETTINGS } from '../../src/config/settings.ts';

const KEY = 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG';
const OTHER_KEY = 'GFEDCBA9876543210zyxwvutsrqponmlkjihgfedcba';
const GOOD = {
  REDIS_URL: 'redis://127.0.0.1:6379',
  COMPONENT_APPID: 'wx0123456789abcdef',
  COMPONENT_APPSECRET: '0f1e2d3c4b5a69788796a5b4c3d2e1f0',
  COMPONENT_TOKEN: 'callbackToken',
  COMPONENT_ENCODING_AES_KEY: KEY,
};
const HASH = 'a'.repeat(64);
/** 32 bytes. */
const SEAL_KEY = `${'A/+0'.repeat(10)}AAA=`;

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.sentences;
    throw error;
  }
  return [];
}

/** A setting, and values it must not have. */
const BAD: Record<string, string[]> = {
  REDIS_URL: [
    'http://canary:6379',
    'canary',
    'redis:canary',
    'redis://',
    'redis://can ary',
    'canary/socket',
    'redis://:canary@127.0.0.1:notaport',
    'redis://:can/canary@127.0.0.1:1',
    'redis://:100%canary@127.0.0.1:1',
    'redis://:can@canary@127.0.0.1:1',
    'redis://127.0.0.1:6379?password=canary',
    'redis://127.0.0.1:6379/canary',
    'redis://127.0.0.1:6379#canary',
    '"redis://127.0.0.1:6379/canary"',
    '/run/canary.sock ',
  ],
  REDIS_KEY_PREFIX: [
    'can ary',
    '{canary}',
    'canary'.repeat(11),
    '"canary:"',
    'canary:#note',
    'canary：',
  ],
  REDIS_PROTOCOL: ['4', 'RESP2', '2.0'],
  COMPONENT_APPID: ['canary', 'wx0123456789ABCDEF', 'wx0123456789abcde', 'wx0123456789abcdef0'],
  COMPONENT_APPSECRET: ['canary', `canary with spaces in it`, 'canary'.repeat(22)],
  COMPONENT_TOKEN: ['ca', 'canary-token', 'canary'.repeat(6)],
  COMPONENT_ENCODING_AES_KEY: ['canary', `${KEY}H`, `${KEY.slice(1)}=`],
  COMPONENT_PREVIOUS_TOKEN: ['ca', 'canary_token'],
  COMPONENT_PREVIOUS_ENCODING_AES_KEY: ['canary', `${OTHER_KEY}=`],
  COMPONENT_RETURN_URLS: [
    'http://canary.example',
    'https://canary.example/a?b=c',
    'https://canary.example/a#b',
    'https://user:canary@shop.example.com',
    'https://shop.example.com/canary/../b',
    'https://shop.example.com,canary',
    'https://shop.example.com,',
  ],
  CONFIG_FILE: ['/nowhere/canary.json'],
  PUBLIC_HOST: [
    ...['canary:3000', 'http://canary', '[canary]', '"canary"', 'canary ', '*', '256.1.1.1', '[::'],
    ...['0.0.0.0:3000', 'canary..example', '-canary', 'c'.repeat(300), `${'c'.repeat(40)}!`],
  ],
  INTERNAL_HOST: ['canary/', '[::]:3001', ''.padEnd(64, 'c')],
  PUBLIC_PORT: ['canary', '65536', '-1', '30.5', '0x10', '123456'],
  DELIVERY_NETWORKS: ['canary', '10.1.0.0', '10.1.0.0/33', '10.1.0.0/8;canary', 'canary/8'],
  DELIVERY_MEGABYTES: ['canary', '0', '-1', '1.5', '10MB', '1234567'],
  STOP_DELAY_SECONDS: ['canary', '-1', '601', '1.5', '10s'],
  PUBLIC_BASE_URL: [
    'http://canary.example',
    'https://canary.example/wx',
    'canary.example',
    'http://127.0.0.1.canary.example',
    'http://127.0.0.1:3000/canary',
  ],
  INTERNAL_PORT: ['canary', '65536', '-1'],
  WECHAT_API_BASE_URLS: [
    'http://canary.example',
    'https://canary.example/path',
    'https://user:canary@api.weixin.qq.com',
    'https://api.weixin.qq.com,canary',
    'https://api.weixin.qq.com,',
    'http://127.0.0.1.canary.example',
    'ftp://127.0.0.1',
  ],
  WECHAT_AUTHORIZATION_URLS: [
    'https://canary.example',
    'https://a.example,http://canary.example',
    'https://a.example,https://b.example,https://canary.example',
    'https://a.example,https://b.example/canary',
  ],
  HTTPS_PROXY: [
    ...['canary', 'http://canary.example', 'socks5://canary.example:1080', 'http://canary:99999'],
    ...['http://u:can@ary@h:1', 'http://u:100%canary@h:1', 'http://h:3128/canary', '"canary:3128"'],
  ],
  HTTP_PROXY: ['canary', 'https://canary', 'http://u:canary%0a@h:1'],
  COMPONENT_ACCESS_TOKEN_CRON: ['canary', '61 * * * *', '* * *'],
  PRE_AUTH_CODE_CRON: ['canary', '* 25 * * *', '* * * * * * *'],
  REFRESH_WINDOW_SECONDS: ['canary', '0', '3601', '-5', '1.5', '900s'],
  AUTHORIZER_REFRESHES_PER_SECOND: ['canary', '0', '-1', '1.5', '10000'],
  API_KEYS: ['canary', `canary:${HASH}:root`, `canary:${HASH}`, `canary::admin`],
  REFRESH_TOKEN_KEYS: [
    ...['canary', `:${SEAL_KEY}`, `Canary:${SEAL_KEY}`, `${'c'.repeat(33)}:${SEAL_KEY}`, SEAL_KEY],
    ...[`canary:${SEAL_KEY.slice(4)}`, `canary:AAAA${SEAL_KEY}`, `canary:${SEAL_KEY},`],
    ...[`canary:${SEAL_KEY},canary:B${SEAL_KEY.slice(1)}`, `canary:${SEAL_KEY},b:${SEAL_KEY}`],
  ],
  ALERT_WEBHOOK_URL: ['canary', 'ftp://canary.example', 'http://canary.example/hook'],
  ALERT_WEBHOOK_KIND: ['canary', 'WeCom'],
  ALERT_WEBHOOK_SECRET: ['canary', `canary with spaces in it`],
  ALERT_LANGUAGE: ['canary', 'cn'],
  LOG_LEVEL: ['canary', 'INFO', 'trace'],
};
describe('a wrong setting', () => {
  it('is looked for in every setting there is', () => {
    const { url, protocol, ...inTheirOwnTest } = REDIS;
    const others = new Set(
      [...Object.values(inTheirOwnTest), GROUPS.proxies.noProxy].map(({ name }) => name),
    );
    expect([url.name, protocol.name].filter((name) => others.has(name))).toEqual([]);
    const names = SETTINGS.map((one) => one.name).filter((name) => !others.has(name));
    expect(Object.keys(BAD).sort()).toEqual(names.sort());
  });

  const table = Object.entries(BAD).flatMap(([name, values]) =>
    values.map((value) => ({ name, value })),
  );
  it.each(table)('$name=$value is refused by name and not by value', ({ name, value }) => {
    const [fault = '', ...others] = faultsOf({ ...GOOD, [name]: value });
    expect(fault).toMatch(new RegExp(`^${name} `));
    expect(others).toEqual([]);
    // What is too short, or named as an example, says nothing about the value.
    if (value.length > 3 && value !== 'redis://') expect(fault).not.toContain(value);
    expect(fault).not.toContain('canary');
  });

  it('is told as data: which setting, and what about it', () => {
    let error: unknown;
    try {
      const api = { API_KEYS: `a:${HASH}:admin,canary`, COMPONENT_APPID: '' };
      loadConfig({ ...GOOD, ...api, PUBLIC_PORT: '3001', COMPONENT_TOKEN_FILE: '/nowhere' });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConfigError);
    const { faults, sentences, message } = error as ConfigError;
    expect(faults).toEqual([
      { setting: 'COMPONENT_TOKEN', text: 'and COMPONENT_TOKEN_FILE are both set' },
      {
        setting: 'COMPONENT_TOKEN_FILE',
        text: 'names a file that cannot be read: there is no such file',
      },
      { setting: 'COMPONENT_APPID', text: 'is required' },
      {
        setting: 'API_KEYS',
        text: expect.stringMatching(/^entry 2 must be id:sha256hex/) as string,
      },
      { setting: 'PUBLIC_PORT', text: 'and INTERNAL_PORT are the same' },
    ]);
    expect(sentences).toEqual(faults.map(({ setting = '', text }) => `${setting} ${text}`));
    expect(message).toBe(`5 setting(s) are wrong:\n  - ${sentences.join('\n  - ')}`);
  });

  it.each(Object.keys(GOOD))('%s is missed when it is not set, or set to nothing', (name) => {
    const [fault = '', ...others] = faultsOf({ ...GOOD, [name]: '' });
    expect(fault.split(', or ')[0]).toBe(`${name} is required`);
    expect(others).toEqual([]);
  });

  it('is reported together with all the others', () => {
    const wrong = Object.fromEntries(
      Object.entries(BAD).map(([name, [value = '']]) => [name, value]),
    );
    const faults = faultsOf(wrong);
    expect(faults).toHaveLength(Object.keys(BAD).length);
    for (const name of Object.keys(BAD)) {
      expect(faults.filter((fault) => fault.startsWith(`${name} `))).toHaveLength(1);
    }
  });

  it.each([
    ['the previous token is the current one', { COMPONENT_PREVIOUS_TOKEN: GOOD.COMPONENT_TOKEN }],
    ['the previous key is the current one', { COMPONENT_PREVIOUS_ENCODING_AES_KEY: KEY }],
    ['both listeners have one port', { PUBLIC_PORT: '4000', INTERNAL_PORT: '4000' }],
    ['a listener has the port the other has unless told', { PUBLIC_PORT: '3001' }],
    ['two API keys have one id', { API_KEYS: `a:${HASH}:admin,a:${HASH}:status:read` }],
  ])('is found where settings contradict: %s', (_what, env) => {
    const [fault = '', ...others] = faultsOf({ ...GOOD, ...env });
    expect(fault).not.toBe('');
    expect(others).toEqual([]);
    expect(fault).not.toContain(GOOD.COMPONENT_TOKEN);
    expect(fault).not.toContain(KEY);
  });

  it('is not seen in two listeners on any free port', () => {
    expect(faultsOf({ ...GOOD, PUBLIC_PORT: '0', INTERNAL_PORT: '0' })).toEqual([]);
  });

  it('tells which of several API keys it is', () => {
    const [fault] = faultsOf({ ...GOOD, API_KEYS: `a:${HASH}:admin,canary` });
    expect(fault).toMatch(/^API_KEYS entry 2 /);
  });

  it('says that neither a component nor an account is known', () => {
    const nobody = expect.stringMatching(
      /COMPONENT_APPID.*CONFIG_FILE.*no component and no account/,
    ) as unknown;
    expect(faultsOf({ REDIS_URL: GOOD.REDIS_URL })).toEqual([nobody]);
    expect(faultsOf({})).toEqual([expect.stringMatching(/^REDIS_URL is required, or /), nobody]);
  });
});

describe('good settings', () => {
  it('take the documented defaults where nothing is said', () => {
    expect(loadConfig(GOOD)).toEqual({
      publicHost: '0.0.0.0',
      publicPort: 3000,
      publicBaseUrl: undefined,
      internalHost: '127.0.0.1',
      internalPort: 3001,
      stopDelayMs: 0,
      redis: { url: GOOD.REDIS_URL, protocol: 3 },
      redisKeyPrefix: 'wx:',
      components: [
        {
          appid: GOOD.COMPONENT_APPID,
          appsecret: GOOD.COMPONENT_APPSECRET,
          token: GOOD.COMPONENT_TOKEN,
          encodingAesKey: KEY,
          previousToken: undefined,
          previousEncodingAesKey: undefined,
          returnUrls: [],
        },
      ],
      accounts: [],
      routes: [],
      layouts: [],
      minExpiresIn: {},
      deliveryNetworks: [],
      deliveryBytes: 256 * 1024 * 1024,
      alertWebhooks: [],
      wechatApiBaseUrls: [
        'https://api.weixin.qq.com',
        'https://api2.weixin.qq.com',
        'https://sh.api.weixin.qq.com',
        'https://sz.api.weixin.qq.com',
        'https://hk.api.weixin.qq.com',
      ],
      wechatAuthorizationUrls: {
        pc: 'https://mp.weixin.qq.com',
        mobile: 'https://open.weixin.qq.com',
      },
      noProxy: [],
      componentAccessTokenCron: '*/10 * * * *',
      preAuthCodeCron: '*/10 * * * *',
      refreshWindowMs: 900_000,
      authorizerRefreshesPerSecond: 50,
      apiKeys: [],
      refreshTokenKeys: [],
      logLevel: 'info',
    });
  });

  it.each([
    ['REDIS_KEY_PREFIX', 'redisKeyPrefix', 'a:b:', undefined],
    ['PUBLIC_HOST', 'publicHost', '::1', undefined],
    ['PUBLIC_HOST', 'publicHost', '[::]', '::'],
    ['PUBLIC_HOST', 'publicHost', '[fe80::1%eth0]', 'fe80::1%eth0'],
    ['INTERNAL_HOST', 'internalHost', 'wx_1.internal.example.', undefined],
    ['PUBLIC_PORT', 'publicPort', '65535', 65_535],
    ['PUBLIC_BASE_URL', 'publicBaseUrl', 'https://wx.example.com', undefined],
    ['PUBLIC_BASE_URL', 'publicBaseUrl', 'https://wx.example.com/', 'https://wx.example.com'],
    ['PUBLIC_BASE_URL', 'publicBaseUrl', 'http://127.0.0.1:3000', undefined],
    ['PUBLIC_BASE_URL', 'publicBaseUrl', 'http://localhost:3000/', 'http://localhost:3000'],
    ['INTERNAL_HOST', 'internalHost', '10.0.0.1', undefined],
    ['INTERNAL_PORT', 'internalPort', '0', 0],
    ['STOP_DELAY_SECONDS', 'stopDelayMs', '600', 600_000],
    ['COMPONENT_ACCESS_TOKEN_CRON', 'componentAccessTokenCron', '*/5 * * * *', undefined],
    ['PRE_AUTH_CODE_CRON', 'preAuthCodeCron', '0 0 1 1 *', undefined],
    ['REFRESH_WINDOW_SECONDS', 'refreshWindowMs', '3600', 3_600_000],
    ['REFRESH_WINDOW_SECONDS', 'refreshWindowMs', '1', 1000],
    ['AUTHORIZER_REFRESHES_PER_SECOND', 'authorizerRefreshesPerSecond', '9999', 9999],
    ['REFRESH_TOKEN_KEYS', 'refreshTokenKeys', `a:${SEAL_KEY}`, [{ id: 'a', key: SEAL_KEY }]],
    ['LOG_LEVEL', 'logLevel', 'debug', undefined],
  ] as const)('%s goes to %s: %s', (name, field, text, value) => {
    expect(loadConfig({ ...GOOD, [name]: text })[field]).toEqual(value ?? text);
  });

  it('may name several hosts of WeChat, plain http on this machine only', () => {
    const text = ' https://a.example/ , http://127.0.0.1:8080,http://localhost:1,http://[::1]:2';
    expect(loadConfig({ ...GOOD, WECHAT_API_BASE_URLS: text }).wechatApiBaseUrls).toEqual([
      'https://a.example',
      'http://127.0.0.1:8080',
      'http://localhost:1',
      'http://[::1]:2',
    ]);
  });

  it("name WeChat's authorization pages, and where merchants may be sent", () => {
    const config = loadConfig({
      ...GOOD,
      WECHAT_AUTHORIZATION_URLS: 'https://a.example/, http://127.0.0.1:8080',
      COMPONENT_RETURN_URLS: 'https://shop.example.com/wechat , http://localhost:3000',
    });
    expect(config.wechatAuthorizationUrls).toEqual({
      pc: 'https://a.example',
      mobile: 'http://127.0.0.1:8080',
    });
    const [component] = config.components;
    expect(component?.returnUrls).toEqual([
      'https://shop.example.com/wechat',
      'http://localhost:3000',
    ]);
  });

  it('may name several API keys, with spaces between them', () => {
    const keys = [makeApiKey('shop', 'credentials:read'), makeApiKey('ops', 'admin')];
    const text = keys.map(({ entry }) => entry).join(' , ');
    const { apiKeys } = loadConfig({ ...GOOD, API_KEYS: `${text},` });
    expect(apiKeys.map(({ id }) => id)).toEqual(['shop', 'ops']);
  });
});

describe('proxies', () => {
  const PROXY = { HTTPS_PROXY: 'http://user:password@upper.example:3128' };
  const LOWER = { https_proxy: 'http://lower.example:3128' };
  const hostOf = (env: Record<string, string>) =>
    loadConfig({ ...GOOD, ...env }).httpsProxy?.url.host;

  it('are named in capitals or not; as for curl, those without go first', () => {
    expect(hostOf(PROXY)).toBe('upper.example:3128');
    expect(hostOf(LOWER)).toBe('lower.example:3128');
    expect(hostOf({ ...PROXY, ...LOWER })).toBe('lower.example:3128');
    expect(hostOf({ ...PROXY, https_proxy: '' })).toBe('upper.example:3128');
    expect(hostOf({ HTTPS_PROXY: '' })).toBeUndefined();
  });

  it('are named in a fault as they are set', () => {
    expect(faultsOf({ ...GOOD, ...PROXY, https_proxy: 'canary' })).toEqual([
      expect.stringMatching(/^https_proxy must name the port/),
    ]);
    const both = { https_proxy: PROXY.HTTPS_PROXY, HTTPS_PROXY_FILE: '/nowhere' };
    expect(faultsOf({ ...GOOD, ...both })).toEqual([
      'https_proxy and HTTPS_PROXY_FILE are both set',
      expect.stringMatching(/^HTTPS_PROXY_FILE names a file/),
    ]);
  });

  it.each(['canary://a', 'a.example,10.*', '<canary>', '10.0.0.0/33', 'canary.example:0'])(
    'NO_PROXY=%s is refused where there is a proxy, and else of no interest',
    (text) => {
      const [fault = '', ...others] = faultsOf({ ...GOOD, ...PROXY, NO_PROXY: text });
      expect(fault).toMatch(/^NO_PROXY must be names/);
      expect(fault).not.toContain('canary');
      expect(others).toEqual([]);
      expect(faultsOf({ ...GOOD, no_proxy: text })).toEqual([]);
    },
  );

  it('leave out what NO_PROXY names', () => {
    const { noProxy } = loadConfig({ ...GOOD, ...PROXY, no_proxy: '*.a.example:1, ::1' });
    expect(noProxy).toEqual([
      { kind: 'name', name: 'a.example', port: 1 },
      { kind: 'network', network: '::1/128', port: undefined },
    ]);
  });
});

describe('a Service of Kubernetes, whatever it is called', () => {
  it('sets no settings but the ports, which then say so', () => {
    // https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    const link = /._(?:SERVICE_(?:HOST|PORT(?:_.+)?)|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)?)$/;
    for (const made of [
      'REDIS_PORT',
      'REDIS_SERVICE_HOST',
      'A_SERVICE_PORT_B',
      'A_PORT_1_TCP_ADDR',
    ])
      expect(made).toMatch(link);
    const names = SETTINGS.flatMap(({ name }) => [name, `${name}_FILE`]);
    expect(names.filter((name) => link.test(name))).toEqual(['PUBLIC_PORT', 'INTERNAL_PORT']);
  });
});

describe('row 135: what stands around a value in files and shells is named, and the value is not', () => {
  const SECRETS = ['COMPONENT_APPSECRET', 'COMPONENT_TOKEN', 'COMPONENT_ENCODING_AES_KEY'] as const;
  const WRAPPED: [string, (value: string) => string, RegExp][] = [
    ['double quotes', (value) => `"${value}"`, /it stands in quotes: leave them out$/],
    ['single quotes', (value) => `'${value}'`, /it stands in quotes/],
    ['quotes of a text editor', (value) => `“${value}”`, /it stands in quotes/],
    ['one quote that was left over', (value) => `${value}"`, /it stands in quotes/],
    ['a note', (value) => `${value}#note`, /a note needs a line of its own$/],
    ['a note and a blank', (value) => `${value} # note`, /a note needs a line/],
    ['a blank in front', (value) => ` ${value}`, /it has blanks around it$/],
    ['a blank behind', (value) => `${value} `, /it has blanks around it$/],
    ['a tab behind', (value) => `${value}\t`, /it has blanks around it$/],
    [
      'a blank within',
      (value) => `${value.slice(0, 5)} ${value.slice(5)}`,
      /it has a blank in it$/,
    ],
    ['the line end of Windows', (value) => `${value}\r`, /it ends with a carriage return/],
    ['two lines', (value) => `${value}\n${value}`, /it has a line break in it$/],
    ['a blank without width', (value) => `${value}\u200B`, /it has an invisible character in it$/],
    ['a full-width letter', (value) => `${value}Ａ`, /it has full-width characters in it$/],
  ];
  it.each(SECRETS.flatMap((name) => WRAPPED.map((one) => [name, ...one] as const)))(
    '%s with %s',
    (name, _what, wrap, reason) => {
      const [fault = '', ...others] = faultsOf({ ...GOOD, [name]: wrap(GOOD[name]) });
      expect(fault).toMatch(new RegExp(`^${name} must be `));
      expect(fault).toMatch(reason);
      expect(others).toEqual([]);
      expect(fault).not.toContain(GOOD[name]);
    },
  );

  it.each([
    ['PUBLIC_PORT', 'tcp://10.96.0.7:3000', /enableServiceLinks: false/],
    ['INTERNAL_PORT', 'tcp://10.96.0.7:3001', /enableServiceLinks: false/],
    ['INTERNAL_PORT', 'udp://10.96.0.7:3001', /enableServiceLinks: false/],
    ['PUBLIC_PORT', '3000 ', /blanks around/],
    ['PUBLIC_PORT', '３０００', /full-width/],
    ['PUBLIC_PORT', '+3000', /^PUBLIC_PORT must be a port number$/],
    ['PUBLIC_PORT', '1e3', /^PUBLIC_PORT must be a port number$/],
    ['PUBLIC_PORT', 'true', /^PUBLIC_PORT must be a port number$/],
    ['PRE_AUTH_CODE_CRON', '"*/10 * * * *"', /quotes/],
    ['PUBLIC_BASE_URL', 'https://wx.exa mple.com', /a blank in it/],
    ['LOG_LEVEL', 'info\r', /carriage return/],
    ['REDIS_URL', '${REDIS_URL}', /placeholder/],
    ['COMPONENT_APPSECRET', '<appsecret of the platform>', /placeholder|blank/],
    ['API_KEYS', `"a:${HASH}:admin"`, /quotes/],
    ['WECHAT_API_BASE_URLS', '"https://api.weixin.qq.com"', /quotes/],
    ['ALERT_WEBHOOK_URL', '"https://alerts.example.com/hook"', /quotes/],
  ])('%s=%s', (name, value, reason) => {
    const [fault = '', ...others] = faultsOf({ ...GOOD, [name]: value });
    expect(fault).toMatch(new RegExp(`^${name} `));
    expect(fault).toMatch(reason);
    expect(others).toEqual([]);
    expect(fault).not.toContain('10.96');
  });

  it('a byte order mark is no part of a value, nor of the name of the first variable', () => {
    const { COMPONENT_TOKEN: token, ...rest } = GOOD;
    for (const env of [{ COMPONENT_TOKEN: `\uFEFF${token}` }, { '\uFEFFCOMPONENT_TOKEN': token }]) {
      expect(loadConfig({ ...rest, ...env })).toEqual(loadConfig(GOOD));
    }
  });
});
