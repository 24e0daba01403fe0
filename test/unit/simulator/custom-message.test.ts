import { describe, expect, it } from 'vitest';
import { COMPONENT, HOUR, START } from './harness.ts';
import { AUTHORIZER, startPlatform, type Json } from './platform.ts';

describe('message/custom/send', () => {
  const MESSAGE = { touser: 'oUser', msgtype: 'text', text: { content: '你好' } };

  async function startAccount() {
    const platform = await startPlatform();
    const { accessToken } = platform.simulator.authorize(COMPONENT.appid, AUTHORIZER);
    const send = async (body: unknown, token = accessToken) => {
      const response = await fetch(
        `${platform.simulator.url}/cgi-bin/message/custom/send?access_token=${token}`,
        { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) },
      );
      return (await response.json()) as Json;
    };
    return { ...platform, accessToken, send };
  }

  it('writes down what was sent to whom', async () => {
    const { simulator, send } = await startAccount();
    expect(await send(MESSAGE)).toEqual({ errcode: 0, errmsg: 'ok' });
    expect(simulator.ledger.messages).toEqual([
      { at: START, appid: AUTHORIZER, touser: 'oUser', content: '你好' },
    ]);
  });

  it('refuses a token that is not the live one of an account', async () => {
    const { simulator, clock, send, accessToken } = await startAccount();
    expect(await send(MESSAGE, '')).toMatchObject({ errcode: 41001 });
    expect(await send(MESSAGE, '9_nonsense')).toMatchObject({ errcode: 40001 });
    const ofComponent = simulator.latestMint('component_access_token')?.value;
    expect(await send(MESSAGE, ofComponent)).toMatchObject({ errcode: 40001 });
    const { accessToken: newer } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    expect(await send(MESSAGE, accessToken)).toMatchObject({ errcode: 40001 });
    await clock.advance(2 * HOUR);
    expect(await send(MESSAGE, newer)).toMatchObject({ errcode: 42001 });
    expect(simulator.ledger.messages).toEqual([]);
  });

  it.each([
    [40033, '{"touser":"o","msgtype":"text","text":{"content":"\\u4f60"}}'],
    [40033, '{"touser":"o","msgtype":"text","text":{"content":"\\\\\\u4f60"}}'],
    [44002, ''],
    [47001, '[]'],
    [47001, 'nonsense'],
    [40003, { ...MESSAGE, touser: '' }],
    [40003, { ...MESSAGE, touser: undefined }],
    [40008, { ...MESSAGE, msgtype: 'image' }],
    [44004, { ...MESSAGE, text: { content: '' } }],
    [44004, { ...MESSAGE, text: null }],
    [44004, { ...MESSAGE, text: 'hello' }],
  ])('refuses with %i the body %j', async (errcode, body) => {
    const { simulator, send } = await startAccount();
    expect(await send(body)).toMatchObject({ errcode });
    expect(simulator.ledger.messages).toEqual([]);
  });

  it('takes a text that only speaks about escapes', async () => {
    const { simulator, send } = await startAccount();
    const content = 'write \\u4f60';
    expect(await send({ ...MESSAGE, text: { content } })).toMatchObject({ errcode: 0 });
    expect(simulator.ledger.messages).toMatchObject([{ content }]);
  });
});
