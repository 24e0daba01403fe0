import { describe, expect, it } from 'vitest';
import { openPush } from '../../../src/wechat/push/envelope.ts';
import { readPush } from '../../../src/wechat/push/read-push.ts';
import { createUsualOpener, readUsual } from '../../../src/wechat/push/usual-push.ts';
import { compareVerdicts } from '../../pushes/verdicts.ts';
import { COMPONENT } from '../../kit/platform.ts';
import { encryptPush, ticketXml } from '../../kit/push-envelope.ts';

const SECRETS = { ...COMPONENT, componentAppid: COMPONENT.appid };

describe('the short way for usual pushes', () => {
  it('has the verdict and the result of the strict one on 50,000 mutated pushes', () => {
    const seed = Date.now() % 1_000_000;
    const { taken, left, refused, difference } = compareVerdicts(50_000, seed);
    expect({ seed, difference }).toEqual({ seed, difference: undefined });
    // Each of them often enough to mean something.
    expect(taken).toBeGreaterThan(10_000);
    expect(left).toBeGreaterThan(5_000);
    expect(refused).toBeGreaterThan(500);
  });

  it('takes what WeChat sends', () => {
    const text = ticketXml({ createTime: 1_763_683_200 });
    const { query, body } = encryptPush(text);
    const opened = createUsualOpener(SECRETS)(query, Buffer.from(body));
    expect(opened?.message).toBe(text);
    expect(readUsual(text)).toEqual(readPush(text, { typed: false }));
  });

  it('leaves to the strict one what needs another token or key', () => {
    const { query, body } = encryptPush(ticketXml({ createTime: 1 }), { token: 'former' });
    const secrets = { ...SECRETS, previousToken: 'former' };
    expect(createUsualOpener(secrets)(query, Buffer.from(body))).toBeUndefined();
    expect(openPush(secrets, query, Buffer.from(body)).usedPreviousToken).toBe(true);
  });

  it.each([
    ['a repeated field', '<xml><A>1</A><A>2</A></xml>'],
    ['a nested one', '<xml><A><B>1</B></A></xml>'],
    ['a reference', '<xml><A>&lt;</A></xml>'],
    ['text beside the fields', '<xml>x<A>1</A></xml>'],
    ['two CDATA sections', '<xml><A><![CDATA[1]]><![CDATA[2]]></A></xml>'],
    ['a second document', '<xml><A>1</A></xml><xml></xml>'],
    ['no field', '<xml></xml>'],
    [
      '65 fields',
      `<xml>${Array.from({ length: 65 }, (_, at) => `<A${at}>1</A${at}>`).join('')}</xml>`,
    ],
    ['a name of JavaScript', '<xml><__proto__>1</__proto__></xml>'],
    ['a carriage return', '<xml><A>1\r\n</A></xml>'],
  ])('leaves %s to the strict reader', (_what, text) => {
    expect(readUsual(text)).toBeUndefined();
  });
});
