import { describeFailure } from '../../credentials/failure.ts';
import { isLive } from '../../credentials/freshness.ts';
import { callAsComponent } from '../../credentials/call-as-component.ts';
import { peekCredential } from '../../credentials/read.ts';
import { retryDelayMs } from '../../credentials/retry-delay.ts';
import { KeeperError } from '../../lib/errors.ts';
import {
  countSeen,
  saveReconciliation,
  type ReconcileCause,
  type ReconcileRun,
  type ReconcileState,
} from '../../store/authorizers/reconciliation.ts';
import { WechatError } from '../../wechat/client.ts';
import { LIST_PAGE, listAuthorizers } from '../../wechat/calls/authorizer.ts';
import { askAboutMissing, type MissingOutcome } from './confirm-missing.ts';
import { restorePage } from './restore-page.ts';
import { fetchProfiles } from './fetch-profiles.ts';
import { doubtAbout, isLastPage, type NextStep } from './rules.ts';
import { LeaseLostError, type ReconcileContext, type Step } from './step.ts';
import { healedBy } from '../../wechat/errcodes.ts';

/** The steps of a run. Each can be done twice, and is written down before the next one begins. */

/** Milliseconds a replica may take for one step: a call to WeChat, and what it brings is stored. */
export const LEASE_MS = 30_000;
/** Milliseconds until a list is read again that contradicted itself, and how often. */
const REPEAT_MS = 60_000;
const MAX_REPEATS = 3;
const DAY_MS = 86_400_000;
/** Milliseconds until a component token may be there. */
const NO_TOKEN_MS = 10_000;

/**
 * Does the next step of a run.
 * @returns milliseconds until the one after it; undefined when there is no token to call WeChat with
 * @throws LeaseLostError, KeeperError `store_unavailable`
 */
export async function takeStep(
  context: ReconcileContext,
  component: string,
  state: ReconcileState,
  next: Exclude<NextStep, { do: 'nothing' }>,
): Promise<number | undefined> {
  const missing = await missingToken(context, component);
  const run = next.do === 'start' ? newRun(state, next.cause) : state.run;
  if (run === undefined) return undefined;
  const step = createStep(context, component, run);
  const wait = async (lastError: string) => {
    // What has not begun does not begin, and nobody waits for names.
    if (next.do !== 'start' && next.do !== 'profiles') {
      await step.save({ lastError, nextAt: state.readAt + NO_TOKEN_MS });
    }
    return undefined;
  };
  if (missing !== undefined) return wait(missing);
  try {
    switch (next.do) {
      case 'start':
        return await start(step);
      case 'list':
        return await readPage(step);
      case 'check':
        return await check(step);
      case 'missing':
        return await askAboutMissing(step).then((outcome) => goOn(step, outcome));
      case 'profiles':
        return await fetchProfiles(step);
    }
  } catch (error) {
    if (error instanceof WechatError) return waitAfter(step, error);
    const noToken = error instanceof KeeperError && error.code !== 'store_unavailable';
    if (!noToken) throw error;
    return wait(error.message);
  }
}

function createStep(context: ReconcileContext, component: string, run: ReconcileRun): Step {
  const { store, replica: owner } = context;
  return {
    context,
    component,
    run,
    async save(change, more = {}) {
      Object.assign(run, change);
      const written = { run, owner, leaseMs: LEASE_MS, ...more };
      if (!(await saveReconciliation(store, component, written))) throw new LeaseLostError();
    },
  };
}

/** Why there is no token to call WeChat with, in words. @throws KeeperError `store_unavailable` */
async function missingToken(
  context: ReconcileContext,
  component: string,
): Promise<string | undefined> {
  const id = { kind: 'component_access_token', subject: component } as const;
  const { state } = await peekCredential(context, id);
  return isLive(state) ? undefined : 'there is no live component_access_token';
}

function newRun({ run, readAt, epoch }: ReconcileState, cause: ReconcileCause): ReconcileRun {
  return {
    phase: 'list',
    cause,
    begunAt: readAt,
    startedAt: readAt,
    epoch,
    repeats: 0,
    offset: 0,
    total: undefined,
    doubt: undefined,
    restored: 0,
    missing: 0,
    wronglyMissing: 0,
    failed: 0,
    calls: 0,
    cursor: '',
    profileCursor: undefined,
    nextAt: 0,
    failures: 0,
    lastError: undefined,
    outcome: run?.outcome,
    completedAt: run?.completedAt,
    completedEpoch: run?.completedEpoch,
  };
}

async function start({ context, component, run, save }: Step): Promise<number> {
  await save({}, { fresh: true });
  context.log.info('reading the list of authorizers', { component, cause: run.cause });
  return 0;
}

async function readPage({ context, component, run, save }: Step): Promise<number> {
  const { api, store } = context;
  const { offset } = run;
  const startedAt = offset === 0 ? store.time.now() : run.startedAt;
  // A Redis that takes no writes is found out before WeChat is asked, not after each time.
  await save({});
  const { totalCount, list } = await callAsComponent(context, component, (platform) => {
    run.calls += 1;
    return listAuthorizers(api, platform, { offset, count: LIST_PAGE });
  });
  const { restored, failed } = await restorePage(context, component, list);
  const seen = [...new Set(list.map((one) => one.authorizerAppid))];
  const counts = { entries: list.length, different: seen.length };
  const page = { offset, asked: LIST_PAGE, totalCount, ...counts };
  const doubt = run.doubt ?? doubtAbout(page, run.total);
  await save(
    {
      startedAt,
      total: totalCount,
      doubt,
      failures: 0,
      lastError: undefined,
      nextAt: 0,
      restored: run.restored + restored,
      failed: run.failed + failed,
      offset: offset + LIST_PAGE,
      phase: isLastPage(page) ? 'check' : 'list',
    },
    { seen },
  );
  return 0;
}

/** All pages are read: whether they make one list. */
async function check(step: Step): Promise<number> {
  const { context, component, run, save } = step;
  const seen = await countSeen(context.store, component);
  const counted = seen === run.total ? undefined : `${run.total} were promised and ${seen} came`;
  const doubt = run.doubt ?? counted;
  if (doubt !== undefined) return giveUpList(step, doubt);
  await save({ phase: 'missing', cursor: '' });
  return 0;
}

/** What follows a question about an account that the list lacks. */
async function goOn(step: Step, outcome: MissingOutcome): Promise<number> {
  if ('pauseMs' in outcome) return outcome.pauseMs;
  return 'doubt' in outcome ? giveUpList(step, outcome.doubt) : finish(step);
}

/** A list that contradicts itself proves nothing about those it lacks: it is read again. */
async function giveUpList({ context, component, run, save }: Step, doubt: string): Promise<number> {
  const lastError = `WeChat's list contradicts itself: ${doubt}`;
  const fields = { component, doubt, repeats: run.repeats, restored: run.restored };
  if (run.repeats < MAX_REPEATS) {
    context.log.warn('the list of authorizers contradicts itself; it is read again', fields);
    const again = { phase: 'list', offset: 0, total: undefined, doubt: undefined } as const;
    const nextAt = context.store.time.now() + REPEAT_MS;
    await save({ ...again, repeats: run.repeats + 1, lastError, nextAt }, { fresh: true });
    return REPEAT_MS;
  }
  const message =
    'the list of authorizers contradicts itself; nobody was taken for missing, tomorrow it is read again';
  context.log.warn(message, fields);
  const nextAt = context.store.time.now() + DAY_MS;
  await save({ phase: undefined, outcome: 'inconsistent', lastError, nextAt });
  return 0;
}

async function finish({ context, component, run, save }: Step): Promise<number> {
  const now = context.store.time.now();
  const done = { phase: undefined, outcome: 'done', lastError: undefined } as const;
  const completed = { completedAt: now, completedEpoch: run.epoch };
  await save({ ...done, ...completed, nextAt: 0, failures: 0, profileCursor: '' });
  context.log.info('the list of authorizers was read', {
    component,
    cause: run.cause,
    total: run.total,
    restored: run.restored,
    missing: run.missing,
    wrongly_missing: run.wronglyMissing,
    failed: run.failed,
    calls: run.calls,
    duration_ms: now - run.begunAt,
  });
  return 0;
}

/** WeChat did not answer, or refuses: the same step again later. */
async function waitAfter(
  { context, component, run, save }: Step,
  error: WechatError,
): Promise<number> {
  const { store, clock, log } = context;
  const { class: cls, errcode } = error.facts;
  const failures = run.failures + 1;
  const person = healedBy(cls) !== 'itself';
  const failure = describeFailure(error);
  const lastError = `${failure.message}: ${failure.advice}`;
  const facts = {
    class: cls,
    errcode,
    failures,
    again: run.failures > 0 && run.lastError === lastError,
    urgent: false,
    mayHaveMinted: false,
    liveMs: 0,
    now: store.time.now(),
  };
  const delay = Math.round(retryDelayMs(facts, clock.random()));
  const fields = { component, offset: run.offset, failures, failure };
  if (!person) log.warn('WeChat did not answer about authorizers; it is asked again', fields);
  else if (run.lastError !== lastError) {
    log.error('WeChat refuses to list the authorizers: a person should look', fields);
  }
  await save({ failures, lastError, nextAt: store.time.now() + delay });
  return delay;
}
