import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SILENT } from '../../src/commands/doctor/installation.ts';
import { findRedis, startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { connectRedis } from '../../src/store/redis/connection.ts';
import { explainWord, firstWordsOf, wordOf } from '../../src/store/redis/error-words.ts';
import { CLOUD_PROFILES, type CloudProfile } from '../kit/cloud-profiles.ts';
import { createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { toldOfRedis } from '../kit/redis-told.ts';
import { becomes, newTicketPush, post, readiness } from '../kit/redis-trouble.ts';
import { POLLING } from '../kit/waiting.ts';

/** Whatever is at the other end of REDIS_URL and is not the Redis that was meant. */

const PASSWORD = 'canary-9f27';

let undo: (() => unknown)[];
beforeEach(() => {
  undo = [];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

async function serverWith(args: string[] = []): Promise<RedisServer> {
  const server = await startRedisServer({ listen: 'port', args });
  undo.push(() => server.stop());
  return server;
}

function adminOf(url: string): Redis {
  const admin = new Redis(url);
  admin.on('error', () => undefined);
  undo.push(() => admin.disconnect());
  return admin;
}

async function platformOn(redisUrl: string): Promise<TestPlatform> {
  const platform = await createTestPlatform({ redisUrl });
  // The test's own client would go to database 0, or write to the console.
  platform.redis.on('error', () => undefined);
  platform.redis.disconnect();
  undo.push(() => platform.close());
  return platform;
}

/** What log, status and doctor say of the Redis at this address. */
const told = (platform: TestPlatform, code?: string) => toldOfRedis(platform, [PASSWORD], code);

describe('row 133: a database that is not there', () => {
  it.each([
    { what: 'its number is too high', path: '/99', args: [], words: /DB index is out of range/ },
    {
      what: 'SELECT is renamed away',
      path: '/3',
      args: ['--rename-command', 'SELECT', ''],
      words: /unknown command 'select'/i,
    },
  ])('$what: nothing is ever written to database 0', async ({ path, args, words }) => {
    const server = await serverWith(args);
    const platform = await platformOn(server.url + path);
    expect(await readiness(platform)).toBe(503);
    expect((await post(newTicketPush(platform))).status).toBe(503);
    // Several connections later nothing has changed.
    const admin = adminOf(server.url);
    const connections = async () =>
      Number(/total_connections_received:(\d+)/.exec(await admin.info('stats'))?.[1]);
    const before = await connections();
    const later = async () => expect(await connections()).toBeGreaterThan(before + 3);
    await vi.waitFor(later, POLLING);
    expect(await readiness(platform)).toBe(503);
    expect(await admin.dbsize()).toBe(0);

    const { log, problem, doctor } = await told(platform);
    for (const text of [log, problem.message, doctor])
      expect(text).toMatch(/database that REDIS_URL/);
    expect(problem.message).toMatch(words);
    expect(log).toMatch(words);
    expect(problem.advice).toMatch(/Set the number at the end of REDIS_URL/);
    expect(doctor).toContain(problem.advice.slice(0, 40));
  });

  it('the ACL forbids SELECT: the same, and it works once that is allowed', async () => {
    const server = await serverWith();
    const admin = adminOf(server.url);
    const user = (...rules: string[]) =>
      admin.acl('SETUSER', 'keeper', 'on', `>${PASSWORD}`, '~*', '&*', '+@all', ...rules);
    await user('-select');
    const platform = await platformOn(server.url.replace('://', `://keeper:${PASSWORD}@`) + '/2');
    expect(await readiness(platform)).toBe(503);
    const { problem } = await told(platform);
    expect(problem.message).toMatch(/NOPERM .*'select'/);
    await user('+select');
    await becomes(platform, 200);
    expect((await post(newTicketPush(platform))).status).toBe(200);
    expect(await admin.dbsize()).toBe(0);
    await admin.select(2);
    expect(await admin.dbsize()).toBeGreaterThan(0);
  });

  it('the right one: after each reconnect it is that one again', async () => {
    const server = await serverWith();
    const admin = adminOf(server.url);
    const platform = await platformOn(`${server.url}/5`);
    for (let round = 0; round < 3; round += 1) {
      await becomes(platform, 200);
      expect((await post(newTicketPush(platform))).status).toBe(200);
      await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    }
    expect(await admin.dbsize()).toBe(0);
  });
});

/** Something that speaks like Redis and answers with these lines; what is not named is `+OK`. */
async function impostor(answers: Record<string, string>): Promise<string> {
  const server = createServer((socket) => speak(socket, answers));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  undo.push(() => void server.close());
  return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function speak(socket: Socket, answers: Record<string, string>): void {
  socket.on('error', () => undefined);
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    // Each command begins with the number of its parts.
    for (const command of text.split(/^\*\d+\r\n/m).slice(1)) {
      const name = command.split('\r\n')[1]?.toUpperCase() ?? '';
      socket.write(`${answers[name] ?? answers['*'] ?? '+OK'}\r\n`);
    }
  });
}

describe('row 134: Redis says why, and so do we', () => {
  const NO_EVAL = "-ERR unknown command 'evalsha', with args beginning with: 'canary-9f27'";
  const INFO_OF = (line: string) => `$${line.length}\r\n${line}`;
  it.each([
    {
      what: 'the password is wrong',
      answers: { HELLO: '-WRONGPASS invalid username-password pair or user is disabled.' },
      says: /it refuses user or password.*WRONGPASS/,
      advice: /Check user and password in REDIS_URL/,
    },
    {
      what: 'a password is missing',
      answers: { HELLO: '-NOAUTH HELLO must be called with the client already authenticated' },
      says: /it asks for a password.*NOAUTH/,
      advice: /Check user and password in REDIS_URL/,
    },
    {
      what: 'HELLO is refused in a way of its own',
      answers: { HELLO: '-ERR command not supported by this proxy' },
      says: /it refuses HELLO 3.*ERR command not supported by this proxy/,
      advice: /Set REDIS_PROTOCOL=2/,
    },
    {
      what: 'INFO is refused',
      answers: { HELLO: '%1\r\n+proto\r\n:3', INFO: "-ERR unknown command 'info'" },
      says: /it refuses INFO.*ERR unknown command/,
      advice: /Allow `info`/,
    },
    {
      what: 'it is a Sentinel',
      answers: {
        HELLO: '%1\r\n+proto\r\n:3',
        INFO: INFO_OF('redis_mode:sentinel'),
        PING: '+PONG',
        '*': NO_EVAL,
      },
      says: /what answers there is a Sentinel/,
      advice: /Name the Sentinels in REDIS_SENTINELS/,
    },
    {
      what: 'it is a node of a cluster',
      answers: {
        HELLO: '%1\r\n+proto\r\n:3',
        INFO: INFO_OF('redis_mode:cluster'),
        PING: '+PONG',
        '*': '-MOVED 4711 10.0.0.1:6379',
      },
      says: /this Redis runs as a cluster/,
      advice: /Name some of its nodes in REDIS_CLUSTER/,
    },
    {
      what: 'it is a cluster that is down',
      answers: {
        HELLO: '%1\r\n+proto\r\n:3',
        INFO: INFO_OF('redis_mode:standalone'),
        PING: '+PONG',
        '*': '-CLUSTERDOWN Hash slot not served',
      },
      says: /this is a cluster that is down.*CLUSTERDOWN Hash slot not served/,
      advice: /Some of its slots have no master/,
    },
    {
      what: 'it is a replica that has lost its master',
      answers: {
        HELLO: '%1\r\n+proto\r\n:3',
        INFO: INFO_OF('redis_mode:standalone'),
        PING: '+PONG',
        '*': "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
      },
      says: /a replica that has lost its master.*MASTERDOWN Link with MASTER is down/,
      advice: /name the master in REDIS_URL/,
    },
  ])('$what', async ({ answers, says, advice }) => {
    const platform = await platformOn(await impostor(answers));
    await becomes(platform, 503);
    const { log, problem, doctor } = await told(platform);
    expect(problem.message).toMatch(says);
    expect(problem.advice).toMatch(advice);
    expect(log).toMatch(advice);
    expect(doctor).toMatch(advice);
    for (const text of [log, problem.message + problem.advice, doctor]) {
      expect(text).not.toMatch(/firewall|does not answer/);
    }
    const zh = await (await platform.internal('/status?lang=zh')).text();
    expect(zh).toMatch(/Redis 无法使用/);
  });

  it('nobody listens there, or something that is no Redis: at least the word for it', async () => {
    for (const [url, word] of [
      [`redis://127.0.0.1:${await freePort()}`, 'ECONNREFUSED'],
      [await impostor({ '*': 'HTTP/1.1 400 Bad Request' }), 'NOT_REDIS'],
    ] as const) {
      const platform = await platformOn(url);
      await becomes(platform, 503);
      const { problem } = await told(platform);
      expect(problem.message).toContain(`The reason is ${word}.`);
      expect(problem.advice).toContain('whether it runs where REDIS_URL');
      const zh = await (await platform.internal('/status?lang=zh')).text();
      expect(zh).toContain(`（${word}）`);
    }
  });

  it('a wrong password of a real Redis', async () => {
    const server = await serverWith(['--requirepass', 'another']);
    const platform = await platformOn(server.url.replace('://', `://default:${PASSWORD}@`));
    expect(await readiness(platform)).toBe(503);
    const { log, problem, doctor } = await told(platform);
    expect(problem.message).toMatch(/WRONGPASS invalid username/);
    for (const text of [log, problem.advice, doctor]) {
      expect(text).toMatch(/user and password in REDIS_URL/);
    }
  });

  it('the address of a real Sentinel', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'wxkeeper-sentinel-'));
    undo.push(() => rm(dir, { recursive: true, force: true }));
    const file = join(dir, 'sentinel.conf');
    await writeFile(file, '');
    const { command, libraryPath } = await findRedis();
    const port = await freePort();
    // A sentinel is a server that is started so.
    const child = spawn(command, [file, '--sentinel', '--port', String(port)], {
      stdio: 'ignore',
      env: { ...process.env, ...(libraryPath && { LD_LIBRARY_PATH: libraryPath }) },
    });
    undo.push(async () => {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    });
    const probe = adminOf(`redis://127.0.0.1:${port}`);
    await vi.waitFor(async () => expect(await probe.ping()).toBe('PONG'), POLLING);
    const platform = await platformOn(`redis://127.0.0.1:${port}`);
    await becomes(platform, 503);
    const { log, problem, doctor } = await told(platform);
    for (const text of [log, problem.message, doctor]) expect(text).toMatch(/is a Sentinel/);
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

describe('the words of Redis', () => {
  const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' });
  it.each([
    [
      "ERR unknown command 'hgetall', with args beginning with: 'canary' ",
      "ERR unknown command 'hgetall'",
    ],
    [
      'ERR unknown command `EVAL`, with args beginning with: `canary`, ',
      'ERR unknown command `EVAL`',
    ],
    [
      "NOPERM User keeper has no permissions to run the 'xadd' command script: ab, on @user_script:3.",
      "NOPERM User keeper has no permissions to run the 'xadd' command",
    ],
    [
      'WRONGTYPE Operation against a key holding the wrong kind of value script: 0123, on @user_script:3.',
      'WRONGTYPE Operation against a key holding the wrong kind of value',
    ],
    [
      'ERR Error running script (call to f_0123abcd): @user_script:14: @user_script: 14: Unknown Redis command called from Lua script',
      'Unknown Redis command called from Lua script',
    ],
    [
      "OOM command not allowed when used memory > 'maxmemory'.",
      'OOM command not allowed when used memory >',
    ],
    [`ERR value ${'x'.repeat(60)} is odd`, 'ERR value … is odd'],
  ])('are kept without what it was sent: %s', (message, words) => {
    expect(firstWordsOf(reply(message)).replace(/ 'maxmemory'$/, '')).toBe(words);
  });

  it.each([
    // What a command within a script has met, before Redis 7.
    ["@user_script: 12: -READONLY You can't write against a read only replica.", 'READONLY'],
    ["@user_script: 3: -OOM command not allowed when used memory > 'maxmemory'.", 'OOM'],
    ['@user_script: 3: -WRONGTYPE Operation against a key holding the wrong kind', 'WRONGTYPE'],
    ["@user_script: 3: The user executing the script can't run this command", 'NOPERM'],
    ['@user_script: 3: Unknown Redis command called from Lua script', 'unknown command'],
    ['@user_script: 3: Something else', 'ERR'],
  ])('are found within those of a script: %s', (message, word) => {
    const whole = `ERR Error running script (call to f_0123abcd): @user_script:12: ${message}`;
    expect(wordOf(reply(whole))).toBe(word);
  });

  it.each([
    ...Object.values<CloudProfile>(CLOUD_PROFILES).flatMap(({ scripts, needsKey, oneSlot }) =>
      [scripts?.words, needsKey, oneSlot].filter((one) => one !== undefined),
    ),
    'ERR script tried accessing undeclared key, key: k',
    'ERR command eval not support for normal user',
    "ERR unknown command 'evalsha', with args beginning with: 'canary'",
  ])('of clouds have a meaning, too: %s', (message) => {
    expect(wordOf(reply(message))).not.toBe('ERR');
    expect(explainWord(wordOf(reply(message)))?.remedy.zh).toBeTruthy();
  });

  it.each([
    ...['WRONGPASS', 'NOAUTH', 'NOPERM', 'OOM', 'MISCONF', 'NOREPLICAS', 'READONLY', 'MASTERDOWN'],
    ...['LOADING', 'BUSY', 'MOVED', 'ASK', 'CROSSSLOT', 'CLUSTERDOWN', 'NOPROTO', 'WRONGTYPE'],
  ])('%s has a meaning and a remedy in both languages', (word) => {
    expect(wordOf(reply(`${word} something`))).toBe(word);
    const { means, remedy } = explainWord(word) ?? {};
    for (const text of [means?.en, means?.zh, remedy?.en, remedy?.zh]) expect(text).toBeTruthy();
    expect(means?.zh).toMatch(/[\u4e00-\u9fff]/);
  });
});

describe('row 137: TLS to Redis', () => {
  const file = (name: string) =>
    readFile(new URL(`../fixtures/tls/localhost-test-${name}.pem`, import.meta.url));

  async function tlsServer(): Promise<{ port: number; names: unknown[]; secure: () => number }> {
    const [key, cert] = await Promise.all([file('key'), file('cert')]);
    const names: unknown[] = [];
    let secure = 0;
    const server = createTlsServer({
      key,
      cert,
      SNICallback(name, done) {
        names.push(name);
        done(null);
      },
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => {
        secure += 1;
      });
    });
    server.on('tlsClientError', () => undefined);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    undo.push(() => void server.close());
    return { port: (server.address() as AddressInfo).port, names, secure: () => secure };
  }

  it.each([undefined, '0'])(
    'is told the name that is asked for, and a certificate that nobody vouches for is refused, with NODE_TLS_REJECT_UNAUTHORIZED %s',
    async (setting) => {
      vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', setting);
      undo.push(() => vi.unstubAllEnvs());
      const server = await tlsServer();
      const url = `rediss://user:${PASSWORD}@localhost:${server.port}`;
      const redis = connectRedis({ url, protocol: 3 }, SILENT);
      undo.push(() => redis.disconnect());
      const [error] = (await once(redis, 'error')) as [Error & { code?: string }];
      expect(error.code).toMatch(/SELF_SIGNED|UNABLE_TO_VERIFY/);
      expect(server.names).toContain('localhost');
      // Not even the password was sent.
      expect(server.secure()).toBe(0);
    },
  );

  it('an address is no name: it is asked for without one, and refused all the same', async () => {
    const server = await tlsServer();
    const redis = connectRedis({ url: `rediss://127.0.0.1:${server.port}`, protocol: 3 }, SILENT);
    undo.push(() => redis.disconnect());
    const [error] = (await once(redis, 'error')) as [Error & { code?: string }];
    expect(error.code).toMatch(/SELF_SIGNED|UNABLE_TO_VERIFY/);
    expect(server.names.filter((name) => typeof name === 'string' && name !== '')).toEqual([]);
    expect(explainWord(error.code ?? '')?.remedy.en).toMatch(/REDIS_TLS_CA_FILE/);
  });
});
