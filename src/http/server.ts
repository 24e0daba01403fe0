import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Express } from 'express';

/**
 * A listener with every wait bounded. A public address meets slow and endless requests sooner or
 * later; Node's defaults would let each of them hold a socket for minutes.
 */
const LIMITS = {
  headersTimeout: 5_000,
  requestTimeout: 5_000,
  keepAliveTimeout: 5_000,
  // The two timeouts above are only enforced when connections are checked.
  connectionsCheckingInterval: 500,
  maxHeaderSize: 8 * 1024,
};
const MAX_CONNECTIONS = 2_000;

export interface Listener {
  /** The port in use, also when 0 was asked for. */
  port: number;
  /** Stops accepting; open requests get `graceMs` to end. */
  close(graceMs: number): Promise<void>;
}

/** @throws the listen error, e.g. EADDRINUSE */
export async function listen(app: Express, host: string, port: number): Promise<Listener> {
  const server = http.createServer(LIMITS);
  let closing = false;
  server.on('request', (_request, response) => {
    // A caller who keeps its connection would otherwise go on being served here.
    if (closing) response.setHeader('Connection', 'close');
  });
  server.on('request', app);
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: (graceMs) =>
      new Promise((resolve) => {
        closing = true;
        const force = setTimeout(() => server.closeAllConnections(), graceMs);
        server.close(() => {
          clearTimeout(force);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}
