import * as z from 'zod';
import { PUSH_FORMATS } from './push-document.ts';

/**
 * What shall go wrong: a queue of rules. Each call or push takes the first rule that matches it,
 * and a rule leaves the queue when its `times` are used up.
 */

const API_NAMES = [
  'api_component_token',
  'api_create_preauthcode',
  'api_start_push_ticket',
  'api_authorizer_token',
  'api_query_auth',
  'api_get_authorizer_info',
  'api_get_authorizer_list',
  // Of message/custom/.
  'send',
  'token',
  'stable_token',
  'getticket',
  // Of openapi/.
  'quota/get',
  'rid/get',
  'component/clear_quota/v2',
  'clear_quota/v2',
] as const;
export type ApiName = (typeof API_NAMES)[number];

export function isApiName(name: string): name is ApiName {
  return (API_NAMES as readonly string[]).includes(name);
}

const ms = z.number().nonnegative();
const count = z.number().int().positive();

const apiFaultSchema = z.discriminatedUnion('type', [
  /** Waits, then proceeds as if nothing had been. */
  z.strictObject({ type: z.literal('delay'), ms }),
  /** Never answers. */
  z.strictObject({ type: z.literal('hang') }),
  z.strictObject({
    type: z.literal('status'),
    status: z.number().int().min(200).max(599),
    body: z.string().optional(),
  }),
  /** Status 200 and a web page, as from a proxy that means well. */
  z.strictObject({ type: z.literal('html') }),
  /** Half of a good answer: as a complete HTTP message, or with `close` cut off on the wire. */
  z.strictObject({ type: z.literal('truncate'), close: z.boolean().optional() }),
  z.strictObject({
    type: z.literal('errcode'),
    errcode: z.number().int(),
    errmsg: z.string().optional(),
  }),
  /** A TCP reset instead of an answer. */
  z.strictObject({ type: z.literal('reset') }),
  z.strictObject({
    type: z.literal('body'),
    body: z.string(),
    contentType: z.string().optional(),
  }),
  /** The normal answer with fields overridden and others dropped. */
  z.strictObject({
    type: z.literal('patch'),
    fields: z.record(z.string(), z.unknown()).optional(),
    remove: z.array(z.string()).optional(),
  }),
  z.strictObject({ type: z.literal('redirect'), location: z.string() }),
  /** The normal answer, a few bytes at a time. */
  z.strictObject({ type: z.literal('drip'), bytesPerChunk: count, everyMs: ms }),
  /** A good answer with a padding field of this many bytes. */
  z.strictObject({ type: z.literal('large'), bytes: count }),
]);

const pushFaultSchema = z.strictObject({
  /** The same bytes again as soon as the first sending is over. */
  twice: z.boolean().optional(),
  /** Sent late, with the CreateTime and timestamp of when it was due. */
  lateMs: ms.optional(),
  /** Encrypted with `previousEncodingAesKey`. */
  previousKey: z.boolean().optional(),
  /** Signed with `previousToken`. */
  previousToken: z.boolean().optional(),
  /** Of the envelope and of what is inside it, unless said otherwise. */
  format: z.enum(PUSH_FORMATS).optional(),
  /** Of what is inside the envelope, when that is another one. */
  inside: z.enum(PUSH_FORMATS).optional(),
  /** What it is declared as. */
  contentType: z.string().min(1).max(200).optional(),
  /** A byte order mark before the envelope. */
  bom: z.boolean().optional(),
  /** Not sent at all. */
  skip: z.boolean().optional(),
  /** Not sent, and no more tickets until pushing is turned on again. */
  stop: z.boolean().optional(),
});

const timesSchema = z.union([count, z.literal('forever')]).optional();

const apiRuleSchema = z.strictObject({
  api: z.enum([...API_NAMES, '*']),
  /** Only calls to this host. */
  host: z.number().int().nonnegative().optional(),
  /** Default 1. */
  times: timesSchema,
  /**
   * False: the fault replaces the work. True: the work is done, then the answer is spoiled.
   * Default false; but `patch` and `drip` have nothing to spoil without it, so true for those.
   */
  afterMint: z.boolean().optional(),
  fault: apiFaultSchema,
});

const pushRuleSchema = z.strictObject({ push: pushFaultSchema, times: timesSchema });

export type ApiFault = z.infer<typeof apiFaultSchema>;
export type PushFault = z.infer<typeof pushFaultSchema>;
export type ApiFaultRule = z.infer<typeof apiRuleSchema>;
export type PushFaultRule = z.infer<typeof pushRuleSchema>;
export type FaultRule = ApiFaultRule | PushFaultRule;

export { pushFaultSchema };

/** @throws ZodError when it is not a rule */
export function parseRule(rule: unknown): FaultRule {
  // Chosen by hand: a union's own message would only say that nothing matched.
  const isPushRule = typeof rule === 'object' && rule !== null && 'push' in rule;
  return isPushRule ? pushRuleSchema.parse(rule) : apiRuleSchema.parse(rule);
}

export function takeApiFault(
  queue: FaultRule[],
  api: string,
  host: number,
): ApiFaultRule | undefined {
  return take(
    queue,
    (rule): rule is ApiFaultRule =>
      'api' in rule &&
      (rule.api === '*' || rule.api === api) &&
      (rule.host === undefined || rule.host === host),
  );
}

export function takePushFault(queue: FaultRule[]): PushFault | undefined {
  return take(queue, (rule): rule is PushFaultRule => 'push' in rule)?.push;
}

function take<T extends FaultRule>(
  queue: FaultRule[],
  matches: (rule: FaultRule) => rule is T,
): T | undefined {
  const rule = queue.find(matches);
  if (rule === undefined || rule.times === 'forever') return rule;
  const left = (rule.times ?? 1) - 1;
  if (left === 0) queue.splice(queue.indexOf(rule), 1);
  else rule.times = left;
  return rule;
}
