import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { HELP, readWishes, UsageError } from '../../../../src/sandbox/demo/flags.ts';

describe('the flags of the demo', () => {
  it('are all optional', () => {
    expect(readWishes([])).toMatchObject({
      seconds: undefined,
      data: undefined,
      scale: { divisor: 120 },
    });
  });

  it('choose length, pace and folder', () => {
    expect(
      readWishes(['--seconds', '20', '--divide-times-by', '600', '--data', 'data']),
    ).toMatchObject({ seconds: 20, scale: { divisor: 600 }, data: resolve('data') });
    expect(readWishes(['--seconds=86400'])).toMatchObject({ seconds: 86_400 });
  });

  it('are explained', () => {
    expect(readWishes(['--help'])).toBe('help');
    for (const flag of ['--seconds', '--divide-times-by', '--data']) expect(HELP).toContain(flag);
  });

  it.each([
    [['--seconds', '19'], /--seconds must be .* from 20 to 86400, not "19"/],
    [['--seconds', '86401'], /--seconds/],
    [['--seconds', '30.5'], /--seconds/],
    [['--seconds', '1e2'], /--seconds/],
    [['--seconds='], /--seconds/],
    [['--seconds'], /--seconds/],
    [['--divide-times-by', '7'], /--divide-times-by must be .* one of 1, 2, .* 600, not "7"/],
    [['--divide-times-by', '0'], /--divide-times-by/],
    [['--data='], /--data must name a folder/],
    [['--nonsense'], /--nonsense/],
    [['60'], /60/],
  ])('%j is refused', (args, message) => {
    expect(() => readWishes(args)).toThrow(UsageError);
    expect(() => readWishes(args)).toThrow(message);
  });
});
