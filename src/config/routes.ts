import * as z from 'zod';
import { readAppid } from './appid.ts';
import { routeTargetFault, secretFormats } from './formats.ts';

/** Delivery routes: which pushes are passed on, to whom and in what form. In CONFIG_FILE as `routes`. */

/** Who decides what leaves: see `docs/delivering.md`. */
export const ROUTE_MODES = ['raw', 'sealed', 'json'] as const;
export type RouteMode = (typeof ROUTE_MODES)[number];

export interface Route {
  /** Also of its queue in Redis. */
  name: string;
  /** With `$APPID$` where the appid of the account belongs. */
  target: string;
  mode: RouteMode;
  match: RouteMatch;
  /** The target's answer is passed back to the user. */
  reply: boolean;
  /** What signs deliveries (Standard Webhooks), the newest first. */
  secrets: readonly Buffer[];
  /** Of `sealed`: what the application verifies and decrypts with. */
  token: string | undefined;
  encodingAesKey: string | undefined;
  /** Deliveries under way at once, of all replicas together. */
  concurrency: number;
  perSecond: number;
}

/** In lower case; undefined where anything does, `any` where there must be something. */
export interface RouteMatch {
  component: readonly string[] | undefined;
  authorizer: readonly string[] | 'any' | undefined;
  infoType: readonly string[] | 'any' | undefined;
  msgType: readonly string[] | 'any' | undefined;
  event: readonly string[] | 'any' | undefined;
}

const NAME = /^[a-z0-9][a-z0-9_-]{0,31}$/;
const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/;
/** Bytes. Source: standardwebhooks.com, specification, "signature scheme". */
const SECRET_BYTES = { least: 24, most: 64 };

const valueSchema = z.string().regex(/^[\w-]{1,64}$/, 'must be names, or *');
const listSchema = oneOrMany(valueSchema, 'must be names, or *');
const appid = z.string().refine((text) => readAppid(text) !== undefined, 'must be appids, or *');
const appidsSchema = oneOrMany(appid, 'must be appids, or *');
const secretSchema = z.string().transform((text, context) => {
  const bytes = Buffer.from(SECRET.exec(text)?.[1] ?? '', 'base64');
  if (bytes.length >= SECRET_BYTES.least && bytes.length <= SECRET_BYTES.most) return bytes;
  const message = 'must be whsec_ and the base64 of 24 to 64 bytes';
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});
const countSchema = (most: number) =>
  z.int(`must be a whole number`).min(1, 'must be at least 1').max(most, `must be at most ${most}`);

/** One of them, a list of them, or `*`; in lower case. */
function oneOrMany(item: z.ZodType<string>, message: string) {
  return z.union([item.or(z.literal('*')), z.array(item).min(1)], message).transform((given) => {
    if (given === '*') return 'any' as const;
    return (typeof given === 'string' ? [given] : given).map((one) => one.toLowerCase());
  });
}

const fieldsSchema = z.strictObject({
  name: z.string().regex(NAME, 'must be up to 32 lower-case letters, digits, - and _'),
  target: z.string(),
  mode: z.enum(ROUTE_MODES, `must be one of ${ROUTE_MODES.join(', ')}`),
  match: z
    .strictObject({
      component: appidsSchema.optional(),
      authorizer: appidsSchema.optional(),
      info_type: listSchema.optional(),
      msg_type: listSchema.optional(),
      event: listSchema.optional(),
    })
    .default({}),
  reply: z.boolean('must be true or false').default(false),
  secrets: z
    .array(secretSchema)
    .max(2, 'must be two at the most: the new one and the old')
    .default([]),
  token: secretFormats.token.optional(),
  encoding_aes_key: secretFormats.key.optional(),
  concurrency: countSchema(200).default(5),
  per_second: countSchema(10_000).default(100),
});

/** One route, as CONFIG_FILE spells it. */
export const routeSchema = fieldsSchema
  .superRefine((route, context) => {
    for (const [field, message] of faultsOf(route)) {
      context.addIssue({ code: 'custom', path: field.split('.'), message });
    }
  })
  .transform(toRoute);

type Fields = z.output<typeof fieldsSchema>;

/** What only shows when the fields are seen together. */
function faultsOf({ mode, match, reply, secrets, ...route }: Fields): [string, string][] {
  const faults: [string, string][] = [];
  const target = routeTargetFault(route.target);
  if (target !== undefined) faults.push(['target', target]);
  const { info_type: infoType, msg_type: msgType, event } = match;
  if (infoType !== undefined && (msgType !== undefined || event !== undefined)) {
    faults.push([
      'match',
      'info_type is of events of the platform, msg_type and event of messages',
    ]);
  }
  if (reply && infoType !== undefined) {
    faults.push(['reply', 'must be false: events of the platform are answered by wxkeeper']);
  }
  if (mode === 'json' && secrets.length === 0) {
    faults.push(['secrets', 'is required: nobody could tell who sends']);
  }
  for (const field of ['token', 'encoding_aes_key'] as const) {
    if ((mode === 'sealed') === (route[field] !== undefined)) continue;
    faults.push([field, mode === 'sealed' ? 'is required' : `must not be set: mode is ${mode}`]);
  }
  return faults;
}

function toRoute({ match, per_second: perSecond, ...raw }: Fields): Route {
  const { component, authorizer, info_type: infoType, msg_type: msgType, event } = match;
  const { name, target, mode, reply, secrets, concurrency, token } = raw;
  return {
    name,
    target,
    mode,
    match: {
      component: component === 'any' ? undefined : component,
      authorizer,
      infoType,
      msgType,
      event,
    },
    reply,
    secrets,
    token,
    encodingAesKey: raw.encoding_aes_key,
    concurrency,
    perSecond,
  };
}

/** Of a route: what the log must hide. */
export function secretsOfRoute({ target, secrets, token, encodingAesKey }: Route): string[] {
  const { username, password, pathname, searchParams } = new URL(target);
  const login = password === '' ? username : password;
  const long = [...pathname.split('/'), ...searchParams.values()].filter(
    (part) => part.length > 20,
  );
  return [
    ...secrets.flatMap((bytes) => [
      bytes.toString('base64'),
      bytes.toString('base64').replace(/=+$/, ''),
    ]),
    ...[token, encodingAesKey].filter((one) => one !== undefined),
    ...[login, decodeURIComponent(login), ...long].filter((one) => one !== ''),
  ];
}
