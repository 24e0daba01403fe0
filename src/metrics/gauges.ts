import type { FreshnessState } from '../credentials/freshness.ts';
import type { DeliveryStatus, LayoutStatus } from '../status/schema.ts';
import type { ReplicaState } from '../status/replicas.ts';
import {
  credentialsOf,
  ofComponents,
  ofCredentials,
  sample,
  timestamp,
  type Family,
} from './gauge.ts';

/**
 * What the status knows, as metrics. Times are times and not ages: an age stops growing when nobody
 * computes it any more. Labels are what the configuration names, so their number is bounded.
 */

const STATES: readonly FreshnessState[] = ['fresh', 'due', 'urgent', 'expired', 'missing'];
const REPLICA_STATES: readonly ReplicaState[] = ['running', 'stopped', 'lost', 'replaced'];

const PROCESS: readonly Family[] = [
  {
    name: 'wxkeeper_build_info',
    help: 'Always 1; what runs here.',
    labels: ['version', 'node', 'replica'],
    samples: ({ version, replica }) => sample(1, { version, replica, node: process.version }),
  },
  {
    name: 'wxkeeper_redis_up',
    help: 'Whether Redis answers this process.',
    labels: [],
    samples: ({ redis }) => sample(redis.state === 'ready' ? 1 : 0),
  },
  {
    name: 'wxkeeper_redis_ping_seconds',
    help: 'How long Redis took to answer a PING.',
    labels: [],
    samples: ({ redis }) => sample(redis.latency_ms === null ? null : redis.latency_ms / 1000),
  },
  {
    name: 'wxkeeper_tickets_waiting',
    help: 'Tickets that wait in this process for Redis to come back.',
    labels: [],
    samples: ({ tickets_waiting_for_redis: waiting }) => sample(waiting.length),
  },
  {
    name: 'wxkeeper_clock_offset_seconds',
    help: "By how much this machine's clock is ahead of another one.",
    labels: ['against'],
    samples: ({ clocks }) => [
      ...sample(clocks?.process_ahead_of_redis_seconds, { against: 'redis' }),
      ...sample(clocks?.process_ahead_of_wechat_seconds, { against: 'wechat' }),
    ],
  },
];

const PROBLEM_LABELS = ['code', 'severity', 'appid', 'kind'];

const PROBLEM_FAMILIES: readonly Family[] = [
  {
    name: 'wxkeeper_problem',
    help: 'Always 1; a problem that GET /status describes, while it lasts.',
    labels: PROBLEM_LABELS,
    samples: ({ problems }) => problems.flatMap((one) => sample(1, problemLabels(one))),
  },
  {
    name: 'wxkeeper_problem_since_timestamp_seconds',
    help: 'When a problem began, where that is known.',
    labels: PROBLEM_LABELS,
    samples: ({ problems }) =>
      problems.flatMap((one) => sample(timestamp(one.since), problemLabels(one))),
  },
];

function problemLabels(problem: {
  code: string;
  severity: string;
  component: string | null;
  kind: string | null;
}) {
  const { code, severity, component, kind } = problem;
  return { code, severity, appid: component ?? '', kind: kind ?? '' };
}

const TICKETS: readonly Family[] = [
  ofComponents(
    'wxkeeper_ticket_received_timestamp_seconds',
    'When the newest component_verify_ticket arrived.',
    ({ ticket }) => timestamp(ticket.received_at),
  ),
  ofComponents(
    'wxkeeper_ticket_expires_timestamp_seconds',
    'When the newest component_verify_ticket expires.',
    ({ ticket }) => timestamp(ticket.expires_at),
  ),
  {
    name: 'wxkeeper_previous_key_last_used_timestamp_seconds',
    help: 'When a push last came under the previous Token or EncodingAESKey.',
    labels: ['appid', 'key'],
    samples: ({ components }) =>
      components.flatMap(({ appid, pushes }) => [
        ...sample(timestamp(pushes.previous_key_last_used_at), { appid, key: 'encoding_aes_key' }),
        ...sample(timestamp(pushes.previous_token_last_used_at), { appid, key: 'token' }),
      ]),
  },
];

const PUSHES: readonly Family[] = [
  {
    name: 'wxkeeper_pushes_refused_total',
    help: 'Pushes refused at all replicas, by URL and reason; no appid where they name no platform.',
    type: 'counter',
    labels: ['appid', 'url', 'reason'],
    samples: ({ components, refused_elsewhere: elsewhere }) =>
      [...components, { appid: '', pushes: { refused: elsewhere } }].flatMap(({ appid, pushes }) =>
        pushes.refused.flatMap(({ url, reason, total }) => sample(total, { appid, url, reason })),
      ),
  },
];

const CREDENTIALS: readonly Family[] = [
  ofCredentials(
    'wxkeeper_credential_obtained_timestamp_seconds',
    'When the stored value was obtained from WeChat.',
    (one) => timestamp(one.obtained_at),
  ),
  ofCredentials(
    'wxkeeper_credential_due_timestamp_seconds',
    'From when on it is refreshed.',
    (one) => timestamp(one.due_at),
  ),
  ofCredentials('wxkeeper_credential_expires_timestamp_seconds', 'When it expires.', (one) =>
    timestamp(one.expires_at),
  ),
  {
    name: 'wxkeeper_credential_state',
    help: '1 for the state it is in, 0 for the others.',
    labels: ['appid', 'kind', 'state'],
    samples: (status) =>
      credentialsOf(status).flatMap(({ appid, one }) =>
        STATES.flatMap((state) =>
          sample(one.state === state ? 1 : 0, { appid, kind: one.kind, state }),
        ),
      ),
  },
  ofCredentials(
    'wxkeeper_credential_seq',
    'Number of the stored value; each new one has the next number.',
    ({ seq }) => seq,
  ),
  ofCredentials(
    'wxkeeper_credential_failures',
    'Failed tries to refresh it since the last success.',
    (one) => one.failures_in_a_row,
  ),
  ofCredentials(
    'wxkeeper_credential_calls_today',
    "Calls made for it today, by WeChat's day.",
    (one) => one.calls_today,
  ),
  ofCredentials(
    'wxkeeper_credential_calls_allowed',
    'Calls for it that WeChat allows a day.',
    (one) => one.calls_allowed_a_day,
  ),
];

const AUTHORIZERS: readonly Family[] = [
  ofComponents(
    'wxkeeper_authorizers_known',
    'Accounts in the registry, those included that have ended their authorization.',
    ({ authorizers }) => authorizers.known,
  ),
  ofComponents(
    'wxkeeper_authorizers_kept',
    'Accounts whose access token is kept.',
    ({ authorizers }) => authorizers.kept,
  ),
  ofComponents(
    'wxkeeper_authorizers_due',
    'Accounts that wait for a new access token.',
    ({ authorizers }) => authorizers.refresh_backlog.due,
  ),
  ofComponents(
    'wxkeeper_authorizers_oldest_due_timestamp_seconds',
    'Since when the first of them waits; absent when none does.',
    ({ authorizers }) => timestamp(authorizers.refresh_backlog.oldest_due_at),
  ),
  ofComponents(
    'wxkeeper_codes_waiting',
    'Authorization codes that are not exchanged yet.',
    ({ authorizers }) => authorizers.codes_waiting,
  ),
  ofComponents(
    'wxkeeper_reconciliation_completed_timestamp_seconds',
    "When the accounts were last compared with WeChat's list.",
    ({ authorizers }) => timestamp(authorizers.reconciliation.last_completed_at),
  ),
];

const DELIVERIES: readonly Family[] = [
  ofTargets('wxkeeper_deliveries_waiting', 'Deliveries that wait.', (one) => one.waiting),
  ofTargets(
    'wxkeeper_deliveries_dead',
    'Deliveries that were given up and are kept.',
    (one) => one.dead_letters,
  ),
  ofTargets(
    'wxkeeper_deliveries_oldest_timestamp_seconds',
    'When the oldest that waits came, or is due; absent when none does.',
    (one) => timestamp(one.oldest_at),
  ),
  ofTargets(
    'wxkeeper_target_failing_since_timestamp_seconds',
    'Since when the target does not take deliveries; absent when it does.',
    (one) => timestamp(one.failing_since),
  ),
  {
    ...ofTargets(
      'wxkeeper_deliveries_dropped_total',
      'Deliveries that were forgotten, as there was no room or they were too old.',
      (one) => one.dropped,
    ),
    type: 'counter',
  },
];

/** Of each delivery route of each component. */
function ofTargets(
  name: string,
  help: string,
  read: (target: DeliveryStatus) => number | null,
): Family {
  return {
    name,
    help,
    labels: ['appid', 'route'],
    samples: ({ components }) =>
      components.flatMap(({ appid, deliveries }) =>
        deliveries.flatMap((one) => sample(read(one), { appid, route: one.route })),
      ),
  };
}

const LAYOUTS: readonly Family[] = [
  ofLayouts('wxkeeper_layout_keys', 'Keys that belong to a layout.', (one) => one.keys),
  ofLayouts(
    'wxkeeper_layout_published_timestamp_seconds',
    'When a key of a layout was last written.',
    (one) => timestamp(one.last_published_at),
  ),
  ofLayouts(
    'wxkeeper_layout_failing_since_timestamp_seconds',
    'Since when a layout cannot be published; absent when it can.',
    (one) => timestamp(one.failing_since),
  ),
  {
    ...ofLayouts(
      'wxkeeper_layout_restored_total',
      'Published keys that were deleted and written again.',
      (one) => one.restored,
    ),
    type: 'counter',
  },
  {
    ...ofLayouts(
      'wxkeeper_layout_overwritten_total',
      'Published keys that an application had written into.',
      (one) => one.overwritten,
    ),
    type: 'counter',
  },
];

function ofLayouts(
  name: string,
  help: string,
  read: (layout: LayoutStatus) => number | null,
): Family {
  return {
    name,
    help,
    labels: ['layout'],
    samples: ({ layouts }) => layouts.flatMap((one) => sample(read(one), { layout: one.name })),
  };
}

const WORK: readonly Family[] = [
  ofJobs(
    'wxkeeper_job_last_run_timestamp_seconds',
    'When the job last began, on whichever replica.',
    ({ last_run: run }) => timestamp(run?.at),
  ),
  ofJobs('wxkeeper_job_last_run_duration_seconds', 'How long that run took.', (job) =>
    job.last_run === null ? null : job.last_run.took_ms / 1000,
  ),
  ofJobs('wxkeeper_job_last_run_success', 'Whether that run did its work.', (job) =>
    job.last_run === null ? null : Number(job.last_run.ok),
  ),
  ofJobs('wxkeeper_job_next_run_timestamp_seconds', 'When the job runs next.', (job) =>
    timestamp(job.next_run_at),
  ),
  {
    name: 'wxkeeper_replicas',
    help: 'Processes on this Redis within the last day, by state.',
    labels: ['state'],
    samples: ({ redis, replicas }) =>
      redis.state !== 'ready'
        ? []
        : REPLICA_STATES.flatMap((state) =>
            sample(replicas.filter((one) => one.state === state).length, { state }),
          ),
  },
];

/** `name` and not `job`: that label is what Prometheus calls the scrape. */
function ofJobs(
  name: string,
  help: string,
  read: (job: Parameters<Family['samples']>[0]['jobs'][number]) => number | null,
): Family {
  return {
    name,
    help,
    labels: ['name'],
    samples: ({ jobs }) => jobs.flatMap((job) => sample(read(job), { name: job.name })),
  };
}

export const FAMILIES: readonly Family[] = [
  ...PROCESS,
  ...PROBLEM_FAMILIES,
  ...TICKETS,
  ...PUSHES,
  ...CREDENTIALS,
  ...AUTHORIZERS,
  ...DELIVERIES,
  ...LAYOUTS,
  ...WORK,
];
