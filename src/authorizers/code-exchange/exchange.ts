import { iso } from '../../lib/time-format.ts';
import { sleep } from '../../lib/clock.ts';
import { KeeperError } from '../../lib/errors.ts';
import { describeFailure } from '../../credentials/failure.ts';
import { decidedAt, readOrQuarantine } from '../../credentials/read-repair.ts';
import { callAsComponent } from '../../credentials/call-as-component.ts';
import type { ReadContext } from '../../credentials/read.ts';
import { retryDelayMs } from '../../credentials/retry-delay.ts';
import { authorizerToken, grantAuthorization } from '../../store/authorizers/authorization.ts';
import { planCheck } from '../../store/authorizers/due-queue.ts';
import {
  changeExchange,
  readExchange,
  type Exchange,
} from '../../store/authorizers/code-exchange.ts';
import { noteLinkOutcome } from '../../store/authorizers/link-outcomes.ts';
import { mergeAuthorizer } from '../../store/authorizers/profile.ts';
import { readyEncryption } from '../../store/redis/encryption-keys.ts';
import { WechatError } from '../../wechat/client.ts';
import {
  fetchAuthorizerInfo,
  queryAuth,
  type QueriedAuthorization,
} from '../../wechat/calls/authorizer.ts';
import { healedBy } from '../../wechat/errcodes.ts';

/**
 * Exchanges one authorization code for the tokens of an account. A code works once, so its answer is
 * stored before anything else is done with it; and when the answer is lost, WeChat is asked for the
 * refresh token in another way.
 */

export interface ExchangeContext extends ReadContext {
  replica: string;
  /** WeChat's clock as far as it is known, epoch ms. */
  wechatNow: () => number;
  /** Called when an account is known to have authorized. */
  onAuthorized: (component: string, authorizer: string) => void;
  /** Called when only WeChat's whole list can tell what has become of a code. */
  onLost: (component: string) => void;
}

/** Milliseconds: a code that lives for minutes is not left alone for longer. */
const MAX_DELAY_MS = 60_000;
/** Milliseconds for which an answer is kept in hand while Redis does not take it, and between tries. */
const STORE_PATIENCE_MS = 10_000;
const STORE_RETRY_MS = 500;
/** Milliseconds after its end for which WeChat is asked what has become of a code. */
const RECOVERY_MS = 86_400_000;

/** Never rejects for what WeChat says. @throws KeeperError `store_unavailable` */
export async function exchangeCode(
  context: ExchangeContext,
  component: string,
  exchange: Exchange,
): Promise<void> {
  const { store, clock, api, log } = context;
  const { code } = exchange;
  if (code === undefined || (await isOver(context, component, exchange))) return;
  // An overdue code is tried once all the same: whose clock is right is not known.
  if (exchange.attempts > 0 && context.wechatNow() >= exchange.expiresAt) {
    await recover(context, component, exchange);
    return;
  }
  const startedAt = clock.monotonic();
  let queried: QueriedAuthorization;
  try {
    // Asked before the call: what it brings must be storable.
    const problem = await readyEncryption(store);
    if (problem !== undefined) throw problem;
    queried = await callAsComponent(context, component, async (platform) => {
      // Before the call: whoever dies during it cannot say that the code may be used up.
      await changeExchange(store, component, exchange.id, { maybeUsed: true });
      return queryAuth(api, { ...platform, code });
    });
  } catch (error) {
    await noteFailure(context, component, exchange, error);
    return;
  }
  const { authorizerAppid: authorizer, permissionSets } = queried;
  const { authorizedAt } = exchange;
  const id = authorizerToken(component, authorizer);
  const outcome = await storePatiently(context, async () => {
    await readOrQuarantine(context, id);
    return grantAuthorization(store, id, {
      refreshToken: queried.refreshToken,
      authorizedAt,
      token: grantedToken(context, exchange, queried, clock.monotonic() - startedAt),
    });
  });
  log.info('an authorization code was exchanged', {
    component,
    authorizer,
    outcome,
    attempts: exchange.attempts + 1,
    refresh_token_given: queried.refreshToken !== undefined,
  });
  const end = outcome === 'older' ? 'superseded' : 'authorized';
  await storePatiently(context, async () => {
    await mergeAuthorizer(store, component, authorizer, { permissionSets });
    await finish(context, component, exchange, { outcome: end, authorizer });
  });
}

/** A moment further ahead than any pause was written by a clock that has been set right since. */
export function isDue({ nextAt }: Exchange, now: number): boolean {
  return nextAt <= now || nextAt > now + 2 * MAX_DELAY_MS;
}

/** Whether the account has authorized, or ended that, by another way since. */
async function isOver(
  context: ExchangeContext,
  component: string,
  exchange: Exchange,
): Promise<boolean> {
  const { authorizer, authorizedAt } = exchange;
  if (authorizer === undefined) return false;
  const record = await readOrQuarantine(context, authorizerToken(component, authorizer));
  if (decidedAt(record) < authorizedAt) return false;
  const stands = record.revokedAt === undefined;
  // The other way may have brought no refresh token: this code still can.
  if (stands && record.refreshToken === undefined && record.authorizedAt === authorizedAt) {
    return false;
  }
  const outcome = stands ? 'authorized' : 'superseded';
  await finish(context, component, exchange, { outcome, authorizer });
  return true;
}

function grantedToken(
  { replica }: ExchangeContext,
  { id }: Exchange,
  { token }: QueriedAuthorization,
  ageMs: number,
) {
  if (token === undefined) return undefined;
  return {
    operation: `exchange:${id}`,
    value: token.value,
    lifeMs: token.lifeSeconds * 1000,
    ageMs,
    reason: 'authorized:exchanged',
    replica,
    doubtful: token.mayHaveRunTwice,
  };
}

async function noteFailure(
  context: ExchangeContext,
  component: string,
  exchange: Exchange,
  thrown: unknown,
): Promise<void> {
  const { store, clock, log } = context;
  const facts = thrown instanceof WechatError ? thrown.facts : undefined;
  const attempts = exchange.attempts + 1;
  const error = describeUnavailable(thrown);
  const maybeUsed = exchange.maybeUsed || facts?.mayHaveRun === true;
  const { authorizer, link } = exchange;
  const fields = { component, authorizer, link: link?.id, attempts, failure: error };
  if (facts?.class === 'reauthorize') {
    log.warn('WeChat refuses an authorization code', fields);
    await changeExchange(store, component, exchange.id, { attempts, lastError: error, maybeUsed });
    await recover(context, component, { ...exchange, maybeUsed });
    return;
  }
  const failed = {
    class: facts?.class ?? 'retry',
    errcode: facts?.errcode,
    failures: attempts,
    // A minute is the longest wait here, whatever failed before.
    again: true,
    urgent: true,
    mayHaveMinted: facts?.mayHaveRun ?? false,
    liveMs: 0,
    now: store.time.now(),
  };
  const delay = Math.min(MAX_DELAY_MS, retryDelayMs(failed, clock.random()));
  const nextAt = store.time.now() + delay;
  const change = { attempts, maybeUsed, lastError: error, nextAt };
  await changeExchange(store, component, exchange.id, change);
  const line = { ...fields, next_try_at: iso(nextAt) };
  const heals = healedBy(error.class) === 'itself';
  if (heals) log.warn('an authorization code could not be exchanged yet', line);
  else log.error('an authorization code cannot be exchanged: a person should look', line);
}

/** What a reader of credentials would be told is what an exchange waits for, too. */
function describeUnavailable(thrown: unknown) {
  if (!(thrown instanceof KeeperError)) return describeFailure(thrown);
  const message = thrown.message.replace(/\.$/, '');
  const person = thrown.code === 'sealed_unreadable' || thrown.code === 'wechat_refused';
  return { class: person ? 'config' : 'retry', message, advice: 'It is tried again.' };
}

/**
 * The code is used up or over. Perhaps by ourselves: then the account has authorized, and WeChat names
 * its refresh token when asked about the account.
 */
async function recover(
  context: ExchangeContext,
  component: string,
  exchange: Exchange,
): Promise<void> {
  const { store, api, log } = context;
  const { id, authorizedAt } = exchange;
  // The event may have come, and told it, while WeChat was asked.
  const authorizer = exchange.authorizer ?? (await readExchange(store, component, id))?.authorizer;
  if (authorizer === undefined) {
    if (exchange.maybeUsed) context.onLost(component);
    await finish(context, component, exchange, { outcome: 'expired' });
    return;
  }
  try {
    const info = await callAsComponent(context, component, (platform) =>
      fetchAuthorizerInfo(api, { ...platform, authorizerAppid: authorizer }),
    );
    const { refreshToken, permissionSets } = info;
    if (refreshToken !== undefined) {
      const token = authorizerToken(component, authorizer);
      const grant = { refreshToken, authorizedAt, answerLost: true };
      const granted = await grantAuthorization(store, token, grant);
      await mergeAuthorizer(store, component, authorizer, { permissionSets });
      log.warn('a code was lost; WeChat named the refresh token', { component, authorizer });
      const outcome = granted === 'older' ? 'superseded' : 'authorized';
      await finish(context, component, exchange, { outcome, authorizer });
      return;
    }
    await mergeAuthorizer(store, component, authorizer, {
      state: 'unexchanged',
      stateAt: authorizedAt,
    });
  } catch (error) {
    const known = error instanceof WechatError || error instanceof KeeperError;
    if (!known || (error instanceof KeeperError && error.code === 'store_unavailable')) throw error;
    const refused = error instanceof WechatError && error.facts.class === 'reauthorize';
    if (!refused && context.wechatNow() < exchange.expiresAt + RECOVERY_MS) {
      const lastError = describeUnavailable(error);
      const fields = { component, authorizer, failure: lastError };
      log.warn('it is not known yet what became of a code; WeChat is asked again', fields);
      const nextAt = store.time.now() + MAX_DELAY_MS;
      await changeExchange(store, component, id, { lastError, nextAt });
      return;
    }
  }
  log.error('an authorization code was lost: the account must authorize again', {
    component,
    authorizer,
  });
  await finish(context, component, exchange, { outcome: 'expired', authorizer });
}

async function finish(
  context: ExchangeContext,
  component: string,
  { id, authorizedAt }: Exchange,
  end: Pick<Exchange, 'outcome'> & { authorizer?: string },
): Promise<void> {
  const { authorizer, outcome } = end;
  if (authorizer !== undefined && outcome === 'authorized') {
    const state = { state: 'authorized', stateAt: authorizedAt } as const;
    await mergeAuthorizer(context.store, component, authorizer, state);
    // Before the end is noted: whoever stops or dies after that looks at it no more.
    const { store } = context;
    await planCheck(store, authorizerToken(component, authorizer), store.time.now());
    // Read again: the redirect may have told the link while WeChat was asked.
    const link = (await readExchange(store, component, id))?.link;
    if (link !== undefined) {
      await noteLinkOutcome(store, component, link, { authorizer, authorizedAt });
    }
  }
  // Whoever hears of it looks for it at once.
  if (authorizer !== undefined) await context.publish?.(authorizerToken(component, authorizer));
  await changeExchange(context.store, component, id, { ...end });
  if (authorizer !== undefined && outcome === 'authorized') {
    context.onAuthorized(component, authorizer);
  }
}

/** The code is used up by now: what it brought must not be lost to a hiccup of Redis. */
async function storePatiently<T>(
  { clock, log }: ExchangeContext,
  work: () => Promise<T>,
): Promise<T> {
  const giveUpAt = clock.monotonic() + STORE_PATIENCE_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (clock.monotonic() >= giveUpAt) throw error;
      log.warn('what a code brought could not be stored yet', { error });
      await sleep(clock, STORE_RETRY_MS);
    }
  }
}
