import { setImmediate as microtasksDone } from 'node:timers/promises';
import { readCredential, type Credential } from '../../src/credentials/read.ts';
import { createTokenEncryption } from '../../src/store/redis/token-encryption.ts';
import { createStoreTime } from '../../src/store/redis/time.ts';
import { beginMint, commitMint } from '../../src/store/credentials/mint.ts';
import { CLOCK_START } from '../kit/clock.ts';
import type { Violation } from './invariants.ts';
import { afterWriting, noteAge, violationOfReader, type Marks } from './invariants.ts';
import type { Place } from './place.ts';
import { createRandom, type Random } from './random.ts';
import { createReplica, type Call, type Replica } from './replica.ts';
import type { Tamper } from './mutations.ts';
import { createSharedStore, expireMirror, ID, observe, type SharedStore } from './shared-store.ts';
import { abandon, createWechat, mint, type Request, type Wechat } from './wechat.ts';

/** Everything there is in one schedule, and the elementary things that happen to it. */
export interface World {
  /** Milliseconds, epoch: the one time that all share. */
  now: number;
  random: Random;
  store: SharedStore;
  wechat: Wechat;
  replicas: Replica[];
  /** Commands whose sender has given up or died, and that Redis may still run. */
  ghosts: Call[];
  /** Redis's replication id, and how often it has changed. */
  replicationId: string;
  epoch: number;
  /** The last change of it left no record, not even an empty one. */
  forgotten: boolean;
  marks: Marks;
  /** Faults so far, by name. */
  faults: string[];
  violation: Violation | undefined;
  lines: string[];
  tamper: Tamper | undefined;
  trace(line: string): void;
  /** A name for an operation id, which is random in the real code. */
  operation(id: string): string;
  abandon(request: Request): void;
}

const LIFE_MS = 7_200_000;

export async function createWorld(
  place: Place,
  prefix: string,
  seed: number,
  tamper: Tamper | undefined,
): Promise<World> {
  const operations = new Map<string, string>();
  const world: World = {
    now: CLOCK_START,
    random: createRandom(seed),
    store: await createSharedStore(place, prefix),
    wechat: createWechat(LIFE_MS),
    replicas: [],
    ghosts: [],
    faults: [],
    lines: [],
    violation: undefined,
    tamper,
    replicationId: await place.replicationId(),
    epoch: 0,
    forgotten: false,
    marks: { highest: 0, due: new Set(), urgent: false, given: 0, lateMs: 0 },
    trace(line) {
      const seconds = ((world.now - CLOCK_START) / 1000).toFixed(3).padStart(9);
      world.lines.push(`${seconds} s  ${line}`);
    },
    operation(id) {
      const known = operations.get(id);
      if (known !== undefined) return known;
      const name = /^op\d+$/.test(id) ? id : `op${operations.size + 1}`;
      operations.set(id, name);
      return name;
    },
    abandon: (request) => abandon(world.wechat, request, world.now),
  };
  return world;
}

/** A value that was obtained before the schedule starts; undefined seconds for none. */
export async function giveValue(world: World, leftSeconds: number | undefined): Promise<void> {
  if (leftSeconds !== undefined) {
    const at = world.now - LIFE_MS + leftSeconds * 1000;
    const made = mint(world.wechat, at);
    const { redis, keys } = world.store;
    const time = { ...createStoreTime({ ...NO_CLOCK, simulatedStoreNow: () => at }) };
    const store = { redis, keys, time, encryption: createTokenEncryption([]) };
    const operation = world.operation('before');
    const budget = { most: 30, spare: 6, dailyCalls: 0 };
    const begun = await beginMint(store, ID, {
      operation,
      judgedSeq: 0,
      ignoreBackoff: false,
      needed: true,
      budget,
    });
    if (begun.outcome !== 'granted') throw new Error(`not granted: ${begun.outcome}`);
    await commitMint(store, ID, {
      operation,
      begin: begun.begin,
      epoch: begun.epoch,
      value: made.value,
      lifeMs: LIFE_MS,
      ageMs: 0,
      reason: 'before',
      replica: 'before',
      doubtful: false,
      singleUse: false,
      authEpoch: 0,
      refreshToken: undefined,
    });
    world.marks.given = 1;
    world.marks.highest = made.number;
    await observe(world.store, at);
    world.store.past = world.store.past.slice(-1);
    await expireMirror(world.store, world.now);
    world.trace(`${made.value} is stored and has ${leftSeconds} s left`);
  } else world.trace('no value was ever obtained');
  noteAge(world);
}

const NO_CLOCK = {
  now: () => 0,
  monotonic: () => 0,
  random: () => 0.5,
  setTimer: () => () => undefined,
};

/** Lets everything that can go on without the scheduler come to its next point. */
export async function settle(): Promise<void> {
  await microtasksDone();
}

/** Redis runs a command. */
export async function runCall(world: World, call: Call, by: string): Promise<void> {
  const { script, sha, keys, args } = call;
  const tampered = world.tamper?.arguments?.(script, args) ?? args;
  const { redis } = world.store;
  // In production the script reads Redis's clock as it runs.
  const json = JSON.stringify({ ...tampered, now: world.now });
  call.ran = true;
  call.reply = await redis.evalsha(sha, keys.length, ...keys, json);
  world.trace(`${by}: ${script} runs ${describe(call)}`);
  if (script === 'read-record') return;
  await world.tamper?.after?.(script, world.store);
  if (script === 'commit-mint') {
    world.marks.lateMs = Math.max(world.marks.lateMs, world.now - call.since);
  }
  await afterWriting(world, script);
}

function describe({ script, args, reply }: Call): string {
  const operation = typeof args.operation === 'string' ? `${args.operation} ` : '';
  const value = typeof args.value === 'string' ? `${args.value} ` : '';
  if (script !== 'read-record') {
    // Without the replication id, which differs from run to run.
    const told = Array.isArray(reply) ? reply.slice(0, 2).join(' ') : String(reply);
    return `${operation}${value}-> ${told}`;
  }
  const [flat] = reply as [string[] | null];
  if (flat === null) return '-> as it was';
  const found = (name: string) => flat[flat.indexOf(name) + 1];
  const parts = ['value', 'seq', 'suspect', 'intents', 'refused_seq'].filter((name) =>
    flat.includes(name),
  );
  return `-> ${parts.map((name) => `${name} ${found(name) ?? ''}`).join(', ') || 'nothing'}`;
}

export async function advance(world: World, ms: number): Promise<void> {
  world.now += ms;
  await expireMirror(world.store, world.now);
  noteAge(world);
}

export function startReplica(world: World, index: number, generation: number): void {
  const name = generation === 0 ? `replica ${index + 1}` : `replica ${index + 1}.${generation}`;
  world.replicas[index] = createReplica(world, name);
}

/** A service asks a replica for the value. */
export function readAt(world: World, replica: Replica): void {
  const { context, keeper } = replica;
  world.trace(`${replica.name}: a service asks for the value`);
  const check = (credential: Credential) => {
    world.trace(`${replica.name}: the service gets ${credential.value}`);
    world.violation ??= violationOfReader(world, credential);
  };
  readCredential({ ...context, keeper }, ID).then(check, (error: unknown) => {
    world.trace(`${replica.name}: the service gets an error: ${String(error)}`);
  });
}
