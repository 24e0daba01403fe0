import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { otherReadings } from '../../../src/callbacks/handlers/push-time.ts';
import { sign } from '../../../src/wechat/push/envelope.ts';

const digits = (length: number) => fc.stringMatching(new RegExp(`^\\d{${length}}$`));
const nonces = fc.oneof(
  digits(10),
  fc.stringMatching(/^\d{1,32}$/),
  fc.stringMatching(/^[A-Za-z0-9_-]{1,32}$/),
);

describe('what else a signed timestamp can be read as', () => {
  it.each([
    ['two of ten digits: the other one', '1795219200', '1795305600', ['1795305600']],
    ['one of nine: the digits divided anew', '1795219200', '486452656', []],
    ['a shorter one before it', '1795219200', '159', ['1591795219']],
    ['letters: nothing else', '1795219200', 'abcdefghij', []],
    ['the same twice: nothing else', '1795219200', '1795219200', []],
  ])('%s', (_what, timestamp, nonce, times) => {
    const seconds = otherReadings({ timestamp, nonce }).map((time) => String(time / 1000));
    expect(seconds).toEqual(times);
  });

  it('is complete: no other division of the same characters has the same signature', () => {
    fc.assert(
      fc.property(digits(10), nonces, (timestamp, nonce) => {
        const known = [Number(timestamp) * 1000, ...otherReadings({ timestamp, nonce })];
        const signature = sign('token', timestamp, nonce, 'Zz');
        for (const whole of [timestamp + nonce, nonce + timestamp]) {
          for (let at = 0; at + 10 <= whole.length; at += 1) {
            const time = whole.slice(at, at + 10);
            const rest = whole.slice(0, at) + whole.slice(at + 10);
            if (!/^\d{10}$/.test(time) || rest === '') continue;
            if (sign('token', time, rest, 'Zz') === signature) {
              expect(known).toContain(Number(time) * 1000);
            }
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
