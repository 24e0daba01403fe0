import { readdirSync, readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { CREDENTIAL_KINDS } from '../../src/credentials/kinds/index.ts';
import { ERROR_TABLE, REFUSAL_REASONS } from '../../src/lib/errors.ts';
import { ROUTES } from '../../src/http/internal/routes.ts';
import { describeApi } from '../../src/http/internal/openapi/document.ts';
import { eventEntry } from '../../src/callbacks/handlers/event-entry.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { ALERT_RULES } from '../../src/metrics/alert-rules.ts';
import { createCounters } from '../../src/metrics/counters.ts';
import { FAMILIES } from '../../src/metrics/gauges.ts';
import { PROBLEMS } from '../../src/status/problems.ts';
import { createKeys } from '../../src/store/redis/keys.ts';
import { PushHashes } from '../../src/wechat/push/envelope.ts';
import { readPush } from '../../src/wechat/push/read-push.ts';

/**
 * What wxkeeper promises to those who run it, call it and read what it writes. A change here breaks
 * somebody: `npx vitest run test/unit/contract.test.ts -u` writes the new promise, and CHANGELOG.md says
 * whom it breaks.
 */
const ROOT = new URL('../../', import.meta.url);
const textOf = (path: string) => readFileSync(new URL(path, ROOT), 'utf8');

/** Objects with their names in order, so that the order in which something is written is no promise. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([name, one]) => [name, sorted(one)]));
}

const expectAsBefore = (name: string, value: unknown) =>
  expect(`${JSON.stringify(sorted(value), null, 2)}\n`).toMatchFileSnapshot(
    `../fixtures/contract/${name}.json`,
  );

describe('the contract', () => {
  it('settings', async () => {
    const promised = SETTINGS.map(({ name, default: usual, required, secret }) => ({
      name,
      default: usual,
      required,
      secret,
    }));
    await expectAsBefore('settings', promised);
  });

  it('routes and the document about them', async () => {
    await expectAsBefore(
      'routes',
      ROUTES.map(({ method, path, scope }) => [method, path, scope]),
    );
    await expectAsBefore('openapi', describeApi(ROUTES));
  });

  it('error codes, their statuses, and why pushes are refused', async () => {
    await expectAsBefore('errors', { ...ERROR_TABLE, reasons: Object.keys(REFUSAL_REASONS) });
  });

  it('keys in Redis', async () => {
    const ids = CREDENTIAL_KINDS.map(({ name: kind, of }) => {
      const subject = of === 'authorizer' ? 'COMPONENT:AUTHORIZER' : 'APPID';
      // Serves as a name, and as whose credential it is.
      return Object.assign('ONE', { kind, subject });
    });
    const made = Object.values(createKeys('wx:')).flatMap((key: unknown) => {
      if (typeof key === 'string') return [key];
      return ids.flatMap((id) => {
        const one = (key as (...parts: unknown[]) => string | object)(id, 'TWO');
        return typeof one === 'string' ? [one] : (Object.values(one) as string[]);
      });
    });
    await expectAsBefore('redis-keys', [...new Set(made)].sort());
  });

  it('columns of the event stream', async () => {
    const { fields, content, raw, odd } = readPush('not a document', { typed: true });
    const entry = eventEntry({
      fields,
      content,
      raw,
      odd,
      requestId: 'r',
      componentAppid: 'wx',
      receivedAt: 0,
      signed: { timestamp: '0', nonce: '0' },
      hashes: new PushHashes('e', () => 'c'),
      counted: { url: 'event', at: 0, usedPreviousKey: false, usedPreviousToken: false },
    });
    await expectAsBefore('events', Object.keys(entry).sort());
  });

  it('metrics and alerts', async () => {
    const registry = new Registry();
    createCounters(registry);
    const counted = (await registry.getMetricsAsJSON()) as unknown as Record<string, unknown>[];
    const counters = counted.map(({ name, type }) => {
      const { labelNames } = registry.getSingleMetric(String(name)) as unknown as {
        labelNames: string[];
      };
      return { name, type, labels: labelNames };
    });
    const gauges = FAMILIES.map(({ name, type = 'gauge', labels }) => ({ name, type, labels }));
    await expectAsBefore('metrics', { counters, gauges });
    await expectAsBefore('alerts', ALERT_RULES);
    await expectAsBefore('problems', PROBLEMS);
  });

  it('sentences of the log that documents name', async () => {
    const source = readdirSync(new URL('src/', ROOT), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .map((path) => textOf(`src/${path}`))
      .join('\n');
    const written = new Set([...source.matchAll(/'([^'\\\n]{8,120})'/g)].map(([, text]) => text));
    const documents = readdirSync(new URL('docs/', ROOT)).filter((path) => path.endsWith('.md'));
    const named = ['README.md', ...documents.map((path) => `docs/${path}`)].flatMap((path) =>
      [...textOf(path).matchAll(/`([^`\n]{8,120})`/g)].map(([, text = '']) => text),
    );
    const sentences = named.filter(
      (text) => /^[\w ]+[:;,]? [\w ;:,]+$/.test(text) && written.has(text),
    );
    await expectAsBefore('log-sentences', [...new Set(sentences)].sort());
  });

  it('programs', async () => {
    const { scripts, engines, bin, exports } = JSON.parse(textOf('package.json')) as {
      scripts: Record<string, string>;
      engines: unknown;
      bin: unknown;
      exports: unknown;
    };
    for (const name of ['demo', 'doctor', 'generate', 'keys', 'simulator', 'wxkeeper']) {
      expect(textOf(`src/commands/${name}.ts`)).not.toBe('');
    }
    expect(textOf('src/main.ts')).not.toBe('');
    const started = /^CMD .*$/m.exec(textOf('Dockerfile'))?.[0];
    const { demo, doctor, keys, simulator, start } = scripts;
    const commands = { demo, doctor, keys, simulator, start };
    await expectAsBefore('programs', {
      commands,
      engines,
      started,
      bin,
      exports,
      scripts: Object.keys(scripts),
    });
  });
});
