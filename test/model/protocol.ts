import type { Rules } from './rules.ts';

/**
 * The refresh protocol as pure functions over one record: `begin`, `commit` and `fail` correspond one
 * to one to begin-mint.lua, commit-mint.lua and fail-mint.lua. Durations are ticks that count down,
 * because only their order matters; `rules.ts` says what a tick stands for.
 */

/** 0 is "no value". Otherwise the number of the mint at WeChat: a larger one was minted later. */
export type Mint = number;
export type Operation = number;

export interface MintRecord {
  readonly value: Mint;
  readonly seq: number;
  /** Counts begins, commits and doubts. */
  readonly clock: number;
  /** Clock of the last commit. */
  readonly committed: number;
  readonly committedOp: Operation;
  readonly lock: Countdown | undefined;
  /** Mints that have begun and not reported their end; at 0 ticks they have expired. */
  readonly intents: readonly Countdown[];
  /** Clock at which a doubt about the order of mints arose; 0 for none. */
  readonly suspect: number;
  readonly settle: number;
  readonly quarantine: number;
  /** Redis's replication id when a mint last began. */
  readonly epoch: number;
}

export interface Countdown {
  readonly op: Operation;
  readonly left: number;
}

/** What a script knows besides the record: Redis's replication id, and which values have expired. */
export interface Surroundings {
  readonly epoch: number;
  readonly expiredUpTo: Mint;
  readonly rules: Rules;
}

export type Begun = { granted: number; record: MintRecord } | { granted: 0; record: MintRecord };

export function begin(
  record: MintRecord,
  request: { op: Operation; judgedSeq: number; needed: boolean },
  { epoch, rules }: Surroundings,
): Begun {
  const { ticks } = rules;
  const refused = (after: MintRecord): Begun => ({ granted: 0, record: after });

  let r = record;
  if (r.epoch !== epoch) {
    r = { ...r, epoch, lock: undefined };
    if (rules.suspectOnEpochChange) r = doubt(r, 0);
    return refused({ ...r, quarantine: rules.quarantine ? ticks.quarantine : 0 });
  }
  if (r.quarantine > 0) return refused(record);
  if (rules.lock && r.lock !== undefined) return refused(record);
  if (rules.doubleCheck && r.seq !== request.judgedSeq) return refused(record);
  if (r.settle > 0) return refused(record);

  const mayBeUnderWay = r.intents.filter((intent) => !isOver(intent, rules));
  if (mayBeUnderWay.length > 0 && !request.needed) return refused(record);
  for (const intent of r.intents) if (isOver(intent, rules)) r = doubt(r, 0);

  const clock = r.clock + 1;
  const own = { op: request.op, left: ticks.intent };
  return {
    granted: clock,
    record: {
      ...r,
      clock,
      lock: rules.lock ? { op: request.op, left: ticks.lease } : undefined,
      intents: rules.intents ? [...mayBeUnderWay, own] : [],
    },
  };
}

export function commit(
  record: MintRecord,
  mint: { op: Operation; begin: number; epoch: number; value: Mint },
  { epoch, expiredUpTo, rules }: Surroundings,
): MintRecord {
  if (rules.idempotentCommit && record.committedOp === mint.op) return record;
  let r = release(withoutIntent(record, mint.op), mint.op, rules);

  const laterThanStored = !rules.intervalRule || mint.begin > r.committed;
  const newer = laterThanStored && (!rules.epochCheck || mint.epoch === epoch);
  const nothingLive = r.value === 0 || r.value <= expiredUpTo;
  if (!newer && !nothingLive) return overlap(r, rules);

  const clock = r.clock + 1;
  r = { ...r, value: mint.value, seq: r.seq + 1, clock, committed: clock, committedOp: mint.op };
  if (rules.commitNotesEpoch) r = { ...r, epoch };
  if (!newer) return overlap(r, rules);
  if (!rules.clearOnlyOlderDoubt || r.suspect <= mint.begin) r = { ...r, suspect: 0, settle: 0 };
  return r;
}

export function fail(
  record: MintRecord,
  { op, maybe }: { op: Operation; maybe: boolean },
  { rules }: Surroundings,
): MintRecord {
  let r = withoutIntent(record, op);
  if (maybe && rules.suspectOnLostAnswer) r = doubt(r, settleTicks(rules));
  return release(r, op, rules);
}

/** Whether anybody has a reason to begin; what a replica sees when it looks at the record. */
export function wantsMint(
  record: MintRecord,
  due: boolean,
  { epoch, rules }: Surroundings,
): boolean {
  return (
    due ||
    record.suspect > 0 ||
    record.epoch !== epoch ||
    record.intents.some((intent) => isOver(intent, rules))
  );
}

/** One tick of Redis's clock. */
export function age(record: MintRecord): MintRecord {
  const { lock, intents, settle, quarantine } = record;
  return {
    ...record,
    lock: lock === undefined || lock.left === 1 ? undefined : { op: lock.op, left: lock.left - 1 },
    intents: intents.map(({ op, left }) => ({ op, left: less(left) })),
    settle: less(settle),
    quarantine: less(quarantine),
  };
}

function less(ticks: number): number {
  return ticks > 0 ? ticks - 1 : 0;
}

function isOver({ left }: Countdown, { intentsWait, ticks }: Rules): boolean {
  return left <= (intentsWait ? 0 : ticks.intent - ticks.lease);
}

function doubt(record: MintRecord, settle: number): MintRecord {
  const clock = record.clock + 1;
  return { ...record, clock, suspect: clock, settle: Math.max(record.settle, settle) };
}

function overlap(record: MintRecord, rules: Rules): MintRecord {
  if (!rules.suspectOnOverlap) return record;
  return doubt(record, rules.settleAfterOverlap ? settleTicks(rules) : 0);
}

function settleTicks({ settleWait, ticks }: Rules): number {
  return settleWait ? ticks.settle : 0;
}

function withoutIntent(record: MintRecord, op: Operation): MintRecord {
  return { ...record, intents: record.intents.filter((intent) => intent.op !== op) };
}

function release(record: MintRecord, op: Operation, { compareBeforeUnlock }: Rules): MintRecord {
  if (compareBeforeUnlock && record.lock?.op !== op) return record;
  return { ...record, lock: undefined };
}
