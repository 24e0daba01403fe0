import { describe, expect, it } from 'vitest';
import { describeRefusedBy, parseRefusedBy } from '../../../src/store/credentials/refused-by.ts';

describe('who called a value dead', () => {
  it.each([
    [{ caller: 'orders', errcode: 40001 }, 'reported (errcode 40001) by orders'],
    [{ caller: 'orders' }, 'asked for by orders'],
    [{ call: 'pre_auth_code' }, 'WeChat, when asked for pre_auth_code'],
  ])('is stored and told: %j', (by, told) => {
    expect(parseRefusedBy(JSON.stringify(by))).toEqual(by);
    expect(describeRefusedBy(by)).toBe(told);
  });

  it.each([
    ['reported (errcode -1) by a by b', { caller: 'a by b', errcode: -1 }],
    ['asked for by orders', { caller: 'orders' }],
    ['WeChat, when asked for pre_auth_code', { text: 'WeChat, when asked for pre_auth_code' }],
    ['{"caller":7}', { text: '{"caller":7}' }],
    ['7', { text: '7' }],
    ['', { text: '' }],
  ])('is read as 0.1.0, or a person, has written it: %s', (stored, by) => {
    expect(parseRefusedBy(stored)).toEqual(by);
    expect(describeRefusedBy(parseRefusedBy(stored))).toBe(stored);
  });
});
