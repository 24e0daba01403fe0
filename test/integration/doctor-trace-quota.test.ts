import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { printed } from '../../src/commands/doctor/report.ts';
import { quota, readQuotaFlags } from '../../src/commands/doctor/quota.ts';
import { readTraceFlags, trace } from '../../src/commands/doctor/trace.ts';
import { admitPlatform } from '../kit/doctor.ts';
import {
  AUTHORIZER,
  CLASSIC,
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  STABLE,
  type TestPlatform,
} from '../kit/platform.ts';

/** `doctor -- trace` and `doctor -- quota`, with WeChat's own counting and remembering. */

const APPID = COMPONENT.appid;
const TOKEN_PATH = '/cgi-bin/component/api_component_token';

/** Far enough for what these tests call themselves. */
const LIMIT = 5;

let platform: TestPlatform;
beforeAll(async () => {
  const dailyLimits = { [TOKEN_PATH]: LIMIT };
  platform = await createTestPlatform({
    accounts: true,
    simulator: { accounts: [STABLE, CLASSIC], dailyLimits },
  });
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
  await platform.simulator.pushTicket();
  await platform.settle();
});
afterAll(() => platform.close());

/** As the command does it, without the process. */
async function run(
  name: 'trace' | 'quota',
  ...args: string[]
): Promise<{ text: string; well: boolean }> {
  const installation = await admitPlatform(platform);
  const outcome =
    name === 'trace'
      ? await trace(installation, readTraceFlags(args))
      : await quota(installation, readQuotaFlags(args));
  const text = printed(outcome.lines, installation.secrets);
  const values = platform.simulator.ledger.mints.map(({ value }) => value);
  for (const secret of [...values, COMPONENT.secret, STABLE.secret, CLASSIC.secret]) {
    expect(text).not.toContain(secret);
  }
  return { text, well: outcome.well };
}

/** Asks WeChat directly, to be refused. @returns the rid */
async function refusedCall(path: string, body: unknown): Promise<string> {
  const answer = await fetch(platform.simulator.url + path, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  const { errmsg } = (await answer.json()) as { errmsg: string };
  return /rid: (\S+)$/.exec(errmsg)?.[1] ?? '';
}

const wrongSecret = () =>
  refusedCall(TOKEN_PATH, {
    component_appid: APPID,
    component_appsecret: 'ffffffffffffffffffffffffffffffff',
    component_verify_ticket: 'ticket@@@one',
  });

describe('doctor -- quota, before anything else is called', () => {
  it('shows the calls of platforms and of own accounts, as WeChat counts them', async () => {
    const { text, well } = await run('quota');
    expect(well).toBe(true);
    const rows = text.split('\n').map((line) => line.trim().split(/ +/));
    expect(rows).toContainEqual([APPID, 'used', 'limit', 'remaining']);
    expect(rows).toContainEqual([TOKEN_PATH, '1', String(LIMIT), '4']);
    expect(rows).toContainEqual(['/cgi-bin/stable_token', '1', '500000', '499999']);
    expect(rows).toContainEqual(['/cgi-bin/token', '1', '2000', '1999']);
    expect(rows.filter(([path]) => path === '/cgi-bin/ticket/getticket')).toEqual([
      ['/cgi-bin/ticket/getticket', '2', '2000', '1998'],
      ['/cgi-bin/ticket/getticket', '1', '2000', '1999'],
    ]);
  });

  it.each([
    ['/cgi-bin/nonsense', 'WeChat does not know this path (76021)'],
    ['/cgi-bin/token', 'not a call of this kind of account (76022)'],
  ])('explains a path that cannot be asked about: %s', async (path, words) => {
    const { text, well } = await run('quota', '--appid', APPID, '--path', path);
    expect(well).toBe(false);
    expect(text).toContain(words);
  });
});

describe('doctor -- trace', () => {
  it('tells the request, masked, and what its errcode means', async () => {
    const rid = await wrongSecret();
    const { text, well } = await run('trace', rid);
    expect(well).toBe(true);
    expect(text).toContain(`rid ${rid}, ${APPID}`);
    expect(text).toContain(`call      ${TOKEN_PATH}`);
    expect(text).toContain('from      127.0.0.1');
    expect(text).toContain('"component_appsecret":"[secret]","component_verify_ticket":"[secret]"');
    expect(text).toContain('errcode   40125: the AppSecret is wrong');
    expect(text).toContain('What to do: Compare the configured AppSecret');
    expect(text).not.toMatch(/ffffffff|@@@one/);
    const chinese = await run('trace', rid, '--lang', 'zh');
    expect(chinese.text).toContain('错误码 40125: AppSecret 错误');
  });

  it('masks the token in the address', async () => {
    const token = platform.simulator.latestMint('component_access_token')?.value ?? '';
    const rid = await refusedCall(
      `/cgi-bin/component/api_get_authorizer_info?component_access_token=${token}`,
      { component_appid: APPID, authorizer_appid: AUTHORIZER },
    );
    const { text } = await run('trace', rid);
    expect(text).toContain('api_get_authorizer_info?component_access_token=[secret]');
    expect(text).toContain('errcode   61003');
  });

  it("asks an account of one's own, too, without being told whose request it was", async () => {
    const rid = await refusedCall('/cgi-bin/stable_token', {
      grant_type: 'client_credential',
      appid: STABLE.appid,
      secret: 'wrong',
    });
    expect((await run('trace', rid)).text).toContain(`rid ${rid}, ${STABLE.appid}`);
    const other = await run('trace', rid, '--appid', APPID);
    expect(other.well).toBe(false);
    expect(other.text).toMatch(/another account's request: name that one with --appid \(76003\)/);
  });

  it('says when WeChat does not know it, any more or at all', async () => {
    const rid = await wrongSecret();
    await platform.pass(MINUTE);
    const unknown = `${rid.slice(0, -1)}${rid.endsWith('0') ? '1' : '0'}`;
    const { text, well } = await run('trace', unknown, '--appid', APPID);
    expect(well).toBe(false);
    expect(text).toBe(
      `${APPID}: WeChat knows no request of this rid; compare it with the log (76001).`,
    );
    const old = await run('trace', '65000000-00000000-00000000', '--appid', APPID);
    expect(old.text).toMatch(/any more: it is of 2023-\S+, and only seven days are kept \(76001\)/);
  });

  it('refuses an appid that nobody knows', async () => {
    await expect(run('trace', '65000000-00000000-00000000', '--appid', AUTHORIZER)).rejects.toThrow(
      /neither configured nor an account that wxkeeper knows/,
    );
  });
});

describe('doctor -- quota, when it is used up', () => {
  it('marks what is used up, and clears it when asked twice', async () => {
    for (let call = 0; call < LIMIT; call += 1) await wrongSecret();
    const before = await run('quota', '--appid', APPID);
    expect(before.well).toBe(false);
    expect(before.text).toMatch(/api_component_token +5 +5 +0\n +Used up until midnight/);

    const once = await run('quota', '--clear', '--appid', APPID);
    expect(once.well).toBe(false);
    expect(once.text).toContain('Nothing was cleared yet.');
    expect(once.text).toContain(`npm run doctor -- quota --clear --confirm ${APPID}`);
    expect((await run('quota', '--appid', APPID)).well).toBe(false);

    const twice = await run('quota', '--clear', '--confirm', APPID);
    expect([twice.well, twice.text]).toEqual([
      true,
      `The counters of ${APPID} are back to 0.\nwxkeeper asks again within 15 seconds, or as soon as somebody wants a value.`,
    ]);
    expect((await run('quota', '--appid', APPID)).text).toMatch(/api_component_token +0 +5 +5/);
  });

  it('clears those of an own account and of one that authorized', async () => {
    expect((await run('quota', '--clear', '--confirm', STABLE.appid)).well).toBe(true);
    expect((await run('quota', '--appid', STABLE.appid)).text).toMatch(/stable_token +0 +500000/);

    const { code } = platform.simulator.grant(APPID, AUTHORIZER);
    await platform.simulator.pushAuthorized(APPID, AUTHORIZER, code);
    await platform.settle();
    expect((await run('quota', '--clear', '--confirm', AUTHORIZER)).well).toBe(true);
    const table = await run('quota', '--appid', AUTHORIZER);
    expect(table.text).toMatch(/custom\/send +0 +500000/);
  });

  it('asks whose counters are meant when there are several', async () => {
    await expect(run('quota', '--clear')).rejects.toThrow(
      `Say with --appid whose counters are meant: ${APPID}, ${STABLE.appid}, ${CLASSIC.appid}`,
    );
  });

  it('explains that all ten clearings of the month are used', async () => {
    // One was used above.
    for (let round = 1; round < 10; round += 1) {
      expect((await run('quota', '--clear', '--confirm', APPID)).well).toBe(true);
    }
    const { text, well } = await run('quota', '--clear', '--confirm', APPID);
    expect(well).toBe(false);
    expect(text).toMatch(/All ten clearings of this month are used \(48006\)/);
    const chinese = await run('quota', '--clear', '--confirm', APPID, '--lang', 'zh');
    expect(chinese.text).toContain('本月十次清零已用完（48006）');
  });
});

describe('hours later, without a live token', () => {
  it('both say that there is none to ask with', async () => {
    const rid = await wrongSecret();
    platform.clock.sleepThrough(3 * HOUR);
    const { text, well } = await run('trace', rid, '--appid', APPID);
    const none = { well: false, text: `${APPID}: there is no live token in Redis to ask with` };
    expect({ text, well }).toEqual(none);
    expect(await run('quota', '--appid', APPID)).toEqual(none);
  });
});
