import type { Language } from '../authorizers/links.ts';
import type { Clock } from '../clock.ts';
import { KeeperError } from '../errors.ts';
import type { Account } from '../credentials/kinds/kind.ts';
import { configuredIds, targetOf } from '../credentials/subjects.ts';
import type { ClockSkew } from '../store/clock-watch.ts';
import { readJobRuns, type JobRun } from '../store/job-runs.ts';
import { readPushStats } from '../store/push-stats.ts';
import { onRedis } from '../store/redis.ts';
import { readReplicas } from '../store/replicas.ts';
import { sealProblem } from '../store/seal-check.ts';
import type { SelfTest } from '../store/self-test.ts';
import { readTicket, TICKET_LIFE_MS, type Ticket } from '../store/tickets.ts';
import {
  authorizersFindings,
  describeAuthorizers,
  type AuthorizersContext,
} from './authorizers.ts';
import { describeCredential, type CredentialStatus } from './credential.ts';
import {
  clockFindings,
  credentialFindings,
  previousSecretFindings,
  sealFindings,
  selfTestFindings,
  storeFinding,
  ticketFindings,
  ticketState,
  type TicketState,
} from './findings.ts';
import { rankFindings, type Finding } from './problems.ts';
import { describeReplicas, replicaFindings } from './replicas.ts';
import { iso, isoOrNull, seconds } from './units.ts';
import { describeProblem, explainError, verdictSentence } from './wording.ts';

/**
 * Everything an admin needs to see, without a single value. The states come from the same
 * functions the keeper acts on.
 */
export interface SnapshotContext extends AuthorizersContext {
  clock: Clock;
  /** Upper bound of the refresh window, milliseconds. */
  windowMs: number;
  components: readonly { appid: string; previousKeySet: boolean; previousTokenSet: boolean }[];
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

/**
 * Without Redis it says so, and what this process knows by itself. Never rejects for that.
 * @param language of what is said about problems and errors
 */
export async function takeSnapshot(context: SnapshotContext, language: Language = 'en') {
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
    return { ...self, ...(await describeStored(context, now, language)) };
  } catch (error) {
    if (!(error instanceof KeeperError) || error.code !== 'store_unavailable') throw error;
    return { ...self, ...describeWithoutRedis(error, context.selfTest(), language) };
  }
}

/** What is wrong, the gravest first, before it is put into words. @throws as the store does */
export async function findProblems(context: SnapshotContext): Promise<Finding[]> {
  return rankFindings((await readParts(context, context.clock.now(), 'en')).findings);
}

/** The same of what this process knows by itself. Does not reject without Redis. */
export async function findOwnProblems(context: SnapshotContext): Promise<Finding[]> {
  const own = ownFindings(context);
  try {
    await onRedis(() => context.store.redis.ping());
  } catch (error) {
    if (!(error instanceof KeeperError)) throw error;
    own.push(storeFinding(error.message));
  }
  return rankFindings(own);
}

function ownFindings({ selfTest, store, clockSkew }: SnapshotContext): Finding[] {
  return [
    ...selfTestFindings(selfTest()),
    ...sealFindings(sealProblem(store)),
    ...clockFindings(clockSkew()),
  ];
}

function describeWithoutRedis(
  error: KeeperError,
  selfTest: SelfTest | undefined,
  language: Language,
): StoredState {
  return {
    ...conclude([storeFinding(error.message), ...selfTestFindings(selfTest)], language),
    redis: { state: 'unavailable', latency_ms: null },
    clocks: null,
    components: [],
    accounts: [],
    jobs: [],
    replicas: [],
  };
}

/** What is wrong, the gravest first, in one sentence and in full. */
function conclude(findings: readonly Finding[], language: Language) {
  const problems = inWords(findings, language);
  return {
    verdict: problems.length === 0 ? 'ok' : 'attention',
    summary: verdictSentence(problems, language),
    problems,
  };
}

function inWords(findings: readonly Finding[], language: Language) {
  return rankFindings(findings).map((one) => describeProblem(one, language));
}

/** @throws KeeperError `store_unavailable` */
async function describeStored(context: SnapshotContext, now: number, language: Language) {
  const { clock, store } = context;
  const started = clock.monotonic();
  await onRedis(() => store.redis.ping());
  const latencyMs = Math.round((clock.monotonic() - started) * 10) / 10;
  const [{ findings, components, accounts, replicas }, jobs] = await Promise.all([
    readParts(context, now, language),
    describeJobs(context, now),
  ]);
  return {
    ...conclude(findings, language),
    redis: { state: 'ready' as RedisState, latency_ms: latencyMs as number | null },
    clocks: describeClocks(context.clockSkew()),
    components: components.map(({ status }) => status),
    accounts: accounts.map(({ status }) => status),
    jobs,
    replicas: describeReplicas(replicas, store.time.now()),
  };
}

/** Everything that is read, and all that is wrong with it. @throws KeeperError `store_unavailable` */
async function readParts(context: SnapshotContext, now: number, language: Language) {
  const { store } = context;
  const [components, accounts, replicas] = await Promise.all([
    Promise.all(context.components.map((one) => describeComponent(context, one, now, language))),
    Promise.all(context.accounts.map((account) => describeAccount(context, account, language))),
    readReplicas(store),
  ]);
  const findings = [
    ...ownFindings(context),
    ...replicaFindings(replicas, store.time.now()),
    ...[...components, ...accounts].flatMap((one) => one.findings),
  ];
  return { components, accounts, replicas, findings };
}

async function describeComponent(
  context: SnapshotContext,
  component: SnapshotContext['components'][number],
  now: number,
  language: Language,
) {
  const { store, publicBaseUrl } = context;
  const { appid, previousKeySet, previousTokenSet } = component;
  const [ticket, pushes, credentials, authorizers] = await Promise.all([
    readTicket(store, appid),
    readPushStats(store, appid),
    describeCredentialsOf(context, { appid }),
    describeAuthorizers(context, appid),
  ]);
  const { counts, previousKeyAt, previousTokenAt } = pushes;
  const state = ticketState(ticket, now);
  const previous = { keyAt: previousKeyAt, tokenAt: previousTokenAt };
  const findings = [
    ...ticketFindings(appid, state, ticket, now),
    ...credentials.flatMap((credential) => credentialFindings(appid, credential)),
    ...authorizersFindings(appid, authorizers),
    ...previousSecretFindings(
      appid,
      { ...previous, keySet: previousKeySet, tokenSet: previousTokenSet },
      now,
    ),
  ];
  const callback = publicBaseUrl === undefined ? null : `${publicBaseUrl}/callback/${appid}`;
  const status = {
    appid,
    problems: inWords(findings, language),
    callback_urls:
      callback === null ? null : { authorization: callback, message: `${callback}/$APPID$` },
    ticket: describeTicket(state, ticket, now),
    credentials: credentials.map((one) => translated(one, language)),
    authorizers,
    pushes: {
      ...counts,
      previous_key_configured: previousKeySet,
      previous_token_configured: previousTokenSet,
      previous_key_last_used_at: isoOrNull(previousKeyAt),
      previous_token_last_used_at: isoOrNull(previousTokenAt),
    },
  };
  return { status, findings };
}

async function describeAccount(context: SnapshotContext, account: Account, language: Language) {
  const credentials = await describeCredentialsOf(context, account);
  const findings = credentials.flatMap((one) => credentialFindings(account.appid, one));
  const status = {
    appid: account.appid,
    problems: inWords(findings, language),
    access_token_call: account.accessToken,
    credentials: credentials.map((one) => translated(one, language)),
  };
  return { status, findings };
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

function translated(credential: CredentialStatus, language: Language): CredentialStatus {
  const { last_error: error } = credential;
  if (error === null) return credential;
  return { ...credential, last_error: { ...error, ...explainError(error, language) } };
}

async function describeJobs({ store, jobs, nextTick }: SnapshotContext, now: number) {
  const runs = await readJobRuns(store);
  return jobs.map(({ name, expression }) => {
    const run = runs[name];
    return {
      name,
      schedule: expression,
      next_run_at: isoOrNull(nextTick(name, now)),
      last_run: run === undefined ? null : describeRun(run),
    };
  });
}

function describeRun({ startedAt, tookMs, trigger, replica, ok, summary }: JobRun) {
  return { at: iso(startedAt), took_ms: tookMs, trigger, replica, ok, summary };
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
