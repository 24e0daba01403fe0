import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ALERT_RULES } from '../../src/metrics/alert-rules.ts';
import { declaredNames, scrape } from '../kit/metrics.ts';
import { createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { describeWithPromtool, runPromtool } from '../kit/promtool.ts';
import { readDocument, ROOT, tableRows } from '../unit/docs/markdown.ts';

/** The alerting rules, the Grafana dashboard and docs/metrics.md, against a real scrape. */

interface Panel {
  id: number;
  title: string;
  type: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: readonly { expr: string }[];
}

const dashboardText = readFileSync(join(ROOT, 'deploy/grafana/wxkeeper.json'), 'utf8');
const dashboard = JSON.parse(dashboardText) as {
  panels: readonly Panel[];
  templating: { list: readonly { name: string; type: string; query: unknown }[] };
};
const queries = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

/** The metrics that a text of PromQL names. */
function namesIn(text: string): string[] {
  const names = text.match(/\b(?:wxkeeper|nodejs|process)_[a-z0-9_]+/g) ?? [];
  return [...new Set(names.map((name) => name.replace(/_(?:bucket|sum|count)$/, '')))];
}

let platform: TestPlatform;
let text: string;
beforeAll(async () => {
  platform = await createTestPlatform();
  text = await scrape(platform);
});
afterAll(() => platform.close());

describe('the names of the metrics', () => {
  it('in the alerting rules are those of a scrape', () => {
    const used = ALERT_RULES.flatMap(({ expr }) => namesIn(expr));
    expect(new Set(used).size).toBeGreaterThan(5);
    expect(declaredNames(text)).toEqual(expect.arrayContaining(used));
  });

  it('on the Grafana dashboard are those of a scrape', () => {
    const variables = JSON.stringify(dashboard.templating);
    const used = [...queries, variables].flatMap(namesIn);
    expect(new Set(used).size).toBeGreaterThan(25);
    expect(declaredNames(text)).toEqual(expect.arrayContaining(used));
  });

  it.each(['docs/metrics.md', 'docs/metrics.zh-CN.md'])(
    'in %s are those of a scrape, all of them, with their types and labels',
    (path) => {
      const rows = tableRows(readDocument(path).prose).filter(([name = '']) =>
        name.startsWith('`wxkeeper_'),
      );
      const types = [...text.matchAll(/^# TYPE (wxkeeper_\w+) (\w+)$/gm)];
      expect(rows.map(([name, type]) => [name, type])).toEqual(
        types.map(([, name = '', type]) => [`\`${name}\``, type]),
      );
      for (const [name = '', , labels = ''] of rows) {
        const series = text.split('\n').find((line) => line.startsWith(name.slice(1, -1) + '{'));
        if (series === undefined) continue;
        const found = [...series.matchAll(/[{,](\w+)="/g)].map(([, label]) => label);
        const told = labels
          .replace(/\(.*?\)/g, '')
          .split(',')
          .map((one) => one.trim());
        const wanted = found.filter((label) => label !== 'le');
        expect(told.sort(), name).toEqual(wanted.sort());
      }
    },
  );

  it.each(['docs/metrics.md', 'docs/metrics.zh-CN.md'])(
    '%s names alerts that there are',
    (path) => {
      const rows = tableRows(readDocument(path).prose).filter(([name = '']) =>
        name.startsWith('`Wxkeeper'),
      );
      expect(rows).toHaveLength(3);
      const rules = ALERT_RULES.map(({ alert, severity }) => [`\`${alert}\``, `\`${severity}\``]);
      for (const [name, severity] of rows) expect(rules).toContainEqual([name, severity]);
    },
  );
});

describe('the Grafana dashboard', () => {
  it('does not say that all is well when nobody answers', () => {
    expect(queries.filter((one) => /vector\(|absent\(/.test(one))).toEqual([]);
  });

  it('leaves the data source to whoever imports it', () => {
    const sources = [...dashboardText.matchAll(/"uid": "([^"]*)"/g)].map(([, uid]) => uid);
    expect(new Set(sources)).toEqual(new Set(['${datasource}', 'wxkeeper']));
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(['datasource', 'appid']);
    expect(dashboard.templating.list[0]).toMatchObject({ type: 'datasource', query: 'prometheus' });
  });

  it('has a place of its own for each panel, and a query in each', () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    const empty = panels.filter(({ type, targets = [] }) => type !== 'row' && targets.length === 0);
    expect(empty).toEqual([]);
  });
});

describeWithPromtool('promtool', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'wxkeeper-metrics-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('understands every query of the dashboard', async () => {
    const rules = queries.map((expr, index) => ({
      record: `query:${index}`,
      expr: expr.replaceAll('$appid', '.*').replaceAll('$__rate_interval', '5m'),
    }));
    const file = join(folder, 'rules.yml');
    await writeFile(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    const { output } = await runPromtool(['check', 'rules', file]);
    expect(output).toContain(`SUCCESS: ${rules.length} rules found`);
  });

  it('takes the configuration that the document shows', async () => {
    const blocks = readDocument('docs/metrics.md').codeBlocks;
    const config = blocks.find(({ code }) => code.includes('scrape_configs'))?.code ?? '';
    const file = join(folder, 'prometheus.yml');
    await writeFile(file, config);
    const { ok, output } = await runPromtool(['check', 'config', '--syntax-only', file]);
    expect(output).toContain('SUCCESS');
    expect(ok).toBe(true);
  });
});
