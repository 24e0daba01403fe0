import { fileURLToPath } from 'node:url';
import { freePort } from '../../../src/sandbox/redis/launch.ts';

/** Servers that speak TLS only, under one of the certificates in `test/fixtures/tls`. */

/** For localhost and 127.0.0.1, but for the last; all with one key, and each is its own authority. */
export type Certificate = 'cert' | 'expired-cert' | 'other-name-cert';

/** For whom `other-name-cert` is. */
export const OTHER_NAME = 'somebody-else.example';

const START_ATTEMPTS = 3;

export function certificateFile(name: Certificate | 'key' = 'cert'): string {
  return fileURLToPath(new URL(`../../fixtures/tls/localhost-test-${name}.pem`, import.meta.url));
}

/** Arguments of a server at this port; a node of a cluster or a Sentinel speaks so to its like, too. */
export function tlsArguments(port: number, name: Certificate = 'cert'): string[] {
  return Object.entries({
    'tls-port': String(port),
    'tls-cert-file': certificateFile(name),
    'tls-key-file': certificateFile('key'),
    'tls-ca-cert-file': certificateFile(name),
    'tls-auth-clients': 'no',
    'tls-replication': 'yes',
    bind: '127.0.0.1',
  }).flatMap(([option, value]) => [`--${option}`, value]);
}

/** The launcher knows no port for TLS, so it cannot choose one. */
export async function startOnFreePort<T>(start: (port: number) => Promise<T>) {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    try {
      return { server: await start(port), port };
    } catch (error) {
      if (attempt === START_ATTEMPTS || !String(error).includes('in use')) throw error;
    }
  }
}
