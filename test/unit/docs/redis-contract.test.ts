import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { startRedisServer } from '../../../src/sandbox/redis/launch.ts';
import { CREDENTIAL_KINDS } from '../../../src/credentials/kinds/index.ts';
import { createKeys } from '../../../src/store/redis/keys.ts';
import { COMPONENT } from '../../kit/platform.ts';
import { readDocument, tableRows } from './markdown.ts';

/** What docs/redis.md promises to those who read Redis themselves. */

/** Serves as an appid and as the name of a credential. */
const SUBJECT = Object.assign('APPID', { kind: 'component_access_token', subject: 'APPID' });

/** Of no business of those who read: what stops others, looks around, or makes and ends keys. */
const FORBIDDEN = [
  ...['CLIENT PAUSE 60000', 'CLIENT KILL TYPE normal', 'CLIENT NO-EVICT on', 'CLIENT LIST'],
  ...['CLIENT UNPAUSE', 'CLIENT REPLY OFF', 'CONFIG GET *', 'DEBUG SLEEP 0', 'FLUSHALL', 'FLUSHDB'],
  ...['KEYS *', 'SCAN 0', 'SCRIPT FLUSH', 'FUNCTION FLUSH', 'EVAL return 0', 'MONITOR', 'SHUTDOWN'],
  ...['REPLICAOF NO ONE', 'SWAPDB 0 1', 'ACL LIST', 'SAVE', 'SLOWLOG GET', 'DBSIZE', 'RANDOMKEY'],
  ...['XGROUP CREATE foreign shop $ MKSTREAM', 'XGROUP CREATE wx:events:{other} shop $ MKSTREAM'],
  ...['XADD wx:events:{wx0123456789abcdef} * a b', 'XTRIM wx:events:{wx0123456789abcdef} MAXLEN 0'],
  ...['XGROUP DESTROY wx:events:{wx0123456789abcdef} shop', 'DEL wx:events:{wx0123456789abcdef}'],
  ...['DEL wx:component_pre_auth_code:{wx0123456789abcdef}', 'PUBLISH wx:rotations {}'],
  ...['HGETALL wx:record:component_access_token:{wx0123456789abcdef}', 'GET wx:session_secret'],
];

describe('the Redis contract', () => {
  it.each(['docs/redis.md', 'docs/redis.zh-CN.md'])('%s names the keys as they are', (path) => {
    const keys = createKeys('wx:');
    const names = tableRows(readDocument(path).prose).flatMap(([cell = '']) =>
      [...cell.matchAll(/`(wx:[^`]+)`/g)].map(([, name]) => name),
    );
    const mirrors = CREDENTIAL_KINDS.map(({ name: kind, of }) =>
      keys.mirror({ kind, subject: of === 'authorizer' ? 'APPID:AUTHORIZER' : 'APPID' }),
    );
    const others = [keys.ticketMirror('APPID'), keys.events('APPID'), keys.rotations];
    expect(names.sort()).toEqual([...mirrors, ...others].sort());
  });

  it.each(['docs/redis.md', 'docs/redis.zh-CN.md'])('%s says which keys are ours alone', (path) => {
    const named = new Set(
      [...readDocument(path).prose.matchAll(/`(\w+):?`/g)].map(([, name]) => name),
    );
    const keys = Object.values(createKeys('')).flatMap((key: unknown) => {
      if (typeof key === 'string') return [key];
      const made = (key as (id: unknown) => string | object)(SUBJECT);
      return typeof made === 'string' ? [made] : (Object.values(made) as string[]);
    });
    const names = keys.map((key) => key.split(':')[0] ?? '');
    const shared = ['component_verify_ticket', 'component_access_token', 'events', 'rotations'];
    const ours = names.filter((name) => !shared.includes(name));
    expect(ours.length).toBeGreaterThan(15);
    expect(ours.filter((name) => !named.has(name))).toEqual([]);
  });

  it('has users who may do what they must and no more', async () => {
    const server = await startRedisServer();
    const admin = new Redis(server.url);
    const clients = [admin];
    const connect = (username: string) => {
      const client = new Redis(server.url, { username, password: 'PASSWORD' });
      clients.push(client);
      return client;
    };
    const keys = createKeys('wx:');
    try {
      const lines = readDocument('docs/redis.md').text.match(/^ACL SETUSER .+$/gm) ?? [];
      expect(lines).toHaveLength(2);
      for (const line of lines) await admin.call('ACL', ...line.split(' ').slice(1));

      const reader = connect('reader');
      for (const { name: kind, singleUse } of CREDENTIAL_KINDS) {
        const id = { kind, subject: COMPONENT.appid };
        const key = keys.mirror(id);
        expect(await (singleUse ? reader.getdel(key) : reader.get(key))).toBeNull();
        await expect(reader.get(keys.record(id))).rejects.toThrow('NOPERM');
      }
      await expect(reader.set('wx:component_access_token:{a}', '')).rejects.toThrow('NOPERM');
      await expect(reader.get(keys.events(COMPONENT.appid))).rejects.toThrow('NOPERM');
      for (const client of [reader, connect('events'), connect('events')]) {
        expect(await client.ping()).toBe('PONG');
        await client.select(0);
        for (const line of FORBIDDEN) {
          const [name = '', ...args] = line.split(' ');
          const answer = await client.call(name, ...args).then(String, String);
          expect(`${line}: ${answer}`).toMatch(/NOPERM|DEBUG command not allowed/);
        }
      }
      expect(await reader.subscribe(keys.rotations)).toBe(1);
      const other = connect('reader');
      await expect(other.subscribe('others')).rejects.toThrow('NOPERM');

      const stream = keys.events(COMPONENT.appid);
      const consumer = connect('events');
      await consumer.xgroup('CREATE', stream, 'shop', '$', 'MKSTREAM');
      const id = await admin.xadd(stream, '*', 'info_type', 'unauthorized');
      const taken = await consumer.xreadgroup('GROUP', 'shop', 'one', 'STREAMS', stream, '>');
      expect(JSON.stringify(taken)).toContain('unauthorized');
      await consumer.xautoclaim(stream, 'shop', 'other', 0, '0');
      expect(await consumer.xack(stream, 'shop', id ?? '')).toBe(1);
      await expect(consumer.xadd(stream, '*', 'a', 'b')).rejects.toThrow('NOPERM');
    } finally {
      for (const client of clients) client.disconnect();
      await server.stop();
    }
  });
});
