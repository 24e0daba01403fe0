import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An application behind a delivery route: keeps what it is sent, and answers as it is told. */
export interface Target {
  url: string;
  /** In the order in which they came. */
  requests: TargetRequest[];
  /** Replaces how it answers; `success` at first. */
  answer(how: Answering): void;
  /** Nobody is there any more: connections fail with ECONNREFUSED until `listen`. */
  refuse(): Promise<void>;
  /** At the same port as before. */
  listen(): Promise<void>;
  close(): Promise<void>;
}

export interface TargetRequest {
  url: URL;
  headers: Record<string, string>;
  body: string;
}

export type Answering = (
  request: TargetRequest,
  response: ServerResponse,
  incoming: IncomingMessage,
) => unknown;

/** @param port any free one unless given */
export async function startTarget({ host = '127.0.0.1', port = 0 } = {}): Promise<Target> {
  const requests: TargetRequest[] = [];
  let answering: Answering = (_request, response) => response.end('success');
  const server = http.createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const request = {
        url: new URL(incoming.url ?? '', 'http://target'),
        headers: incoming.headers as Record<string, string>,
        body: Buffer.concat(chunks).toString('utf8'),
      };
      requests.push(request);
      answering(request, response, incoming);
    });
    incoming.on('error', () => undefined);
  });
  const listen = (at: number) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(at, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  await listen(port);
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `http://${host}:${own}`,
    requests,
    answer(how) {
      answering = how;
    },
    refuse: close,
    listen: () => listen(own),
    close,
  };
}

/** Answers with this status, nothing else. */
export function status(code: number, headers: Record<string, string> = {}): Answering {
  return (_request, response) => response.writeHead(code, headers).end();
}
