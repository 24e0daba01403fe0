import type { Clock } from '../clock.ts';
import { KeeperError } from '../errors.ts';
import { isLive, judgeFreshness } from '../credentials/freshness.ts';
import { CREDENTIAL_KINDS } from '../credentials/kinds/index.ts';
import type { CredentialKind } from '../credentials/kinds/kind.ts';
import { readJobRuns } from '../store/job-runs.ts';
import { readPushStats } from '../store/push-stats.ts';
import { onRedis } from '../store/redis.ts';
import { readHistory, readRecord } from '../store/records.ts';
import type { Store } from '../store/store.ts';
import { readTicket, TICKET_LIFE_MS, type Ticket } from '../store/tickets.ts';
import {
  credentialProblems,
  storeProblem,
  ticketProblems,
  ticketState,
  type TicketState,
} from './advice.ts';
import { summarizeHistory } from './history.ts';

/**
 * Everything an admin needs to see, without a single value. The states come from the same
 * functions the keeper acts on.
 */
export interface SnapshotContext {
  store: Store;
  clock: Clock;
  /** Upper bound of the refresh window, milliseconds. */
  windowMs: number;
  components: readonly { appid: string; previousKeySet: boolean }[];
  /** Components with a ticket that waits in this process's memory for Redis. */
  ticketsWaiting: () => readonly string[];
  /** The first tick of a kind's job at or after a moment, epoch ms. */
  nextTick: (kind: string, notBefore: number) => number | undefined;
  jobs: readonly { name: string; expression: string }[];
  publicBaseUrl: string | undefined;
  replica: string;
  version: string;
  startedAt: number;
}

export type StatusSnapshot = Awaited<ReturnType<typeof takeSnapshot>>;

type RedisState = 'ready' | 'unavailable';
type StoredState = Awaited<ReturnType<typeof describeStored>>;

/** Without Redis it says so, and what this process knows by itself. Never rejects for that. */
export async function takeSnapshot(context: SnapshotContext) {
  const now = context.clock.now();
  const self = {
    time: iso(now),
    version: context.version,
    replica: context.replica,
    uptime_seconds: seconds(now - context.startedAt),
    /** Appids whose newest ticket is in this process's memory until Redis takes it. */
    tickets_waiting_for_redis: context.ticketsWaiting(),
  };
  try {
    return { ...self, ...(await describeStored(context, now)) };
  } catch (error) {
    if (!(error instanceof KeeperError) || error.code !== 'store_unavailable') throw error;
    return { ...self, ...describeWithoutRedis(error) };
  }
}

function describeWithoutRedis(error: KeeperError): StoredState {
  return {
    verdict: 'attention',
    problems: [storeProblem(error.message)],
    redis: { state: 'unavailable', latency_ms: null },
    components: [],
    jobs: [],
  };
}

/** @throws KeeperError `store_unavailable` */
async function describeStored(context: SnapshotContext, now: number) {
  const { clock, store } = context;
  const started = clock.monotonic();
  await onRedis(() => store.redis.ping());
  const latencyMs = Math.round((clock.monotonic() - started) * 10) / 10;
  const [components, jobRuns] = await Promise.all([
    Promise.all(context.components.map((component) => describeComponent(context, component, now))),
    readJobRuns(store),
  ]);
  const problems = components.flatMap((component) => component.problems);
  return {
    verdict: problems.length === 0 ? 'ok' : 'attention',
    problems,
    redis: { state: 'ready' as RedisState, latency_ms: latencyMs as number | null },
    components,
    jobs: context.jobs.map(({ name, expression }) => {
      const run = jobRuns[name];
      return {
        name,
        schedule: expression,
        next_run_at: isoOrNull(context.nextTick(name, now)),
        last_run:
          run === undefined
            ? null
            : {
                at: iso(run.startedAt),
                took_ms: run.tookMs,
                trigger: run.trigger,
                replica: run.replica,
                ok: run.ok,
                summary: run.summary,
              },
      };
    }),
  };
}

async function describeComponent(
  context: SnapshotContext,
  component: SnapshotContext['components'][number],
  now: number,
) {
  const { store, publicBaseUrl } = context;
  const { appid, previousKeySet } = component;
  const [ticket, pushes, credentials] = await Promise.all([
    readTicket(store, appid),
    readPushStats(store, appid),
    Promise.all(CREDENTIAL_KINDS.map((kind) => describeCredential(context, kind, appid, now))),
  ]);
  const state = ticketState(ticket, now);
  const problems = [
    ...ticketProblems(appid, state, ticket, now),
    ...credentials.flatMap((credential) => credentialProblems(appid, credential)),
  ];
  const callback = publicBaseUrl === undefined ? null : `${publicBaseUrl}/callback/${appid}`;
  return {
    appid,
    problems,
    callback_urls:
      callback === null ? null : { authorization: callback, message: `${callback}/$APPID$` },
    ticket: describeTicket(state, ticket, now),
    credentials,
    pushes: {
      ...pushes.counts,
      previous_key_configured: previousKeySet,
      previous_key_last_used_at: isoOrNull(pushes.previousKeyAt),
      previous_token_last_used_at: isoOrNull(pushes.previousTokenAt),
    },
  };
}

function describeTicket(state: TicketState, ticket: Ticket | undefined, now: number) {
  return {
    state,
    created_at: isoOrNull(ticket?.createTime),
    received_at: isoOrNull(ticket?.receivedAt),
    age_seconds: ticket === undefined ? null : seconds(now - ticket.createTime),
    expires_at: isoOrNull(ticket?.expiresAt),
    life_seconds: seconds(TICKET_LIFE_MS),
    received_count: ticket?.count ?? 0,
  };
}

async function describeCredential(
  context: SnapshotContext,
  kind: CredentialKind,
  subject: string,
  now: number,
) {
  const { store, windowMs } = context;
  const id = { kind: kind.name, subject };
  const [record, history] = await Promise.all([readRecord(store, id), readHistory(store, id)]);
  const { state, reason, dueAt } = judgeFreshness(record, now, windowMs, kind.singleUse);
  const obtained = record.value !== undefined;
  const earliest = Math.max(now, dueAt);
  const next =
    record.retryAt > now ? record.retryAt : (context.nextTick(kind.name, earliest) ?? earliest);
  return {
    kind: kind.name,
    state,
    reason,
    live: isLive(state),
    seq: record.seq,
    obtained_at: obtained ? iso(record.obtainedAt) : null,
    age_seconds: obtained ? seconds(now - record.obtainedAt) : null,
    expires_at: obtained ? iso(record.expiresAt) : null,
    expires_in: obtained ? Math.max(0, seconds(record.expiresAt - now)) : null,
    due_at: obtained ? iso(dueAt) : null,
    next_refresh_at: isoOrNull(next),
    obtained_by: record.replica ?? null,
    obtained_because: record.reason ?? null,
    failures_in_a_row: record.failures,
    last_error:
      record.lastError === undefined
        ? null
        : { at: isoOrNull(record.lastErrorAt), ...record.lastError },
    history: summarizeHistory(history),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : iso(ms);
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
