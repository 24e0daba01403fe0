import { describe, expect, it } from 'vitest';
import {
  callApi,
  COMPONENT,
  HOUR,
  MINUTE,
  mintCode,
  mintToken,
  OTHER_COMPONENT,
  START,
  startSimulator,
  tokenRequest,
  urlOf,
} from './harness.ts';

const RID = / rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$/;

describe('api_component_token', () => {
  it('gives a token for a ticket, with its life and without an errcode', async () => {
    const { simulator } = await startSimulator();
    const ticket = simulator.issueTicket();
    const { status, json } = await callApi(simulator, 'api_component_token', tokenRequest(ticket));
    expect(status).toBe(200);
    expect(json).toEqual({
      component_access_token: expect.stringMatching(/^[\w-]{120,140}$/) as string,
      expires_in: 7200,
    });
  });

  it('says which ticket a token was bought with, in the ledger', async () => {
    const { simulator } = await startSimulator();
    const ticket = simulator.issueTicket();
    const { json } = await callApi(simulator, 'api_component_token', tokenRequest(ticket));
    expect(simulator.latestMint('component_access_token')).toEqual({
      at: START,
      appid: COMPONENT.appid,
      kind: 'component_access_token',
      value: json['component_access_token'],
      expiresAt: START + 2 * HOUR,
      ticket,
    });
  });

  it('accepts every unexpired ticket, not just the newest', async () => {
    const { simulator, clock } = await startSimulator();
    const older = simulator.issueTicket();
    await clock.advance(6 * HOUR);
    const newer = simulator.issueTicket();
    for (const ticket of [older, newer, older]) {
      const { json } = await callApi(simulator, 'api_component_token', tokenRequest(ticket));
      expect(json).toHaveProperty('component_access_token');
    }
  });

  it('refuses a ticket with 61005 from the instant its 12 hours are over', async () => {
    const { simulator, clock } = await startSimulator();
    const ticket = simulator.issueTicket();
    await clock.advance(12 * HOUR - 1);
    const before = await callApi(simulator, 'api_component_token', tokenRequest(ticket));
    expect(before.json).toHaveProperty('component_access_token');
    await clock.advance(1);
    const after = await callApi(simulator, 'api_component_token', tokenRequest(ticket));
    expect(after.json['errcode']).toBe(61005);
  });

  const valid = tokenRequest('ticket@@@unknown');
  it.each([
    ['an unknown ticket', 61006, valid],
    ['an empty ticket', 61006, { ...valid, component_verify_ticket: '' }],
    ['a missing ticket', 61006, { ...valid, component_verify_ticket: undefined }],
    ['a ticket that is null', 61006, { ...valid, component_verify_ticket: null }],
    ['a wrong secret', 40125, { ...valid, component_appsecret: 'wrong' }],
    ['a secret that is not a string', 40125, { ...valid, component_appsecret: 7 }],
    ['a missing secret', 41004, { ...valid, component_appsecret: undefined }],
    ['an empty secret', 41004, { ...valid, component_appsecret: '' }],
    [
      'the secret under the name of another call',
      41004,
      {
        ...valid,
        component_appsecret: undefined,
        component_secret: COMPONENT.secret,
      },
    ],
    ['an unknown appid', 40013, { ...valid, component_appid: 'wxnobody' }],
    ['an appid that is not a string', 40013, { ...valid, component_appid: ['wx'] }],
    ['a missing appid', 41018, { ...valid, component_appid: undefined }],
    ['a body that is not JSON', 47001, '<xml/>'],
    ['a body that is no object', 47001, '["component_appid"]'],
    ['an empty body', 44002, ''],
  ])('refuses %s with %i, status 200 and a rid', async (_what, errcode, body) => {
    const { simulator } = await startSimulator();
    const { status, json } = await callApi(simulator, 'api_component_token', body);
    expect(status).toBe(200);
    expect(json['errcode']).toBe(errcode);
    expect(json['errmsg']).toMatch(RID);
    expect(simulator.ledger.mints).toEqual([]);
  });

  it('refuses the ticket of another component', async () => {
    const { simulator } = await startSimulator({ components: [COMPONENT, OTHER_COMPONENT] });
    const ticket = simulator.issueTicket(OTHER_COMPONENT.appid);
    const { json } = await callApi(simulator, 'api_component_token', tokenRequest(ticket));
    expect(json['errcode']).toBe(61006);
  });

  it('refuses any method but POST with 43002', async () => {
    const { simulator } = await startSimulator();
    const response = await fetch(urlOf(simulator, 'api_component_token'));
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ errcode: 43002 });
  });
});

describe('component_access_token', () => {
  it('dies with 40001 as soon as a newer one is minted', async () => {
    const { simulator } = await startSimulator();
    const older = await mintToken(simulator);
    expect((await mintCode(simulator, older)).json).toHaveProperty('pre_auth_code');
    const newer = await mintToken(simulator);
    expect((await mintCode(simulator, older)).json['errcode']).toBe(40001);
    expect((await mintCode(simulator, newer)).json).toHaveProperty('pre_auth_code');
  });

  it('outlives its successor by the overlap that was asked for', async () => {
    const { simulator, clock } = await startSimulator({ overlapSeconds: 300 });
    const older = await mintToken(simulator);
    await mintToken(simulator);
    await clock.advance(5 * MINUTE - 1);
    expect((await mintCode(simulator, older)).json).toHaveProperty('pre_auth_code');
    await clock.advance(1);
    expect((await mintCode(simulator, older)).json['errcode']).toBe(40001);
  });

  it('is not kept alive by a third minting within the overlap', async () => {
    const { simulator, clock } = await startSimulator({ overlapSeconds: 300 });
    const first = await mintToken(simulator);
    await mintToken(simulator);
    await clock.advance(4 * MINUTE);
    await mintToken(simulator);
    await clock.advance(MINUTE);
    expect(simulator.isLive('component_access_token', first)).toBe(false);
  });

  it('expires with 42001 after its two hours', async () => {
    const { simulator, clock } = await startSimulator();
    const token = await mintToken(simulator);
    await clock.advance(2 * HOUR - 1);
    expect((await mintCode(simulator, token)).json).toHaveProperty('pre_auth_code');
    await clock.advance(1);
    expect((await mintCode(simulator, token)).json['errcode']).toBe(42001);
  });

  it('of one component is not killed by the minting of another', async () => {
    const { simulator } = await startSimulator({ components: [COMPONENT, OTHER_COMPONENT] });
    const mine = await mintToken(simulator);
    await mintToken(simulator, OTHER_COMPONENT);
    expect(simulator.isLive('component_access_token', mine)).toBe(true);
  });

  it('can be asked about at any instant of the past', async () => {
    const { simulator, clock } = await startSimulator();
    await clock.advance(MINUTE);
    const older = await mintToken(simulator);
    await clock.advance(MINUTE);
    const newer = await mintToken(simulator);
    const liveAt = (token: string, at: number): boolean =>
      simulator.isLive('component_access_token', token, at);
    expect([START, START + MINUTE, START + 2 * MINUTE].map((at) => liveAt(older, at))).toEqual([
      false,
      true,
      false,
    ]);
    expect(liveAt(newer, START + 2 * MINUTE - 1)).toBe(false);
    expect(liveAt('nonsense', START)).toBe(false);
  });
});

describe('a component token of an earlier simulator', () => {
  const EARLIER = '9_issued-by-an-earlier-simulator';

  it('is refused, unless the simulator was told to adopt it', async () => {
    const { simulator } = await startSimulator();
    expect((await mintCode(simulator, EARLIER)).json['errcode']).toBe(40001);
    const { simulator: adopting } = await startSimulator({ adoptTokens: true });
    expect((await mintCode(adopting, EARLIER)).json).toHaveProperty('pre_auth_code');
    expect(adopting.latestMint('component_access_token')).toBeUndefined();
  });

  it('lives as long as one issued at that moment, and gives way to the next', async () => {
    const { simulator, clock } = await startSimulator({ adoptTokens: true, overlapSeconds: 60 });
    await mintCode(simulator, EARLIER);
    // There is one now, so this is nobody's.
    expect((await mintCode(simulator, '9_another')).json['errcode']).toBe(40001);
    await mintToken(simulator);
    expect((await mintCode(simulator, EARLIER)).json).toHaveProperty('pre_auth_code');
    await clock.advance(MINUTE);
    expect((await mintCode(simulator, EARLIER)).json['errcode']).toBe(40001);
  });

  it('is refused after the first one that is issued here', async () => {
    const { simulator } = await startSimulator({ adoptTokens: true });
    await mintToken(simulator);
    expect((await mintCode(simulator, EARLIER)).json['errcode']).toBe(40001);
  });
});
