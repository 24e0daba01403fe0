import { possibleFaults, type FaultName } from './faults.ts';
import { reasonForUnrest, Violation, violationAtEnd } from './invariants.ts';
import type { Tamper } from './mutations.ts';
import type { Place } from './place.ts';
import { outside, passing, proceeding, tick, waking } from './steps.ts';
import { createWorld, giveValue, settle, startReplica, type World } from './world.ts';

/** One schedule: a seed decides who proceeds, when time passes, and what goes wrong. */
export interface Outcome {
  seed: number;
  violation: Violation | undefined;
  faults: readonly FaultName[];
  steps: number;
  mints: number;
  /** Simulated seconds from the end of the faults until all was quiet. */
  quietAfter: number;
  trace: readonly string[];
}

const REPLICAS = 2;
/** Steps in which faults may happen, and steps after which it is stuck. */
const RISKY_STEPS = 150;
/** Steps after the last of the faults before no further reads and odd jumps of time are tried. */
const STEPS_AFTER_FAULTS = 30;
const MOST_STEPS = 6_000;
const FAULT_CHANCE = { minting: 0.2, otherwise: 0.012 };
const TICK_MS = 60_000;

export async function runSchedule(
  place: Place,
  seed: number,
  tamper?: Tamper,
  prefix = 'interleavings:',
): Promise<Outcome> {
  const world = await createWorld(place, prefix, seed, tamper);
  const { random } = world;
  await giveValue(world, initialLife(world));
  for (let index = 0; index < REPLICAS; index += 1) startReplica(world, index, 0);
  for (const replica of world.replicas) tick(world, replica);
  await settle();

  const budget = random.pick([0, 1, 1, 2, 2, 2, 3, 3, 3, 3]);
  let steps = await runRisky(world, budget);
  const faultsEndedAt = world.now;
  steps += await runToQuiet(world);
  world.violation ??= violationAtEnd(world);
  return {
    seed,
    violation: world.violation,
    steps,
    trace: world.lines,
    faults: world.faults as FaultName[],
    mints: world.wechat.mints.length,
    quietAfter: (world.now - faultsEndedAt) / 1000,
  };
}

/** Seconds that the first value has left. */
function initialLife({ random }: World): number | undefined {
  const kind = random.next();
  if (kind < 0.55) return random.between(301, 900);
  if (kind < 0.75) return random.between(-60, 330);
  if (kind < 0.88) return undefined;
  return random.between(901, 7_000);
}

async function runRisky(world: World, budget: number): Promise<number> {
  const { random } = world;
  let steps = 0;
  let end = RISKY_STEPS;
  for (; steps < end && world.violation === undefined; steps += 1) {
    const minting = world.replicas.some(({ mint }) => mint !== undefined);
    const faultsLeft = world.faults.length < budget;
    if (faultsLeft && random.chance(minting ? FAULT_CHANCE.minting : FAULT_CHANCE.otherwise)) {
      const fault = random.pickWeighted(possibleFaults(world));
      world.faults.push(fault.name);
      await fault.run();
      if (world.faults.length === budget) end = Math.min(end, steps + STEPS_AFTER_FAULTS);
    } else {
      const time = passing(world);
      const options = [...proceeding(world), ...(time ? [time] : [])];
      const external = options.length === 0 || random.chance(0.03) ? outside(world) : [];
      await random.pickWeighted([...options, ...external]).run();
    }
    await settle();
  }
  return steps;
}

/** No more faults; whoever is paused goes on. */
async function runToQuiet(world: World): Promise<number> {
  for (const replica of world.replicas) {
    if (replica.pausedAt === undefined) continue;
    await waking(world, replica).run();
    await settle();
  }
  let nextTick = world.now + TICK_MS;
  for (let steps = 0; world.violation === undefined; steps += 1) {
    if (reasonForUnrest(world) === undefined) return steps;
    if (steps >= MOST_STEPS) {
      world.violation = new Violation('not stuck', reasonForUnrest(world) ?? '');
      return steps;
    }
    if (world.now >= nextTick) {
      for (const replica of world.replicas) tick(world, replica);
      nextTick = world.now + TICK_MS;
    } else {
      const options = proceeding(world);
      const time = passing(world, nextTick - world.now);
      if (time !== undefined) options.push({ ...time, weight: options.length === 0 ? 4 : 1 });
      await world.random.pickWeighted(options).run();
    }
    await settle();
  }
  return 0;
}
