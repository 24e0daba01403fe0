import { dueTimer, nextTimerAt, remove, watchDeadline, type Replica } from './replica.ts';
import { advance, readAt, runCall, type World } from './world.ts';
import { ID } from './shared-store.ts';
import { answer, CALL_MS, execute, forget, mayExecute, send } from './wechat.ts';

/** What may happen next without any fault. */
export interface Option {
  weight: number;
  run(): Promise<void> | void;
}

/** Milliseconds that a command to Redis may take without being a fault: ioredis waits 1 s. */
const SLOW_REDIS_MS = 900;
/** Milliseconds by which an answer of WeChat comes before the client gives up. */
const BEFORE_DEADLINE_MS = 100;
/** Milliseconds a replica stays paused at most. */
export const LONGEST_PAUSE_MS = 150_000;
const JUMPS_MS = [100, 500, 1_000, 2_000, 5_000, 15_000, 25_000, 60_000];

/** What proceeds when it is let: replicas, Redis and WeChat. */
export function proceeding(world: World): Option[] {
  const options = world.replicas.flatMap((replica) => [
    ...callSteps(world, replica),
    ...(replica.pausedAt === undefined ? ownSteps(world, replica) : [waking(world, replica)]),
  ]);
  return [...options, ...wechatSteps(world), ...ghostSteps(world)];
}

function callSteps(world: World, replica: Replica): Option[] {
  const paused = replica.pausedAt !== undefined;
  return replica.calls.flatMap((call): Option[] => {
    if (!call.ran) {
      // Of a paused replica it was sent before the pause.
      return [{ weight: paused ? 2 : 10, run: () => runAndNote(world, replica, call) }];
    }
    if (paused) return [];
    const deliver = () => {
      remove(replica.calls, call);
      call.resolve(call.reply);
    };
    return [{ weight: 10, run: deliver }];
  });
}

async function runAndNote(world: World, replica: Replica, call: Replica['calls'][number]) {
  await runCall(world, call, replica.name);
  const operation = String(call.args.operation);
  const [outcome] = Array.isArray(call.reply) ? (call.reply as unknown[]) : [];
  if (call.script === 'begin-mint' && outcome === 'granted') {
    replica.mint = { operation, epoch: world.epoch, sleptMs: undefined };
  }
  const ends = call.script === 'commit-mint' || call.script === 'fail-mint';
  if (ends && replica.mint?.operation === operation) replica.mint = undefined;
}

function ownSteps(world: World, replica: Replica): Option[] {
  const options: Option[] = replica.unsent.map((request) => ({
    weight: 10,
    run() {
      remove(replica.unsent, request);
      send(world.wechat, request, world.now);
      watchDeadline(replica, request, world);
      if (replica.mint) replica.mint.sleptMs = world.now - request.madeAt;
      world.trace(`${replica.name}: sends its request`);
    },
  }));
  const timer = dueTimer(replica, world.now);
  if (timer !== undefined) {
    options.push({
      weight: 10,
      run() {
        remove(replica.timers, timer);
        timer.fn();
      },
    });
  }
  return options;
}

export function waking(world: World, replica: Replica): Option {
  const slept = world.now - (replica.pausedAt ?? world.now);
  return {
    weight: slept === 0 ? 0.2 : slept >= LONGEST_PAUSE_MS ? 50 : 1,
    run() {
      replica.pausedAt = undefined;
      world.trace(`${replica.name}: goes on after ${slept} ms`);
    },
  };
}

function wechatSteps(world: World): Option[] {
  const { wechat, now } = world;
  return wechat.requests.flatMap((request): Option[] => {
    const { sender, mint, name } = request;
    if (mint === undefined) {
      if (mayExecute(request, now)) {
        const run = () => {
          const { value } = execute(wechat, request, now);
          world.trace(`WeChat executes the request of ${name}: ${value}`);
        };
        return [{ weight: sender === undefined ? 0.7 : 5, run }];
      }
      return sender === undefined ? [{ weight: 10, run: () => forget(wechat, request) }] : [];
    }
    const replica = world.replicas.find((one) => one.name === name);
    if (request.silent || replica?.pausedAt !== undefined) return [];
    const run = () => {
      world.trace(`${name}: gets ${mint.value}`);
      answer(wechat, request);
    };
    return [{ weight: 5, run }];
  });
}

function ghostSteps(world: World): Option[] {
  return world.ghosts.map((call) => ({
    weight: 1,
    async run() {
      remove(world.ghosts, call);
      await runCall(world, call, 'a late command');
    },
  }));
}

/** What comes from outside. */
export function outside(world: World): Option[] {
  return world.replicas
    .filter(({ pausedAt }) => pausedAt === undefined)
    .flatMap((replica): Option[] => [
      { weight: 1, run: () => readAt(world, replica) },
      { weight: 1, run: () => tick(world, replica) },
    ]);
}

export function tick(world: World, replica: Replica): void {
  world.trace(`${replica.name}: cron ticks`);
  void replica.keeper.ensureFresh(ID, 'cron');
}

/** Time passes, by a jump or to the next timer; undefined when somebody has to proceed first. */
export function passing(world: World, atMost = Infinity): Option | undefined {
  const most = Math.min(atMost, longestWait(world));
  if (most <= 0) return undefined;
  return {
    weight: 4,
    run: () => advance(world, Math.min(most, world.random.pick(JUMPS_MS))),
  };
}

/** Milliseconds for which everybody can wait who is not paused. */
function longestWait(world: World): number {
  const { now, replicas, wechat } = world;
  let until = Infinity;
  for (const replica of replicas) {
    if (replica.pausedAt !== undefined) {
      until = Math.min(until, replica.pausedAt + LONGEST_PAUSE_MS);
      continue;
    }
    if (replica.unsent.length > 0) return 0;
    until = Math.min(until, nextTimerAt(replica));
    for (const { since } of replica.calls) until = Math.min(until, since + SLOW_REDIS_MS);
    for (const { name, sentAt, silent } of wechat.requests) {
      if (name !== replica.name || silent || sentAt === undefined) continue;
      until = Math.min(until, sentAt + CALL_MS - BEFORE_DEADLINE_MS);
    }
  }
  for (const { sender, executeUntil } of wechat.requests) {
    if (sender === undefined) until = Math.min(until, executeUntil);
  }
  return until - now;
}
