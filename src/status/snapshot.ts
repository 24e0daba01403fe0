import type { Language } from '../lib/language.ts';
import { KeeperError } from '../lib/errors.ts';
import type { ClockSkew } from '../store/operations/clock-skew.ts';
import { readJobRuns, type JobRun } from '../store/operations/job-runs.ts';
import { onRedis } from '../store/redis/connection.ts';
import { readRefused } from '../store/tickets/refused-pushes.ts';
import { healthOf, type RedisTrouble } from '../store/redis/health.ts';
import { firstWordsOf, wordOf } from '../store/redis/error-words.ts';
import { eachMaster } from '../store/redis/shards.ts';
import { readReplicas } from '../store/operations/replicas.ts';
import { plainTokens, encryptionProblem } from '../store/redis/encryption-keys.ts';
import type { SnapshotContext, StoredStatus } from './context.ts';
import type { StatusSnapshot } from './schema.ts';
import { clockFindings, sealFindings, selfTestFindings, storeFinding } from './rules.ts';
import { rankFindings, type Finding } from './problems.ts';
import { describeRefused, flowOfAll, refusedFindings } from './refused-pushes.ts';
import { describeReplicas, replicaFindings } from './replicas.ts';
import { describeAccount, describeComponent } from './component-status.ts';
import { describeLayouts } from './layouts.ts';
import { iso, isoOrNull, seconds } from '../lib/time-format.ts';
import { inWords, verdictSentence } from './wording.ts';

/**
 * Everything an admin needs to see, without a single value. The states come from the same functions the
 * keeper acts on.
 */

/** What only a process knows of itself, and what there is to read of all of them. */
type OfProcess = Pick<
  StatusSnapshot,
  'time' | 'version' | 'replica' | 'uptime_seconds' | 'tickets_waiting_for_redis'
>;
type Stored = Omit<StatusSnapshot, keyof OfProcess>;

/**
 * Without Redis it says so, and what this process knows by itself. Never rejects for that.
 * @param language of what is said about problems and errors
 */
export async function takeSnapshot(
  context: SnapshotContext,
  language: Language = 'en',
): Promise<StatusSnapshot> {
  const now = context.clock.now();
  const { version, replica, startedAt, ticketsWaiting } = context.self;
  const own: OfProcess = {
    time: iso(now),
    version,
    replica,
    uptime_seconds: seconds(now - startedAt),
    /** Appids whose newest ticket is in this process's memory until Redis takes it. */
    tickets_waiting_for_redis: ticketsWaiting().filter((waiting) =>
      context.components.some(({ appid }) => appid === waiting),
    ),
  };
  try {
    return { ...own, ...(await describeStored(context, now, language)) };
  } catch (error) {
    if (!(error instanceof KeeperError) || error.code !== 'store_unavailable') throw error;
    return { ...own, ...describeWithoutRedis(error, context, language) };
  }
}

/** What is wrong, the gravest first, before it is put into words. @throws as the store does */
export async function findProblems(context: StoredStatus): Promise<Finding[]> {
  return rankFindings((await readParts(context, context.clock.now(), 'en')).findings);
}

/** The same of what this process knows by itself. Does not reject without Redis. */
export async function findOwnProblems(context: SnapshotContext): Promise<Finding[]> {
  const own = ownFindings(context);
  try {
    await pingMasters(context.store);
  } catch (error) {
    if (!(error instanceof KeeperError)) throw error;
    own.push(storeFinding(error.message, troubleOf(error, context)));
  }
  return rankFindings(own);
}

/** Of a cluster the slowest counts. @throws KeeperError `store_unavailable` */
async function pingMasters({ redis }: StoredStatus['store']): Promise<void> {
  await onRedis(() => eachMaster(redis, (master) => master.ping()));
}

/** What stands between us and Redis, or what it said. */
function troubleOf({ cause }: KeeperError, { store }: StoredStatus): RedisTrouble | undefined {
  const { trouble } = healthOf(store.redis) ?? {};
  if (trouble !== undefined || !(cause instanceof Error)) return trouble;
  const isNamed = /^(?:ReplyError|ShardAwayError)$/.test(cause.name);
  return isNamed ? { word: wordOf(cause), words: firstWordsOf(cause) } : undefined;
}

function ownFindings({ store, components, accounts, self }: StoredStatus): Finding[] {
  const subjects = [...components, ...accounts].map(({ appid }) => appid);
  return [
    ...selfTestFindings(self?.selfTest(), subjects),
    ...sealFindings(encryptionProblem(store), plainTokens(store)),
    ...(self === undefined ? [] : clockFindings(self.clockSkew())),
  ];
}

function describeWithoutRedis(
  error: KeeperError,
  context: SnapshotContext,
  language: Language,
): Stored {
  return {
    ...conclude(
      [storeFinding(error.message, troubleOf(error, context)), ...ownFindings(context)],
      language,
    ),
    redis: { state: 'unavailable', latency_ms: null },
    clocks: null,
    refused_elsewhere: [],
    components: [],
    accounts: [],
    layouts: [],
    jobs: [],
    replicas: [],
  };
}

/** What is wrong, the gravest first, in one sentence and in full. */
function conclude(
  findings: readonly Finding[],
  language: Language,
): Pick<Stored, 'verdict' | 'summary' | 'problems'> {
  const problems = inWords(findings, language);
  return {
    verdict: problems.length === 0 ? 'ok' : 'attention',
    summary: verdictSentence(problems, language),
    problems,
  };
}

/** @throws KeeperError `store_unavailable` */
async function describeStored(
  context: SnapshotContext,
  now: number,
  language: Language,
): Promise<Stored> {
  const { clock, store } = context;
  const started = clock.monotonic();
  await pingMasters(store);
  const latencyMs = Math.round((clock.monotonic() - started) * 10) / 10;
  const [parts, jobs] = await Promise.all([
    readParts(context, now, language),
    describeJobs(context, now),
  ]);
  const { findings, components, accounts, replicas, elsewhere, layouts } = parts;
  return {
    ...conclude(findings, language),
    redis: { state: 'ready', latency_ms: latencyMs },
    clocks: describeClocks(context.self.clockSkew()),
    refused_elsewhere: elsewhere,
    components: components.map(({ status }) => status),
    accounts: accounts.map(({ status }) => status),
    layouts,
    jobs,
    replicas: describeReplicas(replicas, store.time.now()),
  };
}

/** Everything that is read, and all that is wrong with it. @throws KeeperError `store_unavailable` */
async function readParts(context: StoredStatus, now: number, language: Language) {
  const { store } = context;
  await context.self?.writeRefused();
  const refused = await readRefused(store, null);
  // How grave it is says the flow of tickets, which is not known yet; why they are refused is.
  const nowhere = { acceptedAt: { event: undefined, message: undefined }, tickets: true };
  const before = refusedFindings(null, refused, nowhere, now);
  const appids = [...context.components, ...context.accounts].map(({ appid }) => appid);
  const [components, accounts, replicas, published] = await Promise.all([
    Promise.all(
      context.components.map((one) => describeComponent(context, one, now, language, before)),
    ),
    Promise.all(context.accounts.map((account) => describeAccount(context, account, language))),
    readReplicas(store),
    describeLayouts(store, context.layouts, appids),
  ]);
  const flow = flowOfAll(components.map((one) => one.flow));
  const findings = [
    ...ownFindings(context),
    ...refusedFindings(null, refused, flow, now),
    ...replicaFindings(replicas, store.time.now()),
    ...[...components, ...accounts, published].flatMap((one) => one.findings),
  ];
  const elsewhere = describeRefused(refused, flow, now);
  const { layouts } = published;
  return { components, accounts, replicas, findings, elsewhere, layouts };
}

async function describeJobs({ store, self }: SnapshotContext, now: number) {
  const runs = await readJobRuns(store);
  return self.jobs.map(({ name, expression }) => {
    const run = runs[name];
    return {
      name,
      schedule: expression,
      next_run_at: isoOrNull(self.nextTick(name, now)),
      last_run: run === undefined ? null : describeRun(run),
    };
  });
}

function describeRun({ startedAt, tookMs, trigger, replica, ok, summary }: JobRun) {
  return { at: iso(startedAt), took_ms: tookMs, trigger, replica, ok, summary };
}

function describeClocks({
  processVsRedis,
  processVsWechat,
}: ClockSkew): NonNullable<StatusSnapshot['clocks']> {
  return {
    process_ahead_of_redis_seconds: Math.round(processVsRedis / 1000),
    process_ahead_of_wechat_seconds:
      processVsWechat === null ? null : Math.round(processVsWechat / 1000),
  };
}
