import type { Text } from '../lib/language.ts';

/**
 * Every setting, once: the loader in `load.ts`, `.env.example` and the tables in the READMEs are
 * made from this list.
 */
export interface Setting {
  name: string;
  /** Text of the default, or undefined when there is none. */
  default?: string;
  required?: boolean;
  /** May also come from the file that `NAME_FILE` names. */
  secret?: boolean;
  example?: string;
  doc: Text;
}

/** The official hosts; the first is the ordinary one, the second for disasters, then by region. */
const WECHAT_HOSTS = ['api', 'api2', 'sh.api', 'sz.api', 'hk.api'].map(
  (name) => `https://${name}.weixin.qq.com`,
);

export const SETTINGS: readonly Setting[] = [
  {
    name: 'REDIS_URL',
    required: true,
    secret: true,
    example: 'redis://127.0.0.1:6379',
    doc: {
      en: '`redis://`, `rediss://` (TLS) or the path of a socket',
      zh: '`redis://`、`rediss://`（TLS）或套接字路径',
    },
  },
  {
    name: 'REDIS_KEY_PREFIX',
    default: 'wx:',
    doc: { en: 'before every key', zh: '所有键的前缀' },
  },
  {
    name: 'REDIS_PROTOCOL',
    default: '3',
    doc: {
      en: '`2` for proxies that refuse RESP3',
      zh: '遇到不支持 RESP3 的代理时设为 `2`',
    },
  },
  {
    name: 'COMPONENT_APPID',
    example: 'wx0123456789abcdef',
    doc: { en: 'appid of the third-party platform', zh: '第三方平台的 appid' },
  },
  {
    name: 'COMPONENT_APPSECRET',
    secret: true,
    doc: { en: 'its AppSecret', zh: '第三方平台的 AppSecret' },
  },
  {
    name: 'COMPONENT_TOKEN',
    secret: true,
    doc: { en: 'message verification token from the console', zh: '控制台里的消息校验 Token' },
  },
  {
    name: 'COMPONENT_ENCODING_AES_KEY',
    secret: true,
    doc: {
      en: 'message encryption key from the console, 43 letters and digits',
      zh: '控制台里的消息加解密 Key，43 位字母或数字',
    },
  },
  {
    name: 'COMPONENT_PREVIOUS_TOKEN',
    secret: true,
    doc: { en: 'still accepted while the token is changed', zh: '更换 Token 期间仍接受的旧值' },
  },
  {
    name: 'COMPONENT_PREVIOUS_ENCODING_AES_KEY',
    secret: true,
    doc: { en: 'still accepted while the key is changed', zh: '更换 Key 期间仍接受的旧值' },
  },
  {
    name: 'COMPONENT_RETURN_URLS',
    example: 'https://shop.example.com/wechat',
    doc: {
      en: 'comma-separated; merchants may be sent there, and below, after an authorization',
      zh: '逗号分隔；授权结束后允许跳转到这些地址及其下级路径',
    },
  },
  {
    name: 'CONFIG_FILE',
    example: '/etc/wxkeeper.json',
    doc: {
      en: 'JSON file for several components, own accounts and API keys',
      zh: '多个第三方平台、自有公众号/小程序与 API key 用的 JSON 文件',
    },
  },
  {
    name: 'PUBLIC_HOST',
    default: '0.0.0.0',
    doc: { en: 'address of the listener for WeChat', zh: '面向微信的监听地址' },
  },
  {
    name: 'PUBLIC_PORT',
    default: '3000',
    doc: { en: 'its port', zh: '面向微信的监听端口' },
  },
  {
    name: 'PUBLIC_BASE_URL',
    example: 'https://wx.example.com',
    doc: {
      en: 'https origin that WeChat and merchants see; start links and the URLs for the console are built from it',
      zh: '微信和商家访问用的 https 源；授权链接和控制台应填的 URL 都以它开头',
    },
  },
  {
    name: 'INTERNAL_HOST',
    default: '127.0.0.1',
    doc: {
      en: 'address of the listener for services and admins',
      zh: '面向内部服务与管理员的监听地址',
    },
  },
  {
    name: 'INTERNAL_PORT',
    default: '3001',
    doc: { en: 'its port', zh: '面向内部的监听端口' },
  },
  {
    name: 'STOP_DELAY_SECONDS',
    default: '0',
    doc: {
      en: 'after `SIGTERM` everything is served for so long while `/readyz` says 503',
      zh: '收到 `SIGTERM` 后继续正常服务的秒数，期间 `/readyz` 返回 503',
    },
  },
  {
    name: 'WECHAT_API_BASE_URLS',
    default: WECHAT_HOSTS.join(','),
    doc: {
      en: "WeChat's hosts in order of preference; plain http only to loopback",
      zh: '微信接口域名，按优先顺序；只有回环地址可用 http',
    },
  },
  {
    name: 'WECHAT_AUTHORIZATION_URLS',
    default: 'https://mp.weixin.qq.com,https://open.weixin.qq.com',
    doc: {
      en: "WeChat's authorization pages, for computers and for phones; plain http only to loopback",
      zh: '微信授权页的域名，先电脑端后手机端；只有回环地址可用 http',
    },
  },
  {
    name: 'COMPONENT_ACCESS_TOKEN_CRON',
    default: '*/10 * * * *',
    doc: {
      en: 'when the job looks at `component_access_token` (Asia/Shanghai)',
      zh: '检查 `component_access_token` 的时间（Asia/Shanghai）',
    },
  },
  {
    name: 'PRE_AUTH_CODE_CRON',
    default: '*/10 * * * *',
    doc: {
      en: 'when the job looks at `pre_auth_code` (Asia/Shanghai)',
      zh: '检查 `pre_auth_code` 的时间（Asia/Shanghai）',
    },
  },
  {
    name: 'REFRESH_WINDOW_SECONDS',
    default: '900',
    doc: {
      en: 'a credential is refreshed within this many seconds of its expiry, at most half its life',
      zh: '距过期多少秒以内刷新，最多为其寿命的一半',
    },
  },
  {
    name: 'AUTHORIZER_REFRESHES_PER_SECOND',
    default: '50',
    doc: {
      en: 'tokens of authorizers refreshed per second and component at most, by all replicas together',
      zh: '每个平台每秒最多刷新的授权方 token 数，所有副本合计',
    },
  },
  {
    name: 'API_KEYS',
    secret: true,
    example: 'shop:<sha256 hex>:credentials:read',
    doc: {
      en: 'internal callers, comma-separated `id:sha256hex:scope+scope`; `npm run keys` makes one',
      zh: '内部调用方，逗号分隔的 `id:sha256hex:scope+scope`；用 `npm run keys` 生成',
    },
  },
  {
    name: 'REFRESH_TOKEN_KEYS',
    secret: true,
    example: 'main:<base64 of 32 bytes>',
    doc: {
      en: 'seal refresh tokens in Redis: comma-separated `id:base64`, the first seals, all open; `npm run keys -- --sealing` makes one',
      zh: '加密保存在 Redis 里的 refresh token：逗号分隔的 `id:base64`，第一个用于加密，全部可用于解密；用 `npm run keys -- --sealing` 生成',
    },
  },
  {
    name: 'ALERT_WEBHOOK_URL',
    secret: true,
    example: 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=...',
    doc: {
      en: 'where people are told of problems; more of them in `CONFIG_FILE` as `alert_webhooks`',
      zh: '告警发往的地址；多个地址写在 `CONFIG_FILE` 的 `alert_webhooks` 里',
    },
  },
  {
    name: 'ALERT_WEBHOOK_KIND',
    default: 'json',
    doc: {
      en: '`json` for a program of your own, or the robot: `wecom`, `dingtalk`, `feishu` or `serverchan`',
      zh: '`json`（自己的程序），或机器人：`wecom`、`dingtalk`、`feishu`、`serverchan`',
    },
  },
  {
    name: 'ALERT_WEBHOOK_SECRET',
    secret: true,
    doc: {
      en: 'signs messages for `json`, `dingtalk` and `feishu`',
      zh: '消息签名密钥，用于 `json`、`dingtalk` 和 `feishu`',
    },
  },
  {
    name: 'ALERT_LANGUAGE',
    doc: {
      en: '`zh` or `en`; unless set, Chinese for robots and English for `json`',
      zh: '`zh` 或 `en`；不设时机器人用中文，`json` 用英文',
    },
  },
  {
    name: 'LOG_LEVEL',
    default: 'info',
    doc: { en: '`error`, `warn`, `info` or `debug`', zh: '`error`、`warn`、`info` 或 `debug`' },
  },
];
