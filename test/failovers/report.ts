import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { findRedis } from '../../src/sandbox/redis/binary.ts';
import { SCENARIOS } from './scenarios.ts';
import type { Result } from './trial.ts';

/** The tables of a run, for the screen and for the documents. */

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
/** Each stands in the documents between two lines, and is written by this file. */
const TABLES = ['failovers', 'deliveries'] as const;
type Table = (typeof TABLES)[number];
const WORDS = {
  en: {
    whatHappened: 'what happened',
    failovers: [
      'acknowledged pushes lost',
      'another master after, s',
      'longest gap, s',
      'answered 503 (slowest, s)',
      'mints (most beyond windows)',
      'tokens not to be read live (longest, s)',
      'at rest after, s',
    ],
    deliveries: ['events stored', 'not delivered', 'delivered twice', 'longest until delivered, s'],
    shapes: { sentinel: 'Sentinel', cluster: 'Cluster', single: 'single Redis' },
    of: (part: number, whole: number) => `${part} of ${whole}`,
    until: (seconds: string) => `, the last ${seconds} s after the command`,
    broken: 'BROKEN',
  },
  zh: {
    whatHappened: '发生了什么',
    failovers: [
      '已应答却丢失的推送',
      '新主节点接管（秒）',
      '最长间隔（秒）',
      '应答 503（最慢，秒）',
      '换取次数（单个最多超出窗口数）',
      '读不到有效值的 token（最长，秒）',
      '恢复平静用时（秒）',
    ],
    deliveries: ['存下的事件', '未送达', '送达两次', '最久多久送达（秒）'],
    shapes: { sentinel: 'Sentinel', cluster: 'Cluster', single: '单个 Redis' },
    of: (part: number, whole: number) => `${part} / ${whole}`,
    until: (seconds: string) => `，最后一条在命令之后 ${seconds} 秒`,
    broken: '承诺被打破',
  },
} as const;

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

/** One below the other, for the screen. */
export function tablesOf(results: readonly Result[]): string {
  return TABLES.map((table) => tableOf(table, results, 'en')).join('\n\n');
}

function tableOf(table: Table, results: readonly Result[], language: Language): string {
  const { whatHappened, [table]: figures } = WORDS[language];
  const columns = [whatHappened, ...figures];
  const rows = results.map((one) => [titleOf(one, language), ...CELLS[table](one, language)]);
  return [columns, columns.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}

function titleOf(result: Result, language: Language): string {
  const { shapes, broken } = WORDS[language];
  const scenario = SCENARIOS.find(({ name }) => name === result.scenario);
  const shape = scenario === undefined ? '' : shapes[scenario.shape];
  const verdict = result.broken.length === 0 ? '' : ` **${broken}**`;
  return `${shape}: ${scenario?.title[language] ?? result.scenario}${verdict}`;
}

const CELLS: Record<Table, (result: Result, language: Language) => string[]> = {
  failovers(result, language) {
    const words = WORDS[language];
    const until = result.lost === 0 ? '' : words.until(result.lostUntil.toFixed(1));
    const slowest = (result.slowestRefusalMs / 1000).toFixed(1);
    const dead = result.longestDead.toFixed(1);
    return [
      `${words.of(result.lost, result.acknowledged)}${until}`,
      result.takenOverAfter?.toFixed(1) ?? '–',
      result.longestGap.toFixed(1),
      result.refused === 0 ? '0' : `${result.refused} (${slowest})`,
      `${result.mints} (${Math.max(0, result.mostExtraMints)})`,
      result.deadTokens === 0 ? '0' : `${result.deadTokens} (${dead})`,
      result.atRestAfter.toFixed(0),
    ];
  },
  deliveries: ({ deliveries: { events, missing, repeated, longest } }) => [
    String(events),
    String(missing),
    String(repeated),
    longest.toFixed(1),
  ],
};

/** @throws Error when a document has no place for them */
export function writeDocuments(results: readonly Result[], around: Surroundings): void {
  for (const language of ['en', 'zh'] as const) {
    const file = pathOf(FILES[language]);
    const made = Object.values(around).join(language === 'en' ? ', ' : '，');
    let text = readFileSync(file, 'utf8');
    for (const name of TABLES) {
      const begin = `<!-- ${name}: written by test:failovers -->`;
      const end = `<!-- end of ${name} -->`;
      const [before, rest] = text.split(begin);
      const [, after] = rest?.split(end) ?? [];
      if (before === undefined || after === undefined) throw new Error(`${file} has no ${begin}`);
      const table = tableOf(name, results, language);
      text = `${before}${begin}\n\n${made}\n\n${table}\n\n${end}${after}`;
    }
    writeFileSync(file, text);
  }
}

function pathOf(name: string): string {
  return fileURLToPath(new URL(`../../${name}`, import.meta.url));
}
