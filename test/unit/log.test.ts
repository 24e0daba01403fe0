import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createLog, type LogLevel } from '../../src/lib/log.ts';

function logTo(lines: string[], options: { level?: LogLevel; secrets?: string[] } = {}) {
  const stream = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      lines.push(chunk);
      done();
    },
  });
  return createLog({ level: 'debug', stream, ...options });
}

const TOKEN = `9_${'aB3-'.repeat(30)}`;

describe('the log', () => {
  it('writes one JSON object per line with time, level, room and message', () => {
    const lines: string[] = [];
    logTo(lines).in('pushes').warn('a push\nforged: {"level":"info"}', { count: 2 });
    expect(lines).toHaveLength(1);
    expect(lines[0]?.trimEnd()).not.toContain('\n');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'warn',
      room: 'pushes',
      message: 'a push\nforged: {"level":"info"}',
      count: 2,
    });
  });

  it('leaves out what is below its level', () => {
    const lines: string[] = [];
    const log = logTo(lines, { level: 'warn' });
    log.info('no');
    log.error('yes');
    expect(lines).toHaveLength(1);
  });

  it('does not let a field hide the message, the level or the time', () => {
    const lines: string[] = [];
    logTo(lines).error('what happened', { message: 'other', level: 'debug', time: 'never' });
    const line = JSON.parse(lines[0] ?? '') as Record<string, string>;
    expect(line).toMatchObject({ message: 'what happened', level: 'error' });
    expect(line.time).toMatch(/^\d{4}-/);
  });

  it.each([
    ['a configured secret inside a text', { note: 'the secret is hunter22 indeed' }],
    ['a ticket inside a text', { note: 'got ticket@@@hunter22 today' }],
    ['a pre-auth code', { list: ['preauthcode@@@hunter22'] }],
    ['a token in a query string', { url: '/cgi-bin/x?component_access_token=hunter22&a=1' }],
    ['a field with a secret name', { component_appsecret: 'hunter22' }],
    ['a nested value field', { credential: { value: 'hunter22' } }],
    ['a nested ticket field', { body: { component_verify_ticket: 'hunter22' } }],
    ['a header', { headers: { Authorization: 'hunter22' } }],
    ['an error message', { error: new Error('WRONGPASS hunter22') }],
    ['the cause of an error', { error: new Error('x', { cause: new Error('hunter22') }) }],
    [
      'what a library hung on an error',
      { error: Object.assign(new Error('x'), { request: 'hunter-2-2' }) },
    ],
  ])('masks %s', (_what, fields) => {
    const lines: string[] = [];
    logTo(lines, { secrets: ['hunter22'] }).error('trouble', fields);
    expect(lines.join('')).not.toContain('hunter22');
    expect(lines.join('')).not.toContain('hunter-2-2');
    expect(lines.join('')).toContain('trouble');
  });

  it('masks whatever is as long as a token or a key, wherever it stands', () => {
    const lines: string[] = [];
    logTo(lines).info(`minted ${TOKEN}`, { somewhere: [TOKEN], [`key`]: 'A'.repeat(43) });
    expect(lines.join('')).not.toContain(TOKEN.slice(0, 60));
    expect(lines.join('')).not.toContain('A'.repeat(43));
  });

  it('masks all of a secret that another one is part of, in whichever order they are configured', () => {
    const lines: string[] = [];
    const secrets = ['weixin', 'weixin-redis-2026', '2026'];
    logTo(lines, { secrets }).error('trouble', { error: new Error('AUTH weixin-redis-2026') });
    expect(lines.join('')).toContain('AUTH [secret]"');
    expect(lines.join('')).not.toContain('redis');
  });

  it('survives circular and odd values', () => {
    const lines: string[] = [];
    const circular: Record<string, unknown> = { big: 10n, nothing: undefined };
    circular.self = circular;
    logTo(lines).info('odd', { circular });
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ message: 'odd' });
  });

  it('hands over every line before close resolves', async () => {
    const lines: string[] = [];
    const log = logTo(lines);
    for (let index = 0; index < 500; index += 1) log.info('line', { index });
    await log.close();
    expect(lines).toHaveLength(500);
  });
});
