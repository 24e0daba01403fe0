import { explainError } from '../credentials/error-words.ts';
import { say, type Language, type Text } from '../lib/language.ts';
import { isoOrNull } from '../lib/time-format.ts';
import { PROBLEMS, rankFindings, type Finding, type ProblemCode } from './problems.ts';
import type { Problem } from './schema.ts';
import { en } from './words/en.ts';
import type { Words } from './words/words.ts';
import { zh } from './words/zh.ts';

/** What was found, in words an admin can act on at night. */

const WORDS: Readonly<Record<Language, Words>> = { en, zh };

export function describeProblem(finding: Finding, language: Language): Problem {
  const { code, severity, subject, kind, since, error } = finding;
  const { title, message, advice } = WORDS[language].problems[code];
  const said = error === undefined ? undefined : explainError(error, language);
  const facts = {
    ...finding.facts,
    ...(kind === null ? {} : { kind }),
    ...(said === undefined ? {} : { reason: said.message, remedy: said.advice }),
  };
  return {
    code,
    severity,
    alert: PROBLEMS[code].alert,
    component: subject,
    kind,
    since: isoOrNull(since ?? undefined),
    title,
    message: message(facts) + say(servedBy(facts), language),
    advice: advice(facts),
  };
}

/** Which masters of a cluster it is about. */
function servedBy({ servers }: Finding['facts']): Text {
  if (servers === undefined) return { en: '', zh: '' };
  return { en: ` Found at ${servers}.`, zh: `（${servers}）` };
}

/** The gravest first. */
export function inWords(findings: readonly Finding[], language: Language): Problem[] {
  return rankFindings(findings).map((one) => describeProblem(one, language));
}

/** The fixed sentence for a kind of trouble, without any facts. */
export function titleOf(code: ProblemCode, language: Language): string {
  return WORDS[language].problems[code].title;
}

/**
 * Everything in one sentence.
 * @param problems the gravest first
 */
export function verdictSentence(problems: readonly Problem[], language: Language): string {
  const [worst, ...more] = problems;
  if (worst === undefined) return WORDS[language].allWell;
  return WORDS[language].verdict(worst.title, worst.component, more.length);
}
