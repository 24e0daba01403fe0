import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERROR_TABLE } from '../../src/lib/errors.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { COMPONENT, createTestPlatform } from '../kit/platform.ts';
import { authorize } from '../kit/authorizers.ts';
import { readDocument, ROOT } from '../unit/docs/markdown.ts';

/**
 * The package as npm makes it from what is built (`npm test` builds before), in an empty folder. It is put
 * there as npm does, by tar and links, and not by `npm install`: offline that wants the registry's list of
 * versions of each dependency, which `npm ci` does not leave in npm's cache. The dependencies are links to
 * those of the repository, and only those that the package names: what it uses without naming is missing.
 */

const run = promisify(execFile);
const COMMANDS = ['start', 'demo', 'doctor', 'keys', 'simulator'];

interface Manifest {
  version: string;
  bin: { wxkeeper: string };
  dependencies: Record<string, string>;
  private?: boolean;
}

let folder: string;
let installed: string;
let program: string;
let manifest: Manifest;
/** All that npm packs, relative to the package. */
let files: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wxkeeper-package-'));
  // Without its scripts: they would build anew what other tests are using.
  const arguments_ = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder];
  const packed = await run('npm', arguments_, { cwd: ROOT, maxBuffer: 2 ** 24 });
  const [{ filename } = { filename: '' }] = JSON.parse(packed.stdout) as { filename: string }[];
  const modules = join(folder, 'node_modules');
  installed = join(modules, 'wxkeeper');
  await mkdir(installed, { recursive: true });
  await run('tar', ['-xzf', join(folder, filename), '-C', installed, '--strip-components=1']);
  manifest = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as Manifest;
  for (const name of Object.keys(manifest.dependencies)) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), join(modules, name));
  }
  program = join(modules, '.bin', 'wxkeeper');
  await mkdir(dirname(program));
  await symlink(join(installed, manifest.bin.wxkeeper), program);
  const all = await readdir(installed, { recursive: true, withFileTypes: true });
  files = all
    .filter((one) => one.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(installed.length + 1));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** As a shell runs it, which reads the first line of the file; npm makes it executable. */
async function wxkeeper(args: string[], env: Record<string, string> = {}) {
  const options = { cwd: folder, env: { PATH: process.env['PATH'], ...env } };
  return await run(process.execPath, [program, ...args], options).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: unknown) => error as { code: number; stdout: string; stderr: string },
  );
}

describe('the package', () => {
  it('holds what was built and what explains it, and nothing else', () => {
    const others = files.filter((file) => !file.startsWith('dist/')).sort();
    expect(others).toEqual([
      '.env.example',
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'README.zh-CN.md',
      'deploy/grafana/wxkeeper.json',
      'deploy/prometheus/alerts.yml',
      'package.json',
    ]);
    const built = files.filter((file) => file.startsWith('dist/'));
    // The program and the client, and beside the code only Lua scripts, a page's samples and types.
    expect(built).toEqual(expect.arrayContaining(['dist/main.js', 'dist/client/client.d.ts']));
    expect(built.filter((file) => !/\.(?:js|lua|json|d\.ts)$/.test(file))).toEqual([]);
    const typed = built.filter((file) => file.endsWith('.d.ts'));
    expect(typed.filter((file) => !file.startsWith('dist/client/'))).toEqual([]);
    expect(built).not.toContain('dist/commands/bundle.js');
    expect(manifest.private).toBeUndefined();
  });

  it('has a program that a shell can run', async () => {
    const text = await readFile(join(installed, manifest.bin.wxkeeper), 'utf8');
    expect(text.split('\n')[0]).toBe('#!/usr/bin/env node');
  });

  it('has a client that imports nothing but its own files', async () => {
    const own = files.filter((file) => /^dist\/client\/.*\.(?:js|ts)$/.test(file));
    expect(own.length).toBeGreaterThan(10);
    for (const file of own) {
      const text = await readFile(join(installed, file), 'utf8');
      for (const [, from = ''] of text.matchAll(/ from '([^']+)'/g)) {
        expect(from, file).toMatch(/^\.\/[\w-]+\.js$/);
        await stat(join(installed, 'dist/client', from));
      }
    }
  });
});

describe('wxkeeper', () => {
  it('names its version and its commands', async () => {
    expect((await wxkeeper(['--version'])).stdout.trim()).toBe(manifest.version);
    const { code, stdout } = await wxkeeper(['--help']);
    expect(code).toBe(0);
    for (const name of COMMANDS) expect(stdout).toContain(`\n  ${name} `);
  });

  it.each(COMMANDS)('%s --help says how it is typed here', async (name) => {
    const { code, stdout, stderr } = await wxkeeper([name, '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`wxkeeper ${name}`);
    expect(stdout).not.toContain('npm ');
  });

  it.each([
    ['no command', []],
    ['an unknown one', ['stat']],
    ['__proto__', ['__proto__']],
    ['a flag of start', ['start', '--port=1']],
    ['a flag of keys', ['keys', '--scope', 'admin']],
    ['a flag of the demo', ['demo', '--second', '20']],
  ])('used wrongly ends with 64: %s', async (_what, args) => {
    const { code, stderr } = await wxkeeper(args);
    expect(code).toBe(64);
    expect(stderr).toMatch(/wxkeeper .*--help explains|wxkeeper COMMAND/);
    expect(stderr).not.toContain('npm ');
  });

  it('passes flags on', async () => {
    const { stdout } = await wxkeeper(['keys', '--id', 'shop']);
    expect(stdout).toMatch(/^API_KEYS=shop:[0-9a-f]{64}:credentials:read$/m);
  });

  it('start and doctor read .env of the folder, and what the environment has stands', async () => {
    const file = join(folder, '.env');
    await writeFile(file, 'REDIS_URL=redis://127.0.0.1:1\nLOG_LEVEL=loud\nPUBLIC_PORT=80x\n');
    const { code, stderr } = await wxkeeper(['start'], { LOG_LEVEL: 'info' });
    expect(code).toBe(78);
    expect(stderr).toContain('PUBLIC_PORT');
    expect(stderr).not.toContain('LOG_LEVEL');
    expect((await wxkeeper(['doctor', '--json'])).stdout).toContain('LOG_LEVEL');
    await rm(file);
    await mkdir(file);
    expect(await wxkeeper(['start'])).toMatchObject({ code: 78 });
    await rm(file, { recursive: true });
  });
});

describe('the client', () => {
  const examples = (path: string) =>
    readDocument(path)
      .codeBlocks.filter(({ language }) => language === 'ts')
      .map(({ code }) => code);

  it('is shown in the README as in its own document', () => {
    expect(examples('README.md')).toContain(examples('docs/client.md')[0]);
  });

  it('passes the type check of an application, and works there as the examples say', async () => {
    const tsconfig = {
      compilerOptions: {
        module: 'nodenext',
        target: 'es2023',
        lib: ['es2023'],
        strict: true,
        noEmit: true,
        // Those of Node take longer than all else here; that ours are found is asked below.
        skipLibCheck: true,
        types: ['node'],
        typeRoots: [join(ROOT, 'node_modules/@types')],
      },
      include: ['*.ts'],
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(tsconfig));
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    for (const [index, code] of examples('docs/client.md').entries()) {
      await writeFile(join(folder, `example-${index}.ts`), code);
    }
    const use = `
      import { sendText } from './example-0.js';
      import { createClient, WxkeeperError } from 'wxkeeper/client';
      await sendText('wxfedcba9876543210', 'openid', 'hello');
      const none = createClient({ url: 'http://127.0.0.1:1', key: 'k' });
      // @ts-expect-error a number is no subject
      const wrong = () => none.get('access_token', 1);
      // @ts-expect-error what is thrown is known
      const never = (error: WxkeeperError) => error.retryAfterSeconds === 'soon';
      const error = await none.get('access_token', 'wx1').catch((reason: unknown) => reason);
      console.log(error instanceof WxkeeperError && error.code);`;
    await writeFile(join(folder, 'use.ts'), use);
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
    await run(process.execPath, [tsc, '-p', folder]).catch((error: unknown) => {
      throw new Error((error as { stdout: string }).stdout);
    });

    const platform = await createTestPlatform({ ticket: true });
    try {
      const subject = `${COMPONENT.appid}:wxfedcba9876543210`;
      await authorize(platform, { kind: 'authorizer_access_token', subject });
      const tsx = join(ROOT, 'node_modules/tsx/dist/loader.mjs');
      const { stdout } = await run(process.execPath, ['--import', tsx, join(folder, 'use.ts')], {
        cwd: folder,
        env: {
          PATH: process.env['PATH'],
          WXKEEPER_URL: `http://127.0.0.1:${platform.app.internalPort()}`,
          WXKEEPER_KEY: platform.apiKey,
          WECHAT_URL: platform.simulator.url,
        },
      });
      expect(stdout.trim()).toBe('unreachable');
      expect(platform.simulator.ledger.messages).toMatchObject([
        { appid: 'wxfedcba9876543210', touser: 'openid', content: 'hello' },
      ]);
    } finally {
      await platform.close();
    }
  });

  it('can be loaded by older code, too', async () => {
    const code = "console.log(typeof require('wxkeeper/client').createClient)";
    const { stdout } = await run(process.execPath, ['-e', code], { cwd: folder });
    expect(stdout.trim()).toBe('function');
  });

  it('knows the codes of all errors that wxkeeper may answer a read or a report with', async () => {
    const types = await readFile(join(installed, 'dist/client/errors.d.ts'), 'utf8');
    const [, union = ''] = /type ServerErrorCode = ([^;]+);/.exec(types) ?? [];
    const known = [...union.matchAll(/'(\w+)'/g)].map(([, code]) => code);
    const elsewhere = [
      ...['malformed_push', 'unreadable_push', 'bad_signature', 'stale_push', 'unknown_component'],
      ...['push_not_stored', 'method_not_allowed', 'too_large', 'unsupported_media'],
      ...['link_invalid', 'link_expired', 'not_configured'],
    ];
    const all = Object.keys(ERROR_TABLE).filter((code) => !elsewhere.includes(code));
    expect(known.sort()).toEqual(all.sort());
  });

  it('is told of nothing by the environment: no setting of the service is read', async () => {
    for (const file of files.filter((one) => one.startsWith('dist/client/'))) {
      const text = await readFile(join(installed, file), 'utf8');
      expect(text).not.toContain('process.env');
      for (const { name } of SETTINGS) expect(text).not.toContain(name);
    }
  });
});
