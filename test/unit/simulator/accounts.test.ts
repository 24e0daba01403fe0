import { describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../../../src/sandbox/wechat/simulator.ts';
import {
  ACCOUNT,
  callAccountApi,
  COMPONENT,
  HOUR,
  MINUTE,
  SECOND,
  START,
  startSimulator,
  type Setup,
} from './harness.ts';

const OTHER_ACCOUNT = { appid: 'wx00000000000000a2', secret: 'the-secret-of-a2' };
const DAY = 24 * HOUR;

const startAccounts = (options: Parameters<typeof startSimulator>[0] = {}): Promise<Setup> =>
  startSimulator({ accounts: [ACCOUNT, OTHER_ACCOUNT], ...options });

const classicPath = ({ appid, secret }: { appid: string; secret: string } = ACCOUNT): string =>
  `token?grant_type=client_credential&appid=${appid}&secret=${secret}`;

async function classic(simulator: Simulator, account = ACCOUNT as typeof OTHER_ACCOUNT) {
  return (await callAccountApi(simulator, classicPath(account)))['access_token'] as string;
}

const stableBody = {
  grant_type: 'client_credential',
  appid: ACCOUNT.appid,
  secret: ACCOUNT.secret,
} as const;

async function stable(simulator: Simulator, more: object = {}) {
  const answer = await callAccountApi(simulator, 'stable_token', { ...stableBody, ...more });
  return answer as { access_token: string; expires_in: number; errcode?: number };
}

const force = (simulator: Simulator) => stable(simulator, { force_refresh: true });

async function getTicket(simulator: Simulator, token: string, type = 'jsapi') {
  const path = `ticket/getticket?access_token=${token}&type=${type}`;
  return (await callAccountApi(simulator, path)) as {
    ticket: string;
    expires_in: number;
    errcode: number;
  };
}

describe('cgi-bin/token', () => {
  it('issues another token at each call, with its life and without an errcode', async () => {
    const { simulator } = await startAccounts();
    const answer = await callAccountApi(simulator, classicPath());
    expect(answer).toEqual({
      access_token: expect.stringMatching(/^[\w-]{120,140}$/) as string,
      expires_in: 7200,
    });
    expect(await classic(simulator)).not.toBe(answer['access_token']);
    expect(simulator.ledger.mints[0]).toEqual({
      at: START,
      appid: ACCOUNT.appid,
      kind: 'access_token',
      api: 'token',
      value: answer['access_token'],
      expiresAt: START + 2 * HOUR,
    });
  });

  it('lets the former token live for five minutes more, and those of others alone', async () => {
    const { simulator, clock } = await startAccounts();
    const former = await classic(simulator);
    const others = await classic(simulator, OTHER_ACCOUNT);
    const newer = await classic(simulator);
    await clock.advance(5 * MINUTE - 1);
    expect((await getTicket(simulator, former)).errcode).toBe(0);
    await clock.advance(1);
    expect((await getTicket(simulator, former)).errcode).toBe(40001);
    for (const token of [newer, others]) {
      expect((await getTicket(simulator, token)).errcode).toBe(0);
    }
  });

  it('lives as long, and overlaps as long, as the options say', async () => {
    const options = { accessTokenSeconds: 600, accountOverlapSeconds: 0 };
    const { simulator } = await startAccounts(options);
    const former = await classic(simulator);
    expect(await callAccountApi(simulator, classicPath())).toMatchObject({ expires_in: 600 });
    expect(simulator.isLive('access_token', former)).toBe(false);
  });

  it.each([
    ['no grant_type', 40002, `token?appid=${ACCOUNT.appid}&secret=${ACCOUNT.secret}`],
    ['no appid', 41002, 'token?grant_type=client_credential'],
    ['an unknown appid', 40013, classicPath({ ...ACCOUNT, appid: 'wxnobody' })],
    ['the appid of a component', 40013, classicPath(COMPONENT)],
    ['no secret', 41004, classicPath({ ...ACCOUNT, secret: '' })],
    ['a wrong secret', 40125, classicPath({ ...ACCOUNT, secret: 'wrong' })],
  ])('refuses %s with %i', async (_what, errcode, path) => {
    const { simulator } = await startAccounts();
    expect(await callAccountApi(simulator, path)).toMatchObject({ errcode });
    expect(simulator.ledger.mints).toEqual([]);
  });

  it('refuses POST with 43001, and stable_token GET with 43002', async () => {
    const { simulator } = await startAccounts();
    expect(await callAccountApi(simulator, classicPath(), {})).toMatchObject({ errcode: 43001 });
    expect(await callAccountApi(simulator, 'stable_token')).toMatchObject({ errcode: 43002 });
  });
});

describe('cgi-bin/stable_token', () => {
  it('repeats its token with the life that is left', async () => {
    const { simulator, clock } = await startAccounts();
    const first = await stable(simulator);
    expect(first.expires_in).toBe(7200);
    await clock.advance(2 * HOUR - 5 * MINUTE - SECOND);
    expect(await stable(simulator)).toEqual({ ...first, expires_in: 301 });
    expect(simulator.ledger.mints).toMatchObject([{ api: 'stable_token' }]);
  });

  it('issues the next one in the last five minutes, in which both work', async () => {
    const { simulator, clock } = await startAccounts();
    const former = await stable(simulator);
    await clock.advance(2 * HOUR - 5 * MINUTE);
    const next = await stable(simulator);
    expect(next).toMatchObject({ expires_in: 7200 });
    expect(next.access_token).not.toBe(former.access_token);
    await clock.advance(5 * MINUTE - 1);
    for (const { access_token: token } of [former, next]) {
      expect(simulator.isLive('access_token', token)).toBe(true);
    }
    await clock.advance(1);
    expect(simulator.isLive('access_token', former.access_token)).toBe(false);
  });

  it('neither ends nor is ended by what cgi-bin/token issues', async () => {
    const { simulator, clock } = await startAccounts();
    const { access_token: own } = await stable(simulator);
    const other = await classic(simulator);
    await classic(simulator);
    await clock.advance(10 * MINUTE);
    expect(simulator.isLive('access_token', own)).toBe(true);
    expect(simulator.isLive('access_token', other)).toBe(false);
    expect((await stable(simulator)).access_token).toBe(own);
  });

  it('ends the former token at once when forced', async () => {
    const { simulator } = await startAccounts();
    const former = await stable(simulator);
    const forced = await force(simulator);
    expect(forced.access_token).not.toBe(former.access_token);
    expect((await getTicket(simulator, former.access_token)).errcode).toBe(40001);
    expect((await stable(simulator)).access_token).toBe(forced.access_token);
  });

  it('takes force within thirty seconds of another as if nobody had asked for it', async () => {
    const { simulator, clock } = await startAccounts();
    const first = await force(simulator);
    await clock.advance(30 * SECOND - 1);
    expect((await force(simulator)).access_token).toBe(first.access_token);
    await clock.advance(1);
    expect((await force(simulator)).access_token).not.toBe(first.access_token);
  });

  it('refuses force with 45009 after twenty times a day', async () => {
    const { simulator, clock } = await startAccounts();
    for (let time = 0; time < 20; time += 1) {
      expect(await force(simulator)).toHaveProperty('access_token');
      await clock.advance(MINUTE);
    }
    expect(await force(simulator)).toMatchObject({ errcode: 45009 });
    expect(await stable(simulator)).toHaveProperty('access_token');
    await clock.advance(DAY - 20 * MINUTE);
    expect(await force(simulator)).toHaveProperty('access_token');
  });

  it.each([
    ['another grant_type', 40002, { grant_type: 'refresh' }],
    ['no appid', 41002, { appid: '' }],
    ['an appid that is no text', 41002, { appid: 7 }],
    ['an unknown appid', 40013, { appid: 'wxnobody' }],
    ['no secret', 41004, { secret: null }],
    ['a wrong secret', 40125, { secret: 'wrong' }],
  ])('refuses %s with %i', async (_what, errcode, wrong) => {
    const { simulator } = await startAccounts();
    expect(await stable(simulator, wrong)).toMatchObject({ errcode });
    expect(simulator.ledger.mints).toEqual([]);
  });
});

describe('ticket/getticket', () => {
  it('repeats the ticket inside its life, and always claims a full life', async () => {
    const { simulator, clock } = await startAccounts();
    const first = await getTicket(simulator, await classic(simulator));
    expect(first).toMatchObject({ errcode: 0, errmsg: 'ok', expires_in: 7200 });
    await clock.advance(2 * HOUR - 1);
    expect(await getTicket(simulator, await classic(simulator))).toEqual(first);
    await clock.advance(1);
    const second = await getTicket(simulator, await classic(simulator));
    expect(second.ticket).not.toBe(first.ticket);
    expect(simulator.isLive('jsapi_ticket', first.ticket)).toBe(false);
    expect(simulator.latestMint('jsapi_ticket')?.value).toBe(second.ticket);
  });

  it('has one for each account and type, with either token', async () => {
    const { simulator } = await startAccounts({ accountTicketSeconds: 60 });
    const token = await classic(simulator);
    const { access_token: other } = await stable(simulator);
    const jsapi = await getTicket(simulator, token);
    expect(jsapi.expires_in).toBe(60);
    expect((await getTicket(simulator, other)).ticket).toBe(jsapi.ticket);
    const card = await getTicket(simulator, token, 'wx_card');
    const others = await getTicket(simulator, await classic(simulator, OTHER_ACCOUNT));
    expect(new Set([jsapi, card, others].map(({ ticket }) => ticket)).size).toBe(3);
    expect(simulator.latestMint('wx_card_ticket')?.value).toBe(card.ticket);
  });

  it('refuses no token, a strange one, a dead one and an unknown type', async () => {
    const { simulator, clock } = await startAccounts();
    const token = await classic(simulator);
    expect(await getTicket(simulator, '')).toMatchObject({ errcode: 41001 });
    expect(await getTicket(simulator, 'strange')).toMatchObject({ errcode: 40001 });
    expect(await getTicket(simulator, token, 'other')).toMatchObject({ errcode: 40097 });
    await clock.advance(2 * HOUR);
    expect(await getTicket(simulator, token)).toMatchObject({ errcode: 42001 });
  });
});

describe('an access_token minted elsewhere', () => {
  it('ends the classic token five minutes later, and the stable one never', async () => {
    const { simulator, clock } = await startAccounts();
    const token = await classic(simulator);
    const { access_token: kept } = await stable(simulator);
    simulator.mintElsewhere('access_token');
    expect(simulator.latestMint('access_token')).toMatchObject({
      appid: ACCOUNT.appid,
      foreign: true,
      api: 'token',
    });
    await clock.advance(5 * MINUTE);
    expect(simulator.isLive('access_token', token)).toBe(false);
    expect(simulator.isLive('access_token', kept)).toBe(true);
  });

  it('must belong to an account that exists', async () => {
    const { simulator } = await startAccounts();
    simulator.mintElsewhere('access_token', OTHER_ACCOUNT.appid);
    expect(simulator.latestMint('access_token', OTHER_ACCOUNT.appid)).toBeDefined();
    expect(() => simulator.mintElsewhere('access_token', 'wxnobody')).toThrow('wxnobody');
    const { simulator: lonely } = await startSimulator();
    expect(() => lonely.mintElsewhere('access_token')).toThrow(RangeError);
  });
});

describe('the accounts of createSimulator', () => {
  it('may be all there is', async () => {
    const { simulator } = await startAccounts({ components: [] });
    expect(await classic(simulator)).not.toBe('');
  });

  it.each([
    ['at least one component', []],
    ['empty or twice', [ACCOUNT, ACCOUNT]],
    ['empty or twice', [{ ...ACCOUNT, appid: '' }]],
    ['secret of wx00000000000000a1 is empty', [{ ...ACCOUNT, secret: '' }]],
  ])('are refused with what is wrong: %s', (message, accounts) => {
    expect(() => createSimulator({ components: [], accounts })).toThrow(message);
  });

  it('cannot bear the appid of a component', () => {
    const accounts = [{ ...ACCOUNT, appid: COMPONENT.appid }];
    expect(() => createSimulator({ components: [COMPONENT], accounts })).toThrow('twice');
  });
});
