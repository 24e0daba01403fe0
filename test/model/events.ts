import { begin, commit, fail, wantsMint, type MintRecord } from './protocol.ts';
import type { Rules, Ticks } from './rules.ts';
import { IDLE, isDue, passTick, type Replica, type Stage, type World } from './world.ts';

/** What may happen in a world, and how much of it. */
export interface Bounds {
  readonly replicas: number;
  /** A value is there at the start, or none was ever obtained. */
  readonly start: 'live' | 'missing';
  readonly windows: number;
  readonly faults: number;
  readonly failovers: number;
  /** The most writes that a failover may lose. */
  readonly lostWrites: number;
  /** How far an unrefreshed value may age. */
  readonly ages: 'due' | 'urgent' | 'expired';
  /** Whether the accepted residual is left out; without that it must be found. */
  readonly residual: 'excluded' | 'included';
}

export interface Setup {
  readonly bounds: Bounds;
  readonly rules: Rules;
}

export type Kind = 'step' | 'aging' | 'fault' | 'failover';

export interface Event {
  readonly kind: Kind;
  readonly what: string;
  readonly next: World;
}

/** Every event that may happen next. */
export function eventsOf(world: World, setup: Setup): Event[] {
  const events = [...agingEvents(world, setup), ...failovers(world, setup)];
  world.replicas.forEach((replica, index) => {
    const on = new ReplicaEvents(world, setup, replica, index);
    on.addSteps();
    if (world.spent.faults < setup.bounds.faults) on.addFaults();
    events.push(...on.events);
  });
  world.orphans.forEach((_, index) => {
    const orphans = world.orphans.filter((__, other) => other !== index);
    const next = { ...world, orphans, mints: world.mints + 1 };
    events.push({
      kind: 'step',
      what: `WeChat executes an abandoned request: mint ${next.mints}`,
      next,
    });
  });
  return events;
}

function agingEvents(world: World, { bounds, rules }: Setup): Event[] {
  const { record, spent, dueUpTo, urgentUpTo, expiredUpTo } = world;
  const { value } = record;
  const events: Event[] = [];
  const add = (kind: Kind, what: string, next: World): void =>
    void events.push({ kind, what, next });
  if (value > dueUpTo && spent.windows < bounds.windows) {
    const windows = spent.windows + 1;
    add('aging', `value ${value} becomes due`, {
      ...world,
      dueUpTo: value,
      spent: { ...spent, windows },
    });
  }
  if (bounds.ages !== 'due' && value <= dueUpTo && value > urgentUpTo) {
    add('aging', `value ${value} becomes urgent`, { ...world, urgentUpTo: value });
  }
  if (bounds.ages === 'expired' && value <= urgentUpTo && value > expiredUpTo) {
    add('aging', `value ${value} expires`, { ...world, expiredUpTo: value });
  }
  if (countsTime(world) && world.replicas.every((replica) => canWait(replica, rules.ticks))) {
    add('step', 'time passes', passTick(world, rules.ticks));
  }
  return events;
}

function countsTime({ record, replicas, orphans }: World): boolean {
  const { lock, intents, settle, quarantine } = record;
  return (
    lock !== undefined ||
    settle > 0 ||
    quarantine > 0 ||
    orphans.length > 0 ||
    intents.some(({ left }) => left > 0) ||
    replicas.some(({ at }) => at === 'begun' || at === 'checked' || at === 'sent')
  );
}

/** Without a pause, local steps take no time, but begin's reply and WeChat may be slow up to their limit. */
function canWait(replica: Replica, ticks: Ticks): boolean {
  if (replica.asleep || replica.at === 'idle' || replica.at === 'unsure') return true;
  if (replica.at === 'begun') return replica.age < ticks.sendWithin;
  return replica.at === 'sent' && replica.age < ticks.flight;
}

function failovers(world: World, { bounds }: Setup): Event[] {
  const { spent, past, epoch } = world;
  if (spent.failovers >= bounds.failovers) return [];
  return [world.record, ...past].map((record, lost) => ({
    kind: 'failover' as const,
    what: `Redis fails over and loses ${lost} writes`,
    next: {
      ...world,
      record,
      past: [],
      epoch: epoch + 1,
      spent: { ...spent, failovers: spent.failovers + 1 },
    },
  }));
}

class ReplicaEvents {
  readonly events: Event[] = [];
  private readonly world: World;
  private readonly setup: Setup;
  private readonly replica: Replica;
  private readonly index: number;

  constructor(world: World, setup: Setup, replica: Replica, index: number) {
    this.world = world;
    this.setup = setup;
    this.replica = replica;
    this.index = index;
  }

  addSteps(): void {
    const { world, setup, replica } = this;
    const { rules } = setup;
    const around = { epoch: world.epoch, expiredUpTo: world.expiredUpTo, rules };
    const { record } = world;
    switch (replica.at) {
      case 'idle': {
        if (!wantsMint(record, isDue(world), around)) return;
        const needed = record.value <= world.urgentUpTo;
        this.add('reads the record and sees a reason to mint', {
          at: 'judged',
          seq: record.seq,
          needed,
        });
        return;
      }
      case 'judged': {
        const op = world.lastOperation + 1;
        const begun = begin(record, { op, judgedSeq: replica.seq, needed: replica.needed }, around);
        const held = { op, begin: begun.granted, epoch: world.epoch };
        if (begun.granted === 0) this.add('is refused', { at: 'idle' }, begun.record);
        else this.add(`begins at ${held.begin}`, { at: 'begun', ...held, age: 0 }, begun.record);
        return;
      }
      case 'begun':
        if (rules.abortLateSend && replica.age > rules.ticks.sendWithin) {
          this.add('finds that begin was too long ago', {
            ...replica,
            at: 'gaveUp',
            slept: 0,
            maybe: false,
          });
        } else this.add('may send', { ...replica, at: 'checked', slept: 0 });
        return;
      case 'checked': {
        const left = rules.ticks.flight + rules.ticks.late;
        this.add('sends its request', { ...replica, at: 'sent', age: 0, left, value: 0 });
        return;
      }
      case 'sent':
        this.addWeChat();
        return;
      case 'answered':
      case 'unsure': {
        const again = replica.at === 'unsure' ? ' once more' : '';
        this.add(
          `commits mint ${replica.value}${again}`,
          { at: 'idle' },
          commit(record, replica, around),
        );
        return;
      }
      case 'gaveUp': {
        const text = replica.maybe ? 'that WeChat may have minted' : 'that nothing was minted';
        this.add(`reports failure, and ${text}`, { at: 'idle' }, fail(record, replica, around));
      }
    }
  }

  private addWeChat(): void {
    const { replica, world, setup } = this;
    if (replica.at !== 'sent') return;
    if (replica.value === 0 && replica.left > 0) {
      const mints = world.mints + 1;
      const what = `WeChat executes the request: mint ${mints}`;
      // A sleeper stays asleep: this is not its own step.
      this.push('step', what, { ...replica, value: mints }, { ...world, mints });
    }
    if (replica.value > 0) this.add('gets its answer', { ...replica, at: 'answered' });
    // A sleeper that wakes after its deadline gives up first; what it slept through is one fault.
    if (replica.asleep && replica.age >= setup.rules.ticks.flight)
      this.addGivingUp('step', 'gives up');
  }

  addFaults(): void {
    const { replica, world } = this;
    const { at } = replica;
    if (at === 'idle') return;
    const spent = { ...world.spent, faults: world.spent.faults + 1 };
    const after: World = { ...world, spent };
    const { epoch, expiredUpTo } = world;
    if (!replica.asleep && at !== 'unsure') {
      this.push('fault', 'is paused', { ...replica, asleep: true }, after);
    }
    if (this.mayCrash()) {
      const orphan = at === 'sent' && replica.value === 0 && replica.left > 0;
      const orphans = orphan ? [...world.orphans, this.lateTicks(replica.left)] : world.orphans;
      this.push('fault', 'crashes', IDLE, { ...after, orphans });
    }
    if (at === 'sent' && !replica.asleep)
      this.addGivingUp('fault', 'loses the answer and gives up');
    if (at === 'answered') {
      const record = commit(world.record, replica, { epoch, expiredUpTo, rules: this.setup.rules });
      const { op, begin: begun, epoch: epochThen, value } = replica;
      const unsure: Replica = {
        at: 'unsure',
        asleep: false,
        op,
        begin: begun,
        epoch: epochThen,
        value,
      };
      this.push(
        'fault',
        `commits mint ${value}, the reply is lost`,
        unsure,
        this.written(after, record),
      );
    }
  }

  private addGivingUp(kind: 'step' | 'fault', what: string): void {
    const { replica, world } = this;
    if (replica.at !== 'sent') return;
    const abandoned = replica.value === 0 && replica.left > 0;
    const orphans = abandoned ? [...world.orphans, this.lateTicks(replica.left)] : world.orphans;
    const faults = world.spent.faults + (kind === 'fault' ? 1 : 0);
    const after = { ...world, orphans, spent: { ...world.spent, faults } };
    this.push(kind, what, { ...replica, at: 'gaveUp', maybe: true, asleep: false }, after);
  }

  private lateTicks(left: number): number {
    return Math.min(left, this.setup.rules.ticks.late);
  }

  /**
   * The accepted residual: asleep between check and sending for so long that the request may be
   * executed after everything that stands for it is over, and then dead without a word.
   */
  private mayCrash(): boolean {
    const { replica, world, setup } = this;
    if (setup.bounds.residual === 'included' || !('slept' in replica)) return true;
    if (replica.at === 'checked' || replica.slept === 0) return true;
    const { sendWithin, flight, late, intent, quarantine } = setup.rules.ticks;
    const standsFor = replica.epoch === world.epoch ? intent : quarantine;
    return sendWithin + replica.slept + flight + late <= standsFor;
  }

  private add(what: string, stage: Stage, record: MintRecord = this.world.record): void {
    const { world, replica } = this;
    const lastOperation = replica.at === 'judged' ? world.lastOperation + 1 : world.lastOperation;
    const next = this.written({ ...world, lastOperation }, record);
    this.push('step', what, { ...stage, asleep: false }, next);
  }

  private written(world: World, record: MintRecord): World {
    if (record === this.world.record) return world;
    const { bounds } = this.setup;
    const left = bounds.failovers > world.spent.failovers ? bounds.lostWrites : 0;
    return { ...world, record, past: [this.world.record, ...world.past].slice(0, left) };
  }

  private push(kind: Kind, what: string, replica: Replica, world: World): void {
    const replicas = world.replicas.map((old, index) => (index === this.index ? replica : old));
    this.events.push({
      kind,
      what: `replica ${this.index + 1} ${what}`,
      next: { ...world, replicas },
    });
  }
}
