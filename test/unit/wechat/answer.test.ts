import { describe, expect, it } from 'vitest';
import { addressesIn, integerIn, parseAnswer, unwrapped } from '../../../src/wechat/answer.ts';
import { describeCall } from '../../../src/wechat/failure.ts';

const BOM = '\uFEFF';

describe('row 124: an answer of WeChat', () => {
  it.each([
    { name: 'plain', body: '{"errcode":0}' },
    { name: 'after a byte order mark', body: `${BOM}{"errcode":0}` },
    { name: 'after two of them', body: `${BOM}${BOM}{"errcode":0}` },
    { name: 'between blanks and line breaks', body: ' \r\n\t{"errcode":0}\u00a0\n' },
    { name: 'between a mark and blanks', body: `\n${BOM} {"errcode":0} ` },
  ])('is read $name', ({ body }) => {
    expect(parseAnswer(body)).toEqual({ errcode: 0 });
  });

  it.each(['', BOM, 'null', '0', '"text"', '<html></html>', '{"errcode":0', '{} {}'])(
    'is none when it says %j',
    (body) => expect(parseAnswer(body)).toBeUndefined(),
  );

  it.each([
    [0, 0],
    [-1, -1],
    [40001, 40001],
    ['40001', 40001],
    ['-1', -1],
    ['0', 0],
    [' 45009\n', 45009],
    [1.5, undefined],
    ['1.5', undefined],
    ['', undefined],
    ['ok', undefined],
    [null, undefined],
    [true, undefined],
    [[40001], undefined],
    [NaN, undefined],
    ['0x10', undefined],
    ['1e3', undefined],
  ])('has a number in %j: %j', (value, number) => expect(integerIn(value)).toBe(number));

  it.each([
    ['{"a":1}', { a: 1 }],
    [' [1] ', [1]],
    ['{not json', '{not json'],
    ['7200', '7200'],
    [{ a: 1 }, { a: 1 }],
    [undefined, undefined],
  ])('has inside of %j: %j', (value, inner) => expect(unwrapped(value)).toEqual(inner));
});

describe('row 109: a text that is not well-formed', () => {
  it.each([
    ['the first half of an emoji', '"Shop \\ud83d"', 'Shop \uFFFD'],
    ['the second half', '"\\ude00 Shop"', '\uFFFD Shop'],
    ['both in the wrong order', '"\\ude00\\ud83d"', '\uFFFD\uFFFD'],
    ['a whole one', '"\\ud83d\\ude00"', '😀'],
    ['capital letters', '"\\uD83D!"', '\uFFFD!'],
    ['none, but the text of an escape', '"\\\\ud83d"', '\\ud83d'],
  ])('comes out well-formed: %s', (_name, text, expected) => {
    expect(parseAnswer(`{"nick_name":${text}}`)).toEqual({ nick_name: expected });
    expect(parseAnswer(`{"a":[{"b":${text}}],"c":1}`)).toEqual({ a: [{ b: expected }], c: 1 });
    expect(expected.isWellFormed()).toBe(true);
  });

  it('in the name of a field, and in JSON within a text', () => {
    expect(Object.keys(parseAnswer('{"a\\ud83d":1}') ?? {})).toEqual(['a\uFFFD']);
    expect(unwrapped('{"a":"\\ud83d"}')).toEqual({ a: '\uFFFD' });
  });
});

describe('row 123: the address in a refusal', () => {
  it.each([
    ['invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist rid: 6a-b-c', ['1.2.3.4']],
    ['access clientip is not registered requestIP: 1.2.3.4 rid: 6a-b-c', ['1.2.3.4']],
    ['access clientip is not registered requestIP:1.2.3.4', ['1.2.3.4']],
    ['access clientip is not registered request ip: 203.0.113.7', ['203.0.113.7']],
    ['invalid ip ::ffff:1.2.3.4', ['1.2.3.4']],
    ['invalid ip ::FFFF:0102:0304.', ['1.2.3.4']],
    ['invalid ip 0:0:0:0:0:ffff:1.2.3.4', ['1.2.3.4']],
    ['invalid ip 2409:8a55:c1::7 ipv6 2409:8a55:c1::7, not in whitelist', ['2409:8a55:c1::7']],
    ['requestIP: 240E:03A1:0000:0000:0000:0000:0000:0001 rid: 6a', ['240e:3a1::1']],
    ['requestIP:2409:8a55::1', ['2409:8a55::1']],
    ['requestIP=2409:8a55::1;', ['2409:8a55::1']],
    ['bad client ip [2409:8a55::1]:44321', ['2409:8a55::1']],
    ['bad client ip 1.2.3.4:44321', ['1.2.3.4']],
    ['invalid ip 1.2.3.4 ipv6 2409:8a55::1, not in whitelist', ['1.2.3.4', '2409:8a55::1']],
    ['IP1.2.3.4不在白名单中', ['1.2.3.4']],
    ['来源 IP：1.2.3.4，不在白名单', ['1.2.3.4']],
    ['not in whitelist rid: 61e9f9ff-0fb6a1b2-12345678', []],
    ['std::bad_alloc in foo::bar', []],
    ['see https://mmbizurl.cn/s/JtxxFh33r at 10:20:30', []],
    ['version 1.2.3', []],
  ] as [string, string[]][])('%s', (errmsg, expected) => {
    expect(addressesIn(errmsg)).toEqual(expected);
  });

  it.each(['1.2.3.4', '2409:8a55::1', '1.2.3.4, 2409:8a55::1', '240e:3a1::1'])(
    'is there for people who read Chinese, too: %s',
    (address) => {
      const call = { api: 'api_component_token', class: 'config', fault: 'errcode' } as const;
      expect(describeCall({ ...call, errcode: 40164, address }).message.zh).toBe(
        `api_component_token：错误码 40164，出口 IP 不在白名单里（${address}）`,
      );
    },
  );
});
