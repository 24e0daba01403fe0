import { describe, expect, it } from 'vitest';
import { describeError, explainError } from '../../../src/credentials/error-words.ts';
import { storedError } from '../../../src/store/credentials/stored-error.ts';

const RID = '6f3a1b2c-0a0b0c0d-11223344';

describe('an error as 0.1.0 has stored it', () => {
  const written = (message: string, more: object = {}) =>
    storedError.parse({ class: 'config', message, advice: 'Nothing to do.', ...more });

  it.each([
    [
      'token: errcode 40164: this address is not on the IP whitelist (203.0.113.7)',
      { errcode: 40164 },
      { api: 'token', fault: 'errcode', errcode: 40164, address: '203.0.113.7' },
      'token：错误码 40164，出口 IP 不在白名单里（203.0.113.7）',
    ],
    [
      'token: errcode 40164: this address is not on the IP whitelist (1.2.3.4, 2409:8a55::1)',
      { errcode: 40164 },
      { fault: 'errcode', address: '1.2.3.4, 2409:8a55::1' },
      'token：错误码 40164，出口 IP 不在白名单里（1.2.3.4, 2409:8a55::1）',
    ],
    [
      'token: errcode 40001: the AppSecret is wrong',
      { errcode: 40001 },
      { fault: 'errcode', errcode: 40001 },
      'token：错误码 40001，AppSecret 错误',
    ],
    [
      'api_component_token: unreachable: no connection to WeChat',
      {},
      { api: 'api_component_token', fault: 'unreachable' },
      'api_component_token：连接不上微信',
    ],
    [
      'token: bad_value: access_token in the answer is empty or malformed',
      {},
      { api: 'token', fault: 'bad_value', field: 'access_token' },
      'token：应答里的 access_token 为空或格式不对',
    ],
    [
      'api_query_auth: bad_value: the answer is not what WeChat documents (authorization_info)',
      {},
      { fault: 'bad_value', undocumented: 'authorization_info' },
      'api_query_auth：应答与微信文档不符（authorization_info）',
    ],
  ])('says what it said: %s', (message, more, data, chinese) => {
    const error = written(message, more);
    expect(error).toMatchObject(data);
    expect(explainError(error, 'en').message).toBe(message);
    expect(explainError(error, 'zh').message).toBe(chinese);
  });

  it.each([
    ['paused', 'the process was paused before the call', '进程在调用之前停顿了'],
    ['unexpected', 'an unexpected fault inside wxkeeper', 'wxkeeper 内部意外错误'],
  ])('is said in both languages when it was our own: %s', (_, message, chinese) => {
    expect(explainError(written(message), 'en').message).toBe(message);
    expect(explainError(written(message), 'zh').message).toBe(chinese);
  });

  it.each([
    ...['constructor', 'something new', 'There is no live access_token.', 'a: b: c'],
    ...['token: errcode 45009: quota', 'token: bad_value: foo', 'token: http_status: 502 by proxy'],
    'token: errcode 40001: other words for the same',
  ])('stays the text that it is where nothing else is known: %s', (message) => {
    const text = { message, advice: 'Nothing to do.' };
    expect(explainError(written(message), 'en')).toEqual(text);
    expect(explainError(written(message), 'zh')).toEqual(text);
  });

  it('has the fields that the HTTP API promises, and no others', () => {
    const message = 'token: errcode 40164: this address is not on the IP whitelist (203.0.113.7)';
    const error = written(message, { errcode: 40164, rid: RID });
    const { advice, ...rest } = describeError(error, 'en');
    expect(rest).toEqual({ class: 'config', message, errcode: 40164, rid: RID });
    expect(advice).toContain('whitelist');
  });
});

it('an error with data that somebody has spoiled is still an error', () => {
  const error = { class: 'retry', message: 'm', fault: 7, api: [], errcode: 'x', address: {} };
  expect(storedError.parse(error)).toEqual({ class: 'retry', message: 'm', advice: '' });
});
