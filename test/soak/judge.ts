import type { MintRecord, PushRecord } from '../../src/sandbox/wechat/ledger.ts';
import { ALL, CODE, COMPONENT, JSAPI, type Kept, type Station } from './station.ts';

/**
 * What must hold at every moment, and what a fault excuses for a while. WeChat's ledger is the truth:
 * it knows the order of all mints and which value is alive.
 */

export interface Violation {
  at: number;
  message: string;
  /** What happened before. */
  tail: string[];
}

/** A window in which something need not hold. */
interface Excuse {
  kinds: readonly Kept[];
  cause: string;
  until: number;
}

export type Where = 'redis' | 'http';

export interface Judge {
  violations: Violation[];
  /** Seconds without a live value by cause, e.g. `redis component_access_token: WeChat down`. */
  secondsDead: Map<string, number>;
  /** Mints that faults may have cost, by kind. */
  allowed: Map<string, number>;
  samples: number;
  reads: number;
  /** These kinds need not be live until `close`, and `graceSeconds` after it. */
  open(kinds: readonly Kept[], cause: string): { close(graceSeconds: number): void };
  excuse(kinds: readonly Kept[], cause: string, seconds: number): void;
  /** A fault may cost this many more mints of each of these. */
  allow(kinds: readonly Kept[], mints: number): void;
  /** An older value may show up for a while. */
  allowOlder(seconds: number): void;
  /**
   * Looks at what readers of Redis find.
   * @param seconds since the last look
   * @param rest lets what is under way end, as far as it can without the clock: the machine may be slow
   */
  lookAtRedis(seconds: number, rest: () => Promise<void>): Promise<void>;
  /** Whether this would be a violation just now. */
  isDead(kept: Kept, value: string | undefined): boolean;
  /** What a reader got over HTTP. */
  judgeRead(kept: Kept, status: number, value: string | undefined, seconds: number): void;
  violate(message: string): void;
}

interface JudgeState {
  station: Station;
  judge: Judge;
  excuses: Excuse[];
  /** Position of each value among all mints. */
  order: Map<string, number>;
  /** How many entries of the ledger are in `order`. */
  absorbed: number;
  /** Newest position ever seen in a mirror, by kind. */
  newestSeen: Map<string, number>;
  /** Position of the newest ticket that was acknowledged. */
  newestTicket: number;
  olderUntil: number;
  /** What is wrong just now, told once. */
  wrong: Set<string>;
}

const TAIL_MS = 240_000;
const MOST_TAILS = 3;
/** Milliseconds after the end of a ticket within which its successor must be there. */
const REPEATED_MS = 60_000;

export function createJudge(station: Station): Judge {
  const { clock, journal } = station;
  const judge: Judge = {
    violations: [],
    secondsDead: new Map(),
    allowed: new Map(),
    samples: 0,
    reads: 0,
    open(kinds, cause) {
      const excuse = { kinds, cause, until: Infinity };
      state.excuses.push(excuse);
      return { close: (grace) => void (excuse.until = clock.monotonic() + grace * 1000) };
    },
    excuse: (kinds, cause, seconds) => judge.open(kinds, cause).close(seconds),
    allow(kinds, mints) {
      for (const { id } of kinds) add(judge.allowed, id.kind, mints);
    },
    allowOlder: (seconds) => void (state.olderUntil = clock.monotonic() + seconds * 1000),
    lookAtRedis: (seconds, rest) => lookAtRedis(state, seconds, rest),
    isDead: (kept, value) => isDead(state, kept, value),
    judgeRead(kept, status, value, seconds) {
      judge.reads += 1;
      settleAccount(state, 'http', kept, value, `${status} ${nameOf(state, value)}`, seconds);
    },
    violate(message) {
      const tail = judge.violations.length < MOST_TAILS ? journal.tail(TAIL_MS) : [];
      judge.violations.push({ at: clock.now(), message, tail });
      journal.note(`VIOLATION ${message}`);
    },
  };
  const state: JudgeState = {
    station,
    judge,
    excuses: [],
    order: new Map(),
    absorbed: 0,
    newestSeen: new Map(),
    newestTicket: -1,
    olderUntil: -Infinity,
    wrong: new Set(),
  };
  station.onPush.push((push) => notePush(state, push));
  return judge;
}

function notePush(state: JudgeState, push: PushRecord): void {
  if (!push.accepted || push.infoType !== 'component_verify_ticket') return;
  absorb(state);
  const mint = state.station.simulator.ledger.mints.findLast((one) => isTicketOf(one, push));
  const position = state.order.get(mint?.value ?? '') ?? -1;
  state.newestTicket = Math.max(state.newestTicket, position);
}

function isTicketOf(mint: MintRecord, push: PushRecord): boolean {
  const seconds = Math.floor(mint.at / 1000);
  return mint.kind === 'component_verify_ticket' && seconds === push.createTime;
}

function absorb(state: JudgeState): void {
  const { mints } = state.station.simulator.ledger;
  for (; state.absorbed < mints.length; state.absorbed += 1) {
    state.order.set(mints[state.absorbed]?.value ?? '', state.absorbed);
  }
}

async function lookAtRedis(
  state: JudgeState,
  seconds: number,
  rest: () => Promise<void>,
): Promise<void> {
  const { redis, keys, redisUp } = state.station;
  if (!redisUp) return;
  state.judge.samples += 1;
  const { appid } = COMPONENT;
  const look = () =>
    Promise.all([
      redis.mget([...ALL.map(({ id }) => keys.mirror(id)), keys.ticketMirror(appid)]),
      redis.hget(keys.ticketRecord(appid), 'ticket').catch(() => null),
    ]);
  let [values, ticket] = await look();
  if (ALL.some((kept, index) => isDead(state, kept, values[index] ?? undefined))) {
    await rest();
    [values, ticket] = await look();
  }
  absorb(state);
  for (const [index, kept] of ALL.entries()) {
    const value = values[index] ?? undefined;
    settleAccount(state, 'redis', kept, value, nameOf(state, value), seconds);
    checkOrder(state, kept, value);
  }
  checkTicket(state, 'key', values.at(-1) ?? undefined);
  checkTicket(state, 'record', ticket ?? undefined);
}

/** A token never gives way to one that was minted before it. */
function checkOrder(state: JudgeState, kept: Kept, value: string | undefined): void {
  if (kept === CODE || value === undefined) return;
  const { kind } = kept.id;
  const position = state.order.get(value);
  if (position === undefined) return;
  const newest = state.newestSeen.get(kind) ?? -1;
  state.newestSeen.set(kind, Math.max(newest, position));
  const excused = state.station.clock.monotonic() <= state.olderUntil;
  const older = position < newest && !excused;
  tell(state, `${kind} went back`, older, `mint ${newest} was stored, now it is ${position}`);
}

/** What was acknowledged is there, or something newer. */
function checkTicket(state: JudgeState, where: string, value: string | undefined): void {
  if (state.newestTicket < 0) return;
  const position = state.order.get(value ?? '') ?? -1;
  const lost = position < state.newestTicket;
  const has = nameOf(state, value);
  const detail = `ticket ${state.newestTicket} was acknowledged, the ${where} has ${has}`;
  tell(state, `ticket lost from its ${where}`, lost, detail);
}

function nameOf(state: JudgeState, value: string | undefined): string {
  absorb(state);
  if (value === undefined) return 'nothing';
  const position = state.order.get(value);
  if (position === undefined) return 'a value of nobody';
  const mint = state.station.simulator.ledger.mints[position];
  return `mint ${position} of ${new Date(mint?.at ?? 0).toISOString()}`;
}

/** What a fault, or the way WeChat is, excuses. */
function excuseFor(
  state: JudgeState,
  kept: Kept,
  value: string | undefined,
): { cause: string } | undefined {
  const excuse = state.excuses.find(({ kinds }) => kinds.includes(kept));
  if (excuse !== undefined || kept !== JSAPI) return excuse;
  const { ledger } = state.station.simulator;
  const mint = ledger.mints[state.order.get(value ?? '') ?? -1];
  const overdueMs = state.station.clock.now() - (mint?.expiresAt ?? 0);
  // WeChat repeats a ticket to its very end, so its successor cannot be there before.
  return overdueMs <= REPEATED_MS ? { cause: 'repeated to its end' } : undefined;
}

function isDead(state: JudgeState, kept: Kept, value: string | undefined): boolean {
  const { simulator, clock } = state.station;
  if (value !== undefined && simulator.isLive(kept.id.kind, value)) return false;
  const now = clock.monotonic();
  state.excuses = state.excuses.filter(({ until }) => until >= now);
  absorb(state);
  return excuseFor(state, kept, value) === undefined;
}

function settleAccount(
  state: JudgeState,
  where: Where,
  kept: Kept,
  value: string | undefined,
  detail: string,
  seconds: number,
): void {
  const { kind } = kept.id;
  const live = value !== undefined && state.station.simulator.isLive(kind, value);
  const now = state.station.clock.monotonic();
  state.excuses = state.excuses.filter(({ until }) => until >= now);
  const excuse = live ? undefined : excuseFor(state, kept, value);
  if (!live)
    add(state.judge.secondsDead, `${where} ${kind}: ${excuse?.cause ?? 'NO CAUSE'}`, seconds);
  tell(state, `${where} ${kind} is not live`, !live && excuse === undefined, detail);
}

/** Each wrong is a violation once, until it is right again. */
function tell(state: JudgeState, what: string, isWrong: boolean, detail: string): void {
  if (!isWrong) state.wrong.delete(what);
  else if (!state.wrong.has(what)) {
    state.wrong.add(what);
    state.judge.violate(`${what}: ${detail}`);
  }
}

export function add(counts: Map<string, number>, name: string, more = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + more);
}
