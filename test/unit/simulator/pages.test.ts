import { describe, expect, it } from 'vitest';
import {
  COMPONENT,
  control,
  element,
  MINUTE,
  mintCode,
  mintToken,
  open,
  OTHER_COMPONENT,
  startReceiver,
  startSimulator,
} from './harness.ts';
import { AUTHORIZER, type Json } from './platform.ts';

const PC = '/cgi-bin/componentloginpage';
const MOBILE = '/wxaopen/safe/bindcomponent';
const START_PAGE = 'https://platform.example/authorize';
const BACK = 'https://platform.example/done?link=a%20b%2Bc';

async function startPages() {
  const receiver = await startReceiver();
  const { simulator, clock } = await startSimulator({
    components: [{ ...COMPONENT, callbackUrl: receiver.url }, OTHER_COMPONENT],
  });
  const token = await mintToken(simulator);
  const newCode = async () => (await mintCode(simulator, token)).json['pre_auth_code'] as string;
  const code = await newCode();
  const urlOf = (path: string, query: Record<string, string> = {}) => {
    const all = { component_appid: COMPONENT.appid, pre_auth_code: code, redirect_uri: BACK };
    return `${simulator.url}${path}?${new URLSearchParams({ ...all, ...query }).toString()}`;
  };
  return {
    simulator,
    clock,
    receiver,
    token,
    code,
    newCode,
    get: async (path: string, query?: Record<string, string>, referer: string = START_PAGE) => {
      const headers = referer === '' ? {} : { Referer: referer };
      const response = await fetch(urlOf(path, query), { headers });
      const type = response.headers.get('content-type');
      return { status: response.status, type, text: await response.text() };
    },
    press: async (form: Record<string, string>, query?: Record<string, string>) => {
      const body = new URLSearchParams(form);
      const init = { method: 'POST', body, redirect: 'manual' } as const;
      const response = await fetch(urlOf(PC, query), init);
      await simulator.idle();
      const location = response.headers.get('location');
      return { status: response.status, location, text: await response.text() };
    },
    query: async (authorizationCode: string | null | undefined) => {
      const response = await fetch(
        `${simulator.url}/cgi-bin/component/api_query_auth?component_access_token=${token}`,
        {
          method: 'POST',
          body: JSON.stringify({
            component_appid: COMPONENT.appid,
            authorization_code: authorizationCode,
          }),
        },
      );
      return (await response.json()) as Json;
    },
    /** InfoType and code of each event, in order. */
    events: () =>
      receiver.pushes.map((push) => {
        const xml = open(push);
        return ['InfoType', 'AuthorizationCode', 'PreAuthCode'].map((name) => element(xml, name));
      }),
  };
}

const authCode = (location: string | null) => new URL(location ?? '').searchParams.get('auth_code');

describe('the authorization page', () => {
  it.each([PC, MOBILE, '/safe/bindcomponent'])('offers accounts at %s', async (path) => {
    const { simulator, get, code } = await startPages();
    simulator.authorize(COMPONENT.appid, AUTHORIZER, { nickname: '<b>"小"店' });
    const { status, type, text } = await get(path, { auth_type: '3' });
    expect([status, type]).toEqual([200, 'text/html; charset=utf-8']);
    expect(text).toContain('This is a simulator and not WeChat');
    expect(text.match(/<button/g)).toHaveLength(3);
    expect(text).toContain(`value="${AUTHORIZER}"`);
    expect(text).not.toContain('<b>');
    // Looking at it uses nothing up.
    expect(simulator.usePreAuthCode(code)).toBe('ok');
  });

  it('can be used by what it says alone', async () => {
    const { simulator, get, query } = await startPages();
    const { text } = await get(MOBILE, { auth_type: '2' });
    const unescape = (html = '') =>
      html.replace(/&#(\d+);/g, (_all, number: string) => String.fromCharCode(Number(number)));
    const action = unescape(/action="([^"]*)"/.exec(text)?.[1]);
    const form = new URLSearchParams();
    for (const [, name = '', value] of text.matchAll(/name="([^"]*)" value="([^"]*)"/g)) {
      form.append(name, unescape(value));
    }
    const init = { method: 'POST', body: form, redirect: 'manual' } as const;
    const response = await fetch(`${simulator.url}${action}`, init);
    expect(response.status).toBe(302);
    const answer = await query(authCode(response.headers.get('location')));
    expect(answer).toMatchObject({
      authorization_info: { authorizer_appid: form.get('authorizer') },
    });
  });

  it.each([
    ['1', ['official']],
    ['2', ['mini']],
    ['3', ['official', 'mini']],
    ['6', ['official', 'mini']],
  ])('offers for auth_type %s only %j', async (type, kinds) => {
    const { get } = await startPages();
    const { text } = await get(PC, { auth_type: type });
    const offered = [...text.matchAll(/name="kind" value="(\w+)"/g)].map(([, kind]) => kind);
    expect(offered).toEqual(kinds);
  });

  it('offers only the account that the link is for', async () => {
    const { get, press } = await startPages();
    const query = { biz_appid: AUTHORIZER };
    const { text } = await get(MOBILE, query);
    expect(text.match(/<button/g)).toHaveLength(1);
    expect(text).toContain(AUTHORIZER);
    expect((await press({ authorizer: 'wxother' }, query)).status).toBe(400);
    expect((await press({ authorizer: AUTHORIZER }, query)).status).toBe(302);
  });

  it.each([
    ['no Referer', {}, '', 'address bar'],
    ['a Referer that is no URL', {}, 'nonsense', 'address bar'],
    ['another host to come from', {}, 'https://other.example/', 'other.example'],
    [
      'another host to go to',
      { redirect_uri: 'https://evil.example/' },
      START_PAGE,
      'evil.example',
    ],
    ['no redirect_uri', { redirect_uri: '' }, START_PAGE, 'redirect_uri'],
    ['a script to go to', { redirect_uri: 'javascript:alert(1)' }, START_PAGE, 'redirect_uri'],
    ['an unknown component', { component_appid: 'wxnobody' }, START_PAGE, 'component_appid'],
    ['no component', { component_appid: '' }, START_PAGE, 'component_appid'],
    ['an unknown code', { pre_auth_code: 'preauthcode@@@x' }, START_PAGE, 'Nobody issued'],
    [
      'the code of another',
      { component_appid: OTHER_COMPONENT.appid },
      START_PAGE,
      'Nobody issued',
    ],
  ])('refuses in words: %s', async (_what, query, referer, words) => {
    const { get } = await startPages();
    const { status, text } = await get(PC, query, referer);
    expect(status).toBe(400);
    expect(text).toContain(words);
    expect(text).not.toContain('<button');
  });

  it('refuses a code that is used or expired', async () => {
    const { simulator, clock, get, code, newCode } = await startPages();
    const late = { pre_auth_code: await newCode() };
    simulator.usePreAuthCode(code);
    expect((await get(PC)).text).toContain('used before');
    await clock.advance(30 * MINUTE);
    expect((await get(PC, late)).text).toContain('has expired');
  });

  it('reads a redirect_uri that is not encoded up to its first ampersand', async () => {
    const { simulator, code } = await startPages();
    const query = `component_appid=${COMPONENT.appid}&pre_auth_code=${code}`;
    const url = `${simulator.url}${PC}?${query}&redirect_uri=https://platform.example/?a=1&b=2`;
    const body = new URLSearchParams({ authorizer: AUTHORIZER });
    const { headers } = await fetch(url, { method: 'POST', body, redirect: 'manual' });
    expect(headers.get('location')).toMatch(/^https:..platform.example.\?a=1&auth_code=/);
  });

  it('refuses other methods', async () => {
    const { simulator, code } = await startPages();
    const query = new URLSearchParams({
      component_appid: COMPONENT.appid,
      pre_auth_code: code,
      redirect_uri: BACK,
    });
    const response = await fetch(`${simulator.url}${PC}?${query.toString()}`, { method: 'PUT' });
    expect(response.status).toBe(400);
  });
});

describe('confirming', () => {
  it('sends the browser back with the code, and the event besides', async () => {
    const { press, query, events, code } = await startPages();
    const { status, location } = await press({ authorizer: AUTHORIZER, kind: 'mini' });
    expect(status).toBe(302);
    const authorizationCode = authCode(location);
    // The query that was there keeps every character.
    expect(location).toBe(
      `${BACK}&auth_code=${encodeURIComponent(authorizationCode ?? '')}&expires_in=600`,
    );
    expect(events()).toEqual([['authorized', authorizationCode, code]]);
    expect(await query(authorizationCode)).toMatchObject({
      authorization_info: { authorizer_appid: AUTHORIZER },
    });
  });

  it.each([
    ['https://platform.example/done', '?'],
    ['https://platform.example/done?', '?'],
    ['https://platform.example/done#top', '?'],
    ['https://platform.example/done?a=1#top', '?a=1&'],
  ])('goes back to %s with one query', async (redirectUri, head) => {
    const { press } = await startPages();
    const { location } = await press({ authorizer: AUTHORIZER }, { redirect_uri: redirectUri });
    const { search, hash } = new URL(location ?? '');
    expect(search.startsWith(`${head}auth_code=`)).toBe(true);
    expect(hash).toBe(new URL(redirectUri).hash);
  });

  it('uses up the pre_auth_code', async () => {
    const { press, events } = await startPages();
    await press({ authorizer: AUTHORIZER });
    const { status, text } = await press({ authorizer: AUTHORIZER });
    expect(status).toBe(400);
    expect(text).toContain('used before');
    expect(events()).toHaveLength(1);
  });

  it.each([{}, { authorizer: '' }, { authorizer: 'a:b' }])('needs an account: %j', async (form) => {
    const { simulator, press, code } = await startPages();
    expect((await press(form)).status).toBe(400);
    expect(simulator.usePreAuthCode(code)).toBe('ok');
  });

  it('again causes an event only when the permission sets change', async () => {
    const { press, newCode, events } = await startPages();
    await press({ authorizer: AUTHORIZER });
    await press({ authorizer: AUTHORIZER }, { pre_auth_code: await newCode() });
    expect(events().map(([type]) => type)).toEqual(['authorized']);
    const changed = { pre_auth_code: await newCode(), category_id_list: '1|4' };
    await press({ authorizer: AUTHORIZER }, changed);
    expect(events().map(([type]) => type)).toEqual(['authorized', 'updateauthorized']);
  });

  it('can lose the event', async () => {
    const { simulator, press, events, query } = await startPages();
    await control(simulator, 'POST authorization', { event: 'lost' });
    const { location } = await press({ authorizer: AUTHORIZER });
    expect(events()).toEqual([]);
    expect(await query(authCode(location))).toHaveProperty('authorization_info');
  });

  it('can lose the way back', async () => {
    const { simulator, press, events, query } = await startPages();
    await control(simulator, 'POST authorization', { redirect: 'lost' });
    const { status, location } = await press({ authorizer: AUTHORIZER });
    expect([status, location]).toEqual([200, null]);
    expect(await query(events()[0]?.[1])).toHaveProperty('authorization_info');
  });

  it('can bring two codes, and is back to normal with an empty body', async () => {
    const { simulator, press, events, newCode } = await startPages();
    simulator.setConfirmation({ twoCodes: true });
    const { location } = await press({ authorizer: AUTHORIZER });
    expect(events()[0]?.[1]).not.toBe(authCode(location));
    const { json } = await control(simulator, 'POST authorization', {});
    expect(json).toEqual({ ok: true, event: 'push', redirect: 'send', twoCodes: false });
    const again = await press({ authorizer: 'wxother' }, { pre_auth_code: await newCode() });
    expect(events()[1]?.[1]).toBe(authCode(again.location));
    expect((await control(simulator, 'POST authorization', { event: 'late' })).status).toBe(400);
  });

  it('works for a platform without a callback URL', async () => {
    const { simulator, press } = await startPages();
    simulator.setCallbackUrl(COMPONENT.appid, undefined);
    expect((await press({ authorizer: AUTHORIZER })).status).toBe(302);
  });
});
