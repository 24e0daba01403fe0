import { beforeEach, describe, expect, it } from 'vitest';
import { createSharedReads, type ShareRead } from '../../../src/credentials/shared-reads.ts';

/** Who is given whose read, and when it is sent. */

interface Sent {
  name: string;
  answer: (text: string) => void;
  fail: (error: Error) => void;
}

let events: string[];
let sent: Sent[];
let share: ShareRead<string>;

beforeEach(() => {
  events = [];
  sent = [];
  const stream = { cork: () => events.push('cork'), uncork: () => events.push('uncork') };
  share = createSharedReads<string>({ stream } as unknown as Parameters<
    typeof createSharedReads
  >[0]);
});

function ask(name: string): Promise<string> {
  return share(name, () => {
    events.push(name);
    return new Promise((answer, fail) => sent.push({ name, answer, fail }));
  });
}

const turn = () => new Promise(setImmediate);

describe('shared reads', () => {
  it('are sent together, one for all who have just asked for the same', async () => {
    const all = [ask('one'), ask('two'), ask('one'), ask('one')];
    expect(sent).toEqual([]);
    await turn();
    expect(events).toEqual(['cork', 'one', 'two', 'uncork']);
    for (const { name, answer } of sent) answer(`value of ${name}`);
    expect(await Promise.all(all)).toEqual(
      ['one', 'two', 'one', 'one'].map((name) => `value of ${name}`),
    );
  });

  it('give nobody what was read before he asked', async () => {
    const early = ask('one');
    await turn();
    const late = [ask('one'), ask('one')];
    await turn();
    expect(sent).toHaveLength(1);
    sent[0]?.answer('old');
    expect(await early).toBe('old');
    late.push(ask('one'));
    await turn();
    expect(sent).toHaveLength(2);
    sent[1]?.answer('new');
    expect(await Promise.all(late)).toEqual(['new', 'new', 'new']);
  });

  it('do not wait long for one that is not answered, nor for others', async () => {
    const silent = ask('one');
    await turn();
    const next = ask('one');
    const other = ask('two');
    await turn();
    expect(sent.map(({ name }) => name)).toEqual(['one', 'two']);
    await expect.poll(() => sent).toHaveLength(3);
    sent[2]?.answer('answered');
    sent[1]?.answer('other');
    expect([await next, await other]).toEqual(['answered', 'other']);
    // That it ends later is nothing to those who are under way by then.
    const last = ask('one');
    await turn();
    expect(sent).toHaveLength(4);
    const afterLast = ask('one');
    sent[0]?.answer('at last');
    expect(await silent).toBe('at last');
    await turn();
    expect(sent).toHaveLength(4);
    sent[3]?.answer('last');
    expect(await last).toBe('last');
    await turn();
    sent[4]?.answer('after');
    expect(await afterLast).toBe('after');
  });

  it('fail for all who share them, and for nobody else', async () => {
    const both = [ask('one'), ask('one')];
    await turn();
    const next = ask('one');
    sent[0]?.fail(new Error('lost'));
    for (const one of both) await expect(one).rejects.toThrow('lost');
    await turn();
    sent[1]?.answer('found');
    expect(await next).toBe('found');
  });
});
