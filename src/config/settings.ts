import * as z from 'zod';
import {
  alertKindSchema,
  authorizationUrlsSchema,
  cronSchema,
  hostSchema,
  hostsSchema,
  languageSchema,
  levelSchema,
  megabytesSchema,
  networksSchema,
  noProxySchema,
  portSchema,
  prefixSchema,
  proxySchema,
  publicUrlSchema,
  rateSchema,
  returnUrlsSchema,
  sealKeysSchema,
  secretFormats,
  stopDelaySchema,
  webhookSecretSchema,
  webhookUrlSchema,
  windowSchema,
} from './formats.ts';

import { secretsOfProxy } from '../lib/proxy.ts';
import { REDIS } from './redis.ts';
import { setting, type Setting, type SettingGroup } from './setting.ts';

/**
 * Every setting, once: the type of the configuration, the loader in `load.ts`, what the log hides,
 * `.env.example` and the tables in the READMEs are made from this list.
 */

/** The official hosts; the first is the ordinary one, the second for disasters, then by region. */
const WECHAT_HOSTS = ['api', 'api2', 'sh.api', 'sz.api', 'hk.api'].map(
  (name) => `https://${name}.weixin.qq.com`,
);

/** Those that belong together. The names of values say their unit. */
export const GROUPS = {
  redis: REDIS,
  keys: {
    redisKeyPrefix: setting({
      name: 'REDIS_KEY_PREFIX',
      schema: prefixSchema,
      default: 'wx:',
      doc: { en: 'before every key', zh: '所有键的前缀' },
    }),
  },
  /** One component; more of them are in the file. */
  component: {
    appid: setting({
      name: 'COMPONENT_APPID',
      schema: secretFormats.appid,
      example: 'wx0123456789abcdef',
      doc: { en: 'appid of the third-party platform', zh: '第三方平台的 appid' },
    }),
    appsecret: setting({
      name: 'COMPONENT_APPSECRET',
      schema: secretFormats.appsecret,
      secret: true,
      doc: { en: 'its AppSecret', zh: '第三方平台的 AppSecret' },
    }),
    token: setting({
      name: 'COMPONENT_TOKEN',
      schema: secretFormats.token,
      secret: true,
      doc: { en: 'message verification token from the console', zh: '控制台里的消息校验 Token' },
    }),
    encodingAesKey: setting({
      name: 'COMPONENT_ENCODING_AES_KEY',
      schema: secretFormats.key,
      secret: true,
      doc: {
        en: 'message encryption key from the console, 43 letters and digits',
        zh: '控制台里的消息加解密 Key，43 位字母或数字',
      },
    }),
    previousToken: setting({
      name: 'COMPONENT_PREVIOUS_TOKEN',
      schema: secretFormats.token.optional(),
      secret: true,
      doc: { en: 'still accepted while the token is changed', zh: '更换 Token 期间仍接受的旧值' },
    }),
    previousEncodingAesKey: setting({
      name: 'COMPONENT_PREVIOUS_ENCODING_AES_KEY',
      schema: secretFormats.key.optional(),
      secret: true,
      doc: { en: 'still accepted while the key is changed', zh: '更换 Key 期间仍接受的旧值' },
    }),
    returnUrls: setting({
      name: 'COMPONENT_RETURN_URLS',
      schema: returnUrlsSchema.default([]),
      example: 'https://shop.example.com/wechat',
      doc: {
        en: 'comma-separated; merchants may be sent there, and below, after an authorization',
        zh: '逗号分隔；授权结束后允许跳转到这些地址及其下级路径',
      },
    }),
  },
  file: {
    configFile: setting({
      name: 'CONFIG_FILE',
      schema: z.string().optional(),
      example: '/etc/wxkeeper.json',
      doc: {
        en: 'JSON file for several components, own accounts and API keys',
        zh: '多个第三方平台、自有公众号/小程序与 API key 用的 JSON 文件',
      },
    }),
  },
  listeners: {
    publicHost: setting({
      name: 'PUBLIC_HOST',
      schema: hostSchema,
      default: '0.0.0.0',
      doc: { en: 'address of the listener for WeChat', zh: '面向微信的监听地址' },
    }),
    publicPort: setting({
      name: 'PUBLIC_PORT',
      schema: portSchema,
      default: '3000',
      doc: { en: 'its port', zh: '面向微信的监听端口' },
    }),
    publicBaseUrl: setting({
      name: 'PUBLIC_BASE_URL',
      schema: publicUrlSchema.optional(),
      example: 'https://wx.example.com',
      doc: {
        en: 'https origin that WeChat and merchants see; start links and the URLs for the console are built from it',
        zh: '微信和商家访问用的 https 源；授权链接和控制台应填的 URL 都以它开头',
      },
    }),
    internalHost: setting({
      name: 'INTERNAL_HOST',
      schema: hostSchema,
      default: '127.0.0.1',
      doc: {
        en: 'address of the listener for services and admins',
        zh: '面向内部服务与管理员的监听地址',
      },
    }),
    internalPort: setting({
      name: 'INTERNAL_PORT',
      schema: portSchema,
      default: '3001',
      doc: { en: 'its port', zh: '面向内部的监听端口' },
    }),
    stopDelayMs: setting({
      name: 'STOP_DELAY_SECONDS',
      schema: stopDelaySchema,
      default: '0',
      doc: {
        en: 'after `SIGTERM` everything is served for so long while `/readyz` says 503',
        zh: '收到 `SIGTERM` 后继续正常服务的秒数，期间 `/readyz` 返回 503',
      },
    }),
  },
  wechat: {
    wechatApiBaseUrls: setting({
      name: 'WECHAT_API_BASE_URLS',
      schema: hostsSchema,
      default: WECHAT_HOSTS.join(','),
      doc: {
        en: "WeChat's hosts in order of preference; plain http only to loopback",
        zh: '微信接口域名，按优先顺序；只有回环地址可用 http',
      },
    }),
    wechatAuthorizationUrls: setting({
      name: 'WECHAT_AUTHORIZATION_URLS',
      schema: authorizationUrlsSchema,
      default: 'https://mp.weixin.qq.com,https://open.weixin.qq.com',
      doc: {
        en: "WeChat's authorization pages, for computers and for phones; plain http only to loopback",
        zh: '微信授权页的域名，先电脑端后手机端；只有回环地址可用 http',
      },
    }),
  },
  /** Named as other programs name them. */
  proxies: {
    httpsProxy: setting({
      name: 'HTTPS_PROXY',
      otherName: 'https_proxy',
      schema: proxySchema.optional(),
      secret: true,
      secretParts: (proxy) => (proxy === undefined ? [] : secretsOfProxy(proxy)),
      example: 'http://user:password@proxy.example.com:3128',
      doc: {
        en: 'proxy through which WeChat and https webhooks of alerts are called, by `CONNECT`; `http://` or `https://`; also as `https_proxy`, which goes first',
        zh: '调用微信和 https 告警地址所经的代理（`CONNECT`），`http://` 或 `https://`；也可写作 `https_proxy`，并以它为先',
      },
    }),
    httpProxy: setting({
      name: 'HTTP_PROXY',
      otherName: 'http_proxy',
      schema: proxySchema.optional(),
      secret: true,
      secretParts: (proxy) => (proxy === undefined ? [] : secretsOfProxy(proxy)),
      example: 'http://127.0.0.1:3128',
      doc: {
        en: 'the same for `http://` addresses in `WECHAT_API_BASE_URLS`: for tests; also as `http_proxy`',
        zh: '同上，用于 `WECHAT_API_BASE_URLS` 里的 `http://` 地址，供测试；也可写作 `http_proxy`',
      },
    }),
    noProxy: setting({
      name: 'NO_PROXY',
      otherName: 'no_proxy',
      schema: noProxySchema.default([]),
      example: 'internal.example.com,10.0.0.0/8',
      doc: {
        en: 'what goes past the proxy: names with all below them, addresses, networks, each perhaps with `:port`, comma-separated; `*` is everything; also as `no_proxy`',
        zh: '不经代理的目标：域名（含其下级）、IP、网段，可带 `:端口`，逗号分隔；`*` 表示全部；也可写作 `no_proxy`',
      },
    }),
  },
  refreshing: {
    componentAccessTokenCron: setting({
      name: 'COMPONENT_ACCESS_TOKEN_CRON',
      schema: cronSchema,
      default: '*/10 * * * *',
      doc: {
        en: 'when the job looks at `component_access_token` (Asia/Shanghai)',
        zh: '检查 `component_access_token` 的时间（Asia/Shanghai）',
      },
    }),
    preAuthCodeCron: setting({
      name: 'PRE_AUTH_CODE_CRON',
      schema: cronSchema,
      default: '*/10 * * * *',
      doc: {
        en: 'when the job looks at `pre_auth_code` (Asia/Shanghai)',
        zh: '检查 `pre_auth_code` 的时间（Asia/Shanghai）',
      },
    }),
    refreshWindowMs: setting({
      name: 'REFRESH_WINDOW_SECONDS',
      schema: windowSchema,
      default: '900',
      doc: {
        en: 'a credential is refreshed within this many seconds of its expiry, at most half its life',
        zh: '距过期多少秒以内刷新，最多为其寿命的一半',
      },
    }),
    authorizerRefreshesPerSecond: setting({
      name: 'AUTHORIZER_REFRESHES_PER_SECOND',
      schema: rateSchema,
      default: '50',
      doc: {
        en: 'tokens of authorizers refreshed per second and component at most, by all replicas together',
        zh: '每个平台每秒最多刷新的授权方 token 数，所有副本合计',
      },
    }),
  },
  callers: {
    apiKeys: setting({
      name: 'API_KEYS',
      schema: z.string().default(''),
      secret: true,
      // Only hashes of the keys are known here.
      secretParts: () => [],
      example: 'shop:<sha256 hex>:credentials:read',
      doc: {
        en: 'internal callers, comma-separated `id:sha256hex:scope+scope`; `npm run keys` makes one',
        zh: '内部调用方，逗号分隔的 `id:sha256hex:scope+scope`；用 `npm run keys` 生成',
      },
    }),
  },
  encryption: {
    refreshTokenKeys: setting({
      name: 'REFRESH_TOKEN_KEYS',
      schema: sealKeysSchema.default([]),
      secret: true,
      secretParts: (keys) => keys.map(({ key }) => key),
      example: 'main:<base64 of 32 bytes>',
      doc: {
        en: 'seal refresh tokens in Redis: comma-separated `id:base64`, the first seals, all open; `npm run keys -- --sealing` makes one',
        zh: '加密保存在 Redis 里的 refresh token：逗号分隔的 `id:base64`，第一个用于加密，全部可用于解密；用 `npm run keys -- --sealing` 生成',
      },
    }),
  },
  /** One webhook; more of them are in the file. */
  webhook: {
    url: setting({
      name: 'ALERT_WEBHOOK_URL',
      schema: webhookUrlSchema,
      secret: true,
      secretParts: (url) => [url, ...keysIn(url)],
      example: 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=...',
      doc: {
        en: 'where people are told of problems; more of them in `CONFIG_FILE` as `alert_webhooks`',
        zh: '告警发往的地址；多个地址写在 `CONFIG_FILE` 的 `alert_webhooks` 里',
      },
    }),
    kind: setting({
      name: 'ALERT_WEBHOOK_KIND',
      schema: alertKindSchema,
      default: 'json',
      doc: {
        en: '`json` for a program of your own, or the robot: `wecom`, `dingtalk`, `feishu` or `serverchan`',
        zh: '`json`（自己的程序），或机器人：`wecom`、`dingtalk`、`feishu`、`serverchan`',
      },
    }),
    secret: setting({
      name: 'ALERT_WEBHOOK_SECRET',
      schema: webhookSecretSchema.optional(),
      secret: true,
      doc: {
        en: 'signs messages for `json`, `dingtalk` and `feishu`',
        zh: '消息签名密钥，用于 `json`、`dingtalk` 和 `feishu`',
      },
    }),
  },
  alerts: {
    alertLanguage: setting({
      name: 'ALERT_LANGUAGE',
      schema: languageSchema.optional(),
      doc: {
        en: '`zh` or `en`; unless set, Chinese for robots and English for `json`',
        zh: '`zh` 或 `en`；不设时机器人用中文，`json` 用英文',
      },
    }),
  },
  deliveries: {
    deliveryNetworks: setting({
      name: 'DELIVERY_NETWORKS',
      schema: networksSchema.default([]),
      example: '10.0.0.0/8,192.168.0.0/16',
      doc: {
        en: 'loopback and private networks in which targets of delivery routes may be; comma-separated, none unless set',
        zh: '转发目标可以位于的回环与私有网段，逗号分隔；不设时都不允许',
      },
    }),
    deliveryBytes: setting({
      name: 'DELIVERY_MEGABYTES',
      schema: megabytesSchema,
      default: '256',
      doc: {
        en: 'of Redis, for what waits to be delivered, for each component; beyond it the oldest of the longest queue are dropped',
        zh: '每个第三方平台等待转发的内容最多占用的 Redis 内存（MB）；超出时丢弃最长队列中最旧的',
      },
    }),
  },
  log: {
    logLevel: setting({
      name: 'LOG_LEVEL',
      schema: levelSchema,
      default: 'info',
      doc: { en: '`error`, `warn`, `info` or `debug`', zh: '`error`、`warn`、`info` 或 `debug`' },
    }),
  },
};

/** In the order of the documents. */
export const SETTINGS: readonly Setting[] = Object.values(GROUPS).flatMap((group: SettingGroup) =>
  Object.values(group),
);

/** The parts of a webhook's address that let others write there, too. */
function keysIn(address: string): string[] {
  const { pathname, search, searchParams } = new URL(address);
  const longest = [...searchParams.values(), ...pathname.split('/')];
  return [`${pathname}${search}`, ...longest.filter((part) => part.length >= 16)].filter(
    (part) => part.length > 1,
  );
}
