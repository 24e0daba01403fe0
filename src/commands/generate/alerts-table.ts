import { PROBLEM_CODES, PROBLEMS, type Severity } from '../../status/problems.ts';
import { titleOf } from '../../status/wording.ts';
import { count } from '../../lib/time-format.ts';
import type { Language } from '../../lib/language.ts';

/** The table of alerts in docs/alerts.md and its Chinese side. */

interface TableWords {
  columns: string;
  severities: Readonly<Record<Severity, string>>;
  atOnce: string;
}

const WORDS: Readonly<Record<Language, TableWords>> = {
  en: {
    columns: '| `code` | `alert` | `title` | severity | told after |',
    severities: { critical: 'critical', warning: 'warning', info: 'info' },
    atOnce: 'at once',
  },
  zh: {
    columns: '| `code` | `alert` | `title` | 级别 | 持续多久后通知 |',
    severities: { critical: '严重', warning: '警告', info: '提示' },
    atOnce: '立即',
  },
};

/** A Markdown table of all problems that people are told of, the gravest first. */
export function alertsTable(language: Language): string {
  const { columns, severities, atOnce } = WORDS[language];
  const told = PROBLEM_CODES.filter((code) => PROBLEMS[code].severity !== 'info');
  const rows = told.map((code) => {
    const { alert, severity } = PROBLEMS[code];
    const seconds: number = PROBLEMS[code].afterSeconds;
    const whole = seconds >= 120 && seconds % 60 === 0;
    const delay = count(seconds * 1_000, whole ? 'minute' : 'second', language);
    const when = seconds === 0 ? atOnce : delay;
    const title = titleOf(code, language);
    return `| \`${code}\` | \`${alert}\` | ${title} | ${severities[severity]} | ${when} |`;
  });
  return [columns, '| --- | --- | --- | --- | --- |', ...rows].join('\n');
}
