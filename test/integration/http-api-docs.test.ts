import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import examples from '../../src/http/internal/openapi/examples.json' with { type: 'json' };
import { COMPONENT, createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { readDocument } from '../unit/docs/markdown.ts';

/** The commands of docs/http-api.md, as printed, but for the port. */

const run = promisify(execFile);
const { codeBlocks } = readDocument('docs/http-api.md');
const commands = codeBlocks.filter(({ language }) => language === 'sh').map(({ code }) => code);

let platform: TestPlatform;
let folder: string;
beforeAll(async () => {
  platform = await createTestPlatform();
  folder = await mkdtemp(join(tmpdir(), 'wxkeeper-docs-'));
});
afterAll(async () => {
  await platform.close();
  await rm(folder, { recursive: true, force: true });
});

async function execute(command: string): Promise<string> {
  const { stdout } = await run(
    'sh',
    ['-c', command.replace(':3001', `:${platform.app.internalPort()}`)],
    {
      cwd: folder,
      env: { PATH: process.env.PATH, WXKEEPER_KEY: platform.apiKey, APPID: COMPONENT.appid },
    },
  );
  return stdout;
}

it('do what the document says', async () => {
  const [fetchDocument = '', startPushTicket = '', ...more] = commands;
  expect(more).toEqual([]);
  await execute(fetchDocument);
  const text = await readFile(join(folder, 'openapi.json'), 'utf8');
  expect(JSON.parse(text)).toMatchObject({ openapi: '3.1.0', info: { title: 'wxkeeper' } });
  expect(JSON.parse(await execute(startPushTicket))).toEqual({ asked: true });
});

it('and an error has the form that is printed', () => {
  const printed = codeBlocks.find(({ language }) => language === 'json')?.code ?? '';
  expect(JSON.parse(printed)).toEqual(examples['*']['401']);
});
