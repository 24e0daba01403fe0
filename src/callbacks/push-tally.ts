import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { ServedUrl } from '../store/tickets/refused-pushes.ts';
import type { PushOutcome } from './handlers/handler.ts';

/**
 * Pushes that were accepted, told as numbers once a minute where there are many: a platform gets the
 * messages of all users of all its accounts, and a line for each would drown what somebody must read.
 * Events of the platform are few and matter one by one, so each has its line, unless there is a flood.
 * At `debug` every push has one.
 */
export interface PushTally {
  /** @returns whether it has a line of its own, which the caller writes */
  count(component: string, url: ServedUrl, outcome: PushOutcome): boolean;
  /** Tells at once what was counted and not told; for the end of the process. */
  tell(): void;
}

/** Milliseconds from the first push to the lines about it and those that followed. */
const TELL_MS = 60_000;
/** Events of one platform with a line of their own between two such lines. */
const MOST_LINES = 60;

type Outcomes = Partial<Record<PushOutcome, number>>;

export function createPushTally(log: Log, clock: Clock): PushTally {
  const lines = new Map<string, number>();
  const untold = { event: new Map<string, Outcomes>(), message: new Map<string, Outcomes>() };
  let cancel: (() => void) | undefined;
  function tell(): void {
    cancel?.();
    cancel = undefined;
    lines.clear();
    for (const [component, outcomes] of untold.event) {
      log.info('more pushes accepted', { component, ...outcomes });
    }
    for (const [component, outcomes] of untold.message) {
      log.info('messages accepted', { component, ...outcomes });
    }
    untold.event.clear();
    untold.message.clear();
  }
  return {
    count(component, url, outcome) {
      cancel ??= clock.setTimer(TELL_MS, tell);
      const told = lines.get(component) ?? 0;
      if (url === 'event' && told < MOST_LINES) {
        lines.set(component, told + 1);
        return true;
      }
      const outcomes = untold[url].get(component) ?? {};
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      untold[url].set(component, outcomes);
      return false;
    },
    tell,
  };
}
