import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** Prometheus's own judge of rules and metrics, from Debian's package `prometheus`. */

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const ALERTS_FILE = join(ROOT, 'deploy', 'prometheus', 'alerts.yml');
const MISSING =
  'there is no promtool: install the package prometheus, or unpack it as .ci/run does';

const folders = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean);
const promtool = [...folders, join(ROOT, '.cache', 'prometheus', 'root', 'usr', 'bin')]
  .map((folder) => join(folder, 'promtool'))
  .find((file) => existsSync(file));

/** Stories that need promtool: left out where there is none, but never in CI. */
export function describeWithPromtool(title: string, stories: () => void): void {
  if (promtool !== undefined) {
    describe(title, stories);
  } else if (process.env['CI']) {
    describe(title, () => {
      it('has promtool', () => expect.fail(MISSING));
    });
  } else {
    describe.skip(`${title} (left out: ${MISSING})`, stories);
  }
}

/** For the one step of a story that needs promtool: that is left out where there is none, but never in CI. */
export function hasPromtool(): boolean {
  if (promtool === undefined && process.env['CI']) expect.fail(MISSING);
  return promtool !== undefined;
}

/** @returns what it printed, and whether it was content */
export function runPromtool(
  args: readonly string[],
  input = '',
): Promise<{ ok: boolean; output: string }> {
  if (promtool === undefined) throw new Error(MISSING);
  return new Promise((resolve) => {
    const child = execFile(promtool, args, { maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      resolve({ ok: error === null, output: stdout + stderr });
    });
    child.stdin?.on('error', () => undefined).end(input);
  });
}

/** One of promtool's `tests`, in its own words. */
export interface RuleTest {
  name?: string;
  interval: string;
  input_series: readonly { series: string; values: string }[];
  alert_rule_test?: readonly {
    eval_time: string;
    alertname: string;
    exp_alerts: readonly {
      exp_labels: Readonly<Record<string, string>>;
      exp_annotations: Readonly<Record<string, string>>;
    }[];
  }[];
  promql_expr_test?: readonly {
    expr: string;
    eval_time: string;
    exp_samples: readonly { labels: string; value: number }[];
  }[];
}

/** Seconds between two looks at the rules. */
export const STEP_SECONDS = 30;

/**
 * Plays series against the rules of `deploy/prometheus/alerts.yml`.
 * @returns what was not as expected; nothing when all was
 */
export async function failuresOf(tests: readonly RuleTest[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'wxkeeper-promtool-'));
  try {
    const file = join(folder, 'test.yml');
    // JSON is YAML, too.
    const content = { rule_files: [ALERTS_FILE], evaluation_interval: `${STEP_SECONDS}s`, tests };
    await writeFile(file, JSON.stringify(content));
    const { ok, output } = await runPromtool(['test', 'rules', file]);
    return ok ? '' : output;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Longer than any rule waits before it fires, in steps of a minute. */
const STEPS = 70;
const SAMPLE = /^(wxkeeper_\w+)(?:\{(.*)\})? (\S+)$/;

/**
 * The names of the alerts that fire when what was scraped stays as it is, sorted, each once; without the
 * one that always fires.
 * @param scrapes one text of `GET /metrics` for each replica
 * @param scrapedAt by the clock the texts were made under, epoch ms
 */
export async function alertsFiring(
  scrapes: string | readonly string[],
  scrapedAt: number,
): Promise<string[]> {
  const series = [scrapes].flat().flatMap((text, index) => seriesOf(text, scrapedAt, index));
  const output = await failuresOf([
    {
      interval: '1m',
      input_series: series,
      promql_expr_test: [
        { expr: 'ALERTS{alertstate="firing"}', eval_time: `${STEPS}m`, exp_samples: [] },
      ],
    },
  ]);
  const names = [...output.matchAll(/alertname=\\?"(\w+)\\?"/g)].map(([, name = '']) => name);
  if (names.length === 0) throw new Error(`promtool gave no alerts: ${output}`);
  return [...new Set(names)].filter((name) => name !== 'WxkeeperWatchdog').sort();
}

/** promtool's time begins at 0 and goes on; timestamps move along, so that no age changes. */
function seriesOf(text: string, scrapedAt: number, index: number): RuleTest['input_series'] {
  const where = `job="wxkeeper",instance="replica-${index}"`;
  const samples = text.split('\n').flatMap((line) => {
    const [, name = '', labels = '', number = ''] = SAMPLE.exec(line) ?? [];
    if (name === '' || /_(?:bucket|sum|count)$/.test(name)) return [];
    const series = `${name}{${[where, labels].filter(Boolean).join(',')}}`;
    const isTime = name.endsWith('_timestamp_seconds');
    const value = isTime ? Number(number) - scrapedAt / 1000 : Number(number);
    return [{ series, values: `${value.toFixed(3)}${isTime ? '+60' : '+0'}x${STEPS}` }];
  });
  return [{ series: `up{${where}}`, values: `1+0x${STEPS}` }, ...samples];
}
