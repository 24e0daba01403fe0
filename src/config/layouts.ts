import * as z from 'zod';
import { readAppid } from './appid.ts';
import { redisUrlSchema } from './formats.ts';
import { parseTemplate, wordsIn } from './layout-template.ts';

/**
 * Layouts: under which keys, and in what form, credentials are written for applications that read them
 * from their own cache. In CONFIG_FILE as `layouts`.
 */

export const LAYOUT_PRESETS = [
  'wxjava-mp',
  'wxjava-miniapp',
  'wxjava-open',
  'easywechat-4',
  'easywechat-5',
  'easywechat-6',
  'node-easywechat',
  'silenceper',
  'powerwechat',
  'wechatpy-1',
  'wechatpy-2',
  'nest-wechat',
  'yii',
  'custom',
] as const;
export type LayoutPreset = (typeof LAYOUT_PRESETS)[number];

/** What is published: the kinds of credentials, and what stands for those that never leave. */
export const LAYOUT_KINDS = [
  'component_verify_ticket',
  'component_access_token',
  'pre_auth_code',
  'authorizer_access_token',
  'authorizer_refresh_token',
  'access_token',
  'jsapi_ticket',
  'wx_card_ticket',
] as const;
export type LayoutKind = (typeof LAYOUT_KINDS)[number];

export const CODECS = ['raw', 'json', 'php'] as const;
export type Codec = (typeof CODECS)[number];

/**
 * What a value is made of. `value`: the credential. The others are numbers: its whole life in seconds, and
 * the end of its life in seconds or milliseconds since 1970.
 */
export const LAYOUT_FIELDS = ['value', 'expires_in', 'expires_at', 'expires_at_ms'] as const;
export type LayoutField = (typeof LAYOUT_FIELDS)[number];

/** One key for each credential of a kind. */
export interface LayoutKey {
  kind: LayoutKind;
  /** As `layout-template.ts` reads it. */
  name: string;
  codec: Codec;
  /** The value; by name, where it has several fields. */
  value: LayoutField | Readonly<Record<string, LayoutField>>;
  /** Seconds for which the key lives, never longer than the credential; undefined: as long as that. */
  seconds?: number | undefined;
  /** Seconds by which the key ends before the credential does. */
  endsBefore?: number | undefined;
}

export interface Layout {
  name: string;
  preset: LayoutPreset;
  /** Undefined where the preset has one of its own. */
  prefix: string | undefined;
  appids: readonly string[] | 'any';
  /** What the application has configured as its secret. */
  secret: string | undefined;
  /** `real`: the ticket itself is published, and not a text in its place. */
  ticket: 'placeholder' | 'real';
  /** Another Redis than that of wxkeeper. */
  redisUrl: string | undefined;
  /** Undefined where the preset has one of its own. */
  codec: Codec | undefined;
  /** Of `custom`. */
  keys: readonly LayoutKey[];
}

/** Their keys have the secret in their names. */
const WITH_SECRET: readonly LayoutPreset[] = [
  'easywechat-4',
  'easywechat-5',
  'easywechat-6',
  'node-easywechat',
  'powerwechat',
];
/** Caches whose codec is a choice of the application's. */
const ANY_CODEC: readonly LayoutPreset[] = [
  'easywechat-4',
  'easywechat-5',
  'easywechat-6',
  'node-easywechat',
];
/** Their values are plain texts: `raw` will do. */
const PLAIN: readonly LayoutPreset[] = ['easywechat-6', 'node-easywechat'];
/** Their keys do not tell platforms apart. */
const ONE_PLATFORM: readonly LayoutPreset[] = [
  'silenceper',
  'wechatpy-1',
  'wechatpy-2',
  'nest-wechat',
];
/** What caches by PSR-16 refuse in the name of a key. */
const NOT_IN_PSR16 = /[{}()/\\@:]/;
const NAME = /^[a-z0-9][a-z0-9_-]{0,31}$/;
/** Seconds: what WxJava gives keys that shall stay. */
const MOST_SECONDS = 2 ** 31 - 1;

const secondsSchema = z
  .int('must be a whole number of seconds')
  .min(1, 'must be at least 1')
  .max(MOST_SECONDS, `must be at most ${MOST_SECONDS}`);
const fieldSchema = z.enum(LAYOUT_FIELDS, `must be one of ${LAYOUT_FIELDS.join(', ')}`);
const codecSchema = z.enum(CODECS, `must be one of ${CODECS.join(', ')}`);
const textSchema = (most: number) =>
  z
    .string()
    .regex(/^[ -~]+$/, 'must be of printable ASCII')
    .max(most, `must be at most ${most} long`);

const keySchema = z
  .strictObject({
    kind: z.enum(LAYOUT_KINDS, `must be one of ${LAYOUT_KINDS.join(', ')}`),
    name: textSchema(512),
    codec: codecSchema.default('raw'),
    value: z
      .union(
        [fieldSchema, z.record(z.string().min(1), fieldSchema)],
        `must be one of ${LAYOUT_FIELDS.join(', ')}, or an object of them`,
      )
      .default('value'),
    seconds: secondsSchema.optional(),
    ends_before: secondsSchema.optional(),
  })
  .superRefine((key, context) => {
    for (const [field, message] of keyFaults(key)) {
      context.addIssue({ code: 'custom', path: [field], message });
    }
  })
  .transform(({ ends_before: endsBefore, ...key }): LayoutKey => ({ ...key, endsBefore }));

function keyFaults({
  kind,
  name,
  codec,
  value,
  seconds,
  ends_before: before,
}: {
  kind: LayoutKind;
  name: string;
  codec: Codec;
  value: LayoutKey['value'];
  seconds?: number | undefined;
  ends_before?: number | undefined;
}): [string, string][] {
  const faults: [string, string][] = [];
  const parts = parseTemplate(name);
  if (typeof parts === 'string') faults.push(['name', parts]);
  else {
    const words = wordsIn(parts);
    if (parts.some((part) => 'text' in part && /[{}]/.test(part.text))) {
      faults.push(['name', 'must have no braces but those of words']);
    }
    if (
      !words.includes('appid') &&
      !words.includes('component') &&
      !words.includes('refresh_token')
    ) {
      faults.push(['name', 'needs {appid} or {component}: all accounts would have the same key']);
    }
    const ofAccount = !/^component|^pre_auth|^authorizer/.test(kind);
    if (ofAccount && (words.includes('component') || words.includes('ticket'))) {
      faults.push([
        'name',
        `must not have {component} or {ticket}: ${kind} is of an account of your own`,
      ]);
    }
    if (words.includes('refresh_token') && !kind.startsWith('authorizer_')) {
      faults.push([
        'name',
        'may have {refresh_token} for accounts that authorized a platform only',
      ]);
    }
  }
  if (codec === 'raw' && typeof value === 'object')
    faults.push(['value', 'needs the codec json or php']);
  if (typeof value === 'object' && Object.keys(value).length === 0)
    faults.push(['value', 'is empty']);
  if (before !== undefined && seconds !== undefined) {
    faults.push(['ends_before', 'and seconds are both set']);
  }
  return faults;
}

const fieldsSchema = z.strictObject({
  preset: z.enum(LAYOUT_PRESETS, `must be one of ${LAYOUT_PRESETS.join(', ')}`),
  name: z.string().regex(NAME, 'must be up to 32 lower-case letters, digits, - and _').optional(),
  prefix: z
    .string()
    .regex(/^[ -~]*$/, 'must be of printable ASCII')
    .max(128)
    .optional(),
  appids: z
    .union(
      [
        z.literal('*'),
        z
          .array(z.string().refine((text) => readAppid(text) !== undefined))
          .min(1, 'must be a list of appids, or *'),
      ],
      'must be a list of appids, or *',
    )
    .transform((given) =>
      given === '*' ? ('any' as const) : given.map((one) => readAppid(one) ?? one),
    ),
  secret: textSchema(256).optional(),
  ticket: z.enum(['placeholder', 'real'], 'must be placeholder or real').default('placeholder'),
  redis_url: redisUrlSchema.optional(),
  codec: codecSchema.optional(),
  keys: z.array(keySchema).optional(),
});

/** One layout, as CONFIG_FILE spells it. */
export const layoutSchema = fieldsSchema
  .superRefine((layout, context) => {
    for (const [field, message] of faultsOf(layout)) {
      context.addIssue({ code: 'custom', path: [field], message });
    }
  })
  .transform(
    ({ redis_url: redisUrl, name, prefix, secret, codec, keys = [], ...rest }): Layout => ({
      ...rest,
      name: name ?? rest.preset,
      prefix,
      secret,
      codec,
      redisUrl,
      keys,
    }),
  );

/** What only shows when the fields are seen together. */
function faultsOf({ preset, secret, codec, keys, name }: z.output<typeof fieldsSchema>) {
  const faults: [string, string][] = [];
  const isCustom = preset === 'custom';
  const needsSecret = isCustom
    ? (keys ?? []).some((key) => usesSecret(key.name))
    : WITH_SECRET.includes(preset);
  if (needsSecret && secret === undefined) {
    faults.push([
      'secret',
      'is required: keys have it in their names; it is what the application has configured',
    ]);
  }
  if (!needsSecret && secret !== undefined) {
    faults.push(['secret', `must not be set: ${preset} has it in no name`]);
  }
  if (PLAIN.includes(preset) && secret !== undefined && NOT_IN_PSR16.test(secret)) {
    faults.push(['secret', 'must have none of {}()/\\@: in it, which its cache refuses in names']);
  }
  if (codec !== undefined && !ANY_CODEC.includes(preset)) {
    faults.push([
      'codec',
      `must not be set: ${isCustom ? 'each key has its own' : `${preset} has one`}`,
    ]);
  } else if (codec === 'raw' && !PLAIN.includes(preset)) {
    faults.push(['codec', `must be php or json: values of ${preset} are arrays`]);
  }
  if (isCustom && (keys ?? []).length === 0) faults.push(['keys', 'is required']);
  if (isCustom && name === undefined) faults.push(['name', 'is required']);
  if (!isCustom && keys !== undefined)
    faults.push(['keys', 'must not be set: the preset has them']);
  return faults;
}

function usesSecret(name: string): boolean {
  const parts = parseTemplate(name);
  return typeof parts !== 'string' && wordsIn(parts).includes('secret');
}

/** What only shows beside the platforms and accounts that are configured. */
export function layoutFaults(
  layouts: readonly Layout[],
  components: readonly string[],
  accounts: readonly string[],
): string[] {
  const faults: string[] = [];
  const names = layouts.map(({ name }) => name);
  if (new Set(names).size < names.length) faults.push('a layout name is configured twice');
  for (const { name, preset, appids, keys } of layouts) {
    const platforms = components.filter((one) => appids === 'any' || appids.includes(one));
    const unknown =
      appids !== 'any' &&
      appids.some((one) => !accounts.includes(one) && !components.includes(one));
    if (unknown && components.length === 0) {
      faults.push(`the layout ${name} names an appid that is not configured`);
    }
    const ofOne = ONE_PLATFORM.includes(preset) || keys.some((key) => meetsOthers(key));
    const many =
      platforms.length > 1 || (unknown && platforms.length === 0 && components.length > 1);
    if (ofOne && many) {
      faults.push(
        `the layout ${name} has one key for several platforms: name one of them in appids, and give each a layout with a prefix of its own`,
      );
    }
  }
  return faults;
}

/** Whether accounts of two platforms could have the same key. */
function meetsOthers({ kind, name }: LayoutKey): boolean {
  const parts = parseTemplate(name);
  if (!kind.startsWith('authorizer_') || typeof parts === 'string') return false;
  return !wordsIn(parts).some((word) => word === 'component' || word === 'refresh_token');
}

/** Of a layout: what the log must hide. */
export function secretsOfLayout({ secret, redisUrl }: Layout): string[] {
  const password = redisUrl?.includes('://') === true ? new URL(redisUrl).password : '';
  return [secret ?? '', password, decodeURIComponent(password)].filter((one) => one !== '');
}
