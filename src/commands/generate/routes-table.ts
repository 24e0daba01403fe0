import { ROUTES } from '../../http/internal/routes.ts';
import type { Language } from '../../lib/language.ts';

/** The table of routes in docs/http-api.md and its Chinese side. */

const WORDS: Readonly<Record<Language, { columns: string; open: string }>> = {
  en: { columns: '| request | scope | what for |', open: 'none' },
  zh: { columns: '| 请求 | 权限 | 用途 |', open: '无' },
};

/** A Markdown table of all routes of the internal listener but for the dashboard. */
export function routesTable(language: Language): string {
  const { columns, open } = WORDS[language];
  const rows = ROUTES.map(({ method, path, scope, doc }) => {
    const request = `${method.toUpperCase()} ${path.replace(/:(\w+)/g, '{$1}')}`;
    const needs = scope === 'none' ? open : `\`${scope}\``;
    return `| \`${request}\` | ${needs} | ${doc.summary[language]} |`;
  });
  return [columns, '| --- | --- | --- |', ...rows].join('\n');
}
