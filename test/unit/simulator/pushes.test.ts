import { createServer } from 'node:http';
import { describe, expect, it } from 'vitest';
import {
  callApi,
  COMPONENT,
  element,
  listenAnywhere,
  open,
  SECOND,
  START,
  startSimulator,
  startWithReceiver,
  tokenRequest,
  until,
  type Receiver,
} from './harness.ts';

/** The tickets that arrived, in order. */
function tickets(receiver: Receiver): (string | undefined)[] {
  return receiver.pushes.map((push) => element(open(push), 'ComponentVerifyTicket'));
}

describe('a ticket push', () => {
  it('is posted in the form of WeChat, signed and encrypted', async () => {
    const { simulator, receiver } = await startWithReceiver();
    await simulator.pushTicket();
    const [push] = receiver.pushes;
    expect(push).toMatchObject({ method: 'POST', path: `/callback/${COMPONENT.appid}` });
    expect(push?.headers['content-type']).toBe('text/xml');
    expect(push?.body).toMatch(
      /^<xml><AppId><!\[CDATA\[wx00000000000000c1\]\]><\/AppId><Encrypt><!\[CDATA\[[A-Za-z0-9+/]+=*\]\]><\/Encrypt><\/xml>$/,
    );
    expect([...(push?.query.keys() ?? [])]).toEqual([
      'signature',
      'timestamp',
      'nonce',
      'encrypt_type',
      'msg_signature',
    ]);
    expect(push?.query.get('encrypt_type')).toBe('aes');
    expect(push?.query.get('timestamp')).toBe(String(START / 1000));
  });

  it('holds appid, time, type and a ticket that buys a token', async () => {
    const { simulator, receiver } = await startWithReceiver();
    await simulator.pushTicket();
    const xml = open(receiver.pushes[0] as never);
    expect(element(xml, 'AppId')).toBe(COMPONENT.appid);
    expect(element(xml, 'CreateTime')).toBe(String(START / 1000));
    expect(element(xml, 'InfoType')).toBe('component_verify_ticket');
    const ticket = element(xml, 'ComponentVerifyTicket');
    expect(ticket).toMatch(/^ticket@@@[\w-]{80,}$/);
    const { json } = await callApi(simulator, 'api_component_token', tokenRequest(ticket));
    expect(json).toHaveProperty('component_access_token');
  });

  it('is in the ledger as it was sent and answered', async () => {
    const { simulator, receiver } = await startWithReceiver();
    const record = await simulator.pushTicket();
    expect(record).toEqual({
      at: START,
      appid: COMPONENT.appid,
      infoType: 'component_verify_ticket',
      createTime: START / 1000,
      url: `${receiver.url}?${receiver.pushes[0]?.query.toString() ?? ''}`,
      body: receiver.pushes[0]?.body,
      status: 200,
      answer: 'success',
      accepted: true,
      durationMs: 0,
      attempt: 1,
    });
    expect(simulator.ledger.pushes).toEqual([record]);
  });

  it.each([
    ['success with a line break', 200, 'success\n'],
    ['success in quotes', 200, '"success"'],
    ['an empty body', 200, ''],
    ['success with another status', 201, 'success'],
    ['an error page', 503, 'try later'],
    ['a redirect', 302, 'success'],
  ])('is not accepted by %s', async (_what, status, body) => {
    const { simulator, receiver } = await startWithReceiver();
    receiver.reply = { status, body };
    expect(await simulator.pushTicket()).toMatchObject({ accepted: false, status, answer: body });
  });

  it('keeps 200 characters of a long answer', async () => {
    const { simulator, receiver } = await startWithReceiver();
    receiver.reply = { status: 200, body: 'success'.repeat(10_000) };
    const record = await simulator.pushTicket();
    expect(record.answer).toHaveLength(200);
    expect(record.accepted).toBe(false);
  });

  it('is given up after five seconds without an answer', async () => {
    const { simulator, clock, receiver } = await startWithReceiver();
    receiver.reply = null;
    const pushed = simulator.pushTicket();
    await until(() => receiver.pushes.length === 1);
    await clock.advance(5 * SECOND);
    expect(await pushed).toMatchObject({
      accepted: false,
      status: null,
      error: 'no answer within 5 s',
      durationMs: 5 * SECOND,
    });
  });

  it('whose answer breaks off is recorded with the reason', async () => {
    const { simulator } = await startSimulator();
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'Content-Length': 7 });
      response.write('succ', () => response.destroy());
    });
    simulator.setCallbackUrl(COMPONENT.appid, await listenAnywhere(server));
    expect(await simulator.pushTicket()).toMatchObject({
      accepted: false,
      status: null,
      error: 'aborted',
    });
  });

  // localhost may have two addresses, and then the error is made of two.
  it.each(['127.0.0.1', 'localhost'])('that nobody takes at %s has a reason', async (host) => {
    const { simulator } = await startSimulator({
      components: [{ ...COMPONENT, callbackUrl: `http://${host}:1/callback` }],
    });
    const record = await simulator.pushTicket();
    expect(record).toMatchObject({ accepted: false, status: null });
    expect(record.error).toContain('ECONNREFUSED');
  });

  it('is refused while there is no callback URL', async () => {
    const { simulator, receiver } = await startWithReceiver({ components: [COMPONENT] });
    await expect(simulator.pushTicket()).rejects.toThrow('no callback URL');
    simulator.setCallbackUrl(COMPONENT.appid, receiver.url);
    expect(await simulator.pushTicket()).toMatchObject({ accepted: true });
    simulator.setCallbackUrl(COMPONENT.appid, undefined);
    await expect(simulator.pushTicket()).rejects.toThrow('no callback URL');
    expect(() => simulator.setCallbackUrl(COMPONENT.appid, '/callback')).toThrow('callback URL');
    expect(() => simulator.setCallbackUrl('wxnobody', receiver.url)).toThrow('wxnobody');
  });

  it('keeps what the callback URL has of a query', async () => {
    const { simulator, receiver } = await startWithReceiver();
    simulator.setCallbackUrl(COMPONENT.appid, `${receiver.url}?tenant=7`);
    await simulator.pushTicket();
    expect(receiver.pushes[0]?.query.get('tenant')).toBe('7');
    expect(open(receiver.pushes[0] as never)).toContain('component_verify_ticket');
  });
});

describe('any other push', () => {
  it('carries the InfoType and fields it was asked for', async () => {
    const { simulator, receiver } = await startWithReceiver();
    const record = await simulator.push(COMPONENT.appid, 'authorized', {
      AuthorizerAppid: 'wxa',
      AuthorizationCode: 'queryauthcode@@@x]]>y',
      AuthorizationCodeExpiredTime: 600,
    });
    expect(record).toMatchObject({ infoType: 'authorized', accepted: true });
    expect(open(receiver.pushes[0] as never)).toBe(
      `<xml><AppId><![CDATA[${COMPONENT.appid}]]></AppId>\n` +
        `<CreateTime>${START / 1000}</CreateTime>\n` +
        '<InfoType><![CDATA[authorized]]></InfoType>\n' +
        '<AuthorizerAppid><![CDATA[wxa]]></AuthorizerAppid>\n' +
        '<AuthorizationCode><![CDATA[queryauthcode@@@x]]]]><![CDATA[>y]]></AuthorizationCode>\n' +
        '<AuthorizationCodeExpiredTime>600</AuthorizationCodeExpiredTime>\n</xml>',
    );
  });

  it('sends a whole inner document as it is', async () => {
    const { simulator, receiver } = await startWithReceiver();
    const xml = '<xml><CreateTime>1413192605</CreateTime><Event>中文 & more</Event></xml>';
    const record = await simulator.push(undefined, xml);
    expect(open(receiver.pushes[0] as never)).toBe(xml);
    expect(record).toMatchObject({ infoType: 'raw', createTime: 1413192605 });
  });

  it('may carry a ticket of the test, which buys nothing', async () => {
    const { simulator, receiver } = await startWithReceiver();
    const fields = { ComponentVerifyTicket: 'ticket@@@forged' };
    await simulator.push(undefined, 'component_verify_ticket', fields);
    expect(tickets(receiver)).toEqual(['ticket@@@forged']);
    expect(simulator.ledger.mints).toEqual([]);
    expect(simulator.isLive('component_verify_ticket', 'ticket@@@forged')).toBe(false);
  });
});

describe('buildPush', () => {
  it('makes a push without sending it, good enough to be sent by hand', async () => {
    const { simulator, receiver } = await startWithReceiver();
    const { url, body, query } = simulator.buildPush(undefined, 'component_verify_ticket');
    expect(receiver.pushes).toHaveLength(0);
    expect(simulator.ledger.pushes).toEqual([]);
    expect(open({ query: new URLSearchParams(query), body })).toContain('ticket@@@');
    const response = await fetch(url ?? '', { method: 'POST', body });
    expect(await response.text()).toBe('success');
    expect(tickets(receiver)).toEqual([simulator.latestMint('component_verify_ticket')?.value]);
  });

  it('has no URL when the component has none', async () => {
    const { simulator } = await startSimulator();
    expect(simulator.buildPush(undefined, 'unauthorized')).toMatchObject({
      url: null,
      infoType: 'unauthorized',
      createTime: START / 1000,
    });
  });
});
