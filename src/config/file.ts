import * as z from 'zod';
import type { Language } from '../lib/language.ts';
import { readJson, type Place } from '../lib/json-text.ts';
import type { ConfigFault } from './faults.ts';
import { languageSchema, secretFormats, webhookUrlFault, type AlertKind } from './formats.ts';
import { layoutSchema, type Layout } from './layouts.ts';
import { routeSchema, type Route } from './routes.ts';
import type { ValuesOf } from './setting.ts';
import { GROUPS } from './settings.ts';
import { readTextFile, withOddity } from './texts.ts';

/** The JSON file of CONFIG_FILE: what does not fit into variables. Faults never quote a value. */

const { component, webhook } = GROUPS;

export type ComponentConfig = ValuesOf<typeof component>;

export interface AccountConfig {
  appid: string;
  appsecret: string;
  accessToken: 'stable' | 'classic';
  tickets: readonly ('jsapi' | 'wx_card')[];
}

/** Where people are told of problems. */
export interface AlertWebhook extends ValuesOf<typeof webhook> {
  language: Language;
}

/** One component, as CONFIG_FILE spells it. */
const componentSchema = z.strictObject({
  appid: component.appid.schema,
  appsecret: component.appsecret.schema,
  token: component.token.schema,
  encoding_aes_key: component.encodingAesKey.schema,
  previous_token: component.previousToken.schema,
  previous_encoding_aes_key: component.previousEncodingAesKey.schema,
  return_urls: component.returnUrls.schema,
});

const accountSchema = z.strictObject({
  appid: secretFormats.appid,
  appsecret: secretFormats.appsecret,
  access_token: z.enum(['stable', 'classic'], 'must be stable or classic').default('stable'),
  tickets: z
    .array(z.enum(['jsapi', 'wx_card'], 'must be jsapi or wx_card'))
    .refine((types) => new Set(types).size === types.length, 'names a ticket twice')
    .default([]),
});

/** One webhook, as the environment and CONFIG_FILE spell it. */
export const webhookSchema = z
  .strictObject({
    url: webhook.url.schema,
    kind: webhook.kind.schema.default('json'),
    secret: webhook.secret.schema,
    language: languageSchema.optional(),
  })
  .superRefine(({ url, kind, secret }, context) => {
    const fault = webhookUrlFault(url, kind);
    if (fault !== undefined) context.addIssue({ code: 'custom', path: ['url'], message: fault });
    if (secret !== undefined && !SIGNED_KINDS.includes(kind)) {
      const message = `must not be set: ${kind} knows no signatures`;
      context.addIssue({ code: 'custom', path: ['secret'], message });
    }
  });

const SIGNED_KINDS: readonly AlertKind[] = ['json', 'dingtalk', 'feishu'];

const fileSchema = z.strictObject({
  components: z.array(componentSchema).default([]),
  accounts: z.array(accountSchema).default([]),
  api_keys: z.array(z.string()).default([]),
  alert_webhooks: z.array(webhookSchema).default([]),
  routes: z.array(routeSchema).default([]),
  layouts: z.array(layoutSchema).default([]),
  min_expires_in: z
    .record(z.string(), z.int('must be whole seconds').min(600).max(7_000))
    .default({}),
});

export interface ConfigFile {
  components: ComponentConfig[];
  accounts: AccountConfig[];
  apiKeys: string[];
  alertWebhooks: z.infer<typeof webhookSchema>[];
  routes: Route[];
  layouts: Layout[];
  /** Seconds, by the id of an API key: what it is told at the least in WeChat's own calls. */
  minExpiresIn: Readonly<Record<string, number>>;
}

/** Reads the file; without a path there is nothing in it. Faults are added to `faults`. */
export function readConfigFile(path: string | undefined, faults: ConfigFault[]): ConfigFile {
  const nothing: ConfigFile = {
    components: [],
    accounts: [],
    apiKeys: [],
    alertWebhooks: [],
    routes: [],
    layouts: [],
    minExpiresIn: {},
  };
  if (path === undefined) return nothing;
  const refuse = (text: string) => void faults.push({ setting: 'CONFIG_FILE', text });
  const content = readTextFile(path);
  if ('problem' in content) {
    refuse(content.problem);
    return nothing;
  }
  const json = readJson(content.text);
  if ('problem' in json) {
    refuse(`is not valid JSON${at(json.place)}: ${json.problem}`);
    return nothing;
  }
  const result = fileSchema.safeParse(json.value);
  if (!result.success) {
    for (const { path: where, message } of result.error.issues) {
      const fault = withOddity(message, valueAt(json.value, where));
      // What is odd about a value is hard to see: the path alone would not do.
      const place = fault === message ? '' : at(json.placeOf(where));
      refuse(`${where.join('.')} ${fault}${place}`);
    }
    return nothing;
  }
  const {
    components,
    accounts,
    api_keys: apiKeys,
    alert_webhooks: alertWebhooks,
    routes,
    layouts,
    min_expires_in: minExpiresIn,
  } = result.data;
  return {
    components: components.map(toComponent),
    accounts: accounts.map(({ access_token: accessToken, ...rest }) => ({ accessToken, ...rest })),
    apiKeys,
    alertWebhooks,
    routes,
    layouts,
    minExpiresIn,
  };
}

const at = (place: Place | undefined) =>
  place === undefined ? '' : ` (line ${place.line}, column ${place.column})`;

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((found, name) => {
    return typeof found === 'object' && found !== null ? Reflect.get(found, name) : undefined;
  }, value);
}

/**
 * @param language of all webhooks that do not name one; undefined: Chinese for robots, which speak to
 *   people, and English for programs
 */
export function toWebhook(
  { url, kind, secret, language }: z.infer<typeof webhookSchema>,
  usual: Language | undefined,
): AlertWebhook {
  return { url, kind, secret, language: language ?? usual ?? (kind === 'json' ? 'en' : 'zh') };
}

function toComponent(raw: z.infer<typeof componentSchema>): ComponentConfig {
  return {
    appid: raw.appid,
    appsecret: raw.appsecret,
    token: raw.token,
    encodingAesKey: raw.encoding_aes_key,
    previousToken: raw.previous_token,
    previousEncodingAesKey: raw.previous_encoding_aes_key,
    returnUrls: raw.return_urls,
  };
}
