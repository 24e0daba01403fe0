import type { SoakTarget } from './targets.ts';

/** What is known of each delivery: from its target, from Redis, and from what an operator wanted. */

export const PLACES = ['fresh', 'again', 'leased', 'replying', 'dead'] as const;
export type Place = (typeof PLACES)[number];

export interface Delivery {
  id: string;
  route: string;
  /** Monotonic ms of the first look that found it. */
  since: number;
  /** When it last reached its target, monotonic ms. */
  arrivedAt: number;
  /** How often the target did what it should. */
  taken: number;
  /** Since when its sender must know that it is delivered; and why he may not, if it was taken. */
  heardAt: number | undefined;
  unheard: string | undefined;
  /** Where the last look found it. */
  place: Place | undefined;
  /** Monotonic ms at which it was given up, and the score of that, which says which time it was. */
  deadAt: number | undefined;
  deadScore: number;
  /** What an operator asked for, and whether he was told that it was done. */
  asked: { what: 'replay' | 'discard'; isDone: boolean } | undefined;
  /** Why nothing is to become of it any more, although it was not taken. */
  over: 'discarded' | 'forgotten' | 'lost with Redis' | undefined;
}

export interface Counts {
  planned: number;
  attempts: number;
  delivered: number;
  dead: number;
  replayed: number;
  resumed: number;
  discarded: number;
  forgotten: number;
  'lost with Redis': number;
  /** Why a delivery came that had been taken before. */
  twice: Map<string, number>;
}

/** One route at one moment. */
export interface QueueLook {
  route: string;
  found: Map<string, { place: Place; score: number }[]>;
  bytes: number;
  isStopped: boolean;
}

/** One target, and what is to become of what it is sent. */
export interface Judged {
  target: SoakTarget;
  counts: Counts;
  /** By id; all that there ever were. */
  deliveries: Map<string, Delivery>;
  /** Of these something is still to become. */
  open: Set<Delivery>;
}

export function createJudged(target: SoakTarget): Judged {
  return {
    target,
    deliveries: new Map(),
    open: new Set(),
    counts: {
      planned: 0,
      attempts: 0,
      delivered: 0,
      dead: 0,
      replayed: 0,
      resumed: 0,
      discarded: 0,
      forgotten: 0,
      'lost with Redis': 0,
      twice: new Map(),
    },
  };
}

/** What is known of one, from the first time that anybody hears of it. */
export function deliveryOf(judged: Judged, id: string, now: number): Delivery {
  const known = judged.deliveries.get(id);
  if (known !== undefined) return known;
  const made: Delivery = {
    id,
    route: judged.target.route,
    since: now,
    arrivedAt: -Infinity,
    taken: 0,
    heardAt: undefined,
    unheard: undefined,
    place: undefined,
    deadAt: undefined,
    deadScore: -Infinity,
    asked: undefined,
    over: undefined,
  };
  judged.deliveries.set(id, made);
  judged.open.add(made);
  return made;
}
