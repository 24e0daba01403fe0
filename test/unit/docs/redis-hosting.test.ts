import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.ts';
import { COMPONENT } from '../../kit/platform.ts';
import { readDocument, ROOT, tableRows } from './markdown.ts';

/** What docs/redis-hosting.md tells its readers to set, and where it says that something was run. */

const document = readDocument('docs/redis-hosting.md');
const examples = document.codeBlocks.filter(({ language }) => language === 'sh');

describe('the examples of settings', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'wxkeeper-redis-'));
    writeFileSync(join(folder, 'redis_url'), 'redis://:password@redis.example.com:6379');
    for (const name of ['redis_password', 'redis_sentinel_password']) {
      writeFileSync(join(folder, name), 'pass/word%');
    }
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('are one for each way, and others', () => {
    expect(examples).toHaveLength(5);
    for (const way of ['REDIS_URL=', 'REDIS_SENTINELS=', 'REDIS_CLUSTER=']) {
      expect(examples.some(({ code }) => code.includes(way))).toBe(true);
    }
  });

  it.each(examples)('are whole, with nothing that contradicts: $code', ({ code }) => {
    const certificate = join(ROOT, 'test/fixtures/tls/localhost-test-cert.pem');
    const here = code
      .replace('/run/secrets/redis-ca.pem', certificate)
      .replaceAll('/run/secrets/', `${folder}/`);
    const config = loadConfig({
      COMPONENT_APPID: COMPONENT.appid,
      COMPONENT_APPSECRET: COMPONENT.secret,
      COMPONENT_TOKEN: COMPONENT.token,
      COMPONENT_ENCODING_AES_KEY: COMPONENT.encodingAesKey,
      ...parseEnv(here),
    });
    expect(config.components).toHaveLength(1);
  });
});

it('each row names the command that was run here, or the page that was read, and when', () => {
  const rows = tableRows(document.prose).filter((row) => row.length === 4);
  expect(rows.length).toBeGreaterThan(14);
  const unfounded = rows
    .map((row) => row.at(-1) ?? '')
    .filter((source) => !/^run here: `npm run [\w:]+ -- \w+`|^read: (?:"|the same)/.test(source));
  expect(unfounded).toEqual([]);
  const undated = rows
    .map((row) => row.at(-1) ?? '')
    .filter((source) => source.startsWith('read: "') && !/ 20\d\d/.test(source));
  expect(undated).toEqual([]);
});
