import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { shorten, type GoalLine, type Report, type Table } from './report.ts';
import type { Surroundings } from './surroundings.ts';

/** Writes what was measured into the documents, in both languages; what was not stays as it was. */

type Language = 'en' | 'zh';

const FILES = { en: 'docs/performance.md', zh: 'docs/performance.zh-CN.md' } as const;
const WORDS = {
  en: {
    title: 'Performance',
    link: '[中文](performance.zh-CN.md)',
    intro:
      'Measured by `npm run bench`, which also wrote this page. A figure of one machine says little; the ratios are of servers that ran in turn in one run, medians of all rounds. Each server first shows that it stores what is pushed, and says `success` only after Redis has acknowledged.',
    how: 'How to get these figures',
    goals: ['what', 'measured', 'goal', ''],
    met: 'met',
    missed: 'missed',
  },
  zh: {
    title: '性能',
    link: '[English](performance.md)',
    intro:
      '由 `npm run bench` 测得，本页也由它写成。单台机器的绝对数字意义不大；比值来自同一次运行中轮流执行的各个服务，取各轮中位数。每个服务都先证明它确实保存了推送的内容，并且在 Redis 确认之后才应答 `success`。',
    how: '如何得到这些数字',
    goals: ['项目', '实测', '目标', ''],
    met: '达到',
    missed: '未达到',
  },
} as const;
const COMMANDS = `npm run bench                                  # everything; takes an hour
npm run bench -- pushes reads --rounds 6       # some of it
npm run bench -- pushes --only wxkeeper,co-wechat --json figures.json
npm run bench -- --json figures.json --markdown  # writes them into this page`;

export async function writeDocuments(
  reports: readonly Report[],
  around: Surroundings,
): Promise<void> {
  for (const language of ['en', 'zh'] as const) {
    const file = fileURLToPath(new URL(`../../${FILES[language]}`, import.meta.url));
    const [, ...known] = (await readFile(file, 'utf8')).trimEnd().split(/\n\n(?=## )/);
    const sections = new Map(known.map((text) => [headingOf(text), text]));
    for (const report of reports) {
      const text = sectionOf(report, around, language);
      sections.set(headingOf(text), text);
    }
    sections.delete(`## ${WORDS[language].how}`);
    await writeFile(file, documentOf([...sections.values()], around, language));
  }
}

function headingOf(section: string): string {
  return section.split('\n', 1)[0] ?? '';
}

function documentOf(
  sections: readonly string[],
  { machine, node, cores, load }: Surroundings,
  language: Language,
): string {
  const words = WORDS[language];
  const parts = [
    `# ${words.title}`,
    words.link,
    words.intro,
    listOf([machine, node, cores, load]),
    `## ${words.how}`,
    `\`\`\`sh\n${COMMANDS}\n\`\`\``,
    ...sections,
  ];
  return `${parts.join('\n\n')}\n`;
}

function sectionOf(
  { title, lines, tables, notes }: Report,
  { commit, date, busy }: Surroundings,
  language: Language,
): string {
  return [
    `## ${title[language]}`,
    `${commit}, ${date}, ${busy}`,
    ...(lines.length > 0 ? [goalsOf(lines, language)] : []),
    ...tables.map(tableOf),
    ...(notes.length > 0 ? [listOf(notes)] : []),
  ].join('\n\n');
}

function listOf(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join('\n');
}

function goalsOf(lines: readonly GoalLine[], language: Language): string {
  const words = WORDS[language];
  const rows = lines.map(({ what, measured, goal, met }) => [
    ...[what[language], measured, goal, met ? words.met : `**${words.missed}**`],
  ]);
  return gridOf([...words.goals], rows);
}

function tableOf({ columns, rows }: Table): string {
  return gridOf(
    ['', ...columns],
    rows.map(([name, ...cells]) => [name, ...cells.map(shorten)]),
  );
}

function gridOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
