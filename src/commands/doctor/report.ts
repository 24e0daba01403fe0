import type { Language } from '../../lib/language.ts';
import { createRedactor } from '../../lib/log.ts';
import { GROUPS, REPLICAS, type Check, type CheckState, type Group } from './check.ts';
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
const BEGIN_WITH = { en: 'Begin with this:', zh: '先处理这一项：' };
const MARK_WIDTH = 9;
const FIT_AT_A_GLANCE = 5;
/** Nothing of it can be well while no wxkeeper runs. */
const NEEDS_A_REPLICA: readonly Group[] = ['tickets', 'callback', 'status'];

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
    lines.push(...linesOf(check, check.name[language], language));
  }
  lines.push('', summary(checks, language));
  const first = whereToBegin(checks);
  if (first !== undefined && checks.length > FIT_AT_A_GLANCE) {
    const name = `${GROUPS[first.group][language]}, ${first.name[language]}`;
    lines.push('', BEGIN_WITH[language], ...linesOf(first, name, language));
  }
  return printed(lines, secrets);
}

/** The screen shows the end of the report; what stands first may be the cause of the rest. */
function whereToBegin(checks: readonly Check[]): Check | undefined {
  const first = checks.find(({ state }) => state === 'failed');
  const stopped = checks.find(({ name, state }) => name === REPLICAS && state === 'warn');
  return first !== undefined && NEEDS_A_REPLICA.includes(first.group) ? (stopped ?? first) : first;
}

function linesOf({ state, seen, advice }: Check, name: string, language: Language): string[] {
  const line = `  ${MARKS[state].padEnd(MARK_WIDTH)}${name}  ${seen[language]}`;
  if (advice === null) return [line];
  return [line, `${' '.repeat(MARK_WIDTH + 2)}${WHAT_TO_DO[language]}${advice[language]}`];
}

/** What would move the cursor, begin a line of its own or turn the text around. */
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** Lines for a terminal: without secrets, and nothing in them but text, whoever wrote it. */
export function printed(lines: readonly string[], secrets: Iterable<string>): string {
  const clean = createRedactor([...secrets])(lines) as string[];
  return clean.map((line) => line.replace(UNPRINTABLE, escaped)).join('\n');
}

function escaped(char: string): string {
  return `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
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
      group,
      name: name[language],
      state,
      code,
      seen: seen[language],
      advice: advice?.[language] ?? null,
    })),
  };
  return JSON.stringify(createRedactor([...secrets])(report), null, 2);
}
