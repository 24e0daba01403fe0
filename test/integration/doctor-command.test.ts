import { beforeEach, describe, expect, it, vi } from 'vitest';
import { runDoctor } from '../../src/commands/doctor/run.ts';
import { platformEnv } from '../kit/platform.ts';

/** The command line of the doctor: what it takes, and how it ends. */

let printed: { out: string; err: string };
beforeEach(() => {
  printed = { out: '', err: '' };
  vi.spyOn(console, 'log').mockImplementation((text: string) => void (printed.out += `${text}\n`));
  vi.spyOn(console, 'error').mockImplementation(
    (text: string) => void (printed.err += `${text}\n`),
  );
  return () => vi.restoreAllMocks();
});

const NOBODY = platformEnv({ urls: ['http://127.0.0.1:1'] }, 'redis://127.0.0.1:1', 'x:');
const RID = '5f0d1c2a-1b2c3d4e-5a6b7c8d';

describe('npm run doctor', () => {
  it.each([
    [['--help'], /release-check/],
    [['--json', '--help'], /release-check/],
    [['-h'], /release-check/],
    [['help'], /release-check/],
    [['quota', '-h'], /--confirm APPID/],
    [['release-check', '--help'], /--callback URL/],
    [['trace', '--help'], /trace RID/],
    [['quota', '--help'], /--confirm APPID/],
  ])('explains itself: %j', async (args, words) => {
    expect(await runDoctor(args, {})).toBe(0);
    expect(printed.out).toMatch(words);
  });

  it.each([
    [['nonsense'], /no "nonsense" here/],
    [['toString'], /no "toString" here/],
    [['--nonsense'], /--nonsense/],
    [['--lang', 'fr'], /--lang must be en or zh/],
    [['trace'], /A rid looks like/],
    [['quota', '--confirm', 'wx0123456789abcdef'], /--confirm goes with --clear/],
    [['release-check', '--nonsense'], /--nonsense/],
    [['release-check', 'positional'], /positional/],
    [['release-check', '--callback', 'nowhere'], /--callback must be a whole/],
    [['release-check', '--callback', 'https://wx.example.com/?a=b'], /without a query/],
  ])('refuses %j with exit code 64', async (args, words) => {
    expect(await runDoctor(args, NOBODY)).toBe(64);
    expect(printed.out).toBe('');
    expect(printed.err).toMatch(words);
  });

  it('names wrong settings, a line each, and ends with 78', async () => {
    expect(await runDoctor(['--lang', 'zh'], {})).toBe(78);
    expect(printed.out).toMatch(
      /^配置\n {2}FAILED {3}REDIS_URL {2}is required, or REDIS_SENTINELS.*\n {11}怎么办：/,
    );
    expect(await runDoctor(['trace', RID], {})).toBe(78);
    expect(printed.err).toContain('REDIS_URL is required');
  });

  it.each([[['trace', RID]], [['quota']]])('%j needs Redis: 1', async (args) => {
    expect(await runDoctor(args, NOBODY)).toBe(1);
    expect(printed.err).toBe('Redis cannot be reached (ECONNREFUSED).\n');
  });
});
