import type * as z from 'zod';
import { parseApiKeyEntry, type ApiKey } from './api-keys.ts';
import {
  componentSchema,
  readConfigFile,
  toComponent,
  toWebhook,
  webhookSchema,
  type AccountConfig,
  type AlertWebhook,
  type ComponentConfig,
} from './file.ts';
import type { LogLevel } from '../lib/log.ts';
import {
  authorizationUrlsSchema,
  languageSchema,
  levelSchema,
  portSchema,
  prefixSchema,
  sealKeysSchema,
  protocolSchema,
  redisUrlSchema,
  publicUrlSchema,
  cronSchema,
  rateSchema,
  stopDelaySchema,
  windowSchema,
  hostSchema,
  hostsSchema,
  type EncryptionKey,
} from './formats.ts';
import { readTextFile, withOddity } from './texts.ts';
import { SETTINGS } from './settings.ts';

/**
 * Settings: from the environment, from files named by `NAME_FILE`, and from one JSON file for what
 * does not fit into variables. Every fault is reported at once, by name, never by value.
 *
 * The list of settings is in `settings.ts`; this file gives them types.
 */

export interface Config {
  publicHost: string;
  publicPort: number;
  publicBaseUrl: string | undefined;
  internalHost: string;
  internalPort: number;
  /** For so long everything is served after the signal to stop. */
  stopDelaySeconds: number;
  redisUrl: string;
  redisKeyPrefix: string;
  redisProtocol: 2 | 3;
  components: readonly ComponentConfig[];
  /** Official accounts and mini-programs of our own. */
  accounts: readonly AccountConfig[];
  wechatApiBaseUrls: readonly string[];
  /** Origins of WeChat's authorization pages. */
  wechatAuthorizationUrls: { pc: string; mobile: string };
  componentAccessTokenCron: string;
  preAuthCodeCron: string;
  refreshWindowSeconds: number;
  authorizerRefreshesPerSecond: number;
  apiKeys: readonly ApiKey[];
  /** The first seals refresh tokens, all of them open; none: tokens are stored as they are. */
  refreshTokenKeys: readonly EncryptionKey[];
  /** Where people are told of problems. */
  alertWebhooks: readonly AlertWebhook[];
  logLevel: LogLevel;
}

/** Names and descriptions of all faults; never a value. */
export class ConfigError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(
      `${faults.length} setting(s) are wrong:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    );
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

type Environment = Readonly<Record<string, string | undefined>>;
type Read = (name: string) => string | undefined;

/**
 * @throws ConfigError listing every fault
 */
export function loadConfig(env: Environment = process.env): Config {
  const faults: string[] = [];
  const read = createReader(env, faults);
  /** Parses one setting; a fault is noted under its name and a placeholder returned. */
  const parse = <T>(name: string, schema: z.ZodType<T>, placeholder: T): T => {
    const result = schema.safeParse(read(name));
    if (result.success) return result.data;
    if (read(name) === undefined) faults.push(`${name} is required`);
    else faults.push(faultOf(name, result.error.issues[0]?.message, read(name)));
    return placeholder;
  };
  const file = readConfigFile(read('CONFIG_FILE'), faults);
  const language = parse('ALERT_LANGUAGE', languageSchema.optional(), undefined);
  const config: Config = {
    publicHost: parse('PUBLIC_HOST', hostSchema, ''),
    publicPort: parse('PUBLIC_PORT', portSchema, 0),
    publicBaseUrl: parse('PUBLIC_BASE_URL', publicUrlSchema.optional(), undefined),
    internalHost: parse('INTERNAL_HOST', hostSchema, ''),
    internalPort: parse('INTERNAL_PORT', portSchema, 0),
    stopDelaySeconds: parse('STOP_DELAY_SECONDS', stopDelaySchema, 0),
    redisUrl: parse('REDIS_URL', redisUrlSchema, ''),
    redisKeyPrefix: parse('REDIS_KEY_PREFIX', prefixSchema, ''),
    redisProtocol: parse('REDIS_PROTOCOL', protocolSchema, 3),
    components: [...readEnvComponent(read, faults), ...file.components],
    accounts: file.accounts,
    wechatApiBaseUrls: parse('WECHAT_API_BASE_URLS', hostsSchema, []),
    wechatAuthorizationUrls: parse('WECHAT_AUTHORIZATION_URLS', authorizationUrlsSchema, {
      pc: '',
      mobile: '',
    }),
    componentAccessTokenCron: parse('COMPONENT_ACCESS_TOKEN_CRON', cronSchema, ''),
    preAuthCodeCron: parse('PRE_AUTH_CODE_CRON', cronSchema, ''),
    refreshWindowSeconds: parse('REFRESH_WINDOW_SECONDS', windowSchema, 0),
    authorizerRefreshesPerSecond: parse('AUTHORIZER_REFRESHES_PER_SECOND', rateSchema, 1),
    apiKeys: [
      ...parseKeys('API_KEYS', (read('API_KEYS') ?? '').split(','), faults),
      ...parseKeys('CONFIG_FILE api_keys', file.apiKeys, faults),
    ],
    refreshTokenKeys: parse('REFRESH_TOKEN_KEYS', sealKeysSchema.optional(), undefined) ?? [],
    alertWebhooks: [...readEnvWebhook(read, faults), ...file.alertWebhooks].map((one) =>
      toWebhook(one, language),
    ),
    logLevel: parse('LOG_LEVEL', levelSchema, 'info'),
  };
  if (
    config.components.length === 0 &&
    config.accounts.length === 0 &&
    !faults.some((fault) => /^CO(?:MPONENT|NFIG)_/.test(fault))
  ) {
    faults.push(
      'set COMPONENT_APPID and its companions, or CONFIG_FILE: no component and no account is known',
    );
  }
  faults.push(...contradictions(config));
  // What a spoiled file was to bring is not missing as well.
  const found = faults.filter((fault) => {
    const [, name] = /^(\w+) is required$/.exec(fault) ?? [];
    return name === undefined || !faults.some((one) => one.startsWith(`${name}_FILE names `));
  });
  if (found.length > 0) throw new ConfigError(found);
  return config;
}

/** Every configured secret, for the log to mask. */
export function secretsOf(config: Config): string[] {
  const password = config.redisUrl.includes('://') ? new URL(config.redisUrl).password : '';
  return [
    ...config.components.flatMap((one) => [
      one.appsecret,
      one.token,
      one.encodingAesKey,
      one.previousToken,
      one.previousEncodingAesKey,
    ]),
    ...config.accounts.map((one) => one.appsecret),
    ...config.refreshTokenKeys.map((one) => one.key),
    ...config.alertWebhooks.flatMap(({ url, secret }) => [url, secret, ...keysIn(url)]),
    password,
    decodeURIComponent(password),
  ].filter((secret): secret is string => secret !== undefined && secret !== '');
}

/** The parts of a webhook's address that let others write there, too. */
function keysIn(address: string): string[] {
  const { pathname, search, searchParams } = new URL(address);
  const longest = [...searchParams.values(), ...pathname.split('/')];
  return [`${pathname}${search}`, ...longest.filter((part) => part.length >= 16)].filter(
    (part) => part.length > 1,
  );
}

/** Reads a setting: its variable, the file `NAME_FILE` names for secrets, or the default. */
function createReader(env: Environment, faults: string[]): Read {
  const values = new Map<string, string | undefined>();
  for (const { name, secret, default: standard } of SETTINGS) {
    const fromFile = secret === true ? env[`${name}_FILE`] : undefined;
    // An .env file that begins with a byte order mark has it in the name of its first variable.
    const given = (env[name] ?? env[`\uFEFF${name}`])?.replace(/^\uFEFF/, '');
    let value = given === '' ? undefined : given;
    if (fromFile !== undefined && fromFile !== '') {
      if (value !== undefined) faults.push(`${name} and ${name}_FILE are both set`);
      const content = readTextFile(fromFile);
      if ('problem' in content) faults.push(`${name}_FILE names a file that ${content.problem}`);
      else if (content.text.trim() === '') faults.push(`${name}_FILE names a file that is empty`);
      else value = content.text.trim();
    }
    values.set(name, value ?? standard);
  }
  return (name) => values.get(name);
}

/** What is wrong with a setting, and what in its text may be the reason. Never the text. */
function faultOf(name: string, message = 'is wrong', value: string | undefined): string {
  return `${name} ${withOddity(message, value)}`;
}

function readEnvComponent(read: Read, faults: string[]): ComponentConfig[] {
  const fields = Object.keys(componentSchema.shape);
  const found = Object.fromEntries(
    fields.map((field) => [field, read(`COMPONENT_${field.toUpperCase()}`)]),
  );
  if (Object.values(found).every((value) => value === undefined)) return [];
  const result = componentSchema.safeParse(found);
  if (result.success) return [toComponent(result.data)];
  for (const { path, message } of result.error.issues) {
    const name = `COMPONENT_${String(path[0]).toUpperCase()}`;
    const value = read(name);
    faults.push(value === undefined ? `${name} is required` : faultOf(name, message, value));
  }
  return [];
}

function readEnvWebhook(read: Read, faults: string[]): z.infer<typeof webhookSchema>[] {
  const [url, kind, secret] = ['URL', 'KIND', 'SECRET'].map((one) => read(`ALERT_WEBHOOK_${one}`));
  if (url === undefined && secret === undefined && kind === 'json') return [];
  const result = webhookSchema.safeParse({ url, kind, secret });
  if (result.success) return [result.data];
  const wrong = result.error.issues.filter(({ path }) => url !== undefined || path[0] !== 'url');
  for (const { path, message } of wrong) {
    const name = `ALERT_WEBHOOK_${String(path[0]).toUpperCase()}`;
    faults.push(faultOf(name, message, read(name)));
  }
  if (wrong.length === 0) faults.push('ALERT_WEBHOOK_URL is required');
  return [];
}

function parseKeys(source: string, entries: readonly string[], faults: string[]): ApiKey[] {
  return entries.flatMap((entry, index) => {
    if (entry.trim() === '') return [];
    const key = parseApiKeyEntry(entry.trim());
    if (key !== undefined) return [key];
    const form = 'must be id:sha256hex:scope+scope (npm run keys makes one)';
    faults.push(faultOf(`${source} entry ${index + 1}`, form, entry.trim()));
    return [];
  });
}

/** Faults that only show when settings are seen together. */
function contradictions(config: Config): string[] {
  const { components, accounts, apiKeys, publicPort, internalPort } = config;
  const faults: string[] = [];
  const appids = components.map((one) => one.appid);
  if (new Set(appids).size < appids.length) faults.push('a component appid is configured twice');
  const own = accounts.map((one) => one.appid);
  if (new Set(own).size < own.length) faults.push('an account appid is configured twice');
  if (own.some((appid) => appids.includes(appid))) {
    faults.push('an appid is configured as component and as account');
  }
  for (const {
    appid,
    token,
    previousToken,
    encodingAesKey,
    previousEncodingAesKey,
  } of components) {
    if (previousToken === token) faults.push(`the previous token of ${appid} is the current one`);
    if (previousEncodingAesKey === encodingAesKey) {
      faults.push(`the previous EncodingAESKey of ${appid} is the current one`);
    }
  }
  const urls = config.alertWebhooks.map((one) => `${one.url} ${one.secret ?? ''}`);
  if (new Set(urls).size < urls.length) faults.push('an alert webhook is configured twice');
  const ids = apiKeys.map((key) => key.id);
  if (new Set(ids).size < ids.length) faults.push('an API key id is configured twice');
  if (publicPort === internalPort && publicPort !== 0) {
    faults.push('PUBLIC_PORT and INTERNAL_PORT are the same');
  }
  return faults;
}
