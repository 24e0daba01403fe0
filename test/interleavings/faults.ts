import { reportInvalid, createReportLimit } from '../../src/credentials/report-invalid.ts';
import { isIdle, remove, type Call, type Replica } from './replica.ts';
import { failOver, ID, observe, storedNow } from './shared-store.ts';
import { noteAge } from './invariants.ts';
import { abandon, lostAnswer } from './wechat.ts';
import { startReplica, type World } from './world.ts';

/** What can go wrong, and how; `weight` says how often. */
export interface Fault {
  name: FaultName;
  weight: number;
  run(): Promise<void> | void;
}

export const FAULT_NAMES = [
  'replica paused',
  'replica killed',
  'answer lost at once',
  'answer never comes',
  'reply of Redis lost',
  'Redis not reached',
  'command lands late',
  'record deleted',
  'mirror deleted',
  'failover',
  'value reported dead',
] as const;
export type FaultName = (typeof FAULT_NAMES)[number];

/** Milliseconds for which a request, an intent and the quarantine stand: 2 + 8 + 10 s, 60 s, 25 s. */
const REQUEST_MS = 20_000;
const INTENT_MS = 60_000;
const QUARANTINE_MS = 25_000;
const MOST_LOST_WRITES = 3;

/** The faults that can happen now; what the protocol is known not to bear is left out. */
export function possibleFaults(world: World): Fault[] {
  const faults = world.replicas.flatMap((replica) => [
    ...replicaFaults(world, replica),
    ...replica.calls.flatMap((call) => redisFaults(world, replica, call)),
  ]);
  return [...faults, ...answerFaults(world), ...handFaults(world)];
}

function replicaFaults(world: World, replica: Replica): Fault[] {
  const { name } = replica;
  const faults: Fault[] = [];
  if (replica.pausedAt === undefined && !isWaitingForNothing(world, replica)) {
    const run = () => {
      replica.pausedAt = world.now;
      world.trace(`FAULT ${name} is paused`);
    };
    // Between check and sending it hurts most.
    const weight = replica.unsent.length > 0 ? 12 : replica.mint ? 4 : 0.3;
    faults.push({ name: 'replica paused', weight, run });
  }
  if (!isResidual(world, replica)) {
    const run = () => kill(world, replica);
    const sleptMs = replica.mint?.sleptMs;
    const weight = sleptMs === undefined ? 0.5 : sleptMs > 0 ? 20 : 4;
    faults.push({ name: 'replica killed', weight: replica.mint ? weight : 0.2, run });
  }
  return faults;
}

function isWaitingForNothing({ wechat }: World, replica: Replica): boolean {
  return isIdle(replica) && wechat.requests.every(({ name }) => name !== replica.name);
}

/**
 * Accepted: a request that can be executed after everything that stands for it is over, when its
 * sender cannot say so any more. Either it left late, or Redis failed over to a state in which the
 * record had never existed, so that nothing tells of the failover.
 */
function isResidual(world: World, { mint }: Replica): boolean {
  if (mint?.sleptMs === undefined) return false;
  const standsFor = mint.epoch === world.epoch ? INTENT_MS : world.forgotten ? 0 : QUARANTINE_MS;
  return mint.sleptMs + REQUEST_MS > standsFor;
}

/** The same the other way round: the sender is dead already. */
function mayForgetAnOrphan({ wechat, store }: World): boolean {
  const reachable = store.past.slice(-1 - MOST_LOST_WRITES);
  return (
    wechat.requests.some(({ sender }) => sender === undefined) &&
    reachable.some(({ fields }) => fields.epoch === undefined)
  );
}

function kill(world: World, replica: Replica): void {
  world.trace(`FAULT ${replica.name} is killed`);
  for (const request of world.wechat.requests) {
    if (request.name === replica.name) abandon(world.wechat, request, world.now);
  }
  const index = world.replicas.indexOf(replica);
  const generation = Number(replica.name.split('.')[1] ?? 0) + 1;
  startReplica(world, index, generation);
  const started = world.replicas[index];
  void started?.keeper.ensureFresh(ID, 'start');
}

function redisFaults(world: World, replica: Replica, call: Call): Fault[] {
  const important = call.script === 'read-record' ? 0.2 : 4;
  const fail = (what: string) => {
    remove(replica.calls, call);
    world.trace(`FAULT ${replica.name}: ${call.script} fails, ${what}`);
    call.reject(new Error('Connection is closed.'));
  };
  if (call.ran) {
    const run = () => fail('its reply is lost');
    return [{ name: 'reply of Redis lost', weight: important, run }];
  }
  // A fail that is never written is as good as a crash.
  if (isResidual(world, replica)) return [];
  return [
    { name: 'Redis not reached', weight: important / 2, run: () => fail('not sent') },
    {
      name: 'command lands late',
      weight: important / 2,
      run() {
        fail('and runs later');
        world.ghosts.push(call);
      },
    },
  ];
}

function answerFaults(world: World): Fault[] {
  return world.wechat.requests.flatMap((request): Fault[] => {
    const { sender, name } = request;
    if (sender === undefined || request.silent) return [];
    const atOnce = () => {
      world.trace(`FAULT ${name}: the connection to WeChat breaks`);
      abandon(world.wechat, request, world.now);
      sender.reject(lostAnswer('unreachable'));
    };
    const never = () => {
      world.trace(`FAULT the answer for ${name} will not come`);
      request.silent = true;
    };
    return [
      { name: 'answer lost at once', weight: 2, run: atOnce },
      { name: 'answer never comes', weight: 3, run: never },
    ];
  });
}

function handFaults(world: World): Fault[] {
  const { store, replicas, random } = world;
  const { mirror, fields } = storedNow(store);
  const faults: Fault[] = [
    {
      name: 'failover',
      weight: replicas.some(({ mint }) => mint !== undefined) ? 2 : 0.2,
      async run() {
        const lost = random.between(0, MOST_LOST_WRITES);
        await failOver(store, lost, world.now);
        world.replicationId = await store.place.replicationId();
        world.epoch += 1;
        const { value, epoch } = storedNow(store).fields;
        world.forgotten = epoch === undefined;
        world.marks.highest = Number(value?.slice(1) ?? 0);
        world.trace(`FAULT Redis fails over, loses ${lost} writes and has ${value ?? 'nothing'}`);
        noteAge(world);
      },
    },
  ];
  if (world.faults.includes('failover') || mayForgetAnOrphan(world)) faults.pop();
  const removal = (name: FaultName, key: string): Fault => ({
    name,
    weight: 0.2,
    async run() {
      await store.redis.del(key);
      await observe(store, world.now);
      world.trace(`FAULT ${name}`);
      noteAge(world);
    },
  });
  if (mirror !== undefined) faults.push(removal('mirror deleted', store.keys.mirror(ID)));
  if (allRemember(world)) faults.push(removal('record deleted', store.keys.record(ID)));
  const awake = replicas.filter(({ pausedAt }) => pausedAt === undefined);
  const seq = Number(fields.seq ?? 0);
  if (awake.length > 0 && seq > 0) {
    const run = () => report(world, random.pick(awake), seq);
    faults.push({ name: 'value reported dead', weight: 0.3, run });
  }
  return faults;
}

/**
 * A record that is deleted takes with it what is open, such as a doubt; a replica that knows only an
 * older value gives that one back. Only where neither is so must a deletion do no harm.
 */
function allRemember({ replicas, store, replicationId: id, wechat, ghosts }: World): boolean {
  const { value, lock_op: lock, intents, suspect, epoch } = storedNow(store).fields;
  if (value === undefined || (lock ?? intents ?? suspect) !== undefined || epoch !== id)
    return false;
  if (wechat.requests.length + ghosts.length > 0) return false;
  return replicas.every(({ context }) => context.memory.recall(ID)?.value === value);
}

function report(world: World, { name, context, keeper }: Replica, seq: number): void {
  const { clock } = context;
  world.trace(`FAULT ${name}: a service reports seq ${seq} dead`);
  const complaint = { seq, errcode: 40001, caller: 'a service', mayRead: true };
  const told = (text: string) => world.trace(`${name}: the service is told: ${text}`);
  reportInvalid({ ...context, keeper, complaints: createReportLimit(clock) }, ID, complaint).then(
    ({ outcome, current }) => told(`${outcome}, ${current.value}`),
    (error: unknown) => told(String(error)),
  );
}
