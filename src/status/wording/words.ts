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
export function say(
  title: string,
  message: ProblemWords['message'],
  advice: string | ProblemWords['advice'],
): ProblemWords {
  return { title, message, advice: typeof advice === 'string' ? () => advice : advice };
}
