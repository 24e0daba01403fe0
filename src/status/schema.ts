import * as z from 'zod';
import { LAYOUT_PRESETS } from '../config/layouts.ts';
import { ROUTE_MODES } from '../config/routes.ts';
import { REFUSAL_REASONS, type RefusalReason } from '../lib/errors.ts';
import { PROBLEM_CODES, SEVERITIES } from './problems.ts';
import type { CredentialKindName } from '../store/redis/keys.ts';
import { PUSH_URLS } from '../store/tickets/refused-pushes.ts';

/**
 * The answer of `GET /status`: its types and its part of the API's document are made from this.
 * docs/status.md explains it at length.
 */

export const time = z.iso.datetime().describe('ISO 8601, UTC.');
export const timeOrNull = time.nullable();

/** How near the end of its life a value is. */
export const freshnessSchema = z
  .enum(['fresh', 'due', 'urgent', 'expired', 'missing'])
  .describe('fresh, due and urgent may be used.');

/** Why the last call failed. */
export const failureSchema = z.object({
  class: z.string().describe('What kind of failure; see docs/troubleshooting.md.'),
  message: z.string(),
  advice: z.string().describe('What to do.'),
  errcode: z.int().exactOptional(),
  rid: z.string().exactOptional().describe("WeChat's request id."),
});

export const progressSchema = z.object({
  state: z
    .enum(['never', 'running', 'waiting', 'done', 'inconsistent'])
    .describe('waiting: under way, held up by last_error.'),
  cause: z.string().nullable(),
  started_at: timeOrNull,
  offset: z.int().describe("Entries of WeChat's list read so far."),
  total: z.int().nullable(),
  restored: z.int(),
  missing: z.int(),
  calls: z.int(),
  last_completed_at: timeOrNull,
  requested_at: timeOrNull.describe('A run was asked for that has not begun.'),
  last_error: z.string().nullable(),
});

const problemSchema = z.object({
  code: z.enum(PROBLEM_CODES),
  severity: z.enum(SEVERITIES),
  alert: z.string().describe('Its name in webhooks and in Prometheus.'),
  component: z.string().nullable().describe('The appid it is about.'),
  kind: z
    .string()
    .nullable()
    .describe('The kind of credential, the replica, or the URL of pushes.'),
  since: timeOrNull,
  title: z.string().describe('Fixed for each code.'),
  message: z.string(),
  advice: z.string().describe('What to do.'),
});

const secondsOrNull = z.int().nullable();

/** The document names none of them: there will be more. */
const kindSchema = z.string() as unknown as z.ZodType<CredentialKindName>;

const credentialStatusSchema = z.object({
  kind: kindSchema,
  state: freshnessSchema,
  reason: z.string().describe('Why it is in this state.'),
  live: z.boolean(),
  seq: z.int(),
  obtained_at: timeOrNull,
  age_seconds: secondsOrNull,
  expires_at: timeOrNull,
  expires_in: secondsOrNull,
  due_at: timeOrNull.describe('From when on it is replaced.'),
  next_refresh_at: timeOrNull,
  obtained_by: z.string().nullable().describe('The replica.'),
  obtained_because: z.string().nullable(),
  calls_today: z.int().describe('Since midnight in Beijing.'),
  calls_allowed_a_day: z.int().nullable(),
  failures_in_a_row: z.int(),
  last_error: failureSchema.extend({ at: timeOrNull }).nullable(),
  quarantined_until: timeOrNull.describe('After a failover of Redis nobody mints until then.'),
  last_refused: z.object({ at: time, by: z.string().nullable() }).nullable(),
  foreign_refresher_since: timeOrNull.describe('Since when somebody else mints with our secret.'),
  history: z.object({
    count: z.int(),
    mean_interval_seconds: secondsOrNull,
    longest_interval_seconds: secondsOrNull,
    since: timeOrNull,
  }),
});

const ticketSchema = z.object({
  state: z.enum(['fresh', 'silent', 'ticket_refused', 'ticket_expired', 'no_ticket']),
  created_at: timeOrNull,
  received_at: timeOrNull,
  age_seconds: secondsOrNull,
  expires_at: timeOrNull,
  life_seconds: z.int(),
  received_count: z.int(),
  refused_by_wechat: z.enum(['newest', 'both']).nullable(),
  push_asked_for_at: timeOrNull,
});

const refusedSchema = z.array(
  z.object({
    url: z.enum(PUSH_URLS),
    reason: z.enum(Object.keys(REFUSAL_REASONS) as [RefusalReason, ...RefusalReason[]]),
    total: z.int().describe('Since wxkeeper counts.'),
    in_a_row: z.int().describe('0 when a push was accepted there since, or none came for long.'),
    since: timeOrNull,
    last_at: timeOrNull,
    last_path: z.string().describe('Of the last one, without its query.'),
    last_address: z.string().describe('Of its peer, which may be the proxy.'),
  }),
);

export const deliverySchema = z.object({
  route: z.string(),
  target: z.string().describe('Without user, password and query.'),
  mode: z.enum(ROUTE_MODES),
  reply: z.boolean(),
  state: z
    .enum(['ok', 'failing', 'paused', 'stopped'])
    .describe(
      'paused: left alone after failures; stopped: it said 410, until a person resumes it.',
    ),
  waiting: z.int(),
  under_way: z.int(),
  oldest_at: timeOrNull.describe('When the oldest that waits came, or is due.'),
  dead_letters: z.int().describe('Given up, kept for seven days.'),
  delivered: z.int(),
  failed: z.int().describe('Attempts.'),
  given_up: z.int(),
  dropped: z.int().describe('Forgotten, as there was no room or they were too old.'),
  failing_since: timeOrNull,
  paused_until: timeOrNull,
  stopped_at: timeOrNull,
  last_delivered_at: timeOrNull,
  last_attempt: z
    .object({ at: time, took_ms: z.number(), status: z.string() })
    .nullable()
    .describe('status: of the answer, or why there was none.'),
});

const layoutSchema = z.object({
  name: z.string(),
  preset: z.enum(LAYOUT_PRESETS),
  elsewhere: z.boolean().describe("Whether it is published in another Redis than wxkeeper's own."),
  state: z.enum(['ok', 'starting', 'failing']).describe('starting: not counted yet.'),
  keys: z.int().describe('Keys that belong there.'),
  restored: z.int().describe('Keys that were deleted and written again.'),
  overwritten: z.int().describe("Keys in which an application's value was found, and replaced."),
  failures: z.int().describe('Rounds in which it could not be published.'),
  last_published_at: timeOrNull,
  last_overwritten_at: timeOrNull,
  failing_since: timeOrNull,
  failure: z.string().nullable(),
});

const componentSchema = z.object({
  appid: z.string(),
  problems: z.array(problemSchema),
  callback_urls: z
    .object({ authorization: z.string(), message: z.string() })
    .nullable()
    .describe('To enter in the console; null without PUBLIC_BASE_URL.'),
  ticket: ticketSchema,
  credentials: z.array(credentialStatusSchema),
  authorizers: z.object({
    known: z.int(),
    kept: z.int(),
    refresh_backlog: z.object({
      due: z.int(),
      oldest_due_at: timeOrNull,
      behind_seconds: z.int(),
      refreshes_per_second: z.number(),
    }),
    codes_waiting: z.int(),
    code_error: failureSchema.nullable(),
    reconciliation: progressSchema,
  }),
  pushes: z.object({
    accepted: z.int(),
    duplicate: z.int(),
    refused: refusedSchema,
    previous_token: z.int(),
    previous_key: z.int(),
    previous_key_configured: z.boolean(),
    previous_token_configured: z.boolean(),
    previous_key_last_used_at: timeOrNull,
    previous_token_last_used_at: timeOrNull,
  }),
  deliveries: z.array(deliverySchema).describe('One for each delivery route of this component.'),
});

const accountSchema = z.object({
  appid: z.string(),
  problems: z.array(problemSchema),
  access_token_call: z.string(),
  credentials: z.array(credentialStatusSchema),
});

const jobSchema = z.object({
  name: z.string(),
  schedule: z.string().describe('A cron expression.'),
  next_run_at: timeOrNull,
  last_run: z
    .object({
      at: time,
      took_ms: z.number(),
      trigger: z.string().describe('cron, start or made_up.'),
      replica: z.string(),
      ok: z.boolean(),
      summary: z.string(),
    })
    .nullable(),
});

const replicaSchema = z.object({
  id: z.string(),
  host: z.string(),
  version: z.string(),
  state: z.enum(['running', 'stopped', 'lost', 'replaced']),
  started_at: time,
  seen_at: time,
  stopped_at: timeOrNull,
});

export const statusSchema = z.object({
  time,
  version: z.string(),
  replica: z.string().describe('Who answers.'),
  uptime_seconds: z.int(),
  tickets_waiting_for_redis: z.array(z.string()).describe('Appids.'),
  verdict: z.enum(['ok', 'attention']),
  summary: z.string().describe('The verdict in one sentence.'),
  problems: z.array(problemSchema).describe('The gravest first.'),
  redis: z.object({
    state: z.enum(['ready', 'unavailable']),
    latency_ms: z.number().nullable(),
  }),
  clocks: z
    .object({
      process_ahead_of_redis_seconds: z.int(),
      process_ahead_of_wechat_seconds: secondsOrNull,
    })
    .nullable(),
  refused_elsewhere: refusedSchema.describe('Pushes refused that name no configured component.'),
  components: z.array(componentSchema).describe('Those the key may see; [] while Redis is away.'),
  accounts: z.array(accountSchema),
  layouts: z
    .array(layoutSchema)
    .describe('Under which keys credentials are published for applications.'),
  jobs: z.array(jobSchema),
  replicas: z.array(replicaSchema),
});

export type StatusSnapshot = z.infer<typeof statusSchema>;
/** One entry of `problems`. */
export type Problem = z.infer<typeof problemSchema>;
export type LayoutStatus = z.infer<typeof layoutSchema>;
export type DeliveryStatus = z.infer<typeof deliverySchema>;
export type CredentialStatus = z.infer<typeof credentialStatusSchema>;
