import { isIP } from 'node:net';
import type { Request, RequestHandler, Response } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { isLocalAddress } from '../../lib/addresses.ts';
import type { Clock } from '../../lib/clock.ts';
import { KeeperError } from '../../lib/errors.ts';

/** How often the pages of an authorization may be opened: a link that got out must not burn codes. */

const WINDOW_MS = 10 * 60_000;

/** At most `limit` visits in ten minutes, by this process, with one link. */
export function limitByLink(limit: number, linkOf: (response: Response) => string): RequestHandler {
  return limiter(limit, (_request, response) => linkOf(response));
}

/** The same from one address of the Internet. A proxy in front of us shows no visitor's address. */
export function limitByAddress(limit: number): RequestHandler {
  return limiter(
    limit,
    ({ ip = '' }) => ipKeyGenerator(ip),
    ({ ip = '' }) => isLocal(ip),
  );
}

export interface CodeLimit {
  /** @throws KeeperError `too_many_requests` */
  admit(link: string, code: string): void;
  /** It has brought an account, and counts no more. */
  proved(link: string, code: string): void;
}

/**
 * At most `limit` codes in ten minutes, by this process, that one link brings and that bring no account.
 * WeChat is asked about each, out of a quota that everybody shares; the same code again asks nothing new.
 */
export function limitCodes(limit: number, clock: Clock): CodeLimit {
  const tried = new Map<string, Set<string>>();
  let since = clock.monotonic();
  return {
    admit(link, code) {
      if (clock.monotonic() - since >= WINDOW_MS) {
        since = clock.monotonic();
        tried.clear();
      }
      const codes = tried.get(link) ?? new Set();
      tried.set(link, codes);
      if (codes.size >= limit && !codes.has(code)) throw tooMany();
      codes.add(code);
    },
    proved: (link, code) => void tried.get(link)?.delete(code),
  };
}

function limiter(
  limit: number,
  keyGenerator: (request: Request, response: Response) => string,
  skip: (request: Request) => boolean = () => false,
): RequestHandler {
  return rateLimit({
    windowMs: WINDOW_MS,
    limit,
    keyGenerator,
    skip: (request) => request.method === 'HEAD' || skip(request),
    standardHeaders: false,
    legacyHeaders: false,
    // Its checks write to the console, and addresses are never taken from headers here.
    validate: false,
    handler: (_request, _response, next) => next(tooMany()),
  });
}

function tooMany(): KeeperError {
  const retryAfterSeconds = WINDOW_MS / 1000;
  return new KeeperError('too_many_requests', 'Too many visits.', { retryAfterSeconds });
}

function isLocal(address: string): boolean {
  return isIP(address) === 0 || isLocalAddress(address);
}
