import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { createSimulator, type Simulator } from '../../src/sandbox/wechat/simulator.ts';
import { CALL_DEADLINE_MS, createWechatApi, WechatError } from '../../src/wechat/client.ts';
import type { WechatAnswer, WechatRequest } from '../../src/wechat/client.ts';
import { explainCall } from '../../src/wechat/failure.ts';
import type { Log } from '../../src/lib/log.ts';
import { createManualClock, type ManualClock } from '../kit/clock.ts';
import { collectUnmasked, type UnmaskedLines } from '../kit/logs.ts';
import { COMPONENT } from '../kit/platform.ts';

const API = 'api_component_token';
const KIND = 'component_access_token';

describe('one call to WeChat', () => {
  let clock: ManualClock;
  let simulator: Simulator;
  let log: Log;
  let given: UnmaskedLines;
  let request: WechatRequest;
  const servers: { close(): unknown; closeAllConnections?: () => void }[] = [];

  beforeEach(async () => {
    clock = createManualClock();
    simulator = createSimulator({ components: [COMPONENT], clock, pushing: false, hosts: 2 });
    await simulator.start();
    // A call must not rely on the redaction of the log.
    ({ log, given } = collectUnmasked());
    request = {
      name: API,
      path: `/cgi-bin/component/${API}`,
      body: {
        component_appid: COMPONENT.appid,
        component_appsecret: COMPONENT.secret,
        component_verify_ticket: simulator.issueTicket(),
      },
      expects: KIND,
      issuesToken: true,
    };
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.close();
      server.closeAllConnections?.();
    }
    await simulator.stop();
  });

  const call = (baseUrls = simulator.urls, more: Partial<WechatRequest> = {}) =>
    createWechatApi({ baseUrls, clock, log })({ ...request, ...more });
  /** Why the call gave no answer. */
  const failure = async (calling: Promise<WechatAnswer>): Promise<WechatError['facts']> => {
    const error: unknown = await calling.then(
      () => new Error('there was an answer'),
      (thrown: unknown) => thrown,
    );
    if (error instanceof WechatError) return error.facts;
    throw error;
  };
  const hostsCalled = () => simulator.ledger.calls.map(({ host }) => host);
  const mints = () => simulator.ledger.mints.filter(({ kind }) => kind === KIND).length;
  const listen = async (server: Server | ReturnType<typeof createTcpServer>): Promise<number> => {
    servers.push(server);
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  };
  const serve = async (listener: RequestListener) =>
    `http://127.0.0.1:${await listen(createServer(listener))}`;

  it('gives the fields of a good answer', async () => {
    const { fields, mayHaveRunTwice } = await call();
    expect(fields).toEqual({
      component_access_token: simulator.latestMint(KIND)?.value,
      expires_in: 7200,
    });
    expect(mayHaveRunTwice).toBe(false);
    expect(clock.pendingTimers()).toBe(0);
  });

  describe('takes eight seconds in all', () => {
    it('when WeChat does not answer; nobody else is asked', async () => {
      simulator.addFault({ api: API, afterMint: true, fault: { type: 'hang' } });
      const failing = failure(call());
      await vi.waitFor(() => expect(mints()).toBe(1), { timeout: 20_000 });
      let over = false;
      void failing.then(() => (over = true));
      await clock.advance(CALL_DEADLINE_MS - 1);
      await new Promise(setImmediate);
      expect(over).toBe(false);
      await clock.advance(1);
      expect(await failing).toMatchObject({ fault: 'timeout', class: 'retry', mayHaveRun: true });
      expect(hostsCalled()).toEqual([0]);
      expect(mints()).toBe(1);
      expect(clock.pendingTimers()).toBe(0);
    });

    it('when the answer drips in', async () => {
      let began = false;
      const dripping = serve((_request, response) => {
        began = true;
        response.writeHead(200).write('{');
        const drip = () => {
          response.write(' ');
          clock.setTimer(1_000, drip);
        };
        clock.setTimer(1_000, drip);
      });
      const failing = failure(call([await dripping, simulator.url]));
      await vi.waitFor(() => expect(began).toBe(true), { timeout: 20_000 });
      await clock.advance(CALL_DEADLINE_MS);
      expect(await failing).toMatchObject({ fault: 'timeout', mayHaveRun: true });
      expect(hostsCalled()).toEqual([]);
    });
  });

  describe('asks the next host', () => {
    it('when the first one refuses the connection: nothing was sent', async () => {
      await simulator.killHost(0);
      expect((await call()).mayHaveRunTwice).toBe(false);
      expect(hostsCalled()).toEqual([1]);
      await simulator.killHost(1);
      expect(await failure(call())).toMatchObject({ fault: 'unreachable', mayHaveRun: false });
    });

    it('after a 5xx, and says that the work may have been done twice', async () => {
      simulator.addFault({
        api: API,
        host: 0,
        afterMint: true,
        fault: { type: 'status', status: 502 },
      });
      const { fields, mayHaveRunTwice } = await call();
      expect(fields[KIND]).toBe(simulator.latestMint(KIND)?.value);
      expect(mayHaveRunTwice).toBe(true);
      expect(hostsCalled()).toEqual([0, 1]);
      expect(mints()).toBe(2);
    });

    it('and remembers an earlier 5xx when the last one refuses', async () => {
      simulator.addFault({ api: API, host: 0, fault: { type: 'status', status: 503 } });
      simulator.addFault({ api: API, host: 1, fault: { type: 'errcode', errcode: -1 } });
      expect(await failure(call())).toMatchObject({
        fault: 'errcode',
        errcode: -1,
        mayHaveRun: true,
        host: new URL(simulator.urls[1] ?? '').host,
      });
    });

    it('after 2.5 s of a handshake that does not end', async () => {
      let connected = false;
      const mute = await listen(
        createTcpServer((socket) => {
          connected = true;
          socket.on('error', () => undefined);
        }),
      );
      const calling = call([`https://127.0.0.1:${mute}`, simulator.url]);
      await vi.waitFor(() => expect(connected).toBe(true), { timeout: 20_000 });
      await clock.advance(2_499);
      await new Promise(setImmediate);
      expect(hostsCalled()).toEqual([]);
      await clock.advance(1);
      expect((await calling).mayHaveRunTwice).toBe(false);
      expect(hostsCalled()).toEqual([0]);
    });
  });

  it.each([
    { name: 'a reset', fault: { type: 'reset' }, kind: 'unreachable' },
    { name: 'half a body', fault: { type: 'truncate', close: true }, kind: 'bad_body' },
    { name: 'half a document', fault: { type: 'truncate' }, kind: 'bad_body' },
    { name: 'a web page', fault: { type: 'html' }, kind: 'bad_body' },
    { name: 'two documents', fault: { type: 'body', body: '{"a":1}{"a":1}' }, kind: 'bad_body' },
    { name: 'a list', fault: { type: 'body', body: '[]' }, kind: 'bad_body' },
    { name: 'nothing', fault: { type: 'body', body: '' }, kind: 'bad_body' },
    { name: 'more than 64 KB', fault: { type: 'large', bytes: 65_536 }, kind: 'bad_body' },
  ] as const)('asks nobody else after $name: the work may be done', async ({ fault, kind }) => {
    simulator.addFault({ api: API, afterMint: true, fault });
    expect(await failure(call())).toMatchObject({ fault: kind, class: 'retry', mayHaveRun: true });
    expect(hostsCalled()).toEqual([0]);
    expect(mints()).toBe(1);
  });

  it('reads an answer of almost 64 KB, and stops in the middle of an endless one', async () => {
    simulator.addFault({ api: API, afterMint: true, fault: { type: 'large', bytes: 65_000 } });
    expect((await call()).fields[KIND]).toBe(simulator.latestMint(KIND)?.value);
    let cut = false;
    const endless = await serve((_request, response) => {
      const block = Buffer.alloc(16_384, ' ');
      const more = () => {
        while (!response.destroyed && response.write(block));
      };
      response.on('drain', more).on('close', () => (cut = true));
      more();
    });
    expect(await failure(call([endless]))).toMatchObject({ fault: 'bad_body', mayHaveRun: true });
    await vi.waitFor(() => expect(cut).toBe(true), { timeout: 20_000 });
  });

  it('follows no redirect', async () => {
    const reached: string[] = [];
    const elsewhere = await serve((incoming, response) => {
      reached.push(incoming.url ?? '');
      response.end('{"component_access_token":"stolen"}');
    });
    simulator.addFault({ api: API, fault: { type: 'redirect', location: `${elsewhere}/x` } });
    expect(await failure(call())).toMatchObject({ fault: 'redirect', class: 'config' });
    expect(reached).toEqual([]);
    expect(hostsCalled()).toEqual([0]);
  });

  it('judges by the field, whatever the HTTP status', async () => {
    const body = JSON.stringify({ component_access_token: 'of a 500', expires_in: 7200 });
    simulator.addFault({ api: API, fault: { type: 'status', status: 500, body } });
    expect((await call()).fields[KIND]).toBe('of a 500');
    const refusal = JSON.stringify({ errcode: 40125, errmsg: 'invalid appsecret' });
    simulator.addFault({ api: API, fault: { type: 'status', status: 500, body: refusal } });
    expect(await failure(call())).toMatchObject({ fault: 'errcode', errcode: 40125 });
    expect(hostsCalled()).toEqual([0, 0]);
  });

  it.each([
    { errcode: -1, class: 'retry', issuesToken: true },
    { errcode: 45011, class: 'rate', issuesToken: true },
    { errcode: 45009, class: 'quota', issuesToken: true },
    { errcode: 61005, class: 'ticket', issuesToken: true },
    { errcode: 40125, class: 'config', issuesToken: true },
    { errcode: 40001, class: 'config', issuesToken: true },
    { errcode: 40001, class: 'token', issuesToken: false },
    { errcode: 48004, class: 'permission', issuesToken: true },
    { errcode: 47001, class: 'bug', issuesToken: true },
    { errcode: 123456, class: 'retry', issuesToken: true },
  ])('explains errcode $errcode as $class (issues a token: $issuesToken)', async (row) => {
    const { errcode, issuesToken } = row;
    const rid = '6f3a1b2c-0a0b0c0d-11223344';
    const errmsg = `something rid: ${rid}`;
    simulator.addFault({ api: API, fault: { type: 'errcode', errcode, errmsg } });
    const facts = await failure(call(simulator.urls, { issuesToken }));
    expect(facts).toMatchObject({ errcode, rid, class: row.class, mayHaveRun: false });
    expect(explainCall(facts).advice.en).not.toBe('');
    expect(hostsCalled()).toEqual([0]);
    expect(JSON.stringify(given)).toContain(rid);
  });

  it('logs neither what is in the query nor what is in the body', async () => {
    const query = { component_access_token: 'canary-in-the-query' };
    const told: string[] = [];
    for (const fault of [
      { type: 'errcode', errcode: 40001 },
      { type: 'status', status: 502, body: 'canary-in-the-answer' },
      { type: 'html' },
      { type: 'reset' },
      { type: 'redirect', location: '/?component_access_token=canary-in-the-answer' },
    ] as const) {
      simulator.addFault({ api: API, times: 2, fault });
      told.push(JSON.stringify(await failure(call(simulator.urls, { query }))));
      simulator.clearFaults();
    }
    await call(simulator.urls, { query });
    await simulator.killHost(0);
    told.push(JSON.stringify(await failure(call([simulator.url], { query }))));
    expect(given.length).toBeGreaterThanOrEqual(7);
    const text = [JSON.stringify(given), ...told].join('\n');
    expect(text).not.toContain('canary');
    expect(text).not.toContain(COMPONENT.secret);
    expect(text).not.toContain(simulator.latestMint(KIND)?.value);
  });
});
