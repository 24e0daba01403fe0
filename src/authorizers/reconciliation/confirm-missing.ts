import { authorizerToken, revokeAuthorization } from '../../store/authorizers/authorization.ts';
import { forgetCheck } from '../../store/authorizers/due-queue.ts';
import { unseenOf } from '../../store/authorizers/reconciliation.ts';
import { readRecord, SpoiledRecordError } from '../../store/credentials/record.ts';
import { isRefusedByRedis } from '../../store/redis/connection.ts';
import {
  authorizersAfter,
  mergeAuthorizer,
  readAuthorizer,
} from '../../store/authorizers/profile.ts';
import { WechatError } from '../../wechat/client.ts';
import { refreshProfile } from '../profile.ts';
import type { Step } from './step.ts';

/**
 * Accounts that a complete and consistent list lacks. WeChat is asked about each one by itself, so that no
 * list, whatever it says, can end anybody's authorization.
 */

/** Accounts of the registry that are compared at a time. */
const SCAN = 500;
/** Milliseconds between two questions. */
const PAUSE_MS = 100;
/** Milliseconds before the run: who authorized later may not be in the list yet. */
const RECENT_MS = 600_000;
/** Accounts that the list may lack wrongly; after that it is a wrong list. */
const MAX_WRONG = 20;
/** Failures in a row after which an account is left as it is. */
const MAX_FAILURES = 5;
/** errcode: this account has not authorized the platform. */
const NOT_AUTHORIZED = 61003;

/** Milliseconds until the next account; nobody is left; or why the list is not to be believed. */
export type MissingOutcome = { pauseMs: number } | { done: true } | { doubt: string };

/**
 * Asks about the next account.
 * @throws WechatError when WeChat could not be asked
 */
export async function askAboutMissing(step: Step): Promise<MissingOutcome> {
  const { context, component, run, save } = step;
  const appids = await authorizersAfter(context.store, component, run.cursor, SCAN);
  const cursor = appids.at(-1);
  if (cursor === undefined) return { done: true };
  for (const authorizer of await unseenOf(context.store, component, appids)) {
    if (!(await mayBeMissing(step, authorizer))) continue;
    const answer = await ask(step, authorizer);
    if (answer === 'ended' && (await tombstone(step, authorizer))) run.missing += 1;
    if (answer === 'stands') run.wronglyMissing += 1;
    if (run.wronglyMissing > MAX_WRONG) {
      const doubt = `it lacks ${run.wronglyMissing} accounts that have authorized`;
      run.wronglyMissing = 0;
      return { doubt };
    }
    await save({ cursor: authorizer, failures: 0, lastError: undefined, nextAt: 0 });
    return { pauseMs: PAUSE_MS };
  }
  await save({ cursor });
  return { pauseMs: 0 };
}

/** Not who has ended it already, nor who authorized about when the list was read. */
async function mayBeMissing({ context, component, run }: Step, authorizer: string) {
  const { store } = context;
  try {
    const record = await readRecord(store, authorizerToken(component, authorizer));
    if (record.revokedAt !== undefined) return false;
    const { authorizedAt = (await readAuthorizer(store, component, authorizer))?.stateAt ?? 0 } =
      record;
    return authorizedAt < run.startedAt - RECENT_MS;
  } catch (error) {
    // The next look puts it aside.
    if (error instanceof SpoiledRecordError) return false;
    throw error;
  }
}

/** What WeChat says about this account alone. @throws WechatError when it could not be asked */
async function ask(
  { context, component, run }: Step,
  authorizer: string,
): Promise<'ended' | 'stands' | 'unclear'> {
  const { log } = context;
  run.calls += 1;
  try {
    await refreshProfile(context, component, authorizer);
    log.warn('the list lacks an account that has authorized: it is kept', {
      component,
      authorizer,
    });
    return 'stands';
  } catch (error) {
    if (!(error instanceof WechatError || isRefusedByRedis(error))) throw error;
    if (error instanceof WechatError) {
      const { class: cls, errcode } = error.facts;
      if (errcode === NOT_AUTHORIZED) return 'ended';
      const final = cls === 'reauthorize' || cls === 'permission' || cls === 'bug';
      if (!final && run.failures < MAX_FAILURES) throw error;
    }
    log.warn('the list lacks an account about which WeChat says nothing clear: it is kept', {
      component,
      authorizer,
      error,
    });
    return 'unclear';
  }
}

async function tombstone({ context, component, run }: Step, authorizer: string): Promise<boolean> {
  const { store, keeper, log, wechatNow } = context;
  const id = authorizerToken(component, authorizer);
  // By WeChat's clock, as what comes later will be: Redis's may be wrong.
  const sinceThen = Math.max(0, store.time.now() - run.startedAt);
  const revokedAt = Math.round(wechatNow() - sinceThen);
  if ((await revokeAuthorization(store, id, revokedAt, 'list')) === 'older') return false;
  await mergeAuthorizer(store, component, authorizer, { state: 'revoked', stateAt: revokedAt });
  await forgetCheck(store, id);
  log.warn('an account has ended its authorization without our hearing of it', {
    component,
    authorizer,
  });
  // So that this process remembers it, too.
  await keeper.ensureFresh(id, 'patrol');
  return true;
}
