import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { PushOutcome } from './handlers/handler.ts';

/**
 * Messages of accounts, told as numbers once a minute: a platform gets those of all users of all its
 * accounts, and a line for each would drown what somebody must read. At `debug` each has its line.
 */
export interface MessageTally {
  count(component: string, outcome: PushOutcome): void;
  /** Tells at once what was counted and not told; for the end of the process. */
  tell(): void;
}

/** Milliseconds from the first message to the line about it and those that followed. */
const TELL_MS = 60_000;

export function createMessageTally(log: Log, clock: Clock): MessageTally {
  const counted = new Map<string, Partial<Record<PushOutcome, number>>>();
  let cancel: (() => void) | undefined;
  function tell(): void {
    cancel?.();
    cancel = undefined;
    for (const [component, outcomes] of counted) {
      log.info('messages accepted', { component, ...outcomes });
    }
    counted.clear();
  }
  return {
    count(component, outcome) {
      const outcomes = counted.get(component) ?? {};
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      counted.set(component, outcomes);
      cancel ??= clock.setTimer(TELL_MS, tell);
    },
    tell,
  };
}
