import type { Setting } from '../../config/setting.ts';
import { GROUPS, SETTINGS } from '../../config/settings.ts';
import { alertRulesFile } from '../../metrics/alert-rules.ts';
import { alertsTable } from './alerts-table.ts';
import { routesTable } from './routes-table.ts';
import type { Language } from '../../lib/language.ts';

/**
 * What is made from the list of settings, `.env.example` and the tables in the READMEs, and what is made
 * from the list of problems, the alerting rules.
 */

export const START_MARKER = '<!-- settings:start -->';
export const END_MARKER = '<!-- settings:end -->';

/** Needed too, unless CONFIG_FILE names the components. */
const ONE_COMPONENT = Object.values<Setting>(GROUPS.component).flatMap(({ name, schema }) =>
  schema.safeParse(undefined).success ? [] : [name],
);

const HEADINGS: Readonly<Record<Language, { columns: string; required: string; file: string }>> = {
  en: {
    columns: '| variable | default | meaning |',
    required: 'required',
    file: 'or the file named by',
  },
  zh: { columns: '| 变量 | 默认值 | 含义 |', required: '必填', file: '或指定文件：' },
};

/** Every file that is made, with how to make it from what it is now (undefined: not there). */
export const TARGETS: readonly {
  path: string;
  make: (current: string | undefined) => string;
}[] = [
  { path: '.env.example', make: () => envExample(SETTINGS) },
  { path: 'README.md', make: (text) => withTable('README.md', text, settingsTable('en')) },
  {
    path: 'README.zh-CN.md',
    make: (text) => withTable('README.zh-CN.md', text, settingsTable('zh')),
  },
  { path: 'deploy/prometheus/alerts.yml', make: alertRulesFile },
  {
    path: 'docs/alerts.md',
    make: (text) => withTable('docs/alerts.md', text, alertsTable('en'), 'alerts'),
  },
  {
    path: 'docs/alerts.zh-CN.md',
    make: (text) => withTable('docs/alerts.zh-CN.md', text, alertsTable('zh'), 'alerts'),
  },
  {
    path: 'docs/http-api.md',
    make: (text) => withTable('docs/http-api.md', text, routesTable('en'), 'routes'),
  },
  {
    path: 'docs/http-api.zh-CN.md',
    make: (text) => withTable('docs/http-api.zh-CN.md', text, routesTable('zh'), 'routes'),
  },
];

/** What has to be filled in stands free; what has a default or is an option is a comment. */
export function envExample(settings: readonly Setting[]): string {
  const head = [
    '# Settings of wxkeeper. Made by `npm run generate`; copy it to .env and fill it in.',
    '# A secret may also come from a file: NAME_FILE=/run/secrets/name instead of NAME=...',
    '# A value with a # in it goes between double quotes; all others need none.',
  ];
  const entries = settings.map((setting) => {
    const { name, doc, secret, example } = setting;
    const isOfComponent = ONE_COMPONENT.includes(name);
    const isNeeded = setting.required === true || isOfComponent;
    // Another's appid as a value would pass for a setting; empty, it is reported as missing.
    const hint = isOfComponent && example !== undefined ? `, such as ${example}` : '';
    const value = isOfComponent ? '' : (setting.default ?? example ?? '');
    const orFile = secret === true ? ` (or ${name}_FILE)` : '';
    return [
      `# ${doc.en.replaceAll('`', '')}${hint}${orFile}`,
      `${isNeeded ? '' : '# '}${name}=${value}`,
    ].join('\n');
  });
  return `${[head.join('\n'), ...entries].join('\n\n')}\n`;
}

/** A Markdown table of all settings. */
export function settingsTable(language: Language): string {
  const { columns, required, file } = HEADINGS[language];
  const rows = SETTINGS.map((setting) => {
    const { name, doc, secret } = setting;
    const standard =
      setting.default !== undefined
        ? `\`${setting.default}\``
        : setting.required === true
          ? required
          : '–';
    const orFile = secret === true ? ` (${file} \`${name}_FILE\`)` : '';
    const cells = [`\`${name}\``, standard, `${doc[language]}${orFile}`];
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  });
  return [columns, '| --- | --- | --- |', ...rows].join('\n');
}

/**
 * Replaces the table between the markers of this name.
 * @throws Error naming the file when it or one of its markers is missing
 */
export function withTable(
  path: string,
  text: string | undefined,
  table: string,
  name: 'settings' | 'routes' | 'alerts' = 'settings',
): string {
  const [start, end] = [`<!-- ${name}:start -->`, `<!-- ${name}:end -->`];
  if (text === undefined) throw new Error(`${path} is missing`);
  const [before, rest, ...more] = text.split(start);
  const [, after, ...evenMore] = rest?.split(end) ?? [];
  if (after === undefined || more.length > 0 || evenMore.length > 0) {
    throw new Error(`${path} must have one ${start} and after it one ${end}`);
  }
  return `${before ?? ''}${start}\n\n${table}\n\n${end}${after}`;
}
