import { judgeFreshness, type Freshness } from '../../src/credentials/freshness.ts';
import type { Credential } from '../../src/credentials/read.ts';
import { observe, storedNow, type ScriptName, type Stored } from './shared-store.ts';
import type { World } from './world.ts';

/** What must hold in every schedule; the letters are those of the model next door. */
export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I10' | 'mirror' | 'not stuck';

export const MEANING: Readonly<Record<Invariant, string>> = {
  I1: 'when nothing is open, the stored value is the last minted, and so is the mirror',
  I2: 'the stored mint order never falls, except by a failover',
  I3: 'without a fault, exactly one mint per window',
  I4: 'mints <= windows + 2 x faults (3 x where a value is urgent) + 3 x failovers',
  I5: 'no reader gets an expired value',
  I10: 'a stored value never becomes empty, except by hand or by a failover',
  mirror: 'a script that stores a live value leaves the same value in the mirror',
  'not stuck': 'when faults have ended, all becomes quiet and fresh',
};

export class Violation extends Error {
  readonly invariant: Invariant;

  constructor(invariant: Invariant, found: string) {
    super(`${invariant}: ${found}; expected: ${MEANING[invariant]}`);
    this.name = 'Violation';
    this.invariant = invariant;
  }
}

/** What the checks remember of a schedule. */
export interface Marks {
  /** The number of the latest mint that was ever stored. */
  highest: number;
  /** Values that became due; each is a window. */
  due: Set<string>;
  /** A value was urgent, expired or missing at some time. */
  urgent: boolean;
  /** Mints before the schedule. */
  given: number;
  /** Milliseconds by which a commit reached Redis late, at most: its value seems younger by that. */
  lateMs: number;
}

const WINDOW_MS = 900_000;

/** Checks what a script has written. */
export async function afterWriting(world: World, script: ScriptName): Promise<void> {
  const before = storedNow(world.store);
  const after = await observe(world.store, world.now);
  world.violation ??= violationOfWrite(world, before, after, script);
  const number = mintNumber(world, after);
  world.marks.highest = Math.max(world.marks.highest, number);
  noteAge(world);
}

function violationOfWrite(
  world: World,
  before: Stored,
  after: Stored,
  script: ScriptName,
): Violation | undefined {
  const { value, expires_at: expiresAt } = after.fields;
  if (value === undefined) {
    if (before.fields.value === undefined) return undefined;
    return new Violation('I10', `${before.fields.value} was removed by ${script}`);
  }
  const number = mintNumber(world, after);
  if (number < world.marks.highest) {
    return new Violation('I2', `${value} is stored after T${world.marks.highest}`);
  }
  const minted = world.wechat.mints[number - 1];
  const tooLong = Number(expiresAt) - (minted?.expiresAt ?? 0);
  if (tooLong > world.marks.lateMs) {
    return new Violation('I5', `${value} is to live ${tooLong} ms longer than WeChat says`);
  }
  const writesMirror = script === 'commit-mint' && value !== before.fields.value;
  if (writesMirror && Number(expiresAt) > world.now && after.mirror !== value) {
    return new Violation('mirror', `${value} is stored, the mirror is ${after.mirror ?? 'empty'}`);
  }
  return undefined;
}

export function violationOfReader(
  world: World,
  { value, expiresAt, expiresInMs }: Credential,
): Violation | undefined {
  const minted = world.wechat.mints.find((one) => one.value === value);
  if (minted === undefined) return new Violation('I5', `a reader got ${value}, never minted`);
  if (expiresInMs > 0 && expiresAt <= minted.expiresAt + world.marks.lateMs) return undefined;
  return new Violation('I5', `a reader got ${value} for ${expiresInMs} ms`);
}

/** Notes what the time has done to the stored value. */
export function noteAge(world: World): void {
  const { state } = freshnessOf(world);
  if (state === 'fresh') return;
  const value = storedNow(world.store).fields.value;
  const deleted = value === undefined && world.faults.includes('record deleted');
  if (!deleted) world.marks.due.add(value ?? 'none');
  if (state !== 'due') world.marks.urgent = true;
}

/** By its times alone. */
function freshnessOf(world: World): Freshness {
  const { fields } = storedNow(world.store);
  const judged = {
    value: fields.value,
    obtainedAt: Number(fields.obtained_at ?? 0),
    expiresAt: Number(fields.expires_at ?? 0),
    taken: false,
    suspect: false,
    refused: false,
  };
  return judgeFreshness(judged, world.now, WINDOW_MS, false);
}

/** Nobody does anything, nobody has a reason to, and nothing is open anywhere. */
export function isQuiet(world: World): boolean {
  return reasonForUnrest(world) === undefined;
}

export function reasonForUnrest(world: World): string | undefined {
  const { fields, mirror } = storedNow(world.store);
  const { replicas, wechat, ghosts } = world;
  if (wechat.requests.length > 0) return 'a request is under way';
  if (ghosts.length > 0) return 'a command is under way';
  for (const { name, calls, unsent } of replicas) {
    if (calls.length + unsent.length > 0) return `${name} waits for an answer`;
  }
  for (const open of ['lock_op', 'intents', 'suspect']) {
    if (fields[open] !== undefined) return `the record has ${open} ${fields[open]}`;
  }
  if (fields.epoch !== world.replicationId) return 'the record is of an earlier replication id';
  if (fields.refused_seq !== undefined && fields.refused_seq === fields.seq) return 'refused';
  const { state } = freshnessOf(world);
  if (state !== 'fresh') return `the value is ${state}`;
  return mirror === fields.value ? undefined : `the mirror is ${mirror ?? 'empty'}`;
}

/** What the end of a schedule violates. */
export function violationAtEnd(world: World): Violation | undefined {
  const { wechat, marks, faults } = world;
  const { value } = storedNow(world.store).fields;
  const last = wechat.mints.at(-1)?.value;
  if (value !== last) return new Violation('I1', `${value ?? 'nothing'} is stored, not ${last}`);
  return violationOfCount(world, wechat.mints.length - marks.given, faults);
}

function violationOfCount(world: World, mints: number, faults: string[]): Violation | undefined {
  const { due, urgent } = world.marks;
  const failovers = faults.filter((name) => name === 'failover').length;
  const others = faults.length - failovers;
  const most = due.size + (urgent ? 3 : 2) * others + 3 * failovers;
  const found = `${mints} mints in ${due.size} windows with ${faults.length} faults`;
  if (faults.length === 0 && mints !== due.size) return new Violation('I3', found);
  return mints > most ? new Violation('I4', found) : undefined;
}

function mintNumber(world: World, { fields }: Stored): number {
  const { value } = fields;
  return world.wechat.mints.find((one) => one.value === value)?.number ?? 0;
}
