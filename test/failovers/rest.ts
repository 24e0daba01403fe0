import { setTimeout as sleep } from 'node:timers/promises';
import { keys, LIFE_SECONDS, PUSHED, TOKENS, WINDOW_SECONDS, type Token } from './platform.ts';
import type { Stage } from './stage.ts';

/** What must hold of every token once the fault is over, and what it may have cost. */

const LOOK_EVERY_MS = 250;
/** Milliseconds from one mint to the next that time alone calls for, less what clocks round. */
const LEAST_INTERVAL_MS = (LIFE_SECONDS - WINDOW_SECONDS - 1) * 1000;
/** Fields of a record that say that something is open. */
const OPEN = ['lock_op', 'intents', 'suspect', 'retry_at'];

/** What is not as it must be at rest; nothing when all is. */
export async function unrest(stage: Stage): Promise<string[]> {
  const found = await Promise.all(TOKENS.map((id) => unrestOf(stage, id)));
  return [...found.flat(), ...(await unrestOfTicket(stage))];
}

async function unrestOf({ redis, simulator }: Stage, id: Token): Promise<string[]> {
  const [record, mirror] = await Promise.all([
    redis.hgetall(keys.record(id)),
    redis.get(keys.mirror(id)),
  ]);
  const last = mintsOf(simulator, id).at(-1)?.value;
  const wrong = OPEN.filter((field) => record[field] !== undefined).map((field) => `has ${field}`);
  if (record.value !== last) wrong.push('is not the last that WeChat minted');
  else if (mirror !== last) wrong.push('is not what readers of Redis find');
  else if (!simulator.isLive(id.kind, last)) wrong.push('is dead');
  return wrong.map((what) => `${id.kind} of ${id.subject} ${what}`);
}

/** The newest ticket that was answered `success` is there, or one that was made in the same second or later. */
async function unrestOfTicket({ redis, simulator }: Stage): Promise<string[]> {
  const { pushes } = simulator.ledger;
  const newest = pushes
    .filter((push) => push.accepted && push.infoType === 'component_verify_ticket')
    .filter(({ appid }) => appid === PUSHED.appid)
    .reduce((latest, { createTime }) => Math.max(latest, createTime), 0);
  const stored = await redis.hget(keys.ticketRecord(PUSHED.appid), 'create_time');
  return Number(stored) >= newest * 1000
    ? []
    : ['the stored ticket is older than an acknowledged one'];
}

/** Resolves when all is at rest, or with what still is not. */
export async function untilAtRest(stage: Stage, patienceMs: number): Promise<string[]> {
  const giveUpAt = performance.now() + patienceMs;
  for (;;) {
    const left = await unrest(stage).catch((error: unknown) => [String(error)]);
    if (left.length === 0 || performance.now() > giveUpAt) return left;
    await sleep(LOOK_EVERY_MS);
  }
}

export function mintsOf({ ledger }: Stage['simulator'], { kind, subject }: Token) {
  const [component = '', appid = component] = subject.split(':');
  const isOfIt = (mint: (typeof ledger.mints)[number]) =>
    mint.kind === kind && mint.appid === appid && (mint.component ?? component) === component;
  return ledger.mints.filter(isOfIt);
}

export interface Minted {
  all: number;
  /** The most that any of them was minted more often than its windows ask for. */
  mostExtra: number;
}

export function countMints({ simulator }: Stage): Minted {
  const minted = { all: 0, mostExtra: 0 };
  for (const id of TOKENS) {
    const mints = mintsOf(simulator, id);
    const elapsed = Date.now() - (mints[0]?.at ?? Date.now());
    const windows = 1 + Math.floor(elapsed / LEAST_INTERVAL_MS);
    minted.all += mints.length;
    minted.mostExtra = Math.max(minted.mostExtra, mints.length - windows);
  }
  return minted;
}

/** How many authorizers' tokens were refreshed, the first mint not counted. */
export function refreshedSoFar({ simulator }: Stage): number {
  return TOKENS.filter(
    (id) => id.kind === 'authorizer_access_token' && mintsOf(simulator, id).length > 1,
  ).length;
}
