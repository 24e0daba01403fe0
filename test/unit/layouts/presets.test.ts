import { describe, expect, it } from 'vitest';
import { layoutSchema, type LayoutPreset } from '../../../src/config/layouts.ts';
import { handleOf } from '../../../src/credentials/refresh-token-handle.ts';
import { nameOf, phpJson, phpSerialize } from '../../../src/layouts/encode.ts';
import { expectedIn, namesFor, placeholderTicket } from '../../../src/layouts/expected.ts';
import { createTarget } from '../../../src/layouts/target.ts';
import { parseTemplate } from '../../../src/config/layout-template.ts';
import type { LayoutConnection } from '../../../src/store/layouts/connect.ts';
import type { CredentialId, CredentialKindName } from '../../../src/store/redis/keys.ts';

/** Names, values and lives of each preset, as the packages themselves write them. */

const C = 'wx00000000000000c1';
const A = 'wx00000000000000a1';
const SECRET = 'wxk_shop_key';
const HANDLE = handleOf(C, A);
const TICKET = placeholderTicket(C).text;
const NOW = 1_800_000_000_000;
const LIFE = 7_200;
const EXPIRES = NOW / 1_000 + LIFE;
const MONTH = 30 * 86_400;

const SOURCE = {
  value: 'TOKEN',
  obtainedAt: NOW,
  expiresAt: NOW + LIFE * 1_000,
  seq: 1,
  untaken: true,
  stands: true,
  hasRefreshToken: true,
  mark: '',
};

/** Nothing is written here. */
const NOWHERE = {} as LayoutConnection;

const WITH_SECRET = [
  'easywechat-4',
  'easywechat-5',
  'easywechat-6',
  'node-easywechat',
  'powerwechat',
];

function layoutOf(preset: LayoutPreset, fields: object = {}) {
  const secret = WITH_SECRET.includes(preset) ? { secret: SECRET } : {};
  return createTarget(layoutSchema.parse({ preset, appids: '*', ...secret, ...fields }), NOWHERE);
}

const KINDS: Readonly<Record<CredentialKindName, string>> = {
  component_access_token: C,
  pre_auth_code: C,
  authorizer_access_token: `${C}:${A}`,
  access_token: A,
  jsapi_ticket: A,
  wx_card_ticket: A,
};

/** Every key of a layout: its name, its text, and the seconds that it lives. */
function keysOf(preset: LayoutPreset, fields: object = {}): Record<string, [string, number]> {
  const target = layoutOf(preset, fields);
  const ids = Object.entries(KINDS).map(([kind, subject]) => ({ kind, subject }) as CredentialId);
  const entries = ids.flatMap((id) =>
    namesFor(target, id, [placeholderTicket(C)]).map(({ key, name }) => {
      const expected = expectedIn(key, id, SOURCE, placeholderTicket(C), NOW);
      if (typeof expected === 'string') throw new Error(`${name} is ${expected}`);
      return [name, [expected.text, expected.lifeMs / 1_000]] as const;
    }),
  );
  return Object.fromEntries(entries) as Record<string, [string, number]>;
}

const php = (value: string) => phpSerialize(value);
const md5 = (text: string) => {
  const parts = parseTemplate(`md5(${text})`);
  if (typeof parts === 'string') throw new Error(parts);
  const none = { prefix: '', appid: '', component: '', secret: '', ticket: '', refresh_token: '' };
  return nameOf(parts, none);
};
const PHP_ANSWER = (name: string) =>
  `a:2:{s:${name.length}:"${name}";s:5:"TOKEN";s:10:"expires_in";i:7200;}`;
const TOKEN = ['TOKEN', LIFE];
const EW5 = 'easywechat.kernel.access_token.';
const PW = 'powerwechat.access_token.';
const PW_ANSWER = (name: string) => [`{"${name}":"TOKEN","expires_in":7200}`, LIFE];
const JSON_TOKEN = ['"TOKEN"', LIFE];

const EASYWECHAT_5 = {
  [`easywechat.open_platform.verify_ticket.${C}`]: [php(TICKET), 3_600],
  [EW5 +
  md5(
    `{"component_appid":"${C}","component_appsecret":"${SECRET}","component_verify_ticket":"${TICKET}"}`,
  )]: [PHP_ANSWER('component_access_token'), LIFE],
  [EW5 +
  md5(
    `{"component_appid":"${C}","authorizer_appid":"${A}","authorizer_refresh_token":"${HANDLE}"}`,
  )]: [PHP_ANSWER('authorizer_access_token'), LIFE],
  [EW5 + md5(`{"grant_type":"client_credential","appid":"${A}","secret":"${SECRET}"}`)]: [
    PHP_ANSWER('access_token'),
    LIFE,
  ],
  [`easywechat.basic_service.jssdk.ticket.jsapi.${A}`]: [PHP_ANSWER('ticket'), LIFE],
  [`easywechat.basic_service.jssdk.ticket.wx_card.${A}`]: [PHP_ANSWER('ticket'), LIFE],
};

const easywechat6 = (text: (value: string) => string) => ({
  [`open_platform.verify_ticket.${C}`]: [text(TICKET), 6_000],
  [`open_platform.component_access_token.${C}`]: [text('TOKEN'), LIFE],
  [`open-platform.authorizer_access_token.${A}.${md5(HANDLE)}`]: [text('TOKEN'), LIFE],
  [`official_account.access_token.${A}.${SECRET}.0`]: [text('TOKEN'), LIFE],
  [`official_account.access_token.${A}.${SECRET}.1`]: [text('TOKEN'), LIFE],
  [`mini_app.access_token.${A}.${SECRET}.0`]: [text('TOKEN'), LIFE],
  [`mini_app.access_token.${A}.${SECRET}.1`]: [text('TOKEN'), LIFE],
  [`official_account.jsapi_ticket.${A}`]: [text('TOKEN'), LIFE],
});

const wechatpy = (component: string) => ({
  [`wechatpy:${component}component_verify_ticket`]: [`"${TICKET}"`, MONTH],
  [`wechatpy:${component}component_access_token`]: JSON_TOKEN,
  [`wechatpy:${A}_refresh_token`]: [`"${HANDLE}"`, MONTH],
  [`wechatpy:${A}_access_token`]: JSON_TOKEN,
  [`wechatpy:${A}_access_token_expires_at`]: [String(EXPIRES), LIFE],
  [`wechatpy:${A}_jsapi_ticket`]: JSON_TOKEN,
  [`wechatpy:${A}_jsapi_ticket_expires_at`]: [String(EXPIRES), LIFE],
});

const PRESETS: Record<Exclude<LayoutPreset, 'custom'>, Record<string, unknown>> = {
  'wxjava-mp': {
    [`wx:access_token:${A}`]: TOKEN,
    [`wx:ticket:key:${A}:jsapi`]: TOKEN,
    [`wx:ticket:key:${A}:wx_card`]: TOKEN,
  },
  'wxjava-miniapp': {
    [`wa:access_token:${A}`]: TOKEN,
    [`wa:wechat_ma_access_token_key:${A}`]: TOKEN,
  },
  'wxjava-open': {
    [`wx:open:wechat_component_verify_ticket:${C}`]: [TICKET, 2_147_483_647],
    [`wx:open:wechat_component_access_token:${C}`]: TOKEN,
    [`wx:open:wechat_authorizer_refresh_token:${C}:${A}`]: [HANDLE, 2_147_483_647],
    [`wx:open:wechat_authorizer_access_token:${C}:${A}`]: TOKEN,
  },
  'easywechat-4': EASYWECHAT_5,
  'easywechat-5': EASYWECHAT_5,
  'easywechat-6': easywechat6(php),
  'node-easywechat': {
    ...easywechat6((value) => value),
    [`official_account.access_token.${A}`]: TOKEN,
    [`mini_app.access_token.${A}`]: TOKEN,
  },
  silenceper: {
    [`component_access_token_${C}`]: TOKEN,
    [`authorizer_access_token_${A}`]: TOKEN,
    [`gowechat_officialaccount__access_token_${A}`]: TOKEN,
    [`gowechat_officialaccount__stable_access_token_${A}`]: TOKEN,
    [`gowechat_miniprogram__access_token_${A}`]: TOKEN,
    [`gowechat_miniprogram__stable_access_token_${A}`]: TOKEN,
    [`gowechat_officialaccount__jsapi_ticket_${A}`]: TOKEN,
  },
  powerwechat: {
    [`powerwechat.open_platform.verify_ticket.${C}`]: [`"${TICKET}"`, 3_600],
    [PW + md5(C + SECRET + TICKET)]: PW_ANSWER('component_access_token'),
    [PW + md5(C + HANDLE + A)]: PW_ANSWER('authorizer_access_token'),
    [PW + md5(A + SECRET)]: PW_ANSWER('access_token'),
    [`powerwechat.basic_service.jssdk.ticket.jsapi.${A}`]: PW_ANSWER('ticket'),
  },
  'wechatpy-1': wechatpy(''),
  'wechatpy-2': wechatpy(`${C}_`),
  'nest-wechat': {
    'nest-wechat:key_component_ticket': [`"${TICKET}"`, MONTH],
    'nest-wechat:key_component_access_token': [
      `{"componentAccessToken":"TOKEN","expiresAt":${EXPIRES}000}`,
      LIFE,
    ],
    [`nest-wechat:key_access_token_${A}`]: [
      `{"access_token":"TOKEN","expires_in":${EXPIRES}}`,
      LIFE,
    ],
    [`nest-wechat:key_ticket_${A}`]: [`{"ticket":"TOKEN","expires_in":${EXPIRES}}`, LIFE],
  },
  yii: {
    [`component_verify_ticket:${C}`]: [TICKET, MONTH],
    [`component_access_token:${C}`]: [
      `a:2:{s:22:"component_access_token";s:5:"TOKEN";s:10:"expires_at";i:${EXPIRES};}`,
      LIFE,
    ],
    [`component_pre_auth_code:${C}`]: [
      `a:2:{s:13:"pre_auth_code";s:5:"TOKEN";s:10:"expires_at";i:${EXPIRES};}`,
      LIFE,
    ],
  },
};

describe('the keys of a preset', () => {
  it.each(Object.entries(PRESETS))('%s', (preset, keys) => {
    expect(keysOf(preset as LayoutPreset)).toEqual(keys);
  });

  it('begin with the prefix that the application has, WxJava’s with a colon unless there is none', () => {
    expect(Object.keys(keysOf('easywechat-6', { prefix: 'app:' }))).toContain(
      `app:open_platform.component_access_token.${C}`,
    );
    expect(Object.keys(keysOf('wxjava-mp', { prefix: 'shop' }))).toContain(
      `shop:access_token:${A}`,
    );
    expect(Object.keys(keysOf('wxjava-open', { prefix: '' }))).toContain(
      `wechat_component_access_token:${C}`,
    );
  });

  it('have the codec of the cache where that is a choice', () => {
    const name = `open_platform.component_access_token.${C}`;
    const texts = ['php', 'json', 'raw'].map(
      (codec) => keysOf('easywechat-6', { codec })[name]?.[0],
    );
    expect(texts).toEqual(['s:5:"TOKEN";', '"TOKEN"', 'TOKEN']);
  });

  it.each([
    'wxjava-open',
    'easywechat-5',
    'powerwechat',
    'wechatpy-2',
    'yii',
    'easywechat-6',
  ] as const)('hold neither a real ticket nor a real refresh token: %s', (preset) => {
    const texts = Object.values(keysOf(preset)).map(([text]) => text);
    const secrets = texts.join('\n').match(/(?:ticket|refreshtoken)@@@[^"\s;]+/g) ?? [];
    expect(secrets.every((one) => one.includes('@@@wxkeeper-'))).toBe(true);
  });
});

describe('MD5s in names', () => {
  it.each([
    [
      '{"component_appid":"wxc1","component_appsecret":"sec","component_verify_ticket":"ticket@@@t1"}',
      '70839fac0eea78ef999819b1c0281ac7',
    ],
    [
      '{"component_appid":"wxc1","authorizer_appid":"wxa1","authorizer_refresh_token":"refreshtoken@@@r1"}',
      'ac6ab00a822077f65b7b656bfce50f7d',
    ],
    [
      '{"grant_type":"client_credential","appid":"wxa1","secret":"sec"}',
      'fad85363bfc3fcd77aae6c5406e94827',
    ],
    ['wxc1secticket@@@t1', '132ec076126ff1851dbf609b99599601'],
    ['wxc1refreshtoken@@@r1wxa1', '84ab98dc90e138fd31d52f4d22863abd'],
    ['wxa1sec', '8a11f579d39623981c4c0f32e750ebb4'],
    ['refreshtoken@@@r1', '877d6b83bcef49998061f7f6709bc645'],
  ])('of %s', (text, expected) => {
    expect(md5(text)).toBe(expected);
  });

  /** The same by the presets themselves: only the words differ. */
  it.each([
    ['easywechat-5', 'component_access_token', '70839fac0eea78ef999819b1c0281ac7'],
    ['easywechat-5', 'authorizer_access_token', 'ac6ab00a822077f65b7b656bfce50f7d'],
    ['easywechat-5', 'access_token', 'fad85363bfc3fcd77aae6c5406e94827'],
    ['powerwechat', 'component_access_token', '132ec076126ff1851dbf609b99599601'],
    ['powerwechat', 'authorizer_access_token', '84ab98dc90e138fd31d52f4d22863abd'],
    ['powerwechat', 'access_token', '8a11f579d39623981c4c0f32e750ebb4'],
    ['easywechat-6', 'authorizer_access_token', '877d6b83bcef49998061f7f6709bc645'],
  ] as const)('%s, %s', (preset, kind, expected) => {
    const key = layoutOf(preset).keys.find((one) => one.kind === kind);
    const name = nameOf(key?.template ?? [], {
      prefix: '',
      appid: 'wxa1',
      component: 'wxc1',
      secret: 'sec',
      ticket: 'ticket@@@t1',
      refresh_token: 'refreshtoken@@@r1',
    });
    expect(name.slice(-32)).toBe(expected);
  });
});

describe('a custom layout', () => {
  const custom = (...keys: object[]) => ({ name: 'shop', prefix: 'shop:', secret: 'a/b', keys });
  it('has the names, values and lives that it says', () => {
    const keys = custom(
      { kind: 'access_token', name: '{prefix}{appid}:md5({appid}"{secret:json}")', codec: 'json' },
      {
        kind: 'component_access_token',
        name: '{prefix}{component}',
        codec: 'php',
        value: { token: 'value', 7: 'expires_at_ms' },
        ends_before: 200,
      },
      { kind: 'authorizer_refresh_token', name: '{prefix}{component}-{appid}', seconds: 60 },
      { kind: 'jsapi_ticket', name: '{appid}.end', value: 'expires_at', seconds: 100_000 },
    );
    expect(keysOf('custom', keys)).toEqual({
      [`shop:${A}:${md5(`${A}"a\\/b"`)}`]: ['"TOKEN"', LIFE],
      [`shop:${C}`]: [`a:2:{i:7;i:${EXPIRES}000;s:5:"token";s:5:"TOKEN";}`, LIFE - 200],
      [`shop:${C}-${A}`]: [HANDLE, 60],
      [`${A}.end`]: [String(EXPIRES), LIFE],
    });
  });
});

describe('PHP', () => {
  it('counts lengths in bytes, and escapes what json_encode escapes', () => {
    expect(phpSerialize('微信"')).toBe('s:7:"微信"";');
    expect(phpJson('a/b"\\微😀\n')).toBe('"a\\/b\\"\\\\\\u5fae\\ud83d\\ude00\\n"');
  });
});

describe('what belongs into a key', () => {
  const target = layoutOf('wxjava-open');
  const id = { kind: 'authorizer_access_token', subject: `${C}:${A}` } as const;
  const of = (more: Partial<typeof SOURCE> | { value: undefined }) =>
    namesFor(target, id, []).map(({ key }) => {
      const expected = expectedIn(key, id, { ...SOURCE, ...more }, undefined, NOW);
      return typeof expected === 'string' ? expected : expected.text;
    });

  it('is nothing when the authorization has ended, and not known while there is no live token', () => {
    expect(of({})).toEqual([HANDLE, 'TOKEN']);
    expect(of({ stands: false })).toEqual(['none', 'none']);
    expect(of({ value: undefined })).toEqual([HANDLE, 'unknown']);
    expect(of({ expiresAt: NOW })).toEqual([HANDLE, 'unknown']);
    expect(of({ hasRefreshToken: false })).toEqual(['unknown', 'TOKEN']);
  });

  it('is no pre_auth_code that somebody has', () => {
    const yii = layoutOf('yii');
    const code = { kind: 'pre_auth_code', subject: C } as const;
    const [named] = namesFor(yii, code, []);
    if (named === undefined) throw new Error('no key');
    expect(expectedIn(named.key, code, { ...SOURCE, untaken: false }, undefined, NOW)).toBe('none');
  });
});
