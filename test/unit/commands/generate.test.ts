import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseEnv, promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import {
  END_MARKER,
  envExample,
  settingsTable,
  START_MARKER,
  TARGETS,
  withTable,
} from '../../../src/commands/generate/files.ts';
import { ConfigError } from '../../../src/config/faults.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { Setting } from '../../../src/config/setting.ts';
import { SETTINGS } from '../../../src/config/settings.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

const SETTING: Setting = { name: 'X', schema: z.string(), doc: { en: 'the `x`', zh: 'x' } };

describe('files made from the settings', () => {
  it.each(TARGETS)('$path is up to date (npm run generate)', ({ path, make }) => {
    const current = read(path);
    expect(current).toBe(make(current));
  });

  it('mention every setting, in both languages', () => {
    for (const { name, doc } of SETTINGS) {
      expect(read('.env.example')).toMatch(new RegExp(`^(# )?${name}=`, 'm'));
      expect(read('README.md')).toContain(`| \`${name}\` |`);
      expect(read('README.zh-CN.md')).toContain(doc.zh);
    }
  });
});

describe('.env.example', () => {
  const given = parseEnv(read('.env.example'));

  it('lacks nothing but the component, which only its owner knows', () => {
    let faults: readonly string[] = [];
    try {
      loadConfig({ ...given, COMPONENT_APPID: 'wx0123456789abcdef' });
    } catch (error) {
      faults = error instanceof ConfigError ? error.sentences : [String(error)];
    }
    expect(faults).toEqual([
      'COMPONENT_APPSECRET is required',
      'COMPONENT_TOKEN is required',
      'COMPONENT_ENCODING_AES_KEY is required',
    ]);
  });

  it('shows the defaults as they are', () => {
    const component = {
      COMPONENT_APPID: 'wx0123456789abcdef',
      COMPONENT_APPSECRET: 's'.repeat(32),
      COMPONENT_TOKEN: 'token',
      COMPONENT_ENCODING_AES_KEY: 'k'.repeat(43),
    };
    // What is commented out there and has a default changes nothing when it is set.
    const commented = parseEnv(read('.env.example').replace(/^# (?=[A-Z_]+=)/gm, ''));
    const defaults = SETTINGS.filter((setting) => setting.default !== undefined);
    const set = Object.fromEntries(defaults.map(({ name }) => [name, commented[name]]));
    expect(Object.keys(set).length).toBeGreaterThan(8);
    expect(loadConfig({ ...given, ...component, ...set })).toEqual(
      loadConfig({ ...given, ...component }),
    );
  });

  it('holds no secret, and says that each may come from a file', () => {
    for (const { name, secret } of SETTINGS) {
      if (secret !== true) continue;
      if (name !== 'REDIS_URL') expect(given[name] ?? '').toBe('');
      expect(read('.env.example')).toContain(`(or ${name}_FILE)`);
    }
  });

  it('leaves what is required to be filled in, and the rest as comments', () => {
    const text = envExample([
      { ...SETTING, name: 'NEEDED', required: true, example: 'e' },
      { ...SETTING, name: 'NORMAL', default: 'd' },
      { ...SETTING, name: 'EXTRA', example: 'e' },
      { ...SETTING, name: 'SECRET', secret: true },
    ]);
    expect(text).toContain('\n# the x\nNEEDED=e\n');
    expect(text).toContain('\n# NORMAL=d\n');
    expect(text).toContain('\n# EXTRA=e\n');
    expect(text).toContain('\n# the x (or SECRET_FILE)\n# SECRET=\n');
  });
});

describe('a table in a README', () => {
  it('replaces what stands between the markers, and nothing else', () => {
    const text = `a\n${START_MARKER}\nold\n${END_MARKER}\nz\n`;
    const once = withTable('R', text, 'new');
    expect(once).toBe(`a\n${START_MARKER}\n\nnew\n\n${END_MARKER}\nz\n`);
    expect(withTable('R', once, 'new')).toBe(once);
  });

  it.each([
    ['R is missing', undefined],
    ['one <!-- settings:start -->', 'no markers'],
    ['one <!-- settings:start -->', START_MARKER],
    ['one <!-- settings:start -->', `${END_MARKER} ${START_MARKER}`],
    ['one <!-- settings:start -->', `${START_MARKER}${START_MARKER}${END_MARKER}`],
    ['one <!-- settings:start -->', `${START_MARKER}${END_MARKER}${END_MARKER}`],
  ])('fails with "%s" when there is no clear place for it', (message, text) => {
    expect(() => withTable('R', text, 'new')).toThrow(message);
  });

  it.each(['en', 'zh'] as const)('has three cells in every row (%s)', (language) => {
    const rows = settingsTable(language).split('\n');
    expect(rows).toHaveLength(SETTINGS.length + 2);
    for (const row of rows) expect(row.split(/(?<!\\)\|/)).toHaveLength(5);
  });
});

describe('npm run generate', () => {
  const run = promisify(execFile);
  const script = join(ROOT, 'src/commands/generate.ts');

  it('finds nothing to do here', async () => {
    const { stdout } = await run(process.execPath, ['--import', 'tsx', script, '--check']);
    expect(stdout.match(/is up to date/g)).toHaveLength(TARGETS.length);
  });

  it('refuses unknown flags with exit code 64', async () => {
    await expect(
      run(process.execPath, ['--import', 'tsx', script, '--nonsense']),
    ).rejects.toMatchObject({ code: 64, stderr: expect.stringContaining('--check') as string });
  });
});
