import type { Route } from '../config/routes.ts';
import type { Log } from '../lib/log.ts';
import { hasHeldPushes } from '../store/deliveries/kept-push.ts';
import { moveDeliveries, waitingIn, type Waiting } from '../store/deliveries/queue.ts';
import {
  forgetBytes,
  readTargetState,
  type TargetState,
} from '../store/deliveries/target-state.ts';
import type { Store } from '../store/redis/store.ts';
import { routesOf } from './matching.ts';

/**
 * Nothing waits for ever and nothing grows without end: what is old is given up, what was given up long ago
 * is forgotten, and when there is no room, the longest queue makes some.
 */

/** Milliseconds from which a delivery that waits is old, although attempts are left: its target was down. */
const GIVE_UP_MS = 3 * 24 * 3_600_000;
/** Milliseconds for which dead letters are kept. */
const DEAD_MS = 7 * 24 * 3_600_000;
/** Milliseconds after which what is kept of a push is about to go, whoever waits for it. */
const OLDEST_MS = 13 * 24 * 3_600_000;
/** In one go, so that Redis is never held up. */
const BATCH = 100;
/** Goes of one round. */
const MOST_BATCHES = 200;

export interface UpkeepOptions {
  store: Store;
  log: Log;
  components: readonly string[];
  routes: readonly Route[];
  /** Of Redis, for each component. */
  mostBytes: number;
}

/** @throws KeeperError `store_unavailable` */
export async function keepDeliveries(options: UpkeepOptions): Promise<void> {
  // Each for itself: what Redis refuses about one must not keep the others waiting.
  await Promise.all(options.components.map((component) => keepOf(options, component)));
}

async function keepOf(options: UpkeepOptions, component: string): Promise<void> {
  const { routes, store } = options;
  const names = routesOf(routes, component).map(({ name }) => name);
  const readAll = () => Promise.all(names.map((route) => read(store, component, route)));
  const queues = await readAll();
  let ended = 0;
  for (const queue of queues) ended += await endOld(options, component, queue);
  await makeRoom(options, component, ended === 0 ? queues : await readAll(), readAll);
}

/** @returns how many */
async function endOld(
  { store, log }: UpkeepOptions,
  component: string,
  queue: Queue,
): Promise<number> {
  const { route, stoppedAt, resumedAt = -Infinity } = queue;
  const now = store.time.now();
  // Nearly always nothing waits, and nobody need be asked for what is old of it.
  const move = async (what: 'give_up' | 'drop', where: Waiting, until: number) =>
    queue[where] === 0 ? 0 : moveOld(store, { component, route, what, where, until });
  let dropped = await move('drop', 'dead', now - DEAD_MS);
  for (const where of ['fresh', 'again'] as const)
    dropped += await move('drop', where, now - OLDEST_MS);
  // One that wants no more waits for a person, and then has its time.
  const waits = stoppedAt !== undefined || now - resumedAt < GIVE_UP_MS;
  const old = waits ? 0 : now - GIVE_UP_MS;
  const given = (await move('give_up', 'fresh', old)) + (await move('give_up', 'again', old));
  if (given > 0)
    log.error('deliveries were given up: they have waited for three days', {
      component,
      route,
      count: given,
    });
  if (dropped > 0)
    log.warn('deliveries were forgotten: nobody has replayed them, or resumed their target', {
      component,
      route,
      count: dropped,
    });
  return given + dropped;
}

interface Move {
  component: string;
  route: string;
  what: 'give_up' | 'drop';
  where: Waiting;
  /** Epoch ms. */
  until: number;
}

async function moveOld(
  store: Store,
  { component, route, what, where, until }: Move,
): Promise<number> {
  let moved = 0;
  for (let batch = 0; batch < MOST_BATCHES; batch += 1) {
    const ids = await waitingIn(store, component, route, where, { until, most: BATCH });
    if (ids.length === 0) break;
    moved += await moveDeliveries(store, component, route, what, where, ids);
  }
  return moved;
}

/** Whoever has most waiting loses the oldest: a target that is well has next to nothing. */
async function makeRoom(
  { store, log, mostBytes }: UpkeepOptions,
  component: string,
  queues: readonly Queue[],
  readAgain: () => Promise<Queue[]>,
): Promise<void> {
  let dropped = 0;
  let left = queues;
  for (let batch = 0; batch < MOST_BATCHES; batch += 1) {
    const bytes = left.reduce((sum, one) => sum + one.bytes, 0);
    if (bytes <= mostBytes) break;
    const moved = await dropOldest(store, component, longestOf(left), bytes - mostBytes);
    if (moved === 0) break;
    dropped += moved;
    left = await readAgain();
  }
  if (dropped === 0) return;
  log.error('there is no room for all deliveries (DELIVERY_MEGABYTES): the oldest were dropped', {
    component,
    count: dropped,
  });
}

type Queue = TargetState & { route: string };

async function read(store: Store, component: string, route: string): Promise<Queue> {
  const state = { ...(await readTargetState(store, component, route)), route };
  if (countOf(state) + state.underWay > 0 || state.bytes === 0) return state;
  if (await hasHeldPushes(store, component)) return state;
  // Its queues have expired, or were deleted.
  await forgetBytes(store, component, route, state.bytes);
  return { ...state, bytes: 0 };
}

/** Of those that have something to drop. */
function longestOf(states: readonly Queue[]): Queue | undefined {
  return states.filter((one) => countOf(one) > 0).sort((a, b) => b.bytes - a.bytes)[0];
}

/** @returns how many */
async function dropOldest(
  store: Store,
  component: string,
  queue: Queue | undefined,
  tooMany: number,
): Promise<number> {
  if (queue === undefined) return 0;
  const where = oldestOf(queue);
  const share = Math.ceil((countOf(queue) * tooMany) / Math.max(1, queue.bytes));
  const most = Math.min(BATCH, Math.max(1, share));
  const ids = await waitingIn(store, component, queue.route, where, { most });
  return moveDeliveries(store, component, queue.route, 'drop', where, ids);
}

function countOf({ fresh, again, dead }: TargetState): number {
  return fresh + again + dead;
}

/** What was given up goes first. */
function oldestOf({ dead, again }: TargetState): Waiting {
  if (dead > 0) return 'dead';
  return again > 0 ? 'again' : 'fresh';
}
