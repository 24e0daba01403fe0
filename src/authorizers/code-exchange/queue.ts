import { sleep } from '../../lib/clock.ts';
import { within } from '../../credentials/read.ts';
import type { StoredError } from '../../store/credentials/stored-error.ts';
import {
  addExchange,
  openExchanges,
  readExchange,
  type Exchange,
} from '../../store/authorizers/code-exchange.ts';
import { noteLinkOutcome, type NotedLink } from '../../store/authorizers/link-outcomes.ts';
import { giveLeaseBack, takeLease } from '../../store/redis/lease.ts';
import { KeyedWorker } from '../../lib/worker.ts';
import { exchangeCode, isDue, type ExchangeContext } from './exchange.ts';
import { refreshProfile } from '../profile.ts';
import { healedBy } from '../../wechat/errcodes.ts';

/**
 * The authorization codes of all components, on their way to become tokens. One replica exchanges the
 * codes of a component, one after the other: of two exchanges for one account at the same moment nobody
 * could say which token lives.
 */
export interface Authorizations {
  /**
   * Stores a code that a merchant's browser brought by a start link, and waits some seconds for its end.
   * What it brought is noted under the link before this resolves.
   * @throws KeeperError `store_unavailable` when it could not be stored
   */
  takeCode(
    component: string,
    code: string,
    lifeSeconds: number,
    link?: NotedLink,
  ): Promise<CodeOutcome>;
  /** Exchanges what is due, of one component. Never rejects. */
  work(component: string): Promise<void>;
  /** Of all components; for maintenance rounds. */
  workAll(): Promise<void>;
  /** Resolves when nothing is being exchanged; waiting timers do not count. */
  idle(): Promise<void>;
  /** No further exchanges; resolves when the one in flight is done. */
  stop(): Promise<void>;
}

export type CodeOutcome =
  | { did: 'authorized'; authorizer: string }
  /** It is stored, and tried again by itself until its time is over. */
  | { did: 'pending' }
  /** The merchant must authorize again. */
  | { did: 'expired' }
  /** It is tried again, but a person has to mend something first. */
  | { did: 'failed'; error: StoredError };

/** Milliseconds: longer than a call to WeChat and the writing of its answer. */
const LEASE_MS = 25_000;
/** Milliseconds a merchant looks at an empty page. */
const PATIENCE_MS = 6_000;
const POLL_MS = 200;

interface QueueState extends ExchangeContext {
  /** By component; the lease serves the other replicas. */
  worker: KeyedWorker;
  /** Called when a code has been tried. */
  steps: Set<() => void>;
  /** Accounts of which WeChat is just asked who they are. */
  profiling: Set<Promise<void>>;
}

export function createAuthorizations(
  context: ExchangeContext & { components: readonly string[] },
): Authorizations {
  const { clock, log, components } = context;
  const worker = new KeyedWorker(clock, {
    run: (component) => round(state, component),
    // What could not be done stays stored, and the next maintenance round comes.
    onFailure: (component, error) =>
      log.warn('authorization codes could not be looked at', { component, error }),
  });
  const state: QueueState = {
    ...context,
    onAuthorized(component, authorizer) {
      context.onAuthorized(component, authorizer);
      fetchProfile(state, component, authorizer);
    },
    worker,
    steps: new Set(),
    profiling: new Set(),
  };
  const idle = async () => {
    for (;;) {
      await worker.idle();
      if (state.profiling.size === 0) return;
      await Promise.allSettled(state.profiling);
    }
  };
  return {
    takeCode: (...code) => takeCode(state, ...code),
    work: (component) => worker.request(component, true),
    async workAll() {
      await Promise.all(components.map((component) => worker.request(component, true)));
    },
    idle,
    async stop() {
      await worker.stop();
      await idle();
    },
  };
}

async function takeCode(
  state: QueueState,
  component: string,
  code: string,
  lifeSeconds: number,
  link?: NotedLink,
): Promise<CodeOutcome> {
  const { store, clock } = state;
  const expiresAt = state.wechatNow() + lifeSeconds * 1000;
  // A redirect does not say when the account authorized: just now. In whole seconds, as events tell it:
  // the end of an authorization may follow within the same second.
  const authorizedAt = Math.floor(state.wechatNow() / 1000) * 1000;
  const exchange = await addExchange(store, component, { code, authorizedAt, expiresAt, link });
  const known = outcomeOf(exchange);
  const end =
    known.did === 'pending'
      ? ((await within(clock, PATIENCE_MS, waitForEnd(state, component, exchange))) ??
        outcomeOf(await readExchange(store, component, exchange.id)))
      : known;
  // The event may have told all there is before the merchant came back by the link.
  if (end.did === 'authorized' && link !== undefined) {
    const { authorizer } = end;
    const brought = { authorizer, authorizedAt: exchange.authorizedAt };
    await noteLinkOutcome(store, component, link, brought);
  }
  return end;
}

/** Resolves with the end, or with the first failure that a person has to mend. */
async function waitForEnd(
  state: QueueState,
  component: string,
  { id, attempts }: Exchange,
): Promise<CodeOutcome> {
  const { store, clock } = state;
  const giveUpAt = clock.monotonic() + PATIENCE_MS;
  while (clock.monotonic() < giveUpAt) {
    await workOneStep(state, component);
    const exchange = await readExchange(store, component, id);
    const outcome = outcomeOf(exchange);
    const tried = exchange === undefined || exchange.attempts > attempts;
    if (outcome.did !== 'pending' && (outcome.did !== 'failed' || tried)) return outcome;
    await sleep(clock, POLL_MS);
  }
  return { did: 'pending' };
}

/** Until a code has been tried: it may go on for long with those of others. */
async function workOneStep(state: QueueState, component: string): Promise<void> {
  let step = (): void => undefined;
  const stepped = new Promise<void>((resolve) => (step = resolve));
  state.steps.add(step);
  await Promise.race([state.worker.request(component, true), stepped]);
  state.steps.delete(step);
}

function outcomeOf(exchange: Exchange | undefined): CodeOutcome {
  if (exchange === undefined) return { did: 'expired' };
  const { outcome, authorizer, lastError } = exchange;
  if (outcome === 'authorized' && authorizer !== undefined) return { did: outcome, authorizer };
  if (outcome !== undefined) return { did: 'expired' };
  if (lastError === undefined || isPassing(lastError)) return { did: 'pending' };
  return { did: 'failed', error: lastError };
}

/** What a merchant need not hear of: it ends by itself or the next day; a refused code may be recovered. */
function isPassing({ class: cls }: StoredError): boolean {
  return ['itself', 'time'].includes(healedBy(cls) ?? '') || cls === 'reauthorize';
}

async function round(state: QueueState, component: string): Promise<void> {
  const { store, replica, worker } = state;
  const lease = store.keys.lease('exchange', component);
  const open = await openExchanges(store, component);
  const due = open.filter((one) => isDue(one, store.time.now()));
  if (due.length > 0 && (await takeLease(store, lease, replica, LEASE_MS))) {
    try {
      for (const { id } of due) {
        if (worker.stopping || !(await takeLease(store, lease, replica, LEASE_MS))) break;
        // Read again: another replica may have done it before the lease was ours.
        const exchange = await readExchange(store, component, id);
        const isOpen = exchange !== undefined && exchange.outcome === undefined;
        if (isOpen && isDue(exchange, store.time.now())) {
          await exchangeOne(state, component, exchange);
          for (const step of state.steps) step();
          // Whoever has come meanwhile may be next, and does not wait for all of these.
          if (worker.hasNews(component)) break;
        }
      }
    } finally {
      await giveLeaseBack(store, lease, replica);
    }
  }
  const left = due.length > 0 ? await openExchanges(store, component) : open;
  const waiting = left.map((one) => one.nextAt);
  const next = Math.min(...waiting.filter((at) => at > store.time.now()));
  // News: a round that is under way by then does not know that it is due.
  worker.runAt(component, Number.isFinite(next) ? next - store.time.now() : undefined, true);
}

/** What is wrong with one account must not hold up the others. */
async function exchangeOne(state: QueueState, component: string, one: Exchange): Promise<void> {
  try {
    await exchangeCode(state, component, one);
  } catch (error) {
    const { authorizer } = one;
    state.log.warn('an authorization code could not be looked at', {
      component,
      authorizer,
      error,
    });
  }
}

/** Behind everything else: a merchant is served without a name as well. */
function fetchProfile(state: QueueState, component: string, authorizer: string): void {
  if (state.worker.stopping) return;
  const fetching = refreshProfile(state, component, authorizer)
    .catch((error: unknown) => {
      const message = 'a profile could not be fetched; the next reconciliation does it';
      state.log.warn(message, { component, authorizer, error });
    })
    .finally(() => state.profiling.delete(fetching));
  state.profiling.add(fetching);
}
