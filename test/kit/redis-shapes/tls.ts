import { readFileSync } from 'node:fs';
import { startRedisServer } from '../../../src/sandbox/redis/launch.ts';
import {
  certificateFile,
  startOnFreePort,
  tlsArguments,
  type Certificate,
} from './certificates.ts';
import { handles, stop, whole, type RedisShape, type ShapeOptions, type Undo } from './server.ts';

/** One Redis with TLS only, and the user for wxkeeper that the documentation tells to make. */

const ADMIN_PASSWORD = 'password-of-admin';
const PASSWORD = 'password-of-wxkeeper';
const DOCUMENT = new URL('../../../docs/production.md', import.meta.url);

export interface TlsOptions extends ShapeOptions {
  /** Default: the one that is good. */
  certificate?: Certificate;
}

export function startTls(options: TlsOptions = {}): Promise<RedisShape> {
  return whole((undo) => assemble(options, undo));
}

async function assemble({ binary, certificate }: TlsOptions, undo: Undo) {
  const config = [
    'user default off',
    `user admin on >${ADMIN_PASSWORD} ~* &* +@all`,
    documentedUser(),
  ].join('\n');
  const { server, port } = await startOnFreePort((tlsPort) =>
    // The socket is for the launcher, which knows no TLS. Nobody may do anything there without a login, too.
    startRedisServer({
      ...(binary && { binary }),
      config,
      args: tlsArguments(tlsPort, certificate),
    }),
  );
  undo.push(() => stop(server));
  const url = (user: string, password: string) => `rediss://${user}:${password}@localhost:${port}`;
  const caFile = certificateFile(certificate);
  const adminUrl = url('admin', ADMIN_PASSWORD);
  return {
    servers: [{ ...handles(server), url: adminUrl, port, network: undefined }],
    env: { REDIS_URL: url('wxkeeper', PASSWORD), REDIS_TLS_CA_FILE: caFile },
    admin: { url: adminUrl, caFile },
  };
}

/** `wx:` is the prefix of a production; each test has one of its own, `test…:`. */
function documentedUser(): string {
  const line = /^ACL SETUSER (wxkeeper on >)PASSWORD (~.+)$/m.exec(readFileSync(DOCUMENT, 'utf8'));
  if (!line) throw new Error('docs/production.md has no ACL SETUSER wxkeeper');
  return `user ${line[1] ?? ''}${PASSWORD} ${(line[2] ?? '').replaceAll('wx:', 'test*:')}`;
}
