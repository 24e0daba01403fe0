import type { Writable } from 'node:stream';
import winston from 'winston';

/**
 * JSON lines on stdout. Levels are a contract with whoever is on call:
 * error = a person must act now; warn = heals itself; info = state changed; debug = flow.
 *
 * Nothing secret gets through: field names that hold secrets are masked whole, configured secrets
 * are masked wherever they occur, and so is anything that looks like one of WeChat's values.
 */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';
export type LogFields = Readonly<Record<string, unknown>>;

export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  /** `fields` is a function where they are many, and made often: it is called only if somebody reads them. */
  debug(message: string, fields?: LogFields | (() => LogFields)): void;
  /** A log whose lines carry `room`. */
  in(room: string): Log;
  /** Resolves when every line was handed to the stream. */
  close(): Promise<void>;
}

/** What stands in the place of a secret, wherever one is taken out. */
export const MASK = '[secret]';
const SECRET_NAME =
  /secret|token$|^token|ticket$|password|authorization$|^value$|aes_?key|auth_?code|^encrypt$|cookie/i;
/** What WeChat's own values begin with, plain or as a URL has it; the source of a pattern. */
export const WECHAT_PREFIX = '(?:ticket|preauthcode|queryauthcode|refreshtoken)(?:@@@|%40%40%40)';
/** Those, secrets in a query string, and any run as long as a token or an AES key. */
const SECRET_TEXT = new RegExp(
  `${WECHAT_PREFIX}[^\\s"'<&]+|(?<=(?:token|secret|ticket|code|key)=)[^\\s&"']+|[A-Za-z0-9_+=-]{43,}`,
  'gi',
);
const MAX_DEPTH = 6;

interface LogOptions {
  level: LogLevel;
  /** Values to mask wherever they occur, e.g. the configured secrets. */
  secrets?: readonly string[];
  /** Where lines go; stdout unless given. */
  stream?: Writable;
}

export function createLog(options: LogOptions): Log {
  const clean = createRedactor(options.secrets ?? []);
  const stream = options.stream ?? process.stdout;
  // A log that cannot be written (closed pipe, full disk) must not take the service down.
  stream.on('error', () => undefined);
  const logger = winston.createLogger({
    level: options.level,
    format: winston.format.printf((info) => String(info.message)),
    transports: [new winston.transports.Stream({ stream, eol: '\n' })],
    exitOnError: false,
  });
  return bind(logger, clean, {});
}

function bind(logger: winston.Logger, clean: (value: unknown) => unknown, base: LogFields): Log {
  const line = (level: LogLevel) => {
    // The level stays as it is for the life of the process, and winston goes a long way to find it.
    if (!logger.isLevelEnabled(level)) return () => undefined;
    return (message: string, given?: LogFields | (() => LogFields)) => {
      const fields = typeof given === 'function' ? given() : given;
      const time = new Date().toISOString();
      // The second mention keeps a field of the same name from hiding these.
      const entry = Object.assign({ time, level, ...base, message }, fields, {
        time,
        level,
        message,
      });
      logger.log(level, JSON.stringify(clean(entry)));
    };
  };
  return {
    error: line('error'),
    warn: line('warn'),
    info: line('info'),
    debug: line('debug'),
    in: (room) => bind(logger, clean, { ...base, room }),
    close: () =>
      new Promise((resolve) => {
        logger.once('finish', () => resolve());
        logger.end();
      }),
  };
}

/** Returns a function that copies a value with everything secret masked. */
export function createRedactor(secrets: readonly string[]): (value: unknown) => unknown {
  // The longest first: what a shorter one is part of would be torn, and its rest shown.
  const known = secrets
    .filter((secret) => secret.length >= 3)
    .sort((one, other) => other.length - one.length);
  const text = (value: string) =>
    known
      .reduce((masked, secret) => masked.replaceAll(secret, MASK), value)
      .replace(SECRET_TEXT, MASK);
  const copy = (value: unknown, depth: number): unknown => {
    if (typeof value === 'string') return text(value);
    if (typeof value === 'bigint') return String(value);
    if (typeof value !== 'object' || value === null) return value;
    if (depth > MAX_DEPTH) return '[deep]';
    if (value instanceof Error) return copyError(value, depth, copy);
    if (Array.isArray(value)) return value.map((item) => copy(item, depth + 1));
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [
        name,
        SECRET_NAME.test(name) && typeof item === 'string' ? MASK : copy(item, depth + 1),
      ]),
    );
  };
  return (value) => copy(value, 0);
}

/** Only these fields of an error: libraries hang requests and commands, with secrets, on theirs. */
function copyError(
  error: Error & { code?: unknown; detail?: unknown },
  depth: number,
  copy: (value: unknown, depth: number) => unknown,
): unknown {
  const { name, message, code, detail, stack, cause } = error;
  const frames = stack
    ?.split('\n')
    .slice(1, 6)
    .map((frame) => frame.trim());
  return copy({ name, message, code, detail, stack: frames, cause }, depth + 1);
}
