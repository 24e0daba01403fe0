import type * as z from 'zod';
import type { Proxies } from '../lib/proxy.ts';
import { parseApiKeyEntry, type ApiKey } from './api-keys.ts';
import { ConfigError, type ConfigFault } from './faults.ts';
import {
  readConfigFile,
  toWebhook,
  webhookSchema,
  type AccountConfig,
  type AlertWebhook,
  type ComponentConfig,
} from './file.ts';
import { layoutFaults, secretsOfLayout, type Layout } from './layouts.ts';
import { redisFaults, type RedisSettings } from './redis.ts';
import { secretsOfRoute, type Route } from './routes.ts';
import type { Setting, SettingGroup, ValuesOf } from './setting.ts';
import { GROUPS, SETTINGS } from './settings.ts';
import { readTextFile, withOddity } from './texts.ts';

/**
 * Settings: from the environment, from files named by `NAME_FILE`, and from one JSON file for what
 * does not fit into variables. Every fault is reported at once, by name, never by value.
 *
 * The list of settings is in `settings.ts`; this file reads it.
 */

type Groups = typeof GROUPS;

export interface Config
  extends
    ValuesOf<Groups['listeners']>,
    ValuesOf<Groups['keys']>,
    ValuesOf<Groups['wechat']>,
    Proxies,
    ValuesOf<Groups['refreshing']>,
    ValuesOf<Groups['encryption']>,
    ValuesOf<Groups['deliveries']>,
    ValuesOf<Groups['log']> {
  redis: RedisSettings;
  components: readonly ComponentConfig[];
  /** Official accounts and mini-programs of our own. */
  accounts: readonly AccountConfig[];
  apiKeys: readonly ApiKey[];
  /** Where people are told of problems. */
  alertWebhooks: readonly AlertWebhook[];
  /** Where pushes are passed on to. */
  routes: readonly Route[];
  /** Under which keys applications find credentials in their own caches. */
  layouts: readonly Layout[];
  /** Seconds, by the id of an API key. */
  minExpiresIn: Readonly<Record<string, number>>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @throws ConfigError listing every fault
 */
export function loadConfig(env: Environment = process.env): Config {
  const reader = createReader(env);
  const { read, faults } = reader;
  const file = readConfigFile(read(GROUPS.file).configFile, faults);
  const { alertLanguage } = read(GROUPS.alerts);
  // Faults are told in this order.
  const config = {
    ...read(GROUPS.listeners),
    redis: readRedis(reader),
    ...read(GROUPS.keys),
    components: [...readEnvComponent(reader), ...file.components],
    accounts: file.accounts,
    ...read(GROUPS.wechat),
    ...readProxies(reader),
    ...read(GROUPS.refreshing),
    apiKeys: [
      ...readEnvKeys(reader),
      ...parseKeys('CONFIG_FILE', 'api_keys ', file.apiKeys, faults),
    ],
    ...read(GROUPS.encryption),
    alertWebhooks: [...readEnvWebhook(reader), ...file.alertWebhooks].map((one) =>
      toWebhook(one, alertLanguage),
    ),
    routes: file.routes,
    layouts: file.layouts,
    minExpiresIn: file.minExpiresIn,
    ...read(GROUPS.deliveries),
    ...read(GROUPS.log),
  };
  faults.push(...contradictions(config, faults));
  if (faults.length > 0) throw new ConfigError(faults);
  // What is missing in it was a fault.
  return config as Config;
}

/** Every configured secret, for the log to mask. */
export function secretsOf(config: Config): string[] {
  const { component, webhook, redis, ...others } = GROUPS;
  return [
    ...secretsIn(redis, config.redis),
    ...config.components.flatMap((one) => secretsIn(component, one)),
    ...config.accounts.map((one) => one.appsecret),
    ...config.routes.flatMap(secretsOfRoute),
    ...config.layouts.flatMap(secretsOfLayout),
    ...config.alertWebhooks.flatMap((one) => secretsIn(webhook, one)),
    ...Object.values(others).flatMap((group) => secretsIn(group, config)),
  ].filter((secret) => secret !== '');
}

function secretsIn(group: SettingGroup, values: object): readonly string[] {
  return Object.entries(values).flatMap(([field, value]: [string, unknown]) => {
    const setting = group[field];
    if (setting?.secret !== true || value === undefined) return [];
    if (setting.secretParts !== undefined) return setting.secretParts(value);
    return typeof value === 'string' ? [value] : [];
  });
}

interface Reader {
  /** Of this setting: its variable, the file `NAME_FILE` names for secrets, or the default. */
  text: (setting: Setting) => string | undefined;
  /** What is missing in the result was a fault. */
  read: <Group extends SettingGroup>(group: Group) => Partial<ValuesOf<Group>>;
  /** Notes a fault of a setting that has this text, or none. */
  refuse: (setting: Setting, message?: string) => void;
  faults: ConfigFault[];
}

function createReader(env: Environment): Reader {
  const faults: ConfigFault[] = [];
  const texts = new Map(SETTINGS.map((one) => [one.name, readText(env, one, faults)]));
  const spoiled = new Set(faults.map(({ setting }) => setting));
  const text = ({ name }: Setting) => texts.get(name);
  const refuse = (setting: Setting, message = 'is wrong') => {
    const name = variableOf(env, setting);
    const value = text(setting);
    if (value !== undefined) faults.push({ setting: name, text: withOddity(message, value) });
    // What a spoiled file was to bring is not missing as well.
    else if (!spoiled.has(`${name}_FILE`)) faults.push({ setting: name, text: 'is required' });
  };
  return {
    text,
    read<Group extends SettingGroup>(group: Group) {
      const values = Object.entries(group).flatMap(([field, setting]) => {
        const result = setting.schema.safeParse(text(setting));
        if (result.success) return [[field, result.data]];
        refuse(setting, result.error.issues[0]?.message);
        return [];
      });
      return Object.fromEntries(values) as Partial<ValuesOf<Group>>;
    },
    refuse,
    faults,
  };
}

/** The name by which it is set. */
export function variableOf(env: Environment, { name, otherName }: Setting): string {
  return otherName !== undefined && (env[otherName] ?? '') !== '' ? otherName : name;
}

function readText(env: Environment, setting: Setting, faults: ConfigFault[]): string | undefined {
  const { secret, default: standard } = setting;
  const name = variableOf(env, setting);
  // An .env file that begins with a byte order mark has it in the name of its first variable.
  const given = (env[name] ?? env[`\uFEFF${name}`])?.replace(/^\uFEFF/, '');
  const value = given === '' ? undefined : given;
  const fromFile = `${setting.name}_FILE`;
  const path = secret === true ? env[fromFile] : undefined;
  if (path === undefined || path === '') return value ?? standard;
  if (value !== undefined) faults.push({ setting: name, text: `and ${fromFile} are both set` });
  const content = readTextFile(path);
  const text = 'text' in content ? content.text.trim() : '';
  if (text !== '') return text;
  const problem = 'problem' in content ? content.problem : 'is empty';
  faults.push({ setting: fromFile, text: `names a file that ${problem}` });
  return value ?? standard;
}

/**
 * Those settings alone that say how Redis is reached, of a program that is not the service.
 * @throws ConfigError listing every fault
 */
export function loadRedis(env: Environment): RedisSettings {
  const reader = createReader(env);
  const settings = readRedis(reader);
  // What is wrong with other settings is no business of this program.
  const faults = reader.faults.filter(({ setting }) => setting?.startsWith('REDIS_') === true);
  if (faults.length > 0) throw new ConfigError(faults);
  return settings;
}

function readRedis({ read, text, faults }: Reader): RedisSettings {
  const redis = read(GROUPS.redis) as RedisSettings;
  const spoiled = new Set(faults.map(({ setting }) => setting));
  const given = (field: keyof RedisSettings) => {
    const setting = GROUPS.redis[field];
    return text(setting) !== undefined || spoiled.has(`${setting.name}_FILE`);
  };
  faults.push(...redisFaults(redis, given));
  return redis;
}

/** Without a proxy it is of no interest what other programs are told to do without. */
function readProxies({ read, text }: Reader): Partial<Proxies> {
  const { httpsProxy, httpProxy, noProxy } = GROUPS.proxies;
  if ([httpsProxy, httpProxy].some((one) => text(one) !== undefined)) return read(GROUPS.proxies);
  return { noProxy: noProxy.schema.parse(undefined) };
}

function readEnvComponent({ text, read }: Reader): ComponentConfig[] {
  const settings = Object.values<Setting>(GROUPS.component);
  if (settings.every((one) => text(one) === undefined)) return [];
  const component = read(GROUPS.component);
  return isComplete(GROUPS.component, component) ? [component] : [];
}

function isComplete<Group extends SettingGroup>(
  group: Group,
  values: Partial<ValuesOf<Group>>,
): values is ValuesOf<Group> {
  return Object.keys(group).every((field) => field in values);
}

function readEnvWebhook({ text, refuse }: Reader): z.infer<typeof webhookSchema>[] {
  const settings = GROUPS.webhook;
  const { url, kind, secret } = settings;
  const given = { url: text(url), kind: text(kind), secret: text(secret) };
  if (given.url === undefined && given.secret === undefined && given.kind === kind.default) {
    return [];
  }
  const result = webhookSchema.safeParse(given);
  if (result.success) return [result.data];
  const wrong = result.error.issues.filter(
    ({ path }) => given.url !== undefined || path[0] !== 'url',
  );
  for (const { path, message } of wrong)
    refuse(settings[path[0] as keyof typeof settings], message);
  if (wrong.length === 0) refuse(url);
  return [];
}

function readEnvKeys({ read, faults }: Reader): ApiKey[] {
  const { apiKeys = '' } = read(GROUPS.callers);
  return parseKeys('API_KEYS', '', apiKeys.split(','), faults);
}

/** @param place of the entries in the setting */
function parseKeys(
  setting: string,
  place: string,
  entries: readonly string[],
  faults: ConfigFault[],
): ApiKey[] {
  return entries.flatMap((entry, index) => {
    if (entry.trim() === '') return [];
    const key = parseApiKeyEntry(entry.trim());
    if (key !== undefined) return [key];
    const form = 'must be id:sha256hex:scope+scope (npm run keys makes one)';
    const text = `${place}entry ${index + 1} ${withOddity(form, entry.trim())}`;
    faults.push({ setting, text });
    return [];
  });
}

type Lists = Pick<
  Config,
  'components' | 'accounts' | 'apiKeys' | 'alertWebhooks' | 'routes' | 'layouts' | 'minExpiresIn'
>;

/** Faults that only show when settings are seen together. @param found so far */
function contradictions(
  config: Partial<Config> & Lists,
  found: readonly ConfigFault[],
): ConfigFault[] {
  const { components, accounts, apiKeys, publicPort, internalPort } = config;
  const faults: string[] = [];
  const mayBeOneOf = ({ setting }: ConfigFault) =>
    setting === 'CONFIG_FILE' || setting?.startsWith('COMPONENT_') === true;
  if (components.length === 0 && accounts.length === 0 && !found.some(mayBeOneOf)) {
    faults.push(
      'set COMPONENT_APPID and its companions, or CONFIG_FILE: no component and no account is known',
    );
  }
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
  const names = config.routes.map(({ name }) => name);
  if (new Set(names).size < names.length) faults.push('a route name is configured twice');
  const strangers = config.routes.flatMap(({ match }) => match.component ?? []);
  if (strangers.some((appid) => !appids.includes(appid))) {
    faults.push('a route names a component that is not configured');
  }
  faults.push(...layoutFaults(config.layouts, appids, own));
  const ids = apiKeys.map((key) => key.id);
  if (new Set(ids).size < ids.length) faults.push('an API key id is configured twice');
  if (Object.keys(config.minExpiresIn).some((id) => !ids.includes(id))) {
    faults.push('min_expires_in in CONFIG_FILE names an API key that is not configured');
  }
  const together = faults.map((text): ConfigFault => ({ setting: undefined, text }));
  if (publicPort !== undefined && publicPort !== 0 && publicPort === internalPort) {
    together.push({ setting: 'PUBLIC_PORT', text: 'and INTERNAL_PORT are the same' });
  }
  return together;
}
