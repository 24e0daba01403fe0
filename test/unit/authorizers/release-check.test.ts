import { describe, expect, it } from 'vitest';
import { answerReleaseCheck, TEST_ACCOUNTS } from '../../../src/authorizers/release-check.ts';
import { CLOCK_START } from '../../kit/clock.ts';
import { parsePushXml } from '../../kit/parse-push-xml.ts';
import { AUTHORIZER, COMPONENT } from '../../kit/platform.ts';

const [ACCOUNT = { appid: '', userName: '' }] = TEST_ACCOUNTS;
const clock = { now: () => CLOCK_START + 999 };

function answer(fields: Readonly<Record<string, unknown>>, authorizerAppid = ACCOUNT.appid) {
  return answerReleaseCheck(clock, {
    componentAppid: COMPONENT.appid,
    authorizerAppid,
    outcome: 'stored',
    fields: { ToUserName: ACCOUNT.userName, FromUserName: 'oChecker', ...fields },
  });
}

const text = (content: unknown) => ({ MsgType: 'text', Content: content });
const plain = text('TESTCOMPONENT_MSG_TYPE_TEXT');
const event = (name: unknown) => ({ MsgType: 'event', Event: name });
const contentOf = (fields: Readonly<Record<string, unknown>>) =>
  parsePushXml(answer(fields)?.reply.xml ?? '').Content;

describe('the official test accounts', () => {
  it('are ten, each named once', () => {
    expect(TEST_ACCOUNTS).toHaveLength(10);
    for (const { appid, userName } of TEST_ACCOUNTS) {
      expect(appid).toMatch(/^wx[0-9a-f]{16}$/);
      expect(userName).toMatch(/^gh_[0-9a-f]{12}$/);
    }
    const names = TEST_ACCOUNTS.flatMap((one) => [one.appid, one.userName]);
    expect(new Set(names).size).toBe(20);
  });

  it('are recognised by the appid of the URL as well as by the original id', () => {
    for (const { appid, userName } of TEST_ACCOUNTS) {
      expect(answer({ ...plain, ToUserName: 'gh_other' }, appid)).toBeDefined();
      expect(answer({ ...plain, ToUserName: userName }, AUTHORIZER)).toBeDefined();
    }
  });

  it('are the only ones: another account that is sent the same is not answered', () => {
    for (const fields of [plain, text('QUERY_AUTH_CODE:queryauthcode@@@x'), event('LOCATION')]) {
      expect(answer({ ...fields, ToUserName: 'gh_other' }, AUTHORIZER)).toBeUndefined();
    }
  });
});

describe('what the checker is told at once', () => {
  it('its text and `_callback`, from the account to the user', () => {
    expect(parsePushXml(answer(plain)?.reply.xml ?? '')).toEqual({
      ToUserName: 'oChecker',
      FromUserName: ACCOUNT.userName,
      CreateTime: String(CLOCK_START / 1000),
      MsgType: 'text',
      Content: 'TESTCOMPONENT_MSG_TYPE_TEXT_callback',
    });
    expect(answer(plain)).not.toHaveProperty('code');
  });

  it('the name of an event and `from_callback`', () => {
    expect(contentOf(event('LOCATION'))).toBe('LOCATIONfrom_callback');
    expect(contentOf(event('subscribe'))).toBe('subscribefrom_callback');
  });

  it('whatever an event is called, the answer stays one document', () => {
    expect(contentOf(event('a]]>b'))).toBe('a]]>bfrom_callback');
    expect(contentOf(event('</Content><Content>&lt;'))).toBe(
      '</Content><Content>&lt;from_callback',
    );
    expect(contentOf(event(']]>]]>\u0000\uD800!'))).toBe(']]>]]>!from_callback');
  });

  it('nothing, when a code came', () => {
    expect(answer(text('QUERY_AUTH_CODE:x'))?.reply).toEqual({ xml: '' });
  });
});

describe('the code that the checker hands over', () => {
  it.each([
    ['QUERY_AUTH_CODE:queryauthcode@@@aBc-_9', 'queryauthcode@@@aBc-_9'],
    ['QUERY_AUTH_CODE: queryauthcode@@@x ', 'queryauthcode@@@x'],
    ['  QUERY_AUTH_CODE:queryauthcode@@@x\n', 'queryauthcode@@@x'],
    ['QUERY_AUTH_CODE:queryauthcode@@@a:b:c', 'queryauthcode@@@a:b:c'],
    ['QUERY_AUTH_CODE:$query_auth_code$', '$query_auth_code$'],
  ])('%j is everything behind the first colon', (content, code) => {
    expect(answer(text(content))).toEqual({ reply: { xml: '' }, code });
  });

  it('may be missing: there is nothing to exchange then', () => {
    expect(answer(text('QUERY_AUTH_CODE:'))).toEqual({ reply: { xml: '' } });
  });
});

describe('what is not of the check', () => {
  it.each([
    ['another text', text('hello')],
    ['more than the text', text('TESTCOMPONENT_MSG_TYPE_TEXT_callback')],
    ['the code in lower case', text('query_auth_code:x')],
    ['an image', { MsgType: 'image', Content: 'TESTCOMPONENT_MSG_TYPE_TEXT' }],
    ['a text without a text', text(undefined)],
    ['two texts', text(['TESTCOMPONENT_MSG_TYPE_TEXT', 'x'])],
    ['an event without a name', event('')],
    ['two events', event(['LOCATION', 'x'])],
    ['a text from nobody', { ...plain, FromUserName: undefined }],
    ['a text to nobody', { ...plain, ToUserName: undefined }],
  ])('%s is not answered', (_what, fields) => {
    expect(answer(fields)).toBeUndefined();
  });
});
