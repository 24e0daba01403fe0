import {
  createJudged,
  deliveryOf,
  type Delivery,
  type Judged,
  type Place,
  type QueueLook,
} from './deliveries.ts';
import { add, type Judge } from './judge.ts';
import { readQueues, type QueuesLook } from './look-at-queues.ts';
import type { Messages } from './messages.ts';
import type { Station } from './station.ts';
import type { Answered, Arrival } from './targets.ts';

/**
 * What must hold of deliveries. What was acknowledged is stored, and of each route that takes it in exactly
 * one state: taken by the target, waiting, a dead letter, or thrown away by an operator or by time. What
 * waits while everything is well is not due yet. Nothing comes after it became a dead letter unless it is
 * replayed, and a second time only for a reason. What is counted as waiting is what waits, to the byte.
 */
export interface DeliveryJudge {
  judged: readonly Judged[];
  look(): Promise<void>;
  /** A look now and then; to be called whenever time has passed. */
  tick(isCareful: boolean): Promise<void>;
  /** An operator is about to want this of dead letters; true from `isDone` on when he was told so. */
  ask(judged: Judged, ids: readonly string[], what: 'replay' | 'discard'): { isDone: () => void };
  /** Redis is about to be killed. */
  redisGoes(): Promise<void>;
  redisIsBack(isEmptied: boolean): Promise<void>;
  /** The clock of Redis jumps by so many milliseconds. */
  redisClockJumps(ms: number): Promise<void>;
}

/** Simulated milliseconds between two looks. */
const LOOK_MS = { careful: 60_000, else: 300_000 };
const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
/** What docs/delivering.md promises, said once more, so that the code cannot change it in silence. */
const MOST_ATTEMPTS = 11;
const GIVE_UP_MS = 72 * HOUR;
const DEAD_MS = 7 * 24 * HOUR;
const LEASE_MS = 30 * SECOND;
/**
 * Milliseconds in which a target that is well again is asked again, at the latest: its circuit is open for
 * five minutes at most, or as long as it has asked for, an hour at most.
 */
const RECOVERY_MS = HOUR;
/** Milliseconds from being due to being taken: the lease of one who has died, and the next looks of others. */
const OVERDUE_MS = LEASE_MS + 90 * SECOND;
/** Milliseconds for which a score may lie in the future: of `again` the longest pause, and a fifth. */
const AHEAD_MS: Record<Place, number> = {
  fresh: 0,
  again: 1.2 * 8 * HOUR,
  leased: LEASE_MS,
  replying: LEASE_MS,
  dead: 0,
};
/** Milliseconds for which the end of a delivery is kept in hand while Redis does not take it, and more. */
const IN_HAND_MS = 20_000;
/** Milliseconds after which a push that was not acknowledged will not be any more. */
const UNANSWERED_MS = 60_000;

interface State {
  station: Station;
  judge: Judge;
  messages: Messages;
  judged: Map<string, Judged>;
  /** Marks of pushes that are stored, by id. */
  stored: Map<string, string>;
  ids: Map<string, string>;
  /** Marks of what was sent and is not known to be stored. */
  expected: Set<string>;
  /** How many of those that were sent are in `expected` or beyond. */
  absorbed: number;
  /** Heard of within the last seconds. */
  recent: Delivery[];
  lookAt: number;
  lastEvent: string | undefined;
  /** Monotonic ms since when Redis and a replica are there, and Redis's clock goes evenly. */
  wellSince: number;
  /** Milliseconds by which Redis's clock was set back altogether. */
  setBackMs: number;
  /** Redis has just come back, and may have lost its last moments. */
  isForgiving: boolean;
  told: Set<string>;
}

export function createDeliveryJudge(
  station: Station,
  judge: Judge,
  messages: Messages,
): DeliveryJudge {
  const { clock, targets } = station;
  const judged = (targets?.all ?? []).map(createJudged);
  const state: State = {
    station,
    judge,
    messages,
    judged: new Map(judged.map((one) => [one.target.route, one])),
    stored: new Map(),
    ids: new Map(),
    expected: new Set(),
    absorbed: 0,
    recent: [],
    lookAt: 0,
    lastEvent: undefined,
    wellSince: 0,
    setBackMs: 0,
    isForgiving: false,
    told: new Set(),
  };
  targets?.onArrival.push((arrival) => noteArrival(state, arrival));
  targets?.onTaken.push((taken) => noteTaken(state, taken));
  return {
    judged,
    look: () => look(state),
    async tick(isCareful) {
      const isUp = station.redisUp && station.replicas.some((one) => one.state === 'up');
      if (!isUp) state.wellSince = clock.monotonic();
      if (clock.monotonic() < state.lookAt) return;
      state.lookAt = clock.monotonic() + (isCareful ? LOOK_MS.careful : LOOK_MS.else);
      await look(state);
    },
    ask(of, ids, what) {
      const asked = { what, isDone: false };
      for (const id of ids) deliveryOf(of, id, clock.monotonic()).asked = asked;
      return { isDone: () => void (asked.isDone = true) };
    },
    redisGoes: () => redisGoes(state),
    redisIsBack: (isEmptied) => redisIsBack(state, isEmptied),
    async redisClockJumps(ms) {
      await look(state);
      state.wellSince = clock.monotonic();
      state.setBackMs += Math.max(0, -ms);
    },
  };
}

function tell(state: State, { route, id }: Pick<Delivery, 'route' | 'id'>, what: string): void {
  const text = `delivery ${route} ${state.stored.get(id) ?? id}: ${what}`;
  if (state.told.has(text)) return;
  state.told.add(text);
  state.judge.violate(text);
}

function noteArrival(state: State, { route, id, mark, at, replica }: Arrival): void {
  const judged = state.judged.get(route);
  if (judged === undefined) return;
  const delivery = deliveryOf(judged, id, at);
  judged.counts.attempts += 1;
  state.station.journal.note(`${route} is sent ${mark} by ${replica}`);
  const known = state.stored.get(id);
  if (known !== undefined && known !== mark) tell(state, delivery, `has the content of ${mark}`);
  if (delivery.heardAt !== undefined) {
    tell(state, delivery, 'is sent again, although it was taken and its sender has heard so');
  } else if (delivery.taken > 0) {
    add(judged.counts.twice, delivery.unheard ?? 'unknown');
  }
  const { asked, over } = delivery;
  if (over !== undefined) tell(state, delivery, `is sent, although it is ${over}`);
  if (delivery.place === 'dead' && asked?.what !== 'replay')
    tell(state, delivery, 'is sent, although it is a dead letter');
  delivery.arrivedAt = at;
}

function noteTaken(state: State, { route, id, unheard }: Answered): void {
  const judged = state.judged.get(route);
  const now = state.station.clock.monotonic();
  if (judged === undefined) return;
  const delivery = deliveryOf(judged, id, now);
  delivery.taken += 1;
  if (delivery.taken === 1) judged.counts.delivered += 1;
  delivery.unheard = unheard;
  if (unheard !== undefined) return;
  delivery.heardAt = now;
  state.recent = state.recent.filter(({ heardAt = 0 }) => heardAt >= now - IN_HAND_MS);
  state.recent.push(delivery);
}

async function look(state: State): Promise<void> {
  const { station, judged, lastEvent } = state;
  if (judged.size === 0 || !station.redisUp) return;
  const found = await readQueues(station, [...judged.keys()], lastEvent);
  absorb(state, found);
  for (const queue of found.queues) {
    const one = judged.get(queue.route);
    if (one !== undefined) lookAtRoute(state, one, queue, found);
  }
}

/** What was stored since the last look: nothing else may be delivered. */
function absorb(state: State, { stored, lastEvent }: QueuesLook): void {
  const { messages, station, expected, judged } = state;
  const now = station.clock.monotonic();
  state.lastEvent = lastEvent ?? state.lastEvent;
  for (const { id, mark } of stored) {
    if (state.ids.has(mark)) state.judge.violate(`${mark} is stored twice`);
    state.stored.set(id, mark);
    state.ids.set(mark, id);
    expected.delete(mark);
    for (const route of messages.sent.get(mark)?.routes ?? []) {
      const one = judged.get(route);
      if (one === undefined) continue;
      one.counts.planned += 1;
      deliveryOf(one, id, now);
    }
  }
  for (; state.absorbed < messages.sent.size; state.absorbed += 1) {
    const mark = `mark-${state.absorbed}`;
    if (!state.ids.has(mark)) expected.add(mark);
  }
  for (const mark of expected) {
    const push = messages.sent.get(mark);
    const isOld = now - (push?.at ?? 0) > UNANSWERED_MS;
    const isLost = push?.acknowledged === true;
    if (isLost) state.judge.violate(`${mark} was acknowledged, and is not stored`);
    if (isLost || isOld) expected.delete(mark);
  }
  for (const one of judged.values()) {
    for (const delivery of one.open) {
      const isPlanned = state.stored.has(delivery.id);
      if (!isPlanned) tell(state, delivery, 'was delivered, and never stored');
    }
  }
}

function lookAtRoute(state: State, judged: Judged, queue: QueueLook, all: QueuesLook): void {
  const { station } = state;
  const now = station.clock.monotonic();
  for (const [id, places] of queue.found) {
    const delivery = deliveryOf(judged, id, now);
    if (!state.stored.has(id)) tell(state, delivery, 'waits, and was never stored');
    if (places.length > 1)
      tell(state, delivery, `waits in ${places.map(({ place }) => place).join(', ')}`);
    if (judged.open.has(delivery)) continue;
    if (!state.isForgiving) tell(state, delivery, `is over, and found in ${places[0]?.place}`);
    judged.open.add(delivery);
  }
  for (const delivery of judged.open) {
    const [at] = queue.found.get(delivery.id) ?? [];
    resolveAsked(state, judged, delivery, at);
    if (at === undefined) lookAtMissing(state, judged, delivery);
    else if (at.place === 'dead') lookAtDead(state, judged, delivery, at.score, all);
    else lookAtWaiting(state, delivery, at.place);
    delivery.place = at?.place;
  }
  checkDue(state, judged, queue);
  const bytes = [...queue.found.keys()].reduce((sum, id) => sum + (all.sizes.get(id) ?? 0), 0);
  if (bytes === queue.bytes) return;
  const { route } = queue;
  state.judge.violate(`${route}: ${bytes} bytes wait, and ${queue.bytes} are counted`);
}

/** Whether what an operator wanted has happened: it must have, if he was told so. */
function resolveAsked(
  state: State,
  { counts }: Judged,
  delivery: Delivery,
  at: { place: Place; score: number } | undefined,
): void {
  const { asked } = delivery;
  if (asked === undefined) return;
  delivery.asked = undefined;
  const isSameLetter = at?.place === 'dead' && at.score === delivery.deadScore;
  if (isSameLetter) {
    if (asked.isDone) tell(state, delivery, `a ${asked.what} was confirmed, and did nothing`);
  } else if (asked.what === 'replay') {
    counts.replayed += 1;
    delivery.place = 'fresh';
    delivery.since = state.station.clock.monotonic();
  } else if (at === undefined) {
    counts.discarded += 1;
    delivery.over = 'discarded';
  } else {
    tell(state, delivery, `was to be thrown away, and is found in ${at.place}`);
  }
}

function lookAtMissing(state: State, judged: Judged, delivery: Delivery): void {
  const now = state.station.clock.monotonic();
  judged.open.delete(delivery);
  if (delivery.taken > 0 || delivery.over !== undefined) return;
  const isForgotten = delivery.place === 'dead' && now - (delivery.deadAt ?? now) >= DEAD_MS;
  delivery.over = isForgotten ? 'forgotten' : 'lost with Redis';
  judged.counts[delivery.over] += 1;
  if (isForgotten || state.isForgiving) return;
  tell(state, delivery, 'is neither delivered nor waiting anywhere');
}

function lookAtWaiting(state: State, delivery: Delivery, place: Place): void {
  if (state.isForgiving) {
    delivery.heardAt = undefined;
    delivery.unheard = 'Redis restarted';
    delivery.over = undefined;
    return;
  }
  if (delivery.place === 'dead')
    tell(state, delivery, `was a dead letter, and is found in ${place}`);
  // Under way its end may just be on its way to Redis.
  const isUnderWay = place === 'leased' || place === 'replying';
  if (delivery.heardAt !== undefined && !isUnderWay)
    tell(state, delivery, `was taken, its sender has heard so, and it is found in ${place}`);
}

function lookAtDead(
  state: State,
  judged: Judged,
  delivery: Delivery,
  score: number,
  { attempts, offset }: QueuesLook,
): void {
  if (score === delivery.deadScore) return;
  const now = state.station.clock.monotonic();
  delivery.deadScore = score;
  delivery.deadAt = score - offset;
  judged.counts.dead += 1;
  const tried = attempts.get(`${delivery.route} ${delivery.id}`) ?? 0;
  const isOld = now - delivery.since >= GIVE_UP_MS;
  if (tried < MOST_ATTEMPTS && !isOld)
    tell(state, delivery, `was given up after ${tried} attempts`);
  if (delivery.heardAt !== undefined) tell(state, delivery, 'was taken, and is a dead letter');
  if (delivery.arrivedAt > delivery.deadAt + 1) tell(state, delivery, 'came after it was given up');
}

/** What waits is not due yet while all is well, and never waits for longer than pauses are. */
function checkDue(state: State, { target }: Judged, { found, route, isStopped }: QueueLook): void {
  const { clock } = state.station;
  const now = clock.monotonic();
  const isWell =
    !isStopped &&
    now - state.wellSince >= OVERDUE_MS &&
    now - target.wellSince >= RECOVERY_MS + OVERDUE_MS;
  for (const [id, [at]] of found) {
    if (at === undefined || at.place === 'dead') continue;
    const aheadMs = at.score - clock.simulatedStoreNow();
    if (isWell && aheadMs < -OVERDUE_MS)
      tell(state, { route, id }, `all is well, and it waits in ${at.place}`);
    if (aheadMs > AHEAD_MS[at.place] + state.setBackMs + 1)
      tell(state, { route, id }, `is to wait in ${at.place} for ${Math.round(aheadMs / 1_000)} s`);
  }
}

async function redisGoes(state: State): Promise<void> {
  await look(state);
  const now = state.station.clock.monotonic();
  for (const delivery of state.recent) {
    if ((delivery.heardAt ?? -Infinity) < now - IN_HAND_MS) continue;
    delivery.heardAt = undefined;
    delivery.unheard = 'Redis away';
  }
  state.recent = [];
}

async function redisIsBack(state: State, isEmptied: boolean): Promise<void> {
  state.wellSince = state.station.clock.monotonic();
  if (isEmptied) {
    for (const { open, counts } of state.judged.values()) {
      for (const delivery of open) {
        if (delivery.taken > 0) continue;
        delivery.over = 'lost with Redis';
        counts['lost with Redis'] += 1;
      }
      open.clear();
    }
  }
  state.isForgiving = true;
  await look(state);
  state.isForgiving = false;
}
