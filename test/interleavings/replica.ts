import type { Redis } from 'ioredis';
import type { Clock } from '../../src/lib/clock.ts';
import { createKeeper, type Keeper } from '../../src/credentials/keeper.ts';
import type { RefreshContext } from '../../src/credentials/refresh-types.ts';
import { createLocalCopies } from '../../src/credentials/local-copy.ts';
import { createMaintenanceLoop } from '../../src/credentials/maintenance-loop.ts';
import type { Log } from '../../src/lib/log.ts';
import { createTokenEncryption } from '../../src/store/redis/token-encryption.ts';
import { createStoreTime } from '../../src/store/redis/time.ts';
import type { WechatAnswer } from '../../src/wechat/client.ts';
import { ID, nameOf, type ScriptName } from './shared-store.ts';
import { CALL_MS, lostAnswer, type Request, type Waiting } from './wechat.ts';
import type { World } from './world.ts';

/**
 * One replica: the real keeper, patrol and memory, with a clock, a Redis and a WeChat that do
 * nothing by themselves. Whatever the replica waits for is a point at which it stands until the
 * scheduler lets it proceed.
 */
export interface Replica {
  /** For traces. */
  name: string;
  context: RefreshContext;
  keeper: Keeper;
  /** Paused: its points and timers stand still while time passes. */
  pausedAt: number | undefined;
  calls: Call[];
  /** Requests that were made and not yet sent. */
  unsent: Request[];
  timers: Timer[];
  mint: MintUnderWay | undefined;
  /** Nothing of a dead replica happens any more. */
  dead: boolean;
}

/** A command on its way to Redis, or its reply on the way back. */
export interface Call {
  script: ScriptName;
  sha: string;
  keys: string[];
  args: Record<string, unknown>;
  since: number;
  ran: boolean;
  reply: unknown;
  resolve(reply: unknown): void;
  reject(error: unknown): void;
}

export interface Timer {
  at: number;
  fn: () => void;
}

/** From begin to commit or fail. */
export interface MintUnderWay {
  operation: string;
  epoch: number;
  /** Milliseconds between the check and the sending; undefined while not sent. */
  sleptMs: number | undefined;
}

const ACCOUNT = {
  appid: ID.subject,
  appsecret: 'secret',
  accessToken: 'classic' as const,
  tickets: [],
};
const WINDOW_MS = 900_000;

export function createReplica(world: World, name: string): Replica {
  const calls: Call[] = [];
  const unsent: Request[] = [];
  const timers: Timer[] = [];
  const clock = createClock(world, timers);
  const store = {
    redis: createWaitingRedis(world, calls),
    keys: world.store.keys,
    time: createStoreTime(clock),
    encryption: createTokenEncryption([]),
  };
  const api = () =>
    new Promise<WechatAnswer>((resolve, reject) => {
      unsent.push({
        name,
        sender: { resolve, reject },
        madeAt: world.now,
        sentAt: undefined,
        executeUntil: 0,
        mint: undefined,
        silent: false,
      });
    });
  const log = createTraceLog(world, name);
  const memory = createLocalCopies(clock, store.time);
  const context = { store, api, clock, log, memory, windowMs: WINDOW_MS, replica: name };
  const keeper = createKeeper({
    ...context,
    rateLimit: { perSecond: 1, burst: 1 },
    subjects: { components: [], accounts: [ACCOUNT] },
  });
  const patrol = createMaintenanceLoop(clock, log, () => keeper.ensureConfigured());
  patrol.start();
  return {
    name,
    context,
    keeper,
    calls,
    unsent,
    timers,
    pausedAt: undefined,
    mint: undefined,
    dead: false,
  };
}

/** One simulated time for all; timers are each replica's own. */
function createClock(world: World, timers: Timer[]): Clock {
  return {
    now: () => world.now,
    monotonic: () => world.now,
    random: () => world.random.next(),
    simulatedStoreNow: () => world.now,
    setTimer(delayMs, fn) {
      const timer = { at: world.now + Math.max(0, Math.ceil(delayMs)), fn };
      timers.push(timer);
      return () => remove(timers, timer);
    },
  };
}

/** A client of which every command waits. Everything else than scripts is a fault of this test. */
function createWaitingRedis(world: World, calls: Call[]): Redis {
  const evalsha = (sha: string, count: number, ...rest: string[]) =>
    new Promise((resolve, reject) => {
      const args = JSON.parse(rest[count] ?? '{}') as Record<string, unknown>;
      if (typeof args.operation === 'string') args.operation = world.operation(args.operation);
      calls.push({
        script: nameOf(sha),
        sha,
        keys: rest.slice(0, count),
        args,
        since: world.now,
        ran: false,
        reply: undefined,
        resolve,
        reject,
      });
    });
  const connection = {};
  return new Proxy({} as Redis, {
    get(_, name) {
      if (name === 'evalsha') return evalsha;
      // By which it is remembered how scripts are sent.
      if (name === 'stream') return connection;
      throw new Error(`no schedule expects ${String(name)} on Redis`);
    },
  });
}

function createTraceLog(world: World, name: string): Log {
  const line = (message: string) => world.trace(`      ${name} logs: ${message}`);
  const log: Log = {
    error: line,
    warn: line,
    info: line,
    debug: () => undefined,
    in: () => log,
    close: () => Promise.resolve(),
  };
  return log;
}

/** Its request leaves; the client gives up after its deadline. */
export function watchDeadline(replica: Replica, request: Request, world: World): void {
  const { sender } = request;
  if (sender === undefined) return;
  const timer = { at: world.now + CALL_MS, fn: () => giveUp(request, sender, world) };
  replica.timers.push(timer);
  request.sender = {
    resolve(answer) {
      remove(replica.timers, timer);
      sender.resolve(answer);
    },
    reject(error) {
      remove(replica.timers, timer);
      sender.reject(error);
    },
  };
}

function giveUp(request: Request, sender: Waiting, world: World): void {
  world.abandon(request);
  sender.reject(lostAnswer('timeout'));
}

export function remove<T>(from: T[], one: T): void {
  const at = from.indexOf(one);
  if (at >= 0) from.splice(at, 1);
}

export function dueTimer({ timers }: Replica, now: number): Timer | undefined {
  let first: Timer | undefined;
  for (const timer of timers) {
    if (timer.at <= now && (first === undefined || timer.at < first.at)) first = timer;
  }
  return first;
}

export function nextTimerAt({ timers }: Replica): number {
  return timers.reduce((first, { at }) => Math.min(first, at), Infinity);
}

/** Everything this replica was doing has come to its end; waiting timers do not count. */
export function isIdle({ calls, unsent }: Replica): boolean {
  return calls.length === 0 && unsent.length === 0;
}
