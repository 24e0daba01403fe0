import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUTHORIZER, COMPONENT, createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { contents, eventCount, exchange, newestEvents } from '../kit/public-listener.ts';
import { encryptPush, ticketXml } from '../kit/push-envelope.ts';

/** Under which addresses pushes are taken, and what is said under others. */

const C = COMPONENT.appid;
const A = AUTHORIZER;
const LETTERS = 'wxAbCdEfGhIjKlMnOp';

let platform: TestPlatform;
beforeAll(async () => {
  platform = await createTestPlatform();
});
afterAll(() => platform.close());

const now = () => Math.floor(platform.clock.now() / 1000);
let count = 0;
const message = () =>
  encryptPush(
    `<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName>` +
      `<CreateTime>${now()}</CreateTime><MsgType>text</MsgType><Content>${(count += 1)}</Content></xml>`,
    { timestamp: now() },
  );
const ticket = () =>
  encryptPush(ticketXml({ ticket: `ticket@@@${(count += 1)}`, createTime: now() }), {
    timestamp: now(),
  });

/** As it stands, without what an HTTP client would tidy up. */
async function post(target: string, push: ReturnType<typeof message>): Promise<string> {
  const query = new URLSearchParams(push.query).toString();
  const [path = '', own = ''] = target.split('?');
  const line = `POST ${path}?${own === '' ? '' : `${own}&`}${query} HTTP/1.1`;
  const head = [line, 'Host: x', 'Connection: close', `Content-Length: ${push.body.length}`];
  const answer = await exchange(platform, [`${head.join('\r\n')}\r\n\r\n${push.body}`]);
  await platform.settle();
  return `${answer.slice(9, 12)} ${answer.split('\r\n\r\n')[1] ?? ''}`;
}

describe('row 106: addresses as operators have registered them', () => {
  it.each([
    [`/callback/${C}/${A}`, A],
    [`/callback/${C}/${A}/`, A],
    [`/callback/${C}?appid=/${A}`, A],
    [`/callback/${C}?appid=${A}`, A],
    [`/callback/${C}/?appid=%2F${A}`, A],
    [`/callback/${C}?appid=${A}/`, A],
    [`/callback/${C}//${A}`, A],
    [`/callback//${C}/${A}`, A],
    [`//callback/${C}/${A}`, A],
    [`///callback//${C}///${A}//`, A],
    [`/callback/${C}%2F${A}`, A],
    [`/CallBack/${C}/${A}`, A],
    [`/callback/${C.toUpperCase()}/${A}`, A],
    [`/callback/${C}/${A.toUpperCase()}`, A],
    [`/callback/${C}/wx${A.slice(2).toUpperCase()}`, A],
    [`/callback/${C}?appid=/${A.toUpperCase()}`, A],
    [`/callback/${C}/${LETTERS}`, LETTERS],
    [`/callback/${C}/WX${LETTERS.slice(2)}`, LETTERS],
    [`/callback/${C}/${A}?appid=${LETTERS}`, A],
  ])('%s takes messages', async (target, authorizer) => {
    const before = await eventCount(platform);
    expect(await post(target, message())).toBe('200 success');
    expect(await eventCount(platform)).toBe(before + 1);
    const [entry] = await newestEvents(platform);
    expect(entry).toMatchObject({ component_appid: C, authorizer_appid: authorizer });
  });

  it.each([
    `/callback/${C}`,
    `/callback/${C}/`,
    `//callback//${C}//`,
    `/callback/${C.toUpperCase()}`,
    `/callback/${C}?appid=`,
    `/callback/${C}?appid=/`,
    `/callback/${C}?appid=${C}`,
  ])('%s takes events of the platform', async (target) => {
    await platform.clock.advance(1_000);
    const push = ticket();
    expect(await post(target, push)).toBe('200 success');
    expect(await platform.redis.get(platform.keys.ticketMirror(C))).toBe(`ticket@@@${count}`);
  });

  const CONSOLE = /^404 a literal \$APPID\$/;
  const TWO =
    /^404 the two addresses are \/callback\/COMPONENT_APPID and \/callback\/COMPONENT_APPID\/\$APPID\$$/;
  it.each([
    [`/callback/${C}/$APPID$`, CONSOLE],
    [`/callback/${C}/%24APPID%24`, CONSOLE],
    [`/callback/${C}/$appid$`, CONSOLE],
    [`/callback/${C}?appid=$APPID$`, CONSOLE],
    [`/callback/${C}?appid=/%24APPID%24`, CONSOLE],
    ['/callback', TWO],
    ['//callback//', TWO],
    [`/callback/${C}/${A}/more`, TWO],
    [`/callback/${C}/gh_97417a04a28d`, TWO],
    [`/callback/${C}/${A}0`, TWO],
    [`/callback/${C}?appid=gh_1`, TWO],
    [`/callback/${C}?appid=${A}&appid=${A}`, TWO],
    ['/callback/wxaaaaaaaaaaaaaaaa', /^404 unknown component$/],
    [`/callback/$APPID$/${A}`, /^404 unknown component$/],
    ['/callback/%', /^400 bad request$/],
    ['/callbacks', /^404 not found$/],
  ])('%s is refused, in words', async (target, words) => {
    const before = await contents(platform);
    expect(await post(target, message())).toMatch(words);
    expect(await contents(platform)).toEqual(before);
  });

  it('are bounded alike, and asked alike', async () => {
    const large = { ...message(), body: 'a'.repeat(65_537) };
    for (const target of [`//callback/${C}//${A}`, `/callback/${C}?appid=${A}`]) {
      expect(await post(target, large)).toMatch(/^413 /);
      const put = [`PUT ${target} HTTP/1.1`, 'Host: x', 'Connection: close', '', ''].join('\r\n');
      expect(await exchange(platform, [put])).toMatch(/^HTTP\/1.1 405 /);
    }
  });

  it('answer the check of an address, too', async () => {
    const { query } = message();
    const asked = new URLSearchParams({ ...query, echostr: '42' }).toString();
    for (const target of [`/callback//${C}`, `/callback/${C}/${A}/`]) {
      const answer = await fetch(`${platform.publicUrl(target)}?${asked}`);
      expect(await answer.text()).toBe('42');
    }
  });
});
