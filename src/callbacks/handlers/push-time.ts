import { KeeperError } from '../../lib/errors.ts';
import { SEEN_MS } from '../../store/tickets/event-stream.ts';
import type { HandlerContext, OpenedPush } from './handler.ts';

/**
 * When a push was made, whether it may be a captured one, and for how long it is remembered: decided
 * here and nowhere else, for every kind of push.
 *
 * The signature covers its parts sorted and without a mark between them, so it does not tell timestamp
 * from nonce: a captured push may be sent again with the two exchanged, or with their digits divided
 * otherwise, once the other reading is near our clock. WeChat's nonces are numbers below 2^31, and about
 * one in five of them is such a reading in the years to come. (No more can be shifted: Encrypt is whole
 * AES blocks in canonical base64, so it grows or shrinks by 64 characters at a time, more than a nonce
 * has.) Two rules answer that, and neither refuses a push for its form:
 *
 * - CreateTime is inside the encryption and cannot be changed. One whose signature can also be read as
 *   made after its CreateTime and more than five minutes ago was made then, and is sent again now. A
 *   push that WeChat itself sends late has such a nonce by chance only: one in 600,000 of those that are
 *   an hour late, none of those up to four minutes late. So what has a CreateTime is acceptable for ten
 *   minutes, needs to be remembered for eleven, and is safe when Redis has forgotten it.
 * - What has none, or one that is a day old and more, is remembered until the last of its readings has
 *   passed. Only its fingerprint is, about 220 bytes, and only of such odd pushes.
 */

export interface PushTime {
  /** Epoch ms: CreateTime, or when the push was signed if that is none. */
  at: number;
  /** `at` is what CreateTime says. */
  dated: boolean;
  /** The signed timestamp is close to our clock. */
  timely: boolean;
  /** CreateTime as a moment, believed or not, epoch ms. */
  stated: number | undefined;
  /** What is odd about it, if anything. */
  oddity: TimeOddity | undefined;
  /** Milliseconds for which this very push must be remembered. */
  rememberMs: number;
}

export type TimeOddity =
  | 'missing'
  | 'unreadable'
  /** Believed: thirteen digits are milliseconds. */
  | 'milliseconds'
  | 'ahead'
  | 'before_wechat'
  /** Believed, too: the order of events goes by it. */
  | 'late';

/** Milliseconds by which a signed timestamp may differ from our clock, and CreateTime run ahead of it. */
const MAX_SKEW_MS = 300_000;
/** Milliseconds by which CreateTime may be later than the signature over it: both are WeChat's clock. */
const SAME_CLOCK_MS = 60_000;
/** Milliseconds: WeChat may be late with a push, but hardly by a day. */
const LATE_MS = 24 * 3600 * 1000;
/** WeChat began on that day: what is earlier is no time, above all 0. */
const EARLIEST = Date.UTC(2011, 0, 21);

/**
 * Everything else that the signed timestamp can be read as, epoch ms.
 * @param signed after its shape was checked: ten digits, and letters and digits
 */
export function otherReadings({ timestamp, nonce }: OpenedPush['signed']): number[] {
  const joined = [timestamp, nonce].sort().join('');
  const others = [
    [joined.slice(0, 10), joined.slice(10)] as const,
    [joined.slice(-10), joined.slice(0, -10)] as const,
  ]
    .filter((parts) => /^\d{10}$/.test(parts[0]) && [...parts].sort().join('') === joined)
    .map(([time]) => time)
    .filter((time) => time !== timestamp);
  return [...new Set(others.map((time) => Number(time) * 1000))];
}

/** Judges the time of a push; whether it may be accepted is another question. */
export function timeOf(push: OpenedPush, { store }: Pick<HandlerContext, 'store'>): PushTime {
  const { signed, receivedAt } = push;
  const signedAt = Number(signed.timestamp) * 1000;
  // The later of two clocks, so that one that is behind does not make what is new seem to be ahead.
  const now = Math.max(receivedAt, store.time.now());
  const { stated, oddity } = readCreateTime(push.fields.CreateTime, now);
  const timely = Math.abs(signedAt - receivedAt) <= MAX_SKEW_MS;
  const dated = stated !== undefined && oddity !== 'ahead' && oddity !== 'before_wechat';
  const lasting = oddity !== undefined && oddity !== 'milliseconds';
  const lastReading = lasting ? Math.max(signedAt, ...otherReadings(signed)) : signedAt;
  const acceptableMs = lastReading + MAX_SKEW_MS + SAME_CLOCK_MS - receivedAt;
  return {
    at: dated ? stated : timely ? signedAt : now,
    dated,
    timely,
    stated,
    oddity,
    rememberMs: lasting ? Math.max(SEEN_MS, acceptableMs) : SEEN_MS,
  };
}

/**
 * The time of a push that is not sent again by somebody else; what is odd about it is noted.
 * @throws KeeperError `stale_push`
 */
export function freshTimeOf(
  push: OpenedPush,
  context: Pick<HandlerContext, 'store' | 'log'>,
): PushTime {
  const time = timeOf(push, context);
  if (!time.timely) {
    throw new KeeperError('stale_push', 'timestamp too far from ours', { reason: 'clock' });
  }
  if (time.dated && wasSignedBefore(push, time.at)) {
    context.log.warn('a push was refused: it was signed before and is sent again', facts(push));
    throw new KeeperError('stale_push', 'signed at another time', {
      reason: 'sent_again',
      detail: 'timestamp and nonce are not as they were signed',
    });
  }
  noteOddity(push, time, context);
  return time;
}

/** Says in the log what is odd about the time of a push; the whole of it is in the stream. */
export function noteOddity(
  push: OpenedPush,
  { oddity, stated }: PushTime,
  { log }: Pick<HandlerContext, 'log'>,
): void {
  if (oddity === undefined) return;
  log.warn('a push has an odd CreateTime', {
    ...facts(push),
    oddity,
    // Only if it is a moment: words that nobody knows do not belong in a log.
    create_time: stated === undefined ? undefined : new Date(stated).toISOString(),
  });
}

function wasSignedBefore({ signed, receivedAt }: OpenedPush, made: number) {
  const until = Math.min(made + LATE_MS, receivedAt - MAX_SKEW_MS);
  return otherReadings(signed).some((time) => time >= made - SAME_CLOCK_MS && time < until);
}

function readCreateTime(
  value: unknown,
  now: number,
): { stated: number | undefined; oddity: TimeOddity | undefined } {
  const text = typeof value === 'string' ? value.trim() : undefined;
  if (text === '' || value === undefined) return { stated: undefined, oddity: 'missing' };
  if (text === undefined || !/^\d{1,13}$/.test(text)) {
    return { stated: undefined, oddity: 'unreadable' };
  }
  const milliseconds = text.length === 13;
  const stated = Number(text) * (milliseconds ? 1 : 1000);
  if (stated > now + MAX_SKEW_MS) return { stated, oddity: 'ahead' };
  if (stated < EARLIEST) return { stated, oddity: 'before_wechat' };
  if (stated <= now - LATE_MS) return { stated, oddity: 'late' };
  return { stated, oddity: milliseconds ? 'milliseconds' : undefined };
}

function facts({ requestId, componentAppid, fields }: OpenedPush) {
  const { InfoType, MsgType, Event } = fields;
  return { request_id: requestId, component: componentAppid, type: InfoType ?? Event ?? MsgType };
}
