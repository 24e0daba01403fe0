import dns from 'node:dns';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import { afterAll, afterEach } from 'vitest';

/**
 * No test talks to anybody but this machine. A connection elsewhere fails like a dead network, and
 * the test fails too, even when the code under test swallows the error. Covers everything that goes
 * through node:net (http, https, tls, ioredis, fetch) and node:dns, but no child processes.
 */

export class OutsideNetworkError extends Error {
  readonly code = 'EOUTSIDE';

  constructor(what: string) {
    super(`this test tried to ${what}, which is not on this machine`);
    this.name = 'OutsideNetworkError';
  }
}

/** A worker may run many files, each of which loads this anew: only the first replaces anything. */
const everywhere = globalThis as { wxkeeperRefusals?: OutsideNetworkError[] };
const isFirst = everywhere.wxkeeperRefusals === undefined;
const refusals = (everywhere.wxkeeperRefusals ??= []);

/** Hands over what was refused so far and forgets it, so that a test may expect it. */
export function takeRefusals(): OutsideNetworkError[] {
  return refusals.splice(0);
}

function refuse(what: string): OutsideNetworkError {
  const error = new OutsideNetworkError(what);
  refusals.push(error);
  return error;
}

const LOOPBACK = new net.BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** 127.0.0.0/8, also as mapped into IPv6, ::1 and localhost. */
export function isOnThisMachine(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  if (name === 'localhost' || name === '') return true;
  if (net.isIPv6(name)) return LOOPBACK.check(name, 'ipv6');
  return net.isIPv4(name) && LOOPBACK.check(name, 'ipv4');
}

/** The host that the arguments of Socket.connect name; undefined for a unix socket. */
function hostOf(args: unknown[]): string | undefined {
  // net.connect() hands over its own arguments already sorted, as [options, callback].
  const [first, second] = (Array.isArray(args[0]) ? args[0] : args) as unknown[];
  if (typeof first === 'object' && first !== null) {
    const { path, host } = first as { path?: string | null; host?: string | null };
    return path ? undefined : (host ?? 'localhost');
  }
  // connect(path), or connect(port, host) with a port that may be a numeric string.
  if (typeof first === 'string' && !/^\d+$/.test(first)) return undefined;
  return typeof second === 'string' ? second : 'localhost';
}

const realConnect: unknown = net.Socket.prototype.connect;
type Connect = (this: net.Socket, ...args: unknown[]) => net.Socket;

function connect(this: net.Socket, ...args: unknown[]): net.Socket {
  const host = hostOf(args);
  if (host === undefined || isOnThisMachine(host))
    return (realConnect as Connect).apply(this, args);
  const error = refuse(`connect to ${host}`);
  // As an error of the network would come: later, by event.
  process.nextTick(() => this.destroy(error));
  return this;
}

type Query = (name: string, ...rest: unknown[]) => unknown;

/**
 * Replaces lookup, resolve, resolve4, ... `fail` answers in the manner of that interface. Only
 * lookup knows localhost by itself: all others ask a name server, whatever the name.
 */
function refuseNames(target: object, fail: (error: Error, rest: unknown[]) => unknown): void {
  const methods = target as Record<string, unknown>;
  for (const key of Object.getOwnPropertyNames(target)) {
    const real = methods[key];
    if (!/^(lookup|resolve|reverse)/.test(key) || typeof real !== 'function') continue;
    methods[key] = function (this: unknown, name: string, ...rest: unknown[]) {
      if (key === 'lookup' && isOnThisMachine(name))
        return (real as Query).call(this, name, ...rest);
      return fail(refuse(`look up ${name}`), rest);
    };
  }
}

function failByCallback(error: Error, rest: unknown[]): unknown {
  const callback = rest.at(-1) as (error: Error) => void;
  process.nextTick(() => callback(error));
  return {};
}

if (isFirst) {
  net.Socket.prototype.connect = connect;
  for (const target of [dns, dns.Resolver.prototype]) refuseNames(target, failByCallback);
  for (const target of [dns.promises, dns.promises.Resolver.prototype]) {
    refuseNames(target, (error) => Promise.reject(error));
  }
  syncBuiltinESMExports();
}

function failOnRefusals(): void {
  const [first] = takeRefusals();
  if (first) throw first;
}

afterEach(failOnRefusals);
// What was tried outside any test: while a suite was being set up or taken down.
afterAll(failOnRefusals);
