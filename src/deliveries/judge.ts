import { MOST_PAUSE_MS, type AttemptOutcome } from '../store/deliveries/queue.ts';
import { TargetError, type TargetAnswer, type TargetFault } from './target-client.ts';

/** What an answer means for a delivery, and when it is tried again. */

export type AttemptFault = TargetFault | 'no_body' | 'not_sendable';

export interface Judgement {
  outcome: AttemptOutcome;
  /** Of the answer, or why there was none. */
  status: number | AttemptFault;
  againInMs: number;
  /** The target has said how long it wants to be left alone. */
  pauseMs: number | undefined;
}

/** Milliseconds between attempts: together 22 hours. */
const PAUSES_MS = [
  ...[5_000, 30_000, 120_000, 600_000, 1_800_000],
  ...[3_600_000, 7_200_000, 14_400_000, 21_600_000, 28_800_000],
];
export const MOST_ATTEMPTS = PAUSES_MS.length + 1;
/** Source: RFC 9110, 15.5.11: the resource is gone, and that is likely to be permanent. */
const GONE = 410;

/** Of an answer. */
export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/**
 * Only 2xx is success. Which other answer it is does not matter but for two: a target that is gone wants no
 * more, and one that says when it can be asked again is believed.
 * @param attempt the first is 1; 0 inside the answer to WeChat
 * @param now epoch ms
 */
export function judge(
  answer: TargetAnswer | Error,
  attempt: number,
  now: number,
  random: number,
): Judgement {
  const base = PAUSES_MS[Math.max(0, attempt - 1)];
  const againInMs = Math.round((base ?? 0) * (0.8 + 0.4 * random));
  const again = { outcome: base === undefined ? 'dead' : 'again', againInMs } as const;
  if (answer instanceof Error) {
    const status = answer instanceof TargetError ? answer.fault : 'not_sendable';
    return { ...again, status, pauseMs: undefined };
  }
  const { status } = answer;
  if (isSuccess(status)) {
    return { outcome: 'delivered', status, againInMs: 0, pauseMs: undefined };
  }
  // Nothing is lost by it: the delivery waits for whoever lets the target have them again.
  if (status === GONE) return { outcome: 'stop', status, againInMs: 0, pauseMs: undefined };
  const pauseMs = pauseIn(answer, now);
  return { ...again, againInMs: Math.max(againInMs, pauseMs ?? 0), status, pauseMs };
}

/** Seconds or a date. Source: RFC 9110, 10.2.3. */
function pauseIn({ retryAfter = '' }: TargetAnswer, now: number): number | undefined {
  const ms = /^\d{1,9}$/.test(retryAfter)
    ? Number(retryAfter) * 1_000
    : Date.parse(retryAfter) - now;
  return Number.isNaN(ms) || ms <= 0 ? undefined : Math.min(ms, MOST_PAUSE_MS);
}
