import type { Service } from '../../src/service.ts';
import type { Clock } from '../../src/lib/clock.ts';
import type { StartCron } from '../../src/schedule/cron.ts';
import type { ManualClock } from '../kit/clock.ts';
import type { TcpProxy } from '../kit/tcp-proxy.ts';
import { TODAY, type Version } from './former.ts';
import type { Journal } from './journal.ts';
import type { Ears } from './targets.ts';

/** One replica of the service inside this process, with a clock that can be wrong or stand still. */
export interface Replica {
  name: string;
  /** Of its next app. */
  version: Version;
  clock: ReplicaClock;
  app: Service;
  /** `frozen`: its timers and WeChat's answers wait. `down`: stopped or crashed. */
  state: 'up' | 'frozen' | 'down';
  /** Between this replica and WeChat. */
  wire: TcpProxy;
  /** The wire is broken: calls may hang. */
  cutOff: boolean;
  /** What its app hears of the targets of its routes. */
  ears: Ears;
  makeApp(clock: ReplicaClock): Service;
  newClock(): ReplicaClock;
}

export interface ReplicaClock extends Clock {
  /** From now on timers wait until `thaw`. */
  freeze(): void;
  /** Fires what has waited, in the order in which it was due. */
  thaw(): void;
  /** Moves this replica's wall clock only. */
  jump(ms: number): void;
}

/** What wall clock, timers and chance of one replica make of the one true clock. */
export function createReplicaClock(clock: ManualClock, random: () => number): ReplicaClock {
  let wallOffset = 0;
  let frozen = false;
  const waiting: (() => void)[] = [];
  return {
    // Whole milliseconds, as real clocks show.
    now: () => Math.floor(clock.now()) + wallOffset,
    monotonic: () => clock.monotonic(),
    random,
    simulatedStoreNow: () => Math.floor(clock.simulatedStoreNow()),
    setTimer(delayMs, fn) {
      const one = { cancelled: false };
      const fire = () => {
        if (one.cancelled) return;
        if (frozen) waiting.push(fire);
        else fn();
      };
      const cancel = clock.setTimer(delayMs, fire);
      return () => {
        one.cancelled = true;
        cancel();
      };
    },
    freeze: () => void (frozen = true),
    thaw() {
      frozen = false;
      for (const fire of waiting.splice(0)) fire();
    },
    jump: (ms) => void (wallOffset += ms),
  };
}

const CRON_MS = 600_000;

/** Ticks at every tenth minute of the replica's wall clock. */
function createCron(clock: Clock): StartCron {
  return ({ onTick }) => {
    const next = () => CRON_MS - (clock.now() % CRON_MS);
    let cancel = () => {};
    const plan = () => {
      cancel = clock.setTimer(next(), () => {
        plan();
        void onTick('cron');
      });
    };
    plan();
    return {
      nextTicks: (count) =>
        Array.from({ length: count }, (_, index) => clock.now() + next() + index * CRON_MS),
      stop: () => cancel(),
    };
  };
}

/** Makes a replica that is not started yet. */
export function createReplica(
  name: string,
  /** Of its next app. */
  settings: () => { env: Record<string, string>; ears: Ears },
  journal: Journal,
  wire: TcpProxy,
  newClock: () => ReplicaClock,
  version: Version = TODAY,
): Replica {
  const makeApp = (made: Version, clock: ReplicaClock, env: Record<string, string>) => {
    const config = made.loadConfig(env);
    const secrets = made.secretsOf(config);
    return made.createService(config, {
      clock,
      startCron: createCron(clock),
      log: made.createLog({ level: 'info', secrets, stream: journal.stream(name) }),
    });
  };
  const clock = newClock();
  const first = settings();
  const replica: Replica = {
    name,
    version,
    clock,
    app: makeApp(version, clock, first.env),
    state: 'down',
    wire,
    cutOff: false,
    ears: first.ears,
    makeApp(next) {
      const { env, ears } = settings();
      replica.ears = ears;
      return makeApp(replica.version, next, env);
    },
    newClock,
  };
  return replica;
}
