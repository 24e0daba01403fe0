import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { findRedis } from '../../src/sandbox/redis/binary.ts';
import { SCENARIOS } from './scenarios.ts';
import type { Result } from './trial.ts';

/** The table of a run, for the screen and for the documents. */

type Language = 'en' | 'zh';

/** With what, when and where a run was made. */
export interface Surroundings {
  date: string;
  redis: string;
  ioredis: string;
  node: string;
  machine: string;
}

const FILES = { en: 'docs/proof.md', zh: 'docs/proof.zh-CN.md' } as const;
/** Between the two lines of these the documents are written by this file. */
const MARKS = [
  '<!-- failovers: written by test:failovers -->',
  '<!-- end of failovers -->',
] as const;
const WORDS = {
  en: {
    columns: [
      'what happened',
      'acknowledged pushes lost',
      'another master after, s',
      'longest gap, s',
      'answered 503 (slowest, s)',
      'mints (most beyond windows)',
      'tokens not to be read live (longest, s)',
      'at rest after, s',
    ],
    of: (part: number, whole: number) => `${part} of ${whole}`,
    until: (seconds: string) => `, the last ${seconds} s after the command`,
    broken: 'BROKEN',
  },
  zh: {
    columns: [
      '发生了什么',
      '已应答却丢失的推送',
      '新主节点接管（秒）',
      '最长间隔（秒）',
      '应答 503（最慢，秒）',
      '换取次数（单个最多超出窗口数）',
      '读不到有效值的 token（最长，秒）',
      '恢复平静用时（秒）',
    ],
    of: (part: number, whole: number) => `${part} / ${whole}`,
    until: (seconds: string) => `，最后一条在命令之后 ${seconds} 秒`,
    broken: '承诺被打破',
  },
} as const;
const SHAPES = { sentinel: 'Sentinel', cluster: 'Cluster' } as const;

export async function surroundings(): Promise<Surroundings> {
  const { version } = await findRedis();
  const { dependencies } = JSON.parse(readFileSync(pathOf('package.json'), 'utf8')) as {
    dependencies: { ioredis: string };
  };
  return {
    date: new Date().toISOString().slice(0, 10),
    redis: `Redis ${version}`,
    ioredis: `ioredis ${dependencies.ioredis}`,
    node: `Node ${process.version}`,
    machine: `${cpus()[0]?.model.trim() ?? 'unknown CPU'} × ${cpus().length}`,
  };
}

export function tableOf(results: readonly Result[], language: Language): string {
  const { columns } = WORDS[language];
  const rows = [columns, columns.map(() => '---'), ...results.map((one) => rowOf(one, language))];
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function rowOf(result: Result, language: Language): readonly string[] {
  const words = WORDS[language];
  const scenario = SCENARIOS.find(({ name }) => name === result.scenario);
  const shape = scenario === undefined ? '' : SHAPES[scenario.shape];
  const until = result.lost === 0 ? '' : words.until(result.lostUntil.toFixed(1));
  const broken = result.broken.length === 0 ? '' : ` **${words.broken}**`;
  const slowest = (result.slowestRefusalMs / 1000).toFixed(1);
  const dead = result.longestDead.toFixed(1);
  return [
    `${shape}: ${scenario?.title[language] ?? result.scenario}${broken}`,
    `${words.of(result.lost, result.acknowledged)}${until}`,
    result.takenOverAfter?.toFixed(1) ?? '–',
    result.longestGap.toFixed(1),
    result.refused === 0 ? '0' : `${result.refused} (${slowest})`,
    `${result.mints} (${Math.max(0, result.mostExtraMints)})`,
    result.deadTokens === 0 ? '0' : `${result.deadTokens} (${dead})`,
    result.atRestAfter.toFixed(0),
  ];
}

/** @throws Error when a document has no place for them */
export function writeDocuments(results: readonly Result[], around: Surroundings): void {
  for (const language of ['en', 'zh'] as const) {
    const file = pathOf(FILES[language]);
    const text = readFileSync(file, 'utf8');
    const [begin, end] = MARKS;
    const [before, rest] = text.split(begin);
    const [, after] = rest?.split(end) ?? [];
    if (before === undefined || after === undefined) throw new Error(`${file} has no ${begin}`);
    const made = Object.values(around).join(language === 'en' ? ', ' : '，');
    const table = tableOf(results, language);
    writeFileSync(file, `${before}${begin}\n\n${made}\n\n${table}\n\n${end}${after}`);
  }
}

function pathOf(name: string): string {
  return fileURLToPath(new URL(`../../${name}`, import.meta.url));
}
