import { Cluster, type Redis } from 'ioredis';
import type { Clock } from '../../lib/clock.ts';
import type { RedisClient } from './client.ts';
import { operationOf, subjectOf } from './sent-commands.ts';
import { CLOSED, firstWordsOf, wordOf, type RedisError } from './error-words.ts';

/**
 * What one connection has shown of Redis while the service worked with it: why it cannot be used, and
 * what was refused. The self-test tries keys of its own; only this sees what is refused on others.
 */

/** An operation that Redis refused, until the same one succeeds. */
export interface Refusal {
  /** The name of a script, or of a command in capitals. */
  operation: string;
  /** Of the word table, and as Redis said it. */
  word: string;
  words: string;
  /** The first of its keys; undefined for what is about none. */
  key: string | undefined;
  /** The appid in that key's braces. */
  subject: string | undefined;
  /** Milliseconds of the monotonic clock: how long ago is all that matters. */
  at: number;
}

export interface RedisHealth {
  /** Why this connection is none that can be used; undefined when nothing is known against it. */
  trouble: RedisTrouble | undefined;
  refusals(): Refusal[];
  /** What the self-test has shown to be over is forgotten. */
  forgetPassing(): void;
  /** Called when something is refused that was not refused before. */
  onNews: () => void;
}

export interface RedisTrouble {
  word: string;
  words: string;
}

/** More than the scripts there are: a cluster's address refuses something about every authorizer. */
const MOST = 50;
/** Milliseconds after which what nobody has tried again is no news any more: tickets come as often. */
const REMEMBERED_MS = 600_000;
/** What Redis says of its state as a whole, which the self-test sees for itself. */
const PASSING =
  /^(?:OOM|MISCONF|READONLY|NOREPLICAS|MASTERDOWN|LOADING|BUSY|CLUSTERDOWN|TRYAGAIN)$/;
/** Of the handshake, which fails as a whole, or not at all. */
const HANDSHAKE = /^(?:hello|auth|select|client|info)$/i;

const known = new WeakMap<RedisClient, RedisHealth>();

export function healthOf(redis: RedisClient): RedisHealth | undefined {
  return known.get(redis);
}

/** Looks at every answer of this client from now on. */
export function watchHealth(redis: RedisClient, clock: Clock): RedisHealth {
  const refused = new Map<string, Refusal>();
  const health: RedisHealth = {
    trouble: undefined,
    onNews: () => undefined,
    refusals() {
      for (const [id, { at }] of refused) {
        if (at < clock.monotonic() - REMEMBERED_MS) refused.delete(id);
      }
      return [...refused.values()];
    },
    forgetPassing() {
      for (const [id, { word }] of refused) if (PASSING.test(word)) refused.delete(id);
    },
  };
  const note = (command: SentCommand, error: RedisError) => {
    const operation = operationOf(command);
    const word = wordOf(error);
    if (isNoRefusal(word, error, operation.keys)) return;
    const subject = subjectOf(operation);
    const id = `${operation.name} ${subject ?? ''}`;
    const isNews = refused.get(id)?.word !== word;
    refused.delete(id);
    if (refused.size === MOST) refused.delete(refused.keys().next().value ?? '');
    const words = firstWordsOf(error);
    const [key] = operation.keys;
    refused.set(id, {
      operation: operation.name,
      word,
      words,
      key,
      subject,
      at: clock.monotonic(),
    });
    if (isNews) health.onNews();
  };
  const forget = (command: SentCommand) => {
    if (refused.size === 0) return;
    const operation = operationOf(command);
    refused.delete(`${operation.name} ${subjectOf(operation) ?? ''}`);
  };
  observe(redis, forget, note);
  // Another server may be there now.
  redis.on('ready', () => refused.clear());
  known.set(redis, health);
  return health;
}

type SentCommand = Parameters<Redis['sendCommand']>[0];

/** Every command passes here, those of pipelines too, whose errors nobody is made to look at. */
function observe(
  redis: RedisClient,
  onAnswer: (command: SentCommand) => void,
  onRefusal: (command: SentCommand, error: RedisError) => void,
): void {
  const look = (command: SentCommand) => {
    command.promise.then(
      () => onAnswer(command),
      (error: unknown) => {
        if (!(error instanceof Error)) return;
        if (redis instanceof Cluster) unwrap(error, redis);
        if (error.name !== 'ReplyError') return;
        // Values may be among them, and errors are logged.
        error.message = error.message.replace(/, with args beginning with:[^]*$/, '');
        if (!HANDSHAKE.test(command.name)) onRefusal(command, error);
      },
    );
  };
  // That of a cluster takes one argument more, which passes through.
  const client = redis as Redis;
  const send = client.sendCommand.bind(client);
  client.sendCommand = (...args) => {
    look(args[0]);
    return send(...args);
  };
}

/** Its name when a node was away while the client of the cluster itself was in order. */
export const NODE_AWAY = 'NodeAwayError';

/** When it has tried for long enough, a client of a cluster has the last error in its text alone. */
function unwrap(error: Error, { status }: Cluster): void {
  if (error.message === CLOSED && status === 'ready') error.name = NODE_AWAY;
  const [, name, words] =
    /^Too many Cluster redirections\. Last error: (\w+): ([^]*)$/.exec(error.message) ?? [];
  if (words === undefined) return;
  error.message = words;
  if (name === 'ReplyError') error.name = name;
}

/** What belongs to working with Redis, and what the self-test has provoked. */
function isNoRefusal(word: string, { message }: Error, keys: readonly string[]): boolean {
  if (word === 'NOSCRIPT' || message.includes('no such key')) return true;
  return keys[0]?.includes('self_test:{') === true;
}
