import { age as ageRecord, type Mint, type MintRecord, type Operation } from './protocol.ts';
import type { Ticks } from './rules.ts';

/**
 * Everything there is: Redis with the record, replicas, WeChat, and requests whose sender is gone.
 * Values are immutable; an event makes a new world.
 */
export interface World {
  readonly record: MintRecord;
  /** Earlier states of the record, the latest first: what a failover may go back to. */
  readonly past: readonly MintRecord[];
  readonly epoch: number;
  readonly replicas: readonly Replica[];
  /** Ticks for which a request without a sender may still be executed. */
  readonly orphans: readonly number[];
  readonly mints: number;
  /** Values up to these are due, urgent, expired: older ones age first. */
  readonly dueUpTo: Mint;
  readonly urgentUpTo: Mint;
  readonly expiredUpTo: Mint;
  readonly spent: Spent;
  readonly lastOperation: Operation;
}

/** What the configuration allows a number of. */
export interface Spent {
  readonly windows: number;
  readonly faults: number;
  readonly failovers: number;
}

export type Replica = Stage & {
  /** Paused: time passes without it. It wakes by doing its next step. */
  readonly asleep: boolean;
};

export type Stage =
  | { readonly at: 'idle' }
  /** Has read the record and found a reason to mint. */
  | { readonly at: 'judged'; readonly seq: number; readonly needed: boolean }
  | (Held & { readonly at: 'begun'; readonly age: number })
  /** Has made sure that begin was not long ago; `slept` are ticks since. */
  | (Held & { readonly at: 'checked'; readonly slept: number })
  | (Held & {
      readonly at: 'sent';
      readonly slept: number;
      readonly age: number;
      /** Ticks for which WeChat may still execute the request. */
      readonly left: number;
      /** The mint, once WeChat has executed the request. */
      readonly value: Mint;
    })
  | (Held & { readonly at: 'answered'; readonly slept: number; readonly value: Mint })
  | (Held & { readonly at: 'gaveUp'; readonly slept: number; readonly maybe: boolean })
  /** Committed, but the reply was lost: will commit once more, any time later. */
  | (Held & { readonly at: 'unsure'; readonly value: Mint });

/** The right to mint, as begin gave it. */
export interface Held {
  readonly op: Operation;
  readonly begin: number;
  readonly epoch: number;
}

export const IDLE: Replica = { at: 'idle', asleep: false };

export function createWorld(replicas: number, start: 'live' | 'missing'): World {
  const value = start === 'live' ? 1 : 0;
  return {
    record: {
      value,
      seq: value,
      clock: 2,
      committed: 2,
      committedOp: 0,
      lock: undefined,
      intents: [],
      suspect: 0,
      settle: 0,
      quarantine: 0,
      epoch: 0,
    },
    past: [],
    epoch: 0,
    replicas: Array.from({ length: replicas }, () => IDLE),
    orphans: [],
    mints: value,
    // A missing value is as good as an expired one: all three marks include it.
    dueUpTo: 0,
    urgentUpTo: 0,
    expiredUpTo: 0,
    spent: { windows: value === 0 ? 1 : 0, faults: 0, failovers: 0 },
    lastOperation: 0,
  };
}

export function isDue({ record, dueUpTo }: World): boolean {
  return record.value <= dueUpTo;
}

/** Nobody does anything, and nobody has a reason to. */
export function isQuiescent(world: World): boolean {
  const { record, replicas, orphans, epoch } = world;
  return (
    record.lock === undefined &&
    record.intents.length === 0 &&
    record.suspect === 0 &&
    record.epoch === epoch &&
    orphans.length === 0 &&
    replicas.every(({ at }) => at === 'idle')
  );
}

/** One tick passes for everything that counts time; what is too old anyway counts no further. */
export function passTick(world: World, ticks: Ticks): World {
  return {
    ...world,
    record: ageRecord(world.record),
    past: world.past.map(ageRecord),
    replicas: world.replicas.map((replica) => ageReplica(replica, ticks)),
    orphans: world.orphans.filter((left) => left > 1).map((left) => left - 1),
  };
}

function ageReplica(replica: Replica, ticks: Ticks): Replica {
  switch (replica.at) {
    case 'begun':
      return { ...replica, age: Math.min(replica.age + 1, ticks.sendWithin + 1) };
    case 'checked':
      return { ...replica, slept: Math.min(replica.slept + 1, ticks.intent) };
    case 'sent': {
      const age = Math.min(replica.age + 1, ticks.flight + 1);
      return { ...replica, age, left: Math.max(0, replica.left - 1) };
    }
    case 'idle':
    case 'judged':
    case 'answered':
    case 'gaveUp':
    case 'unsure':
      return replica;
  }
}
