import type { RedisClient } from './client.ts';
import { leaveAlerts, saveAlerts, takeAlerts } from '../operations/alerts.ts';
import {
  authorizerToken,
  awaitReauthorization,
  grantAuthorization,
  replaceRefreshToken,
  revokeAuthorization,
} from '../authorizers/authorization.ts';
import { claimDue, planCheck } from '../authorizers/due-queue.ts';
import { appendEvent } from '../tickets/event-stream.ts';
import { addExchange } from '../authorizers/code-exchange.ts';
import { releaseHeldPush } from '../deliveries/kept-push.ts';
import { claimDeliveries, moveDeliveries, settleDelivery } from '../deliveries/queue.ts';
import type { DeliveryPlan } from '../tickets/push.ts';
import { createKeys, type CredentialId } from './keys.ts';
import { giveLeaseBack, takeLease } from './lease.ts';
import { putPublished } from '../layouts/published.ts';
import { noteLinkOutcome } from '../authorizers/link-outcomes.ts';
import { beginMint, commitMint, endQuotaWait, failMint } from '../credentials/mint.ts';
import { putAside, readRecord, takeValue } from '../credentials/record.ts';
import { readReconciliation, saveReconciliation } from '../authorizers/reconciliation.ts';
import { refuseValue } from '../credentials/invalidate.ts';
import { addRefused, type RefusedBatch } from '../tickets/refused-pushes.ts';
import { mergeAuthorizer } from '../authorizers/profile.ts';
import { restoreRecord } from '../credentials/restore.ts';
import { createTokenEncryption } from './token-encryption.ts';
import type { Store } from './store.ts';
import { acceptTicket, keepTicket, refuseTicket, watchTicket } from '../tickets/ticket.ts';

/**
 * A short life of a component that does not exist, on keys of its own: the service's own functions with
 * every script that there is. What they answer does not matter, only that Redis lets them.
 */

const APPID = 'self_test';
const TOKEN: CredentialId = { kind: 'component_access_token', subject: APPID };
const AUTHORIZER = authorizerToken(APPID, APPID);
/** What `record.lua` says when INFO shows it none. */
const NO_EPOCH = 'unknown';
/** Milliseconds after which nothing is left, even if we die in the middle. */
const LEFT_MS = 60_000;

const BUDGET = { most: 30, spare: 6, dailyCalls: 0 };
const MINTED = { lifeMs: LEFT_MS, ageMs: 0, reason: APPID, replica: APPID };
const BEGIN = { judgedSeq: 0, ignoreBackoff: true, needed: true, budget: BUDGET };
const ERROR = { class: 'retry', message: APPID, advice: '' };
const UNAUTHORIZED = { authEpoch: 0, storedRefreshToken: undefined };
const REFUSED: RefusedBatch = {
  url: 'other',
  reason: 'path',
  count: 1,
  row: 1,
  since: 1,
  at: 1,
  beside: [],
  last: { path: '', address: '', detail: '', signed: 'no' },
};
const PATIENCE = {
  warnAfter: LEFT_MS,
  askAfter: LEFT_MS,
  alarmAfter: LEFT_MS,
  askEvery: LEFT_MS,
  askAgainAfter: LEFT_MS,
  askFirstAfter: LEFT_MS,
};

const COUNTED = { url: 'event', at: 1, usedPreviousKey: true, usedPreviousToken: true } as const;

function planFor({ keys }: Store): DeliveryPlan {
  const { fresh, target } = keys.deliveries(APPID, APPID);
  return { id: APPID, kept: { at: '1' }, queues: [{ keys: [fresh, target], score: 1 }] };
}

type Step = (store: Store) => Promise<unknown>;

const STEPS: readonly Step[] = [
  (store) => {
    const now = store.time.now();
    const event = { id: APPID };
    const arrived = { appid: APPID, ticket: APPID, createTime: now, receivedAt: now };
    return acceptTicket(store, { ...arrived, fingerprint: 'ticket', event, counted: COUNTED });
  },
  (store) => {
    const seen = { name: 'event', forMs: LEFT_MS };
    const everywhere = { ...seen, name: 'addresses' };
    return appendEvent(store, APPID, {
      identities: [seen],
      everywhere,
      event: { id: APPID },
      counted: COUNTED,
      plan: planFor(store),
    });
  },
  async (store) => {
    const targets = [{ name: APPID, free: 1, concurrency: 1, perSecond: 1 }];
    await claimDeliveries(store, APPID, targets);
    const made = {
      target: APPID,
      id: APPID,
      attempt: 1,
      asked: true,
      tookMs: 0,
      told: '',
      againInMs: 0,
    } as const;
    await settleDelivery(store, APPID, { ...made, outcome: 'dead' });
    await moveDeliveries(store, APPID, APPID, 'replay', 'dead', [APPID]);
  },
  (store) => releaseHeldPush(store, APPID, { id: APPID, at: 1 }, [APPID]),
  (store) => addRefused(store, APPID, [REFUSED]),
  (store) => keepTicket(store, APPID, undefined),
  (store) => refuseTicket(store, APPID, 'another', store.time.now()),
  (store) => watchTicket(store, APPID, store.time.now(), PATIENCE),
  async (store) => {
    const begun = await beginMint(store, TOKEN, { ...BEGIN, operation: 'one' });
    if (begun.outcome !== 'granted') return;
    await commitMint(store, TOKEN, {
      ...MINTED,
      operation: 'one',
      value: APPID,
      begin: begun.begin,
      epoch: begun.epoch,
      doubtful: false,
      singleUse: false,
      authEpoch: 0,
      refreshToken: undefined,
    });
  },
  async (store) => restoreRecord(store, TOKEN, await readRecord(store, TOKEN), true),
  (store) => refuseValue(store, TOKEN, { seq: 1, by: { caller: APPID }, ownDoing: true }),
  (store) => takeValue(store, TOKEN),
  (store) => {
    const failure = { operation: 'one', error: ERROR, retryInMs: 0, mayHaveMinted: false };
    return failMint(store, TOKEN, failure);
  },
  (store) => endQuotaWait(store, TOKEN),
  (store) => putAside(store, TOKEN),
  (store) => {
    const token = { ...MINTED, operation: 'two', value: APPID, doubtful: false };
    const authorizedAt = store.time.now();
    return grantAuthorization(store, AUTHORIZER, { refreshToken: APPID, authorizedAt, token });
  },
  (store) => replaceRefreshToken(store, AUTHORIZER, APPID, UNAUTHORIZED),
  (store) => awaitReauthorization(store, AUTHORIZER, UNAUTHORIZED),
  (store) => revokeAuthorization(store, AUTHORIZER, store.time.now()),
  async (store) => {
    await planCheck(store, AUTHORIZER, 0);
    await claimDue(store, AUTHORIZER.kind, APPID, 1, { perSecond: 1, burst: 1 });
  },
  (store) => putPublished(store.redis, store.keys.layout(APPID), '-', '=', LEFT_MS),
  (store) => mergeAuthorizer(store, APPID, APPID, { state: 'authorized' }),
  (store) => {
    const now = store.time.now();
    return addExchange(store, APPID, { code: APPID, authorizedAt: now, expiresAt: now });
  },
  (store) => {
    const link = { id: APPID, state: undefined, expiresAt: store.time.now() };
    const brought = { authorizer: APPID, authorizedAt: store.time.now() };
    return noteLinkOutcome(store, APPID, link, brought);
  },
  (store) => takeLease(store, store.keys.lease('reconcile', APPID), APPID, LEFT_MS),
  async (store) => {
    const { readAt, epoch } = await readReconciliation(store, APPID);
    const run = { ...FIRST_RUN, begunAt: readAt, startedAt: readAt, epoch };
    await saveReconciliation(store, APPID, { run, owner: APPID, leaseMs: LEFT_MS, seen: [APPID] });
  },
  (store) => giveLeaseBack(store, store.keys.lease('reconcile', APPID), APPID),
  (store) => takeAlerts(store, APPID, LEFT_MS),
  (store) => saveAlerts(store, APPID, { set: { a: 'b' }, forget: ['a'] }),
  (store) => leaveAlerts(store, APPID),
];

const FIRST_RUN = {
  ...({ phase: undefined, cause: 'first', repeats: 0, offset: 0, total: undefined } as const),
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
  outcome: undefined,
  completedAt: undefined,
  completedEpoch: undefined,
};

/**
 * Does every step, whatever became of the one before.
 * @param run no two runs have the same keys, so replicas do not meet
 * @param tag chooses the shard of a cluster
 * @returns what steps threw
 */
export async function runScripts(store: Store, run: string, tag: string): Promise<unknown[]> {
  const { redis, touched } = leavingNothing(store.redis);
  const keys = createKeys(store.keys.selfTest(`${run}:`, tag));
  const own: Store = { redis, keys, time: store.time, encryption: createTokenEncryption([]) };
  const thrown: unknown[] = [];
  for (const step of STEPS) {
    try {
      await step(own);
    } catch (error) {
      thrown.push(error);
    }
  }
  if (touched.size > 0) await store.redis.del(...touched).catch(() => undefined);
  return thrown;
}

/** @throws KeeperError `store_unavailable` */
export async function hidesFailovers(store: Store, run: string, tag: string): Promise<boolean> {
  const keys = createKeys(store.keys.selfTest(`${run}:`, tag));
  const { epoch } = await readReconciliation({ ...store, keys }, APPID);
  return epoch === NO_EPOCH;
}

/** Gives each key that is touched an end in the same breath, and notes it. */
function leavingNothing(real: RedisClient): { redis: RedisClient; touched: Set<string> } {
  const touched = new Set<string>();
  const redis = new Proxy(real, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        const result: unknown = value.apply(target, args);
        for (const key of keysOf(String(name), args)) {
          touched.add(key);
          real.pexpire(key, LEFT_MS).catch(() => undefined);
        }
        return result;
      };
    },
  });
  return { redis, touched };
}

function keysOf(command: string, args: readonly unknown[]): string[] {
  const most = command === 'rename' ? 2 : 1;
  const keys = /^eval/.test(command) ? args.slice(2, 2 + Number(args[1])) : args.slice(0, most);
  return keys.filter((key) => typeof key === 'string');
}
