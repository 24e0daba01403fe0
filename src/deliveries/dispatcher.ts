import type { Route } from '../config/routes.ts';
import { deadline, sleep, type Clock } from '../lib/clock.ts';
import { KeeperError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { KeyedWorker } from '../lib/worker.ts';
import { readExchange } from '../store/authorizers/code-exchange.ts';
import {
  readHeldPush,
  readHeldPushes,
  readKeptPush,
  releaseHeldPush,
} from '../store/deliveries/kept-push.ts';
import {
  claimDeliveries,
  settleDelivery,
  type ClaimedDelivery,
  type SettledAttempt,
} from '../store/deliveries/queue.ts';
import { isRefusedByRedis } from '../store/redis/connection.ts';
import type { Store } from '../store/redis/store.ts';
import { judge, type Judgement } from './judge.ts';
import { routesOf } from './matching.ts';
import { requestFor } from './request.ts';
import { TargetError, type TargetAnswer, type TargetClient } from './target-client.ts';
import { writeTold } from './told.ts';

/** Delivers what waits, as far as the targets take it; each replica what it can claim. */
export interface Dispatcher {
  /** Something of this component waits, or may be let go. */
  kick(component: string): void;
  /** A code was exchanged: what waits for it may be let go. */
  authorized(component: string): void;
  /** Looks at all components, and goes on doing so. */
  start(): void;
  /**
   * Ends an attempt that somebody else has made. Rejects when Redis does not take it in time: its lease ends.
   */
  settle(component: string, delivery: ClaimedDelivery, made: MadeAttempt): Promise<void>;
  /** Resolves when nothing is being delivered; what is planned does not count. */
  idle(): Promise<void>;
  /** Begins with no further ones, and ends those under way. */
  stop(): Promise<void>;
}

export interface DispatcherOptions {
  store: Store;
  clock: Clock;
  log: Log;
  replica: string;
  components: readonly string[];
  routes: readonly Route[];
  client: TargetClient;
  /** Called with what became of each attempt. */
  onAttempt?: ((route: string, outcome: SettledAttempt['outcome']) => void) | undefined;
}

export interface MadeAttempt extends Judgement {
  /** The target was called. */
  asked: boolean;
  tookMs: number;
  /** What the user was told. */
  reply?: string | undefined;
  replied?: SettledAttempt['replied'];
}

/** Milliseconds of one attempt, from connecting to the end of the answer. */
export const ATTEMPT_MS = 10_000;
/** Milliseconds between two looks, should another replica have died with what it knew. */
const POLL_MS = 5_000;
/** Milliseconds between two looks at what others have in their hands. */
const LEAST_POLL_MS = 200;
/** Milliseconds for which an end is kept in hand while Redis does not take it, and between tries. */
const STORE_PATIENCE_MS = 15_000;
const STORE_RETRY_MS = 500;
/** Milliseconds between two looks at what is held back, unless there is news. */
const HELD_POLL_MS = 1_000;
const MOST_HELD = 500;

interface State extends DispatcherOptions {
  worker: KeyedWorker;
  /** Attempts under way here, by component and target. */
  underWay: Map<string, number>;
  attempts: Set<Promise<void>>;
  /** Targets that have failed last, so that the log says each change once. */
  failing: Set<string>;
  /** Monotonic ms at which each component's held pushes are looked at again. */
  heldAt: Map<string, number>;
}

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { clock, log, components, routes } = options;
  const worker = new KeyedWorker(clock, {
    run: (component) => round(state, component),
    onFailure(component, error) {
      log.debug('deliveries could not be looked at', { component, error });
      worker.runAt(component, POLL_MS);
    },
  });
  const state: State = {
    ...options,
    worker,
    underWay: new Map(),
    attempts: new Set(),
    failing: new Set(),
    heldAt: new Map(),
  };
  const served = components.filter((component) => routesOf(routes, component).length > 0);
  const isBusy = () => state.attempts.size > 0 || served.some((one) => worker.isRunning(one));
  const idle = async () => {
    do await Promise.allSettled([worker.idle(), ...state.attempts]);
    while (isBusy());
  };
  const kick = (component: string) => {
    if (served.includes(component)) void worker.request(component, true);
  };
  return {
    kick,
    authorized(component) {
      state.heldAt.delete(component);
      kick(component);
    },
    start: () => served.forEach(kick),
    settle: (component, delivery, made) => settle(state, component, delivery, made),
    idle,
    async stop() {
      await worker.stop();
      await idle();
    },
  };
}

async function round(state: State, component: string): Promise<void> {
  const { store, routes, worker, underWay } = state;
  await releaseHeld(state, component);
  const targets = routesOf(routes, component).map(({ name, concurrency, perSecond }) => {
    const free = concurrency - (underWay.get(`${component} ${name}`) ?? 0);
    return { name, concurrency, perSecond, free };
  });
  const { claimed, moreInMs = POLL_MS } = await claimDeliveries(store, component, targets);
  for (const delivery of claimed) begin(state, component, delivery);
  // The end of each attempt is another reason to look.
  worker.runAt(component, Math.min(POLL_MS, Math.max(LEAST_POLL_MS, moreInMs)), true);
}

/** Whoever hears of an authorization asks for its tokens at once: they must be there by then. */
async function releaseHeld(state: State, component: string): Promise<void> {
  const { store, clock, heldAt, log } = state;
  if (clock.monotonic() < (heldAt.get(component) ?? 0)) return;
  heldAt.set(component, clock.monotonic() + HELD_POLL_MS);
  try {
    const all = await readHeldPushes(store, component, MOST_HELD);
    await Promise.all(all.map((held) => releaseIfEnded(state, component, held)));
  } catch (error) {
    // What is delivered to others must not wait for it. That Redis is away is said where that is noticed.
    const isAway = error instanceof KeeperError && !isRefusedByRedis(error);
    const text = 'authorizations that are held back could not be looked at';
    log[isAway ? 'debug' : 'warn'](text, { component, error });
  }
}

async function releaseIfEnded(
  { store, log }: State,
  component: string,
  held: { id: string; at: number },
): Promise<void> {
  const { awaits, targets } = await readHeldPush(store, component, held.id);
  const exchange = awaits === '' ? undefined : await readExchange(store, component, awaits);
  if (exchange !== undefined && exchange.outcome === undefined) return;
  await releaseHeldPush(store, component, held, targets);
  log.debug('an authorization is passed on', { component, request_id: held.id });
}

function begin(state: State, component: string, delivery: ClaimedDelivery): void {
  const { underWay, attempts, worker } = state;
  const key = `${component} ${delivery.target}`;
  underWay.set(key, (underWay.get(key) ?? 0) + 1);
  const attempt = deliver(state, component, delivery)
    .catch((error: unknown) => {
      // It is handed out again when its lease ends.
      state.log.warn('a delivery could not be ended', { component, ...namesOf(delivery), error });
    })
    .finally(() => {
      attempts.delete(attempt);
      underWay.set(key, (underWay.get(key) ?? 1) - 1);
      void worker.request(component, true);
    });
  attempts.add(attempt);
}

async function deliver(state: State, component: string, delivery: ClaimedDelivery): Promise<void> {
  const { store, clock, routes, client } = state;
  const push = await readKeptPush(store, component, delivery.id);
  const route = routes.find(({ name }) => name === delivery.target);
  if (route === undefined) return;
  const { mode } = route;
  const part = { raw: 'body', sealed: 'message', json: 'json' }[mode];
  if (push?.fields[part] === undefined) {
    const gone = { outcome: 'dead', status: 'no_body', againInMs: 0, pauseMs: undefined } as const;
    await settle(state, component, delivery, { ...gone, asked: false, tookMs: 0 });
    return;
  }
  const begunAt = clock.monotonic();
  const limit = deadline(clock, ATTEMPT_MS);
  let answer: TargetAnswer | Error;
  try {
    const kept = { id: delivery.id, component, kept: push.fields };
    answer = await client.send(requestFor(route, kept, clock.now()), limit.signal);
  } catch (error) {
    answer = error instanceof Error ? error : new Error('unknown', { cause: error });
    if (!(error instanceof TargetError)) {
      state.log.error('a delivery could not be made', { component, ...namesOf(delivery), error });
    }
  } finally {
    limit.cancel();
  }
  const judged = judge(answer, delivery.attempt, clock.now(), clock.random());
  const tookMs = Math.round(clock.monotonic() - begunAt);
  const asked = judged.status !== 'not_sendable';
  await settle(state, component, delivery, { ...judged, asked, tookMs });
}

async function settle(
  state: State,
  component: string,
  delivery: ClaimedDelivery,
  made: MadeAttempt,
): Promise<void> {
  const { clock, store, replica, onAttempt } = state;
  const told = writeTold({ at: store.time.now(), ms: made.tookMs, status: made.status, replica });
  const giveUpAt = clock.monotonic() + STORE_PATIENCE_MS;
  for (;;) {
    try {
      // Another attempt has begun meanwhile, and its end counts.
      if (!(await settleDelivery(store, component, { ...delivery, ...made, told }))) return;
      break;
    } catch (error) {
      if (clock.monotonic() >= giveUpAt) throw error;
      await sleep(clock, STORE_RETRY_MS);
    }
  }
  onAttempt?.(delivery.target, made.outcome);
  tell(state, component, delivery, made);
}

function tell(
  { failing, log }: State,
  component: string,
  delivery: ClaimedDelivery,
  { outcome, status, tookMs }: MadeAttempt,
): void {
  const facts = { component, ...namesOf(delivery), status, took_ms: tookMs };
  const key = `${component} ${delivery.target}`;
  if (outcome === 'delivered') {
    log.debug('delivered', facts);
    if (failing.delete(key)) log.info('a target takes deliveries again', facts);
  } else if (outcome === 'released') {
    log.debug('delivered later', facts);
  } else if (outcome === 'dead') {
    log.error('a delivery was given up; it waits among the dead letters of its target', facts);
  } else if (outcome === 'stop') {
    log.error(
      'a target wants no more deliveries (410); they wait until somebody resumes it',
      facts,
    );
  } else if (failing.has(key)) {
    log.debug('not delivered, trying again', facts);
  } else {
    failing.add(key);
    log.warn('a target does not take deliveries; they are tried again for a day', facts);
  }
}

function namesOf({ target, id, attempt }: ClaimedDelivery) {
  return { route: target, request_id: id, attempt };
}
