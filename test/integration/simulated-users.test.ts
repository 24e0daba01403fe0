import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { APPLICATION, CONSOLE, ROUTES, says, stateOf } from '../kit/delivering.ts';
import { AUTHORIZER, createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { startTarget, status, type Target } from '../kit/targets.ts';
import { POLLING } from '../kit/waiting.ts';
import type { PushFault } from '../../src/sandbox/wechat/faults.ts';
import { sealReply, type EnvelopeSecrets } from '../../src/wechat/push/envelope.ts';
import { replyDocument } from '../../src/wechat/push/reply.ts';

/** The simulator plays users of an application behind a delivery route: what they see. */

const NOTHING = { sees: 'nothing' };

let target: Target;
let platform: TestPlatform;
beforeEach(async () => {
  target = await startTarget();
});
afterEach(async () => {
  await platform.close();
  await target.close();
});

async function start(mode: keyof typeof ROUTES): Promise<void> {
  const route = ROUTES[mode](target, { name: 'app', reply: true });
  platform = await createTestPlatform({ routes: [route], ticket: true });
}

const ENDS = { FromUserName: 'o1', ToUserName: 'gh_1' };
const say = (fault?: PushFault) =>
  platform.simulator.pushMessage(
    undefined,
    AUTHORIZER,
    { ...ENDS, MsgType: 'text', Content: 'hi' },
    fault,
  );

/** What an application answers that speaks WeChat's own form. */
function encrypted(secrets: EnvelopeSecrets, form: 'xml' | 'json' = 'xml'): string {
  const now = Math.floor(platform.clock.now() / 1000);
  const ends = { user: 'o1', account: 'gh_1', createTime: now };
  const { [form]: reply } = replyDocument({ type: 'text', content: '你好 ]]> <b>' }, ends);
  return sealReply(secrets, form, { reply, timestamp: now, nonce: 'n1' });
}
const GREETING = { sees: 'text', text: '你好 ]]> <b>' };

describe('a user who writes to an application', () => {
  it.each([
    ['json', ''],
    ['json', 'success'],
    ['raw', ''],
    ['raw', 'success'],
    ['sealed', 'success'],
  ] as const)('sees nothing when a %s target answers "%s"', async (mode, body) => {
    await start(mode);
    target.answer(says(body));
    expect(await say()).toMatchObject({ accepted: true, user: NOTHING });
    expect(target.requests).toHaveLength(1);
  });

  it('sees what a json target says, in whichever form WeChat pushes', async () => {
    await start('json');
    target.answer(says('{"type":"text","content":"You wrote: hi"}'));
    const text = { accepted: true, status: 200, user: { sees: 'text', text: 'You wrote: hi' } };
    expect(await say()).toMatchObject({ infoType: 'text', appid: AUTHORIZER, ...text });
    const json = await say({ format: 'json' });
    expect(json).toMatchObject(text);
    expect(json.answer).toMatch(/^\{"Encrypt"/);
    expect(await say({ inside: 'json' })).toMatchObject(text);
    expect(platform.simulator.ledger.pushes.at(-1)).toMatchObject(text);
  });

  it('sees what is no text by the names of WeChat', async () => {
    await start('json');
    target.answer(says('{"type":"news","articles":[{"title":"a"},{"title":"b"}]}'));
    const { user } = await say();
    expect(user).toMatchObject({
      sees: 'news',
      fields: { ArticleCount: '2', Articles: { item: [{ Title: 'a' }, { Title: 'b' }] } },
    });
    target.answer(says('{"type":"transfer_customer_service"}'));
    expect((await say()).user).toEqual({ sees: 'transfer_customer_service', fields: {} });
  });

  it.each([
    ['raw', CONSOLE],
    ['sealed', APPLICATION],
  ] as const)('sees what a %s target says, in XML and in JSON', async (mode, secrets) => {
    await start(mode);
    target.answer((_request, response) => response.end(encrypted(secrets)));
    expect(await say()).toMatchObject({ accepted: true, user: GREETING });
    target.answer((_request, response) => response.end(encrypted(secrets, 'json')));
    expect(await say({ format: 'json' })).toMatchObject({ accepted: true, user: GREETING });
  });

  it('sees the reply to what was pushed under a previous key and Token, too', async () => {
    await start('json');
    target.answer(says('{"type":"text","content":"hi"}'));
    const previous = { previousKey: true, previousToken: true };
    expect((await say(previous)).user).toEqual({ sees: 'text', text: 'hi' });
  });

  it.each([
    ['with a wrong signature', () => encrypted({ ...CONSOLE, token: 'another' })],
    [
      'with another key',
      () => encrypted({ ...CONSOLE, encodingAesKey: APPLICATION.encodingAesKey }),
    ],
    ['in clear XML', () => replyDocument({ type: 'text', content: 'x' }, ends).xml],
    ['in clear text', () => 'hello'],
  ])('sees nothing of a reply %s: wxkeeper does not pass it on', async (_what, reply) => {
    await start('raw');
    target.answer((_request, response) => response.end(reply()));
    expect(await say()).toMatchObject({ accepted: true, answer: 'success', user: NOTHING });
  });
  const ends = { user: 'o1', account: 'gh_1', createTime: 1 };

  it('sees nothing when the application fails or is late, and the application has it later', async () => {
    await start('json');
    target.answer(status(500));
    expect((await say()).user).toEqual(NOTHING);
    target.answer(() => undefined);
    const late = say();
    await vi.waitFor(() => expect(target.requests).toHaveLength(2), POLLING);
    const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 1));
    await platform.clock.advance(4_400, turn);
    expect(platform.simulator.ledger.pushes.filter(({ user }) => user)).toHaveLength(1);
    await platform.clock.advance(200, turn);
    expect(await late).toMatchObject({ accepted: true, user: NOTHING });
    target.answer(status(200));
    await platform.pass(60_000);
    expect(await stateOf(platform, 'app')).toMatchObject({ delivered: 2, again: 0 });
  });

  it('sees an error only when nobody is there to answer', async () => {
    await start('json');
    await platform.app.stop();
    const { accepted, user, error } = await say();
    expect({ accepted, user }).toMatchObject({
      accepted: false,
      user: {
        sees: 'error',
        text: expect.stringContaining('服务出现故障') as string,
        reason: error,
      },
    });
    expect(error).toContain('ECONNREFUSED');
  });

  it('is played by one short order, with more than its first 200 characters', async () => {
    await start('json');
    const content = '好'.repeat(2_000);
    target.answer(says(JSON.stringify({ type: 'text', content })));
    const url = `${platform.simulator.url}/_simulator/say`;
    const answer = await fetch(url, { method: 'POST', body: '{"text":"hi"}' });
    expect(await answer.json()).toEqual({ sees: 'text', text: content, afterMs: 0 });
    expect(JSON.parse(target.requests[0]?.body ?? '')).toMatchObject({
      msg_type: 'text',
      data: { Content: 'hi', FromUserName: 'oUserOfTheSimulator' },
    });
  });
});
