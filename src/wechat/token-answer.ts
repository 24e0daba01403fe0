import { WechatError, type WechatAnswer } from './client.ts';

/** What the calls that issue a value have in common: how the value and its life are read. */

/** Assumed when `expires_in` is missing or odd: a minted value is never thrown away for that. */
const ASSUMED_LIFE_SECONDS = 600;
const MAX_VALUE_CHARS = 1024;
const PRINTABLE = /^[\x21-\x7E]+$/;

export interface TokenAnswer {
  value: string;
  /** Whole seconds from the moment of the answer. */
  lifeSeconds: number;
  /** `expires_in` was missing or odd, so that the life above is our assumption. */
  lifeAssumed: boolean;
  /** WeChat may have issued another value shortly before this one. */
  mayHaveRunTwice: boolean;
}

/**
 * Reads `field` and `expires_in` of an answer.
 * @param api name of the call, for the error
 * @param knownLife seconds the value lives by the documentation
 * @throws WechatError `bad_value` when there is no usable value: WeChat may have issued one all the same
 */
export function readTokenAnswer(
  api: string,
  answer: WechatAnswer,
  field: string,
  knownLife: number,
): TokenAnswer {
  const value = answer.fields[field];
  if (!isUsable(value)) {
    throw new WechatError({
      api,
      host: '',
      fault: 'bad_value',
      class: 'retry',
      field,
      mayHaveRun: true,
    });
  }
  const { mayHaveRunTwice } = answer;
  return { value, ...readLife(answer.fields.expires_in, knownLife), mayHaveRunTwice };
}

/** A text that can be a token: printable, without spaces, of a sane length. */
export function isUsable(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_VALUE_CHARS && PRINTABLE.test(value);
}

/** Seconds of life from `expires_in`: integers and integer strings, never more than is documented. */
export function readLife(
  expiresIn: unknown,
  knownLife: number,
): { lifeSeconds: number; lifeAssumed: boolean } {
  const seconds =
    typeof expiresIn === 'string' && /^\d{1,9}$/.test(expiresIn) ? Number(expiresIn) : expiresIn;
  if (typeof seconds === 'number' && Number.isInteger(seconds) && seconds > 0) {
    return { lifeSeconds: Math.min(seconds, knownLife), lifeAssumed: seconds > knownLife };
  }
  return { lifeSeconds: Math.min(ASSUMED_LIFE_SECONDS, knownLife), lifeAssumed: true };
}
