import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freePort, startRedisServer } from '../../../src/sandbox/redis/launch.ts';
import { handles, stop, whole, type RedisShape, type ShapeOptions, type Undo } from './server.ts';

/** One Redis with TLS only, and the user for wxkeeper that the documentation tells to make. */

const ADMIN_PASSWORD = 'password-of-admin';
const PASSWORD = 'password-of-wxkeeper';
const DOCUMENT = new URL('../../../docs/production.md', import.meta.url);
const fixture = (name: string) =>
  fileURLToPath(new URL(`../../fixtures/tls/localhost-test-${name}.pem`, import.meta.url));
const CERTIFICATE = fixture('cert');
const START_ATTEMPTS = 3;

export function startTls(options: ShapeOptions = {}): Promise<RedisShape> {
  return whole((undo) => assemble(options, undo));
}

async function assemble({ binary }: ShapeOptions, undo: Undo) {
  const config = [
    `tls-cert-file ${CERTIFICATE}`,
    `tls-key-file ${fixture('key')}`,
    `tls-ca-cert-file ${CERTIFICATE}`,
    'tls-auth-clients no',
    'bind 127.0.0.1',
    'user default off',
    `user admin on >${ADMIN_PASSWORD} ~* &* +@all`,
    documentedUser(),
  ].join('\n');
  const { server, port } = await startOnFreePort((tlsPort) =>
    // The socket is for the launcher, which knows no TLS. Nobody may do anything there without a login, too.
    startRedisServer({ ...(binary && { binary }), config, args: ['--tls-port', String(tlsPort)] }),
  );
  undo.push(() => stop(server));
  const url = (user: string, password: string) => `rediss://${user}:${password}@localhost:${port}`;
  const adminUrl = url('admin', ADMIN_PASSWORD);
  return {
    servers: [{ ...handles(server), url: adminUrl, port, network: undefined }],
    env: { REDIS_URL: url('wxkeeper', PASSWORD), REDIS_TLS_CA_FILE: CERTIFICATE },
    admin: { url: adminUrl, caFile: CERTIFICATE },
  };
}

async function startOnFreePort<T>(start: (port: number) => Promise<T>) {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    try {
      return { server: await start(port), port };
    } catch (error) {
      if (attempt === START_ATTEMPTS || !String(error).includes('in use')) throw error;
    }
  }
}

/** `wx:` is the prefix of a production; each test has one of its own, `test…:`. */
function documentedUser(): string {
  const line = /^ACL SETUSER (wxkeeper on >)PASSWORD (~.+)$/m.exec(readFileSync(DOCUMENT, 'utf8'));
  if (!line) throw new Error('docs/production.md has no ACL SETUSER wxkeeper');
  return `user ${line[1] ?? ''}${PASSWORD} ${(line[2] ?? '').replaceAll('wx:', 'test*:')}`;
}
