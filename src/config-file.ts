import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { returnUrlsSchema, secretFormats } from './setting-formats.ts';

/** The JSON file of CONFIG_FILE: what does not fit into variables. Faults never quote a value. */

export interface ComponentConfig {
  appid: string;
  appsecret: string;
  token: string;
  encodingAesKey: string;
  previousToken: string | undefined;
  previousEncodingAesKey: string | undefined;
  /** Where merchants may be sent after an authorization: these, and what is below them. */
  returnUrls: readonly string[];
}

export interface AccountConfig {
  appid: string;
  appsecret: string;
  accessToken: 'stable' | 'classic';
  tickets: readonly ('jsapi' | 'wx_card')[];
}

/** One component, as the environment and CONFIG_FILE spell it. */
export const componentSchema = z.strictObject({
  appid: secretFormats.appid,
  appsecret: secretFormats.appsecret,
  token: secretFormats.token,
  encoding_aes_key: secretFormats.key,
  previous_token: secretFormats.token.optional(),
  previous_encoding_aes_key: secretFormats.key.optional(),
  return_urls: returnUrlsSchema.optional(),
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

const fileSchema = z.strictObject({
  components: z.array(componentSchema).default([]),
  accounts: z.array(accountSchema).default([]),
  api_keys: z.array(z.string()).default([]),
});

export interface ConfigFile {
  components: ComponentConfig[];
  accounts: AccountConfig[];
  apiKeys: string[];
}

/** Reads the file; without a path there is nothing in it. Faults are added to `faults`. */
export function readConfigFile(path: string | undefined, faults: string[]): ConfigFile {
  const nothing = { components: [], accounts: [], apiKeys: [] };
  if (path === undefined) return nothing;
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    // The parser's message quotes the text, which holds secrets.
    const problem = error instanceof SyntaxError ? 'is not valid JSON' : 'cannot be read';
    faults.push(`CONFIG_FILE ${problem}`);
    return nothing;
  }
  const result = fileSchema.safeParse(content);
  if (!result.success) {
    for (const { path: where, message } of result.error.issues) {
      faults.push(`CONFIG_FILE ${where.join('.')} ${message}`);
    }
    return nothing;
  }
  const { components, accounts, api_keys: apiKeys } = result.data;
  return {
    components: components.map(toComponent),
    accounts: accounts.map(({ access_token: accessToken, ...rest }) => ({ accessToken, ...rest })),
    apiKeys,
  };
}

export function toComponent(raw: z.infer<typeof componentSchema>): ComponentConfig {
  return {
    appid: raw.appid,
    appsecret: raw.appsecret,
    token: raw.token,
    encodingAesKey: raw.encoding_aes_key,
    previousToken: raw.previous_token,
    previousEncodingAesKey: raw.previous_encoding_aes_key,
    returnUrls: raw.return_urls ?? [],
  };
}
