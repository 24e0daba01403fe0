import { PROBLEM_CODES, PROBLEMS, type Severity } from '../../status/problems.ts';
import { titleOf } from '../../status/wording.ts';
import type { Language } from '../../lib/language.ts';

/** The table of alerts in docs/alerts.md and its Chinese side. */

interface TableWords {
  columns: string;
  severities: Readonly<Record<Severity, string>>;
  atOnce: string;
  after: (amount: number, unit: 'seconds' | 'minutes') => string;
}

const WORDS: Readonly<Record<Language, TableWords>> = {
  en: {
    columns: '| `code` | `alert` | `title` | severity | told after |',
    severities: { critical: 'critical', warning: 'warning', info: 'info' },
    atOnce: 'at once',
    after: (amount, unit) => `${amount} ${unit === 'minutes' ? 'min' : 's'}`,
  },
  zh: {
    columns: '| `code` | `alert` | `title` | 级别 | 持续多久后通知 |',
    severities: { critical: '严重', warning: '警告', info: '提示' },
    atOnce: '立即',
    after: (amount, unit) => `${amount} ${unit === 'minutes' ? '分钟' : '秒'}`,
  },
};

/** A Markdown table of all problems that people are told of, the gravest first. */
export function alertsTable(language: Language): string {
  const { columns, severities, atOnce, after } = WORDS[language];
  const told = PROBLEM_CODES.filter((code) => PROBLEMS[code].severity !== 'info');
  const rows = told.map((code) => {
    const { alert, severity } = PROBLEMS[code];
    const seconds: number = PROBLEMS[code].afterSeconds;
    const whole = seconds >= 120 && seconds % 60 === 0;
    const delay = whole ? after(seconds / 60, 'minutes') : after(seconds, 'seconds');
    const when = seconds === 0 ? atOnce : delay;
    const title = titleOf(code, language);
    return `| \`${code}\` | \`${alert}\` | ${title} | ${severities[severity]} | ${when} |`;
  });
  return [columns, '| --- | --- | --- | --- | --- |', ...rows].join('\n');
}
