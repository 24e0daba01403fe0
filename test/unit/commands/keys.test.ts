import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { findApiKey } from '../../../src/config/api-keys.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { nodeArguments } from '../../kit/service.ts';

async function keys(...flags: string[]) {
  return promisify(execFile)(process.execPath, [...nodeArguments('commands/keys'), ...flags]);
}

/** The key and the settings line out of what is printed. */
function partsOf(stdout: string): { key: string; setting: string } {
  return {
    key: /^wxk_\S+$/m.exec(stdout)?.[0] ?? '',
    setting: /^API_KEYS=(\S+)$/m.exec(stdout)?.[1] ?? '',
  };
}

const SETTINGS = {
  REDIS_URL: 'redis://127.0.0.1',
  COMPONENT_APPID: 'wx0123456789abcdef',
  COMPONENT_APPSECRET: 's'.repeat(32),
  COMPONENT_TOKEN: 'token',
  COMPONENT_ENCODING_AES_KEY: 'k'.repeat(43),
};

function apiKeysOf(setting: string) {
  return loadConfig({ ...SETTINGS, API_KEYS: setting }).apiKeys;
}

describe('npm run keys', () => {
  it('prints a key, and the setting that lets this key in with these scopes', async () => {
    const { stdout, stderr } = await keys(
      '--id',
      'shop',
      '--scopes',
      'credentials:read@wx0123456789abcdef+status:read',
    );
    const { key, setting } = partsOf(stdout);
    expect(key).toMatch(/^wxk_shop_[A-Za-z0-9_-]{43}$/);
    const caller = findApiKey(apiKeysOf(setting), key);
    expect(caller?.id).toBe('shop');
    expect(caller?.grants).toEqual([
      { scope: 'credentials:read', appid: 'wx0123456789abcdef' },
      { scope: 'status:read', appid: undefined },
    ]);
    expect(stderr).toBe('');
  });

  it('shows the key itself once, and never in the setting', async () => {
    const { stdout } = await keys();
    const { key, setting } = partsOf(stdout);
    expect(stdout.split(key)).toHaveLength(2);
    expect(setting).not.toContain(key.slice(-43));
    expect(setting).toMatch(/^service:[0-9a-f]{64}:credentials:read$/);
    expect(stdout).toContain('comma');
  });

  it('makes settings that can be joined with a comma', async () => {
    const made = await Promise.all([keys('--id', 'one'), keys('--id', 'two')]);
    const parts = made.map(({ stdout }) => partsOf(stdout));
    const apiKeys = apiKeysOf(parts.map(({ setting }) => setting).join(','));
    expect(parts.map(({ key }) => findApiKey(apiKeys, key)?.id)).toEqual(['one', 'two']);
  });

  it('makes a key for refresh tokens, another one each time, named by the day or as one likes', async () => {
    const [first, second] = await Promise.all([keys('--sealing'), keys('--sealing', '--id', 'b')]);
    const entries = [first, second].map(
      ({ stdout }) => /^REFRESH_TOKEN_KEYS=(\S+)$/m.exec(stdout)?.[1] ?? '',
    );
    const { refreshTokenKeys } = loadConfig({ ...SETTINGS, REFRESH_TOKEN_KEYS: entries.join(',') });
    const ids = refreshTokenKeys.map(({ id }) => id);
    expect(ids).toEqual([expect.stringMatching(/^\d{4}-\d\d-\d\d$/), 'b']);
    for (const { key } of refreshTokenKeys) expect(Buffer.from(key, 'base64')).toHaveLength(32);
    expect(first.stdout).not.toContain('wxk_');
  });

  it('explains itself', async () => {
    const { stdout } = await keys('--help');
    expect(stdout).toContain('--scopes');
    expect(stdout).not.toMatch(/wxk_\w+_/);
  });

  it.each([
    [['--id', 'Shop'], /--id must be .* not "Shop"/],
    [['--id', '-shop'], /--id/],
    [['--id='], /--id must be/],
    [['--id', 'a:b'], /--id must be/],
    [['--id', 'x'.repeat(33)], /--id must be/],
    [['--scopes', 'credentials:write'], /"credentials:write" is none of credentials:read/],
    [['--scopes', 'status:read+'], /"" is none of/],
    [['--scopes', 'admin@wxshort'], /"admin@wxshort" is none of/],
    [['--sealing', '--id', 'Main'], /--id must be/],
    [['--sealing', '--scopes', 'admin'], /--scopes is for API keys/],
    [['--nonsense'], /--nonsense/],
    [['shop'], /shop/],
  ])('refuses %j with exit code 64', async (flags, message) => {
    await expect(keys(...flags)).rejects.toMatchObject({
      code: 64,
      stdout: '',
      stderr: expect.stringMatching(message) as string,
    });
  });
});
