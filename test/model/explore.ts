import { eventsOf, type Setup } from './events.ts';
import { fingerprint } from './fingerprint.ts';
import { isHealthy, violatedBy, violatedOnTheWay, type Invariant } from './invariants.ts';
import { createWorld, type World } from './world.ts';

export interface Exploration {
  states: number;
  transitions: number;
  seconds: number;
  /** The first violation found; breadth first, so no shorter way leads to one. */
  violation: Violation | undefined;
}

export interface Violation {
  invariant: Invariant;
  /** What happened from the start, in words. */
  trace: string[];
}

/** Every world seen, in the order of discovery, with the way to it. */
class Seen {
  private readonly places = new Map<string, number>();
  private readonly parents: number[] = [];
  private readonly choices: number[] = [];

  get size(): number {
    return this.parents.length;
  }

  /** The place of a world, and whether it is new. */
  add(world: World, parent: number, choice: number): { place: number; isNew: boolean } {
    const key = fingerprint(world);
    const known = this.places.get(key);
    if (known !== undefined) return { place: known, isNew: false };
    const place = this.parents.length;
    this.places.set(key, place);
    this.parents.push(parent);
    this.choices.push(choice);
    return { place, isNew: true };
  }

  wayTo(place: number): number[] {
    const way: number[] = [];
    for (let at = place; at > 0; at = this.parents[at] ?? 0) way.push(this.choices[at] ?? 0);
    return way.reverse();
  }
}

/** Visits every reachable world, breadth first, and stops at the first violation. */
export function explore(setup: Setup): Exploration {
  const startedAt = performance.now();
  const first = createWorld(setup.bounds.replicas, setup.bounds.start);
  const seen = new Seen();
  seen.add(first, 0, 0);
  const steps: Steps = { from: [], to: [] };
  const healthy: number[] = [];
  let layer: { world: World; place: number }[] = [{ world: first, place: 0 }];
  let transitions = 0;

  const done = (found?: { invariant: Invariant; way: number[] }): Exploration => ({
    states: seen.size,
    transitions,
    seconds: (performance.now() - startedAt) / 1000,
    violation: found && { invariant: found.invariant, trace: tell(setup, found.way) },
  });

  while (layer.length > 0) {
    const following: typeof layer = [];
    for (const { world, place } of layer) {
      if (isHealthy(world)) healthy.push(place);
      for (const [choice, event] of eventsOf(world, setup).entries()) {
        transitions += 1;
        const { place: nextPlace, isNew } = seen.add(event.next, place, choice);
        const invariant =
          violatedOnTheWay(world, event) ??
          (isNew ? violatedBy(event.next, setup.bounds) : undefined);
        if (invariant) return done({ invariant, way: [...seen.wayTo(place), choice] });
        if (isNew) following.push({ world: event.next, place: nextPlace });
        if (event.kind === 'step' && nextPlace !== place) {
          steps.from.push(place);
          steps.to.push(nextPlace);
        }
      }
    }
    layer = following;
  }
  const stuck = firstWithoutWay(seen.size, steps, healthy);
  return stuck === undefined ? done() : done({ invariant: 'not stuck', way: seen.wayTo(stuck) });
}

interface Steps {
  from: number[];
  to: number[];
}

/** The first state from which ordinary steps alone never lead to a healthy one. */
function firstWithoutWay(size: number, { from, to }: Steps, healthy: number[]): number | undefined {
  // Edges backward, grouped by their target: those into `place` are at offsets[place] and after.
  const offsets = new Uint32Array(size + 1);
  for (const place of to) offsets[place + 1] = (offsets[place + 1] ?? 0) + 1;
  for (let place = 0; place < size; place += 1) {
    offsets[place + 1] = (offsets[place + 1] ?? 0) + (offsets[place] ?? 0);
  }
  const filled = offsets.slice();
  const sources = new Uint32Array(from.length);
  from.forEach((source, edge) => {
    const target = to[edge] ?? 0;
    const offset = filled[target] ?? 0;
    sources[offset] = source;
    filled[target] = offset + 1;
  });
  const reaches = new Uint8Array(size);
  const open = [...healthy];
  for (const place of healthy) reaches[place] = 1;
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    for (let at = offsets[place] ?? 0; at < (offsets[place + 1] ?? 0); at += 1) {
      const source = sources[at] ?? 0;
      if (reaches[source] === 1) continue;
      reaches[source] = 1;
      open.push(source);
    }
  }
  const stuck = reaches.indexOf(0);
  return stuck === -1 ? undefined : stuck;
}

/** Goes the way once more and says what happens on it; runs of ticks become one line. */
function tell(setup: Setup, way: number[]): string[] {
  const lines: string[] = [];
  let world = createWorld(setup.bounds.replicas, setup.bounds.start);
  let ticks = 0;
  const tellTicks = (): void => {
    if (ticks > 0) lines.push(`${ticks} ${ticks === 1 ? 'tick passes' : 'ticks pass'}`);
    ticks = 0;
  };
  for (const choice of way) {
    const event = eventsOf(world, setup)[choice];
    if (!event)
      throw new Error('the way leads nowhere: events depend on something outside the world');
    world = event.next;
    if (event.what === 'time passes') {
      ticks += 1;
      continue;
    }
    tellTicks();
    lines.push(`${event.kind === 'step' ? '' : `[${event.kind}] `}${event.what}`);
  }
  tellTicks();
  const { record, mints } = world;
  const doubt = record.suspect > 0 ? 'suspect' : 'not suspect';
  lines.push(`then: stored ${record.value} (${doubt}), last minted ${mints}`);
  return lines;
}
