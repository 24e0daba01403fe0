import type { RefusalReason } from '../../lib/errors.ts';
import type { PushUrl } from '../../store/tickets/refused-pushes.ts';
import type { Facts, ProblemCode } from '../problems.ts';

/** What is said about a problem in one language. */
export interface ProblemWords {
  /** One short sentence without figures: the same in the dashboard, alerts, metrics and the doctor. */
  title: string;
  /** Facts of an error: `reason`, what was said, and `remedy`, what to do about it. */
  message: (facts: Facts) => string;
  advice: (facts: Facts) => string;
}

export interface Words {
  problems: Readonly<Record<ProblemCode, ProblemWords>>;
  allWell: string;
  /** @param more how many problems there are besides the first one */
  verdict: (title: string, subject: string | null, more: number) => string;
}

/** Writes down one problem. */
export function problem(
  title: string,
  message: ProblemWords['message'],
  advice: string | ProblemWords['advice'],
): ProblemWords {
  return { title, message, advice: typeof advice === 'string' ? () => advice : advice };
}

/** Why pushes are refused, and what to do about it. Facts: `appid`, `detail`, `path`. */
export type RefusalWords = Readonly<
  Record<RefusalReason, { cause: (facts: Facts) => string; remedy: (facts: Facts) => string }>
>;

export type PushUrlWords = Readonly<Record<PushUrl, string>>;

/** Writes down one reason. */
export function because(
  cause: string | ((facts: Facts) => string),
  remedy: string | ((facts: Facts) => string),
): RefusalWords[RefusalReason] {
  return {
    cause: typeof cause === 'string' ? () => cause : cause,
    remedy: typeof remedy === 'string' ? () => remedy : remedy,
  };
}

/** What was stored by another version may have a reason that this one does not know. */
export function refusalOf(words: RefusalWords, reason: unknown): RefusalWords[RefusalReason] {
  return words[Object.hasOwn(words, String(reason)) ? (reason as RefusalReason) : 'form'];
}
