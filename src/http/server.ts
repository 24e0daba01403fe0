import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
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

/** Bytes of a request body; WeChat's pushes are far smaller. */
export const MAX_BODY_BYTES = 64 * 1024;

const CLIENT_ERRORS: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};

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
  // "May I send this?" is answered by the application, or by inviting what it will read.
  server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
    if (Number(request.headers['content-length'] ?? 0) <= MAX_BODY_BYTES) response.writeContinue();
    app(request, response);
  });
  server.on('clientError', refuse);
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

/** Node's answer to what is no HTTP or comes too slowly, unless an answer was given already. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const status = CLIENT_ERRORS[error.code ?? ''] ?? '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
}
