import { describe, expect, it } from 'vitest';
import { eventEntry } from '../../../src/callbacks/handlers/event-entry.ts';
import type { OpenedPush } from '../../../src/callbacks/handlers/handler.ts';
import { PushHashes } from '../../../src/wechat/push/envelope.ts';
import { readPush } from '../../../src/wechat/push/read-push.ts';

/** The entry of a push with this text, as far as its form is concerned. */
function entryOf(text: string) {
  const push = { ...readPush(text, { typed: true }), requestId: 'r', componentAppid: 'wx' };
  const times = { receivedAt: 0, signed: { timestamp: '0', nonce: '0' } };
  const hashes = new PushHashes('e', () => 'c');
  const counted = {
    url: 'event',
    at: 0,
    usedPreviousKey: false,
    usedPreviousToken: false,
  } as const;
  return eventEntry({ ...push, ...times, hashes, counted } satisfies Omit<OpenedPush, 'plan'>);
}

describe('the entry of a push', () => {
  it('has `odd` and `raw` only where there is something to say', () => {
    expect(Object.keys(entryOf('<xml><A>1</A></xml>'))).toEqual([
      ...['id', 'component_appid', 'authorizer_appid', 'info_type', 'msg_type', 'event'],
      ...['create_time', 'received_at', 'fields'],
    ]);
    expect(entryOf('hello')).toMatchObject({ fields: '{}', odd: 'unreadable', raw: 'hello' });
  });

  it('has columns of a length that fits, and no half character in them', () => {
    const { event } = entryOf(`<xml><Event>a${'😀'.repeat(200)}</Event></xml>`);
    expect(event).toHaveLength(256);
    expect(event).toMatch(/^a(?:😀)+\uFFFD$/u);
  });

  // Each is looked at once, or this would not be done within the limit.
  it.each([
    'ticket@@@',
    'QUERY_AUTH_CODE:',
    ' ',
    'QUERY_AUTH_CODE: ',
    'auth_code',
    'auth_code  ',
    'a="',
  ])('of a million bytes of %j is made in one go', (piece) => {
    const text = `hello auth_code${piece.repeat(1_000_000 / piece.length)}`;
    expect(entryOf(text).raw).toContain('hello');
    expect(entryOf(`<xml><A>${text}</A></xml>`).fields).toContain('hello');
  });
});
