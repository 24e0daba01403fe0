import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { isPushed, readCommand, replyEnd, writeCommand } from './resp.ts';
import { badCalls } from './script-check.ts';
import type { CloudProfile } from './cloud-profiles.ts';

/**
 * Stands before a real Redis and refuses what a cloud's proxy refuses, in its words. What it lets through
 * is answered by Redis. Not for clients that subscribe: their replies are of another number.
 */
export interface CloudProxy {
  port: number;
  /** Of every command that was refused, in order: its name and the words. */
  refused: string[];
  /** Behaves otherwise from now on, also on connections that are there. */
  become(profile: CloudProfile): void;
  close(): Promise<void>;
}

interface State {
  profile: CloudProfile;
  refused: string[];
  /** EVALSHAs so far. */
  hashes: number;
}

/** What a command is answered: by Redis, or with these words. */
type Verdict = { pass: readonly string[] } | { refuse: string };

export async function createCloudProxy(
  profile: CloudProfile,
  target: { port: number | undefined },
): Promise<CloudProxy> {
  const state: State = { profile, refused: [], hashes: 0 };
  const sockets = new Set<Socket>();
  const listener = createServer((client) => {
    const server = connect({ host: '127.0.0.1', port: target.port ?? 0 });
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(one);
      one.setNoDelay(true);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    join(state, client, server);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    port: (listener.address() as AddressInfo).port,
    refused: state.refused,
    become: (next) => void (state.profile = next),
    async close() {
      const closed = once(listener, 'close');
      listener.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Answers come in the order of the commands, whoever gives them. */
function join(state: State, client: Socket, server: Socket): void {
  /** Undefined: Redis's turn. */
  const turns: (string | undefined)[] = [];
  let [asked, answered] = [Buffer.alloc(0), Buffer.alloc(0)];
  const answer = () => {
    while (turns[0] !== undefined) client.write(`-${turns.shift() ?? ''}\r\n`);
  };
  client.on('data', (bytes) => {
    asked = Buffer.concat([asked, bytes]);
    for (let next = readCommand(asked); next !== undefined; next = readCommand(asked)) {
      asked = asked.subarray(next.end);
      const verdict = judge(state, next.args);
      if ('pass' in verdict) {
        turns.push(undefined);
        server.write(writeCommand(verdict.pass));
      } else {
        turns.push(verdict.refuse);
        state.refused.push(`${next.args[0]?.toUpperCase() ?? ''}: ${verdict.refuse}`);
      }
    }
    answer();
  });
  server.on('data', (bytes) => {
    answered = Buffer.concat([answered, bytes]);
    for (let end = replyEnd(answered); end !== undefined; end = replyEnd(answered)) {
      if (!isPushed(answered)) turns.shift();
      client.write(answered.subarray(0, end));
      answered = answered.subarray(end);
      answer();
    }
  });
}

function judge(state: State, args: readonly string[]): Verdict {
  const [name = '', ...rest] = args;
  const { profile } = state;
  const command = name.toLowerCase();
  const own = profile.refuses?.[command];
  if (own !== undefined) return { refuse: own };
  if (profile.lacks?.includes(command) === true) {
    return {
      refuse: `ERR unknown command '${name}', with args beginning with: '${rest[0] ?? ''}'`,
    };
  }
  if (command === 'auth' && rest.length > 1 && profile.noUsers !== undefined) {
    return { refuse: profile.noUsers };
  }
  if (profile.oneSlot !== undefined && !inOneSlot(keysOf(command, rest))) {
    return { refuse: profile.oneSlot };
  }
  return /^eval|^script$/.test(command) ? judgeScript(state, command, args) : { pass: args };
}

function judgeScript(state: State, command: string, args: readonly string[]): Verdict {
  const { profile } = state;
  const [name = '', first = '', second = ''] = args;
  if (command !== 'script' && profile.needsKey !== undefined && !(Number(second) > 0)) {
    return { refuse: profile.needsKey };
  }
  if (command === 'evalsha') {
    state.hashes += 1;
    const { forgetsScripts: every } = profile;
    const forgotten = every !== undefined && state.hashes % every === 0;
    return forgotten ? { refuse: 'NOSCRIPT No matching script. Please use EVAL.' } : { pass: args };
  }
  const isLoad = command === 'script' && first.toLowerCase() === 'load';
  if (command !== 'eval' && !isLoad) return { pass: args };
  const body = isLoad ? second : first;
  const { scripts, rewrites = [] } = profile;
  if (scripts !== undefined && badCalls(body, scripts.check).length > 0) {
    return { refuse: scripts.words };
  }
  const text = rewrites.reduce((all, [form, to]) => all.replace(form, to), body);
  return { pass: isLoad ? [name, first, text] : [name, text, ...args.slice(2)] };
}

/** Commands of more than one key that this project sends. */
const ALL_KEYS = /^(?:del|exists|rename|unlink)$/;

function keysOf(command: string, rest: readonly string[]): readonly string[] {
  if (/^eval/.test(command)) return rest.slice(2, 2 + Number(rest[1]));
  return ALL_KEYS.test(command) ? rest : [];
}

/** By what is in their braces: two that differ there may be in one slot, but nobody can rely on it. */
function inOneSlot(keys: readonly string[]): boolean {
  return new Set(keys.map((key) => /\{([^}]+)\}/.exec(key)?.[1] ?? key)).size <= 1;
}
