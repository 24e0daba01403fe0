import type { Codec, Layout, LayoutField, LayoutKey, LayoutPreset } from '../config/layouts.ts';

/**
 * The keys of each application's own cache: names, values, lives. Read in the sources of the packages
 * (WxJava 4.7, EasyWeChat 4.9, 5.36 and 6.19, node-easywechat 3.6, silenceper/wechat v2, PowerWeChat 3.2,
 * wechatpy 1.8 and 2.0, nest-wechat 0.2) and in an article about Yii.
 *
 * A key lives as long as its credential, where the packages subtract some seconds: wxkeeper replaces the
 * credential long before its end, and whoever finds no key mints one of his own.
 */
export interface Preset {
  /** In front of the names, unless the layout says otherwise. */
  prefix: string;
  keys: readonly LayoutKey[];
}

/** Seconds: what has no end in the package's own cache. Written again when half of it is over. */
const FOR_LONG = 30 * 86_400;
/** Seconds: WxJava takes a key without an end for one that is over. */
const WXJAVA_FOREVER = 2 ** 31 - 1;

type Parts = Partial<Pick<LayoutKey, 'codec' | 'value' | 'seconds'>>;

function key(kind: LayoutKey['kind'], name: string, parts: Parts = {}): LayoutKey {
  const { codec = 'raw', value = 'value', seconds } = parts;
  return { kind, name: `{prefix}${name}`, codec, value, seconds };
}

/** `{…, expires_in}`, as WeChat answers. */
function answer(name: string): Record<string, LayoutField> {
  return { [name]: 'value', expires_in: 'expires_in' };
}

const WXJAVA_MP: readonly LayoutKey[] = [
  key('access_token', ':access_token:{appid}'),
  key('jsapi_ticket', ':ticket:key:{appid}:jsapi'),
  key('wx_card_ticket', ':ticket:key:{appid}:wx_card'),
];

/** As one of the two configurations has it, and as the other one; both begin with the prefix. */
const WXJAVA_MINIAPP: readonly LayoutKey[] = [
  key('access_token', ':access_token:{appid}'),
  key('access_token', ':wechat_ma_access_token_key:{appid}'),
];

const WXJAVA_OPEN: readonly LayoutKey[] = [
  key('component_verify_ticket', ':wechat_component_verify_ticket:{component}', {
    seconds: WXJAVA_FOREVER,
  }),
  key('component_access_token', ':wechat_component_access_token:{component}'),
  key('authorizer_refresh_token', ':wechat_authorizer_refresh_token:{component}:{appid}', {
    seconds: WXJAVA_FOREVER,
  }),
  key('authorizer_access_token', ':wechat_authorizer_access_token:{component}:{appid}'),
];

/** Their MD5s are of JSON as PHP writes it. */
function easywechat5(codec: Codec): readonly LayoutKey[] {
  const token = (json: string) => `easywechat.kernel.access_token.md5({${json}})`;
  const jssdk = (type: string) => `easywechat.basic_service.jssdk.ticket.${type}.{appid}`;
  return [
    key('component_verify_ticket', 'easywechat.open_platform.verify_ticket.{component}', {
      codec,
      seconds: 3_600,
    }),
    key(
      'component_access_token',
      token(
        '"component_appid":"{component}","component_appsecret":"{secret:json}",' +
          '"component_verify_ticket":"{ticket:json}"',
      ),
      { codec, value: answer('component_access_token') },
    ),
    key(
      'authorizer_access_token',
      token(
        '"component_appid":"{component}","authorizer_appid":"{appid}",' +
          '"authorizer_refresh_token":"{refresh_token:json}"',
      ),
      { codec, value: answer('authorizer_access_token') },
    ),
    key(
      'access_token',
      token('"grant_type":"client_credential","appid":"{appid}","secret":"{secret:json}"'),
      { codec, value: answer('access_token') },
    ),
    key('jsapi_ticket', jssdk('jsapi'), { codec, value: answer('ticket') }),
    key('wx_card_ticket', jssdk('wx_card'), { codec, value: answer('ticket') }),
  ];
}

function easywechat6(codec: Codec): readonly LayoutKey[] {
  const own = (app: string, stable: 0 | 1) =>
    key('access_token', `${app}.access_token.{appid}.{secret}.${stable}`, { codec });
  return [
    key('component_verify_ticket', 'open_platform.verify_ticket.{component}', {
      codec,
      seconds: 6_000,
    }),
    key('component_access_token', 'open_platform.component_access_token.{component}', { codec }),
    // A hyphen here, and nowhere else.
    key(
      'authorizer_access_token',
      'open-platform.authorizer_access_token.{appid}.md5({refresh_token})',
      { codec },
    ),
    own('official_account', 0),
    own('official_account', 1),
    own('mini_app', 0),
    own('mini_app', 1),
    key('jsapi_ticket', 'official_account.jsapi_ticket.{appid}', { codec }),
  ];
}

/** 3.6.2 has EasyWeChat's names, 3.6.1 had no secret in them. */
function nodeEasywechat(codec: Codec): readonly LayoutKey[] {
  return [
    ...easywechat6(codec),
    key('access_token', 'official_account.access_token.{appid}', { codec }),
    key('access_token', 'mini_app.access_token.{appid}', { codec }),
  ];
}

const SILENCEPER: readonly LayoutKey[] = [
  key('component_access_token', 'component_access_token_{component}'),
  key('authorizer_access_token', 'authorizer_access_token_{appid}'),
  ...['officialaccount', 'miniprogram'].flatMap((app) => [
    key('access_token', `gowechat_${app}__access_token_{appid}`),
    key('access_token', `gowechat_${app}__stable_access_token_{appid}`),
  ]),
  key('jsapi_ticket', 'gowechat_officialaccount__jsapi_ticket_{appid}'),
];

const POWERWECHAT: readonly LayoutKey[] = [
  key('component_verify_ticket', 'powerwechat.open_platform.verify_ticket.{component}', {
    codec: 'json',
    seconds: 3_600,
  }),
  key('component_access_token', 'powerwechat.access_token.md5({component}{secret}{ticket})', {
    codec: 'json',
    value: answer('component_access_token'),
  }),
  key(
    'authorizer_access_token',
    'powerwechat.access_token.md5({component}{refresh_token}{appid})',
    {
      codec: 'json',
      value: answer('authorizer_access_token'),
    },
  ),
  key('access_token', 'powerwechat.access_token.md5({appid}{secret})', {
    codec: 'json',
    value: answer('access_token'),
  }),
  key('jsapi_ticket', 'powerwechat.basic_service.jssdk.ticket.jsapi.{appid}', {
    codec: 'json',
    value: answer('ticket'),
  }),
];

/** @param component what 2.0 has in front of the platform's names, and 1.8 has not */
function wechatpy(component: '' | '{component}_'): readonly LayoutKey[] {
  const text = (kind: LayoutKey['kind'], name: string, seconds?: number) =>
    key(kind, name, { codec: 'json', seconds });
  // One that is left over from before would make the package fetch a token although there is one.
  const end = (kind: LayoutKey['kind'], name: string) =>
    key(kind, `${name}_expires_at`, { codec: 'json', value: 'expires_at' });
  return [
    text('component_verify_ticket', `${component}component_verify_ticket`, FOR_LONG),
    text('component_access_token', `${component}component_access_token`),
    text('authorizer_refresh_token', '{appid}_refresh_token', FOR_LONG),
    ...(['authorizer_access_token', 'access_token'] as const).flatMap((kind) => [
      text(kind, '{appid}_access_token'),
      end(kind, '{appid}_access_token'),
    ]),
    text('jsapi_ticket', '{appid}_jsapi_ticket'),
    end('jsapi_ticket', '{appid}_jsapi_ticket'),
  ];
}

const NEST_WECHAT: readonly LayoutKey[] = [
  key('component_verify_ticket', 'key_component_ticket', { codec: 'json', seconds: FOR_LONG }),
  key('component_access_token', 'key_component_access_token', {
    codec: 'json',
    value: { componentAccessToken: 'value', expiresAt: 'expires_at_ms' },
  }),
  key('access_token', 'key_access_token_{appid}', {
    codec: 'json',
    value: { access_token: 'value', expires_in: 'expires_at' },
  }),
  key('jsapi_ticket', 'key_ticket_{appid}', {
    codec: 'json',
    value: { ticket: 'value', expires_in: 'expires_at' },
  }),
];

const YII: readonly LayoutKey[] = [
  key('component_verify_ticket', 'component_verify_ticket:{component}', { seconds: FOR_LONG }),
  key('component_access_token', 'component_access_token:{component}', {
    codec: 'php',
    value: { component_access_token: 'value', expires_at: 'expires_at' },
  }),
  key('pre_auth_code', 'component_pre_auth_code:{component}', {
    codec: 'php',
    value: { pre_auth_code: 'value', expires_at: 'expires_at' },
  }),
];

const PRESETS: Readonly<Record<LayoutPreset, (layout: Layout) => Preset>> = {
  'wxjava-mp': () => ({ prefix: 'wx', keys: WXJAVA_MP }),
  'wxjava-miniapp': () => ({ prefix: 'wa', keys: WXJAVA_MINIAPP }),
  'wxjava-open': () => ({ prefix: 'wx:open', keys: WXJAVA_OPEN }),
  'easywechat-4': ({ codec = 'php' }) => ({ prefix: '', keys: easywechat5(codec) }),
  'easywechat-5': ({ codec = 'php' }) => ({ prefix: '', keys: easywechat5(codec) }),
  'easywechat-6': ({ codec = 'php' }) => ({ prefix: '', keys: easywechat6(codec) }),
  'node-easywechat': ({ codec = 'raw' }) => ({ prefix: '', keys: nodeEasywechat(codec) }),
  silenceper: () => ({ prefix: '', keys: SILENCEPER }),
  powerwechat: () => ({ prefix: '', keys: POWERWECHAT }),
  'wechatpy-1': () => ({ prefix: 'wechatpy:', keys: wechatpy('') }),
  'wechatpy-2': () => ({ prefix: 'wechatpy:', keys: wechatpy('{component}_') }),
  'nest-wechat': () => ({ prefix: 'nest-wechat:', keys: NEST_WECHAT }),
  yii: () => ({ prefix: '', keys: YII }),
  custom: ({ keys }) => ({ prefix: '', keys }),
};

/** WxJava puts a colon between its prefix and the rest, and none where there is no prefix. */
const WITH_COLON: readonly LayoutPreset[] = ['wxjava-mp', 'wxjava-miniapp', 'wxjava-open'];

/** The keys of a layout, with the prefix that the layout, or its preset, has. */
export function presetOf(layout: Layout): Preset {
  const { preset } = layout;
  const { prefix: usual, keys } = PRESETS[preset](layout);
  const prefix = layout.prefix ?? usual;
  if (prefix !== '' || !WITH_COLON.includes(preset)) return { prefix, keys };
  return { prefix, keys: keys.map((one) => ({ ...one, name: one.name.replace('{prefix}:', '') })) };
}
