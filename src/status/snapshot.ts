import type { Clock } from '../clock.ts';
import { KeeperError } from '../errors.ts';
import type { Account } from '../credentials/kinds/kind.ts';
import { configuredIds, targetOf } from '../credentials/subjects.ts';
import type { ClockSkew } from '../store/clock-watch.ts';
import { readJobRuns } from '../store/job-runs.ts';
import { readPushStats } from '../store/push-stats.ts';
import { onRedis } from '../store/redis.ts';
import { sealProblem } from '../store/seal-check.ts';
import type { SelfTest } from '../store/self-test.ts';
import { readTicket, TICKET_LIFE_MS, type Ticket } from '../store/tickets.ts';
import {
  clockProblems,
  credentialProblems,
  sealProblems,
  selfTestProblems,
  storeProblem,
  ticketProblems,
  ticketState,
  type TicketState,
} from './advice.ts';
import {
  authorizersProblems,
  describeAuthorizers,
  type AuthorizersContext,
} from './authorizers.ts';
import { describeCredential } from './credential.ts';
import { iso, isoOrNull, seconds } from './units.ts';

/**
 * Everything an admin needs to see, without a single value. The states come from the same
 * functions the keeper acts on.
 */
export interface SnapshotContext extends AuthorizersContext {
  clock: Clock;
  /** Upper bound of the refresh window, milliseconds. */
  windowMs: number;
  components: readonly { appid: string; previousKeySet: boolean }[];
  accounts: readonly Account[];
  /** Components with a ticket that waits in this process's memory for Redis. */
  ticketsWaiting: () => readonly string[];
  /** The first tick of a kind's job at or after a moment, epoch ms. */
  nextTick: (kind: string, notBefore: number) => number | undefined;
  jobs: readonly { name: string; expression: string }[];
  /** What trying Redis out has shown; undefined before the first time. */
  selfTest: () => SelfTest | undefined;
  clockSkew: () => ClockSkew;
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
    return { ...self, ...describeWithoutRedis(error, context.selfTest()) };
  }
}

function describeWithoutRedis(error: KeeperError, selfTest: SelfTest | undefined): StoredState {
  return {
    verdict: 'attention',
    problems: [storeProblem(error.message), ...selfTestProblems(selfTest)],
    redis: { state: 'unavailable', latency_ms: null },
    clocks: null,
    components: [],
    accounts: [],
    jobs: [],
  };
}

/** @throws KeeperError `store_unavailable` */
async function describeStored(context: SnapshotContext, now: number) {
  const { clock, store } = context;
  const started = clock.monotonic();
  await onRedis(() => store.redis.ping());
  const latencyMs = Math.round((clock.monotonic() - started) * 10) / 10;
  const [components, accounts, jobRuns] = await Promise.all([
    Promise.all(context.components.map((component) => describeComponent(context, component, now))),
    Promise.all(context.accounts.map((account) => describeAccount(context, account))),
    readJobRuns(store),
  ]);
  const skew = context.clockSkew();
  const problems = [
    ...selfTestProblems(context.selfTest()),
    ...sealProblems(sealProblem(store)),
    ...clockProblems(skew),
    ...[...components, ...accounts].flatMap((one) => one.problems),
  ];
  return {
    verdict: problems.length === 0 ? 'ok' : 'attention',
    problems,
    redis: { state: 'ready' as RedisState, latency_ms: latencyMs as number | null },
    clocks: describeClocks(skew),
    components,
    accounts,
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
  const [ticket, pushes, credentials, authorizers] = await Promise.all([
    readTicket(store, appid),
    readPushStats(store, appid),
    describeCredentialsOf(context, { appid }),
    describeAuthorizers(context, appid),
  ]);
  const state = ticketState(ticket, now);
  const problems = [
    ...ticketProblems(appid, state, ticket, now),
    ...credentials.flatMap((credential) => credentialProblems(appid, credential)),
    ...authorizersProblems(appid, authorizers),
  ];
  const callback = publicBaseUrl === undefined ? null : `${publicBaseUrl}/callback/${appid}`;
  return {
    appid,
    problems,
    callback_urls:
      callback === null ? null : { authorization: callback, message: `${callback}/$APPID$` },
    ticket: describeTicket(state, ticket, now),
    credentials,
    authorizers,
    pushes: {
      ...pushes.counts,
      previous_key_configured: previousKeySet,
      previous_key_last_used_at: isoOrNull(pushes.previousKeyAt),
      previous_token_last_used_at: isoOrNull(pushes.previousTokenAt),
    },
  };
}

async function describeAccount(context: SnapshotContext, account: Account) {
  const credentials = await describeCredentialsOf(context, account);
  const problems = credentials.flatMap((one) => credentialProblems(account.appid, one));
  return { appid: account.appid, problems, access_token_call: account.accessToken, credentials };
}

function describeCredentialsOf(context: SnapshotContext, { appid }: { appid: string }) {
  const components = context.components.map((one) => ({ ...one, appsecret: '' }));
  const subjects = { components, accounts: context.accounts };
  const ids = configuredIds(subjects).filter((id) => id.subject === appid);
  return Promise.all(
    ids.map(async (id) => {
      const target = targetOf(subjects, id);
      if (target === undefined) throw new Error(`no target for ${id.kind}`);
      return describeCredential(context, target);
    }),
  );
}

function describeClocks(skew: ClockSkew): {
  process_ahead_of_redis_seconds: number;
  process_ahead_of_wechat_seconds: number | null;
} | null {
  const { processVsRedis, processVsWechat } = skew;
  return {
    process_ahead_of_redis_seconds: Math.round(processVsRedis / 1000),
    process_ahead_of_wechat_seconds:
      processVsWechat === null ? null : Math.round(processVsWechat / 1000),
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
    refused_by_wechat: ticket?.refused ?? null,
    push_asked_for_at: isoOrNull(ticket?.pushAskedAt),
  };
}
