import { describe, expect, it } from 'vitest';
import { explainErrcode } from '../../../src/wechat/errcodes.ts';

describe('what an errcode means', () => {
  it.each([
    [61003, 'reauthorize'],
    [61023, 'reauthorize'],
    [42007, 'reauthorize'],
    [40002, 'bug'],
    [40097, 'bug'],
    [40164, 'config'],
    [45009, 'quota'],
    [40014, 'token'],
    [42001, 'token'],
    [-1, 'retry'],
    [123_456, 'retry'],
  ])('%i is a matter of %s, whoever asked', (errcode, cls) => {
    expect(explainErrcode(errcode, false).class).toBe(cls);
    expect(explainErrcode(errcode, true)).toEqual(explainErrcode(errcode, false));
  });

  it('40001 is a dead token, and a wrong secret where the secret is what was sent', () => {
    expect(explainErrcode(40001, false).class).toBe('token');
    const { class: cls, ...rest } = explainErrcode(40001, true);
    expect(cls).toBe('config');
    expect(rest).toEqual({
      meaning: explainErrcode(40125, true).meaning,
      advice: explainErrcode(40125, true).advice,
    });
  });

  it.each([
    { errcode: 40125, both: [/COMPONENT_APPSECRET/, /appsecret in CONFIG_FILE/] },
    { errcode: 41004, both: [/COMPONENT_APPSECRET/, /appsecret in CONFIG_FILE/] },
    { errcode: 40013, both: [/COMPONENT_APPID/, /appid in CONFIG_FILE/] },
    { errcode: 40164, both: [/whitelist in the console/, /platform.*release/] },
    {
      errcode: 45009,
      both: [/ \/cgi-bin\/component\/clear_quota\/v2/, / \/cgi-bin\/clear_quota\/v2/, /10 times/],
    },
  ])('the advice about $errcode fits a platform and an account', ({ errcode, both }) => {
    for (const part of both) expect(explainErrcode(errcode, true).advice.en).toMatch(part);
  });
});
