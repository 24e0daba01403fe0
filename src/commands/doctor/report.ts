import type { Language } from '../../authorizers/links.ts';
import { createRedactor } from '../../log.ts';
import { GROUPS, type Check, type CheckState, type Group } from './check.ts';
import { isWell } from './examine.ts';

/** The report, for people and for scripts. Nothing secret gets through. */

/** The same in both languages: scripts and eyes look for them. */
const MARKS: Readonly<Record<CheckState, string>> = {
  ok: 'ok',
  warn: 'WARN',
  failed: 'FAILED',
  skipped: 'skipped',
};
const WHAT_TO_DO = { en: 'What to do: ', zh: '怎么办：' };
const MARK_WIDTH = 9;

export function textReport(
  checks: readonly Check[],
  language: Language,
  secrets: Iterable<string>,
): string {
  const lines: string[] = [];
  let group: Group | undefined;
  for (const check of checks) {
    if (check.group !== group) {
      ({ group } = check);
      lines.push(...(lines.length > 0 ? [''] : []), GROUPS[group][language]);
    }
    lines.push(
      `  ${MARKS[check.state].padEnd(MARK_WIDTH)}${check.name[language]}  ${check.seen[language]}`,
    );
    if (check.advice !== null) {
      lines.push(`${' '.repeat(MARK_WIDTH + 2)}${WHAT_TO_DO[language]}${check.advice[language]}`);
    }
  }
  lines.push('', summary(checks, language));
  return cleanerOf(secrets)(lines.join('\n')) as string;
}

function summary(checks: readonly Check[], language: Language): string {
  const count = (state: CheckState) => checks.filter((one) => one.state === state).length;
  const [bad, warnings] = [count('failed'), count('warn')];
  if (language === 'zh') {
    const warned = warnings === 0 ? '' : `，${warnings} 项警告`;
    return bad === 0 ? `一切正常${warned}。` : `${bad} 项失败${warned}。`;
  }
  const warned = warnings === 0 ? '' : `, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`;
  return bad === 0 ? `All is well${warned}.` : `${bad} FAILED${warned}.`;
}

/** One JSON document. */
export function jsonReport(
  checks: readonly Check[],
  language: Language,
  secrets: Iterable<string>,
): string {
  const report = {
    ok: isWell(checks),
    checks: checks.map(({ group, name, state, code, seen, advice }) => ({
      ...{ group, name: name[language], state, code },
      ...{ seen: seen[language], advice: advice?.[language] ?? null },
    })),
  };
  return JSON.stringify(cleanerOf(secrets)(report), null, 2);
}

export function cleanerOf(secrets: Iterable<string>): (value: unknown) => unknown {
  return createRedactor([...secrets]);
}
